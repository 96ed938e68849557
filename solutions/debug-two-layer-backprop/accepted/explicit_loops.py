"""Rewritten in plain Python, one number at a time; NumPy only for the initial weights and the arrays that go out."""

import math

import numpy as np


def sigmoid(z):
    if z < 0:
        e = math.exp(z)
        return e / (1 + e)
    return 1 / (1 + math.exp(-z))


def layer(values, weights, bias):
    return [
        sigmoid(bias[j] + sum(value * weights[i][j] for i, value in enumerate(values))) for j in range(len(bias))
    ]


def as_lists(params):
    return tuple(params[name].tolist() for name in ("w1", "b1", "w2", "b2"))


def as_arrays(w1, b1, w2, b2):
    return {"w1": np.array(w1), "b1": np.array(b1), "w2": np.array(w2), "b2": np.array(b2)}


def both_layers(lists, x):
    w1, b1, w2, b2 = lists
    hidden = layer(x, w1, b1)
    return hidden, layer(hidden, w2, b2)


def deltas(lists, x, y):
    hidden, output = both_layers(lists, x)
    w2 = lists[2]
    at_output = [(o - t) * o * (1 - o) for o, t in zip(output, y)]
    at_hidden = [sum(w * d for w, d in zip(row, at_output)) * h * (1 - h) for row, h in zip(w2, hidden)]
    return hidden, output, at_hidden, at_output


def forward(params, x):
    hidden, output = both_layers(as_lists(params), x.tolist())
    return np.array(hidden), np.array(output)


def gradients(params, x, y):
    x = x.tolist()
    hidden, _, at_hidden, at_output = deltas(as_lists(params), x, y.tolist())
    d_w1 = [[value * d for d in at_hidden] for value in x]
    d_w2 = [[h * d for d in at_output] for h in hidden]
    return as_arrays(d_w1, at_hidden, d_w2, at_output)


def train(x, y, hidden, lr, epochs, seed):
    rng = np.random.default_rng(seed)
    n_inputs, n_outputs = x.shape[1], y.shape[1]
    w1 = (rng.standard_normal((n_inputs, hidden)) / math.sqrt(n_inputs)).tolist()
    w2 = (rng.standard_normal((hidden, n_outputs)) / math.sqrt(hidden)).tolist()
    b1, b2 = [0.0] * hidden, [0.0] * n_outputs
    rows = list(zip(x.tolist(), y.tolist()))

    history = []
    for _ in range(epochs):
        total = 0.0
        for row, target in rows:
            h, output, at_hidden, at_output = deltas((w1, b1, w2, b2), row, target)
            total += 0.5 * sum((o - t) ** 2 for o, t in zip(output, target))
            for j, d in enumerate(at_hidden):
                b1[j] -= lr * d
                for i, value in enumerate(row):
                    w1[i][j] -= lr * d * value
            for k, d in enumerate(at_output):
                b2[k] -= lr * d
                for j, value in enumerate(h):
                    w2[j][k] -= lr * d * value
        history.append(total / len(rows))
    return as_arrays(w1, b1, w2, b2), history
