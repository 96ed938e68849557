# expect: wrong-answer test_each_query_has_its_own_scale
# Shifts every query by the largest score of all; one far below it underflows to 0 / 0.
import numpy as np


def attention(q, k, v, causal=False):
    t, s = q.shape[2], k.shape[2]
    scores = q @ k.swapaxes(2, 3) / q.shape[3] ** 0.5
    if causal:
        visible = np.arange(s) <= np.arange(s - t, s)[:, None]
        scores = np.where(visible, scores, -np.inf)

    lowest = np.finfo(scores.dtype).min
    top = scores.max(initial=lowest)
    weights = np.exp(scores - top)
    total = weights.sum(axis=3, keepdims=True)
    return weights @ v / np.where(total == 0, 1, total)
