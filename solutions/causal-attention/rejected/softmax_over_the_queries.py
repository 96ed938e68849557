# expect: wrong-answer test_weights_sum_to_one_over_the_keys
# Normalises over the queries, not over the keys.
import numpy as np


def attention(q, k, v, causal=False):
    t, s = q.shape[2], k.shape[2]
    scores = q @ k.swapaxes(2, 3) / q.shape[3] ** 0.5
    if causal:
        visible = np.arange(s) <= np.arange(s - t, s)[:, None]
        scores = np.where(visible, scores, -np.inf)

    lowest = np.finfo(scores.dtype).min
    top = scores.max(axis=2, keepdims=True, initial=lowest)
    weights = np.exp(scores - top)
    total = weights.sum(axis=2, keepdims=True)
    return weights / np.maximum(total, 1) @ v
