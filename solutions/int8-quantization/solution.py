import numpy as np


def quantize_affine(x):
    """(q, scale, zero_point) for the whole array: int8 of x's shape, a float, an int."""
    q, scale, zero_point = _quantize(x, axes=None)
    return q, scale.item(), zero_point.item()


def quantize_per_channel(w, axis=0):
    """(q, scale, zero_point) for each slice along `axis`; the last two have length 1 on every other axis."""
    return _quantize(w, axes=tuple(i for i in range(w.ndim) if i != axis % w.ndim))


def dequantize(q, scale, zero_point):
    """The real values, float64, in q's shape."""
    return (q.astype(np.int32) - zero_point) * scale


def int8_matmul(qa, sa, za, qb, sb, zb):
    """Product of the real matrices behind qa (M, K) and qb (K, N): float64 (M, N). sb, zb: numbers or (1, N).

    Neither scale depends on the summation index, so the sum runs over integers: |sum| <= 255 * 255 * K < 2**31.
    """
    total = (qa.astype(np.int32) - za) @ (qb.astype(np.int32) - zb)
    return total * (sa * sb)


def _quantize(x, axes):
    """One range for all elements along `axes`, which scale and zero_point keep with length 1."""
    lo = np.minimum(x.min(axis=axes, keepdims=True), 0)                     # 0 must have an integer of its own
    hi = np.maximum(x.max(axis=axes, keepdims=True), 0)
    scale = np.where(hi > lo, (hi - lo) / 255, 1)
    zero_point = np.rint(-128 - lo / scale).astype(np.int32)                # in -128 ... 127, as lo <= 0 <= hi
    q = np.rint(x / scale) + zero_point
    return q.clip(-128, 127).astype(np.int8), scale, zero_point             # ends may round to 128: clip, then cast
