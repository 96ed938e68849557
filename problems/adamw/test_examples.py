"""Run these as often as you like: pytest test_examples.py"""

import numpy as np
from attempt import adamw_step

HYPER = {"lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.5}


def test_returns_new_params_and_state():
    params = {"w": np.ones((2, 3)), "b": np.ones(3)}
    new_params, state = adamw_step(params, params, {}, **HYPER)
    assert set(state) == {"t", "m", "v"}
    for arrays in (new_params, state["m"], state["v"]):
        assert {name: array.shape for name, array in arrays.items()} == {"w": (2, 3), "b": (3,)}


def test_zero_gradient_shrinks_a_weight_by_lr_times_decay():
    w = np.array([2.0, -4.0])
    new_params, _ = adamw_step({"w": w}, {"w": np.zeros(2)}, {}, **HYPER)
    np.testing.assert_allclose(new_params["w"], 0.95 * w)


def test_worked_example():
    params = {"w": np.array([1.0, -2.0]), "b": np.array([0.5])}
    grads = {"w": np.array([0.1, -10.0]), "b": np.array([0.0])}
    params, state = adamw_step(params, grads, {}, **HYPER)
    np.testing.assert_allclose(params["w"], [0.85, -1.8], atol=1e-4)
    np.testing.assert_allclose(params["b"], [0.475], atol=1e-4)
    params, state = adamw_step(params, grads, state, **HYPER)
    np.testing.assert_allclose(params["w"], [0.7075, -1.61], atol=1e-4)
    np.testing.assert_allclose(params["b"], [0.4513], atol=1e-4)
    assert state["t"] == 2
    np.testing.assert_allclose(state["m"]["w"], [0.019, -1.9])
    np.testing.assert_allclose(state["v"]["w"], [1.999e-5, 0.1999])
