# expect: wrong-answer test_zero_point_is_rounded_to_the_nearest_integer
# Casts the zero point without rounding.
import numpy as np


def quantize_affine(x):
    q, scale, zero_point = _quantize(x, axes=None)
    return q, scale.item(), zero_point.item()


def quantize_per_channel(w, axis=0):
    return _quantize(w, axes=tuple(i for i in range(w.ndim) if i != axis % w.ndim))


def dequantize(q, scale, zero_point):
    return (q.astype(np.int32) - zero_point) * scale


def int8_matmul(qa, sa, za, qb, sb, zb):
    total = (qa.astype(np.int32) - za) @ (qb.astype(np.int32) - zb)
    return total * (sa * sb)


def _quantize(x, axes):
    lo = np.minimum(x.min(axis=axes, keepdims=True), 0)
    hi = np.maximum(x.max(axis=axes, keepdims=True), 0)
    scale = np.where(hi > lo, (hi - lo) / 255, 1)
    zero_point = (-128 - lo / scale).astype(np.int32)
    q = np.rint(x / scale) + zero_point
    return q.clip(-128, 127).astype(np.int8), scale, zero_point
