# expect: wrong-answer test_returns_a_loss_and_a_gradient_for_each_parameter
# Returns the N losses of the rows instead of their mean.
import numpy as np


def two_layer_net(x, y, w1, b1, w2, b2):
    n = len(x)
    rows = np.arange(n)

    h = np.maximum(x @ w1 + b1, 0)
    logits = h @ w2 + b2
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_p[rows, y]

    d_logits = np.exp(log_p)
    d_logits[rows, y] -= 1
    d_logits /= n
    d_pre = (d_logits @ w2.T) * (h > 0)
    grads = {"w1": x.T @ d_pre, "b1": d_pre.sum(axis=0), "w2": h.T @ d_logits, "b2": d_logits.sum(axis=0)}
    return loss, grads
