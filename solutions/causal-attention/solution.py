import numpy as np


def attention(q, k, v, causal=False):
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1), the causal mask aligned at the bottom right.

    q: (B, H, T, D)   k: (B, H, S, D)   v: (B, H, S, E)   ->   (B, H, T, E)
    """
    t, s = q.shape[2], k.shape[2]
    scores = q @ k.swapaxes(2, 3) / q.shape[3] ** 0.5                           # (B, H, T, S)
    if causal:
        visible = np.arange(s) <= np.arange(s - t, s)[:, None]                  # (T, S): query i is at key s - t + i
        scores = np.where(visible, scores, -np.inf)

    lowest = np.finfo(scores.dtype).min                                         # -inf - lowest is -inf, never nan
    top = scores.max(axis=3, keepdims=True, initial=lowest)                     # after the mask: visible scores only
    weights = np.exp(scores - top)
    total = weights.sum(axis=3, keepdims=True)                                  # at least 1, or 0 where all is hidden
    return weights @ v / np.maximum(total, 1)
