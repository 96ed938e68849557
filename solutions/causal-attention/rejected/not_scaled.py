# expect: wrong-answer test_scores_are_divided_by_the_root_of_d
# Leaves the scores as they are; their spread grows with D.
import numpy as np


def attention(q, k, v, causal=False):
    t, s = q.shape[2], k.shape[2]
    scores = q @ k.swapaxes(2, 3)
    if causal:
        visible = np.arange(s) <= np.arange(s - t, s)[:, None]
        scores = np.where(visible, scores, -np.inf)

    lowest = np.finfo(scores.dtype).min
    top = scores.max(axis=3, keepdims=True, initial=lowest)
    weights = np.exp(scores - top)
    total = weights.sum(axis=3, keepdims=True)
    return weights @ v / np.maximum(total, 1)
