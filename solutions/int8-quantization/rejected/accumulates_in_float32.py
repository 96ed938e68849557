# expect: wrong-answer test_sum_is_exact
# Sums in float32, which is exact only up to 2**24.
import numpy as np


def quantize_affine(x):
    q, scale, zero_point = _quantize(x, axes=None)
    return q, scale.item(), zero_point.item()


def quantize_per_channel(w, axis=0):
    return _quantize(w, axes=tuple(i for i in range(w.ndim) if i != axis % w.ndim))


def dequantize(q, scale, zero_point):
    return (q.astype(np.int32) - zero_point) * scale


def int8_matmul(qa, sa, za, qb, sb, zb):
    total = (qa - np.float32(za)) @ (qb - np.asarray(zb, dtype=np.float32))
    return total * np.multiply(sa, sb, dtype=np.float64)


def _quantize(x, axes):
    lo = np.minimum(x.min(axis=axes, keepdims=True), 0)
    hi = np.maximum(x.max(axis=axes, keepdims=True), 0)
    scale = np.where(hi > lo, (hi - lo) / 255, 1)
    zero_point = np.rint(-128 - lo / scale).astype(np.int32)
    q = np.rint(x / scale) + zero_point
    return q.clip(-128, 127).astype(np.int8), scale, zero_point
