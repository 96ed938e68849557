"""Per channel is quantize_affine on each slice in turn; the product sums int64."""

import numpy as np


def quantize_affine(x):
    values = np.asarray(x, dtype=np.float64)
    lo, hi = min(0.0, float(np.amin(values))), max(0.0, float(np.amax(values)))
    scale = (hi - lo) / 255 or 1.0
    zero_point = round(-lo / scale) - 128
    q = np.around(values / scale).astype(np.int64) + zero_point
    return np.minimum(np.maximum(q, -128), 127).astype("int8"), scale, zero_point


def quantize_per_channel(w, axis=0):
    parts = [quantize_affine(part) for part in np.moveaxis(w, axis, 0)]
    q = np.stack([part[0] for part in parts], axis=axis)
    shape = [1] * w.ndim
    shape[axis] = -1
    return q, np.reshape([part[1] for part in parts], shape), np.reshape([part[2] for part in parts], shape)


def dequantize(q, scale, zero_point):
    return np.subtract(q, zero_point, dtype=np.float64) * scale


def int8_matmul(qa, sa, za, qb, sb, zb):
    wide_a, wide_b = np.subtract(qa, za, dtype=np.int64), np.subtract(qb, zb, dtype=np.int64)
    return np.einsum("mk,kn->mn", wide_a, wide_b) * sa * sb
