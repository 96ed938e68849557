import numpy as np


def two_layer_net(x, y, w1, b1, w2, b2):
    """Loss of a two-layer ReLU classifier and the gradient for each parameter.

    x: (N, D)   y: (N,) ints   w1: (D, H)   b1: (H,)   w2: (H, C)   b2: (C,)   ->   loss, {"w1", "b1", "w2", "b2"}
    """
    n = len(x)
    rows = np.arange(n)

    h = np.maximum(x @ w1 + b1, 0)                                              # (N, H)
    logits = h @ w2 + b2                                                        # (N, C)
    shifted = logits - logits.max(axis=1, keepdims=True)                        # largest is 0: exp cannot overflow
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))        # never the log of an underflowed p
    loss = -log_p[rows, y].mean()

    d_logits = np.exp(log_p)                                                    # (N, C): (p - one_hot(y)) / N
    d_logits[rows, y] -= 1
    d_logits /= n                                                               # the mean's 1/N, once, at the source
    d_pre = (d_logits @ w2.T) * (h > 0)                                         # (N, H)
    grads = {"w1": x.T @ d_pre, "b1": d_pre.sum(axis=0), "w2": h.T @ d_logits, "b2": d_logits.sum(axis=0)}
    return loss, grads
