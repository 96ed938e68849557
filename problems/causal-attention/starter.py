import numpy as np


def attention(q, k, v, causal=False) -> np.ndarray:
    """Scaled dot-product attention: softmax(q k^T / sqrt(D)) v, for each sequence and head.

    q: (B, H, T, D)   k: (B, H, S, D)   v: (B, H, S, E)   ->   (B, H, T, E), in q's dtype
    causal: the last query sees every key, and each query before it one key less.
    """
    raise NotImplementedError
