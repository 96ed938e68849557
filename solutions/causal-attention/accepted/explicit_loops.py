"""One query at a time over the keys it sees: no mask at all, plain Python in float64, cast at the end."""

import math

import numpy as np


def attention(q, k, v, causal=False):
    batch, heads, t, d = q.shape
    s, width = v.shape[2:]
    out = np.zeros((batch, heads, t, width), dtype=q.dtype)
    for b in range(batch):
        for h in range(heads):
            keys, values = k[b, h].tolist(), v[b, h].tolist()
            for i, query in enumerate(q[b, h].tolist()):
                seen = s - t + i + 1 if causal else s
                if seen <= 0:
                    continue
                scores = [sum(x * y for x, y in zip(query, key)) / math.sqrt(d) for key in keys[:seen]]
                top = max(scores)
                weights = [math.exp(score - top) for score in scores]
                for e in range(width):
                    total = sum(weight * value[e] for weight, value in zip(weights, values))
                    out[b, h, i, e] = total / sum(weights)
    return out
