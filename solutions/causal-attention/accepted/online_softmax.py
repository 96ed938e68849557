"""One pass over the keys with a running maximum, sum and output, as FlashAttention does it: never holds (T, S)."""

import numpy as np


def attention(q, k, v, causal=False):
    t, s = q.shape[2], k.shape[2]
    scaled = q / float(np.sqrt(q.shape[3]))
    top = np.full((*q.shape[:3], 1), -np.inf, dtype=q.dtype)
    total = np.zeros_like(top)
    out = np.zeros((*q.shape[:3], v.shape[3]), dtype=q.dtype)

    for j in range(s):
        first = max(0, j - (s - t)) if causal else 0                # the first query that sees key j
        rows = np.s_[:, :, first:]
        score = (scaled[rows] * k[:, :, j:j + 1]).sum(axis=3, keepdims=True)
        new_top = np.maximum(top[rows], score)
        rescale, weight = np.exp(top[rows] - new_top), np.exp(score - new_top)
        total[rows] = total[rows] * rescale + weight
        out[rows] = out[rows] * rescale + weight * v[:, :, j:j + 1]
        top[rows] = new_top
    return np.divide(out, total, out=out, where=total > 0)
