# expect: wrong-answer test_float32_stays_float32[True]
# Adds a float64 mask, which makes float32 scores float64.
import numpy as np


def attention(q, k, v, causal=False):
    t, s = q.shape[2], k.shape[2]
    scores = q @ k.swapaxes(2, 3) / q.shape[3] ** 0.5
    if causal:
        visible = np.arange(s) <= np.arange(s - t, s)[:, None]
        scores = scores + np.where(visible, 0.0, -np.inf)

    lowest = np.finfo(scores.dtype).min
    top = scores.max(axis=3, keepdims=True, initial=lowest)
    weights = np.exp(scores - top)
    total = weights.sum(axis=3, keepdims=True)
    return weights @ v / np.maximum(total, 1)
