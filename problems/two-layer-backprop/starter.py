import numpy as np


def two_layer_net(x, y, w1, b1, w2, b2) -> tuple[float, dict[str, np.ndarray]]:
    """Mean softmax cross-entropy of relu(x @ w1 + b1) @ w2 + b2, and its gradients.

    x: (N, D)   y: (N,) ints   w1: (D, H)   b1: (H,)   w2: (H, C)   b2: (C,)
    Returns (loss, grads): one number, and a dict with the keys "w1", "b1", "w2", "b2", each gradient in its parameter's
    shape and dtype.
    """
    raise NotImplementedError
