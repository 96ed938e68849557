"""Run these as often as you like: pytest test_examples.py"""

import numpy as np
from attempt import two_layer_net


def test_returns_a_loss_and_a_gradient_for_each_parameter():
    x, y = np.ones((4, 3)), np.array([0, 1, 1, 0])
    params = {"w1": np.ones((3, 5)), "b1": np.ones(5), "w2": np.ones((5, 2)), "b2": np.ones(2)}
    loss, grads = two_layer_net(x, y, **params)
    assert np.ndim(loss) == 0
    assert set(grads) == set(params)
    for name, value in params.items():
        assert grads[name].shape == value.shape, name


def test_zero_weights_cost_ln_c():
    x, y = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]), np.array([0, 1, 2, 0])
    loss, _ = two_layer_net(x, y, np.zeros((2, 2)), np.zeros(2), np.zeros((2, 3)), np.zeros(3))
    np.testing.assert_allclose(loss, np.log(3))


def test_worked_example():
    loss, grads = two_layer_net(
        x=np.array([[1.0, 2.0], [3.0, -1.0]]),
        y=np.array([0, 1]),
        w1=np.array([[1.0, -1.0, 0.0], [0.0, 1.0, 1.0]]),
        b1=np.array([0.0, 1.0, -1.0]),
        w2=np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]),
        b2=np.array([0.0, 1.0]),
    )
    np.testing.assert_allclose(loss, 1.7201, atol=1e-4)
    np.testing.assert_allclose(grads["w1"], [[0.9557, 0.3655, -0.3655], [-1.1715, 0.7311, -0.7311]], atol=1e-4)
    np.testing.assert_allclose(grads["b1"], [0.0749, 0.3655, -0.3655], atol=1e-4)
    np.testing.assert_allclose(grads["w2"], [[0.9557, -0.9557], [-0.7311, 0.7311], [-0.3655, 0.3655]], atol=1e-4)
    np.testing.assert_allclose(grads["b2"], [0.0749, -0.0749], atol=1e-4)
