# expect: wrong-answer test_visible_weights_sum_to_one
# Zeroes the weights of later keys after the softmax and does not normalise again.
import numpy as np


def attention(q, k, v, causal=False):
    t, s = q.shape[2], k.shape[2]
    scores = q @ k.swapaxes(2, 3) / q.shape[3] ** 0.5
    visible = np.arange(s) <= np.arange(s - t, s)[:, None]
    lowest = np.finfo(scores.dtype).min
    top = scores.max(axis=3, keepdims=True, initial=lowest)
    weights = np.exp(scores - top)
    total = weights.sum(axis=3, keepdims=True)
    weights /= total
    if causal:
        weights = np.where(visible, weights, 0)
    return weights @ v
