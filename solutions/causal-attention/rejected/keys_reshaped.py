# expect: wrong-answer test_each_query_meets_each_key
# Uses reshape where a transpose is meant: the shapes fit, the keys are scrambled.
import numpy as np


def attention(q, k, v, causal=False):
    t, s = q.shape[2], k.shape[2]
    scores = q @ k.reshape(*k.shape[:2], k.shape[3], s) / q.shape[3] ** 0.5
    if causal:
        visible = np.arange(s) <= np.arange(s - t, s)[:, None]
        scores = np.where(visible, scores, -np.inf)

    lowest = np.finfo(scores.dtype).min
    top = scores.max(axis=3, keepdims=True, initial=lowest)
    weights = np.exp(scores - top)
    total = weights.sum(axis=3, keepdims=True)
    return weights @ v / np.maximum(total, 1)
