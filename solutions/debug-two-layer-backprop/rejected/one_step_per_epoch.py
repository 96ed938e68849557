# expect: wrong-answer test_each_row_takes_its_own_step_in_order
# Averages the gradients over the epoch and takes one step: batch gradient descent.
import numpy as np


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, e) / (1.0 + e)


def sigmoid_slope(a):
    """Derivative of the sigmoid at the point where its value is a."""
    return a * (1.0 - a)


def init_params(n_inputs, n_hidden, n_outputs, seed):
    rng = np.random.default_rng(seed)
    return {
        "w1": rng.normal(0.0, 1.0 / np.sqrt(n_inputs), size=(n_inputs, n_hidden)),
        "b1": np.zeros(n_hidden),
        "w2": rng.normal(0.0, 1.0 / np.sqrt(n_hidden), size=(n_hidden, n_outputs)),
        "b2": np.zeros(n_outputs),
    }


def forward(params, x):
    """x: (D,)   ->   hidden: (H,), output: (O,)"""
    hidden = sigmoid(x @ params["w1"] + params["b1"])
    output = sigmoid(hidden @ params["w2"] + params["b2"])
    return hidden, output


def loss(output, y):
    return 0.5 * np.sum((output - y) ** 2)


def gradients(params, x, y):
    """Gradients of the loss of one row. x: (D,)   y: (O,)   ->   dict with the keys and shapes of params"""
    hidden, output = forward(params, x)
    d_output = (output - y) * sigmoid_slope(output)
    d_hidden = (params["w2"] @ d_output) * sigmoid_slope(hidden)
    return {
        "w1": np.outer(x, d_hidden),
        "b1": d_hidden,
        "w2": np.outer(hidden, d_output),
        "b2": d_output,
    }


def train(x, y, hidden, lr, epochs, seed):
    """Per-row SGD. x: (N, D)   y: (N, O)   ->   params, history: mean loss of each epoch"""
    params = init_params(x.shape[1], hidden, y.shape[1], seed)
    history = []
    for _ in range(epochs):
        losses, sums = [], {name: np.zeros_like(param) for name, param in params.items()}
        for row, target in zip(x, y):
            _, output = forward(params, row)
            losses.append(loss(output, target))
            for name, grad in gradients(params, row, target).items():
                sums[name] += grad
        for name, total in sums.items():
            params[name] -= lr * total / len(x)
        history.append(float(np.mean(losses)))
    return params, history
