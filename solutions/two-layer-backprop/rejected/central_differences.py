# expect: wrong-answer test_logits_of_ten_thousand
# Differentiates numerically: 2 passes a number, and digits are lost where the loss is large.
import numpy as np


def mean_cross_entropy(x, y, w1, b1, w2, b2):
    logits = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(y)), y].mean()


def two_layer_net(x, y, w1, b1, w2, b2, eps=1e-5):
    wide = [np.array(value, dtype=np.float64) for value in (w1, b1, w2, b2)]
    grads = {}
    for name, value, original in zip(("w1", "b1", "w2", "b2"), wide, (w1, b1, w2, b2)):
        grad = np.zeros_like(value)
        for i in np.ndindex(value.shape):
            held = value[i]
            value[i] = held + eps
            above = mean_cross_entropy(x, y, *wide)
            value[i] = held - eps
            below = mean_cross_entropy(x, y, *wide)
            value[i] = held
            grad[i] = (above - below) / (2 * eps)
        grads[name] = grad.astype(original.dtype)
    return mean_cross_entropy(x, y, *wide), grads
