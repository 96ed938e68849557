# expect: wrong-answer test_integers_are_summed_before_they_are_scaled
# Takes one of the scales into the sum, whose terms are no integers then.
import numpy as np


def quantize_affine(x):
    q, scale, zero_point = _quantize(x, axes=None)
    return q, scale.item(), zero_point.item()


def quantize_per_channel(w, axis=0):
    return _quantize(w, axes=tuple(i for i in range(w.ndim) if i != axis % w.ndim))


def dequantize(q, scale, zero_point):
    return (q.astype(np.int32) - zero_point) * scale


def int8_matmul(qa, sa, za, qb, sb, zb):
    return ((qa.astype(np.int32) - za) * sa) @ (qb.astype(np.int32) - zb) * sb


def _quantize(x, axes):
    lo = np.minimum(x.min(axis=axes, keepdims=True), 0)
    hi = np.maximum(x.max(axis=axes, keepdims=True), 0)
    scale = np.where(hi > lo, (hi - lo) / 255, 1)
    zero_point = np.rint(-128 - lo / scale).astype(np.int32)
    q = np.rint(x / scale) + zero_point
    return q.clip(-128, 127).astype(np.int8), scale, zero_point
