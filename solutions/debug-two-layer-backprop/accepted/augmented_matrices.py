"""Biases as the last row of each weight matrix, and the loss's derivative by the chain rule through whole matrices."""

import numpy as np


def join(params):
    return np.vstack([params["w1"], params["b1"]]), np.vstack([params["w2"], params["b2"]])


def split(first, second):
    return {"w1": first[:-1], "b1": first[-1], "w2": second[:-1], "b2": second[-1]}


def logistic(z):
    return np.exp(-np.logaddexp(0, -z))


def activations(first, second, x):
    h1 = np.append(logistic(np.append(x, 1.0) @ first), 1.0)
    return h1, logistic(h1 @ second)


def joint_gradients(first, second, x, y):
    h1, o = activations(first, second, x)
    back = np.diag(o * (1 - o)) @ (o - y)                           # Jacobian of the sigmoid times dloss/do
    slope = (h1 * (1 - h1))[:-1]
    return np.einsum("i,j->ij", np.append(x, 1.0), slope * (second[:-1] @ back)), np.einsum("i,j->ij", h1, back), o


def forward(params, x):
    h1, o = activations(*join(params), x)
    return h1[:-1], o


def gradients(params, x, y):
    d_first, d_second, _ = joint_gradients(*join(params), x, y)
    return split(d_first, d_second)


def train(x, y, hidden, lr, epochs, seed):
    rng = np.random.default_rng(seed)
    d, o = x.shape[1], y.shape[1]
    first = np.vstack([rng.normal(size=(d, hidden)) / d**0.5, np.zeros(hidden)])
    second = np.vstack([rng.normal(size=(hidden, o)) / hidden**0.5, np.zeros(o)])
    history = []
    for _ in range(epochs):
        errors = np.empty(len(x))
        for i in range(len(x)):
            d_first, d_second, out = joint_gradients(first, second, x[i], y[i])
            errors[i] = np.dot(out - y[i], out - y[i]) / 2
            first, second = first - lr * d_first, second - lr * d_second
        history.append(errors.mean())
    return split(first, second), history
