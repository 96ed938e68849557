# expect: wrong-answer test_gradient_of_w1_pairs_each_input_with_each_unit
# Uses reshape where a transpose is meant: right only when D or N is 1.
import numpy as np


def two_layer_net(x, y, w1, b1, w2, b2):
    n = len(x)
    rows = np.arange(n)

    h = np.maximum(x @ w1 + b1, 0)
    logits = h @ w2 + b2
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_p[rows, y].mean()

    d_logits = np.exp(log_p)
    d_logits[rows, y] -= 1
    d_logits /= n
    d_pre = (d_logits @ w2.T) * (h > 0)
    d_w1 = x.reshape(x.shape[::-1]) @ d_pre
    grads = {"w1": d_w1, "b1": d_pre.sum(axis=0), "w2": h.T @ d_logits, "b2": d_logits.sum(axis=0)}
    return loss, grads
