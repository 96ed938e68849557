# expect: wrong-answer test_hidden_keys_stay_hidden_below_any_score
# Adds -1e9 to the hidden scores; a visible score may lie lower.
import numpy as np


def attention(q, k, v, causal=False):
    t, s = q.shape[2], k.shape[2]
    scores = q @ k.swapaxes(2, 3) / q.shape[3] ** 0.5
    if causal:
        visible = np.arange(s) <= np.arange(s - t, s)[:, None]
        scores = scores + np.where(visible, 0, scores.dtype.type(-1e9))

    lowest = np.finfo(scores.dtype).min
    top = scores.max(axis=3, keepdims=True, initial=lowest)
    weights = np.exp(scores - top)
    if causal:
        weights[:, :, ~visible.any(axis=1)] = 0
    total = weights.sum(axis=3, keepdims=True)
    return weights @ v / np.maximum(total, 1)
