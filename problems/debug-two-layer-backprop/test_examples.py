"""Run these as often as you like: pytest test_examples.py"""

import numpy as np
from attempt import forward, gradients, train


def test_forward_pass():
    params = {
        "w1": np.array([[1.0, -1.0], [0.0, 1.0]]),
        "b1": np.array([-1.0, 0.0]),
        "w2": np.array([[2.0], [0.0]]),
        "b2": np.array([-1.0]),
    }
    hidden, output = forward(params, np.array([1.0, 2.0]))
    np.testing.assert_allclose(hidden, [0.5, 0.7311], atol=1e-4)
    np.testing.assert_allclose(output, [0.5])


def test_gradients_match_central_differences():
    rng = np.random.default_rng(0)
    shapes = {"w1": (2, 3), "b1": (3,), "w2": (3, 1), "b2": (1,)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x, y, eps = rng.normal(size=2), np.array([1.0]), 1e-5
    grads = gradients(params, x, y)
    for name, param in params.items():
        numeric = np.zeros_like(param)
        for i in np.ndindex(param.shape):
            held = param[i]
            losses = []
            for param[i] in (held + eps, held - eps):
                _, output = forward(params, x)
                losses.append(0.5 * np.sum((output - y) ** 2))
            param[i] = held
            numeric[i] = (losses[0] - losses[1]) / (2 * eps)
        np.testing.assert_allclose(grads[name], numeric, atol=1e-8, err_msg=name)


def test_learns_xor():
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([[0.0], [1.0], [1.0], [0.0]])
    _, history = train(x, y, hidden=8, lr=4.0, epochs=400, seed=0)
    assert history[-1] < 0.01, f"the mean loss went from {history[0]:.3f} to {history[-1]:.3f}"
