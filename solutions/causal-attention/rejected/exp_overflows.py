# expect: wrong-answer test_scores_of_ten_thousand
# Takes exp of the raw scores.
import numpy as np


def attention(q, k, v, causal=False):
    t, s = q.shape[2], k.shape[2]
    scores = q @ k.swapaxes(2, 3) / q.shape[3] ** 0.5
    if causal:
        visible = np.arange(s) <= np.arange(s - t, s)[:, None]
        scores = np.where(visible, scores, -np.inf)

    weights = np.exp(scores)
    total = weights.sum(axis=3, keepdims=True)
    return weights @ v / np.where(total == 0, 1, total)
