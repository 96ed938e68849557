import numpy as np


def quantize_affine(x) -> tuple[np.ndarray, float, int]:
    """(q, scale, zero_point) for the whole array: int8 of x's shape, a float, an integer."""
    raise NotImplementedError


def quantize_per_channel(w, axis=0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(q, scale, zero_point) for each slice along `axis`; the last two have length 1 on every other axis."""
    raise NotImplementedError


def dequantize(q, scale, zero_point) -> np.ndarray:
    """The real values, float64."""
    raise NotImplementedError


def int8_matmul(qa, sa, za, qb, sb, zb) -> np.ndarray:
    """Product of the real matrices behind qa (M, K) and qb (K, N): float64 (M, N). sb, zb: numbers or (1, N)."""
    raise NotImplementedError
