"""The product as kernels compute it: int8 times int8 first, the zero points by row and column sums afterwards."""

import numpy as np


class Affine:
    """The map between real numbers and int8, for the slices that `axes` run along."""

    def __init__(self, x, axes):
        zero = np.zeros((), dtype=x.dtype)
        lo = x.min(axis=axes, keepdims=True, initial=zero)
        span = x.max(axis=axes, keepdims=True, initial=zero) - lo
        self.scale = span / 255
        self.scale[span == 0] = 1
        self.zero_point = np.round(-128 - lo / self.scale).astype(np.int16)

    def encode(self, x):
        steps = np.round(x / self.scale).astype(np.int32) + self.zero_point
        steps[steps > 127] = 127
        steps[steps < -128] = -128
        return steps.astype(np.int8)


def quantize_affine(x):
    affine = Affine(x, tuple(range(x.ndim)))
    return affine.encode(x), float(affine.scale.squeeze()), int(affine.zero_point.squeeze())


def quantize_per_channel(w, axis=0):
    axes = set(range(w.ndim)) - {range(w.ndim)[axis]}
    affine = Affine(w, tuple(axes))
    return affine.encode(w), affine.scale, affine.zero_point


def dequantize(q, scale, zero_point):
    return q * np.float64(1) * scale - np.multiply(zero_point, scale, dtype=np.float64)


def int8_matmul(qa, sa, za, qb, sb, zb):
    a, b = qa.astype(np.int32), qb.astype(np.int32)
    raw = a @ b
    rows, columns = a.sum(axis=1, keepdims=True), b.sum(axis=0, keepdims=True)
    total = raw - rows * zb - za * columns + len(b) * za * np.asarray(zb, dtype=np.int32)
    return total * np.multiply(sa, sb)
