"""Small layers that remember what their backward pass needs, as in a hand-made framework."""

import numpy as np


class Linear:
    def __init__(self, weight, bias):
        self.weight, self.bias = weight, bias

    def forward(self, x):
        self.x = x
        return x @ self.weight + self.bias

    def backward(self, grad):
        self.d_weight = self.x.T @ grad
        self.d_bias = np.ones(len(grad), dtype=grad.dtype) @ grad
        return grad @ self.weight.T


class ReLU:
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, grad):
        return np.where(self.mask, grad, 0)


class CrossEntropy:
    def forward(self, logits, labels):
        self.labels = labels
        shifted = logits - np.max(logits, axis=-1, keepdims=True)
        self.log_p = shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
        picked = np.take_along_axis(self.log_p, labels.astype(np.int64)[:, None], axis=1)
        return -float(np.mean(picked))

    def backward(self):
        grad = np.exp(self.log_p)
        for row, label in zip(grad, self.labels):
            row[label] -= 1
        return grad / len(grad)


def two_layer_net(x, y, w1, b1, w2, b2):
    first, relu, second, criterion = Linear(w1, b1), ReLU(), Linear(w2, b2), CrossEntropy()
    loss = criterion.forward(second.forward(relu.forward(first.forward(x))), y)
    first.backward(relu.backward(second.backward(criterion.backward())))
    return loss, {"w1": first.d_weight, "b1": first.d_bias, "w2": second.d_weight, "b2": second.d_bias}
