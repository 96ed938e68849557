"""Hidden suite of debug-two-layer-backprop.

The steps of `train` are checked from the answer's own initial parameters (epochs=0), so the order in which it draws
them is its own affair. Tests with one output come before those with several: there a fault broadcasts, here it crashes.
"""

import numpy as np
import pytest

from grader import check
from grader.properties import given, st

OR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([[0.0], [1.0], [1.0], [1.0]])
ROWS = (np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0], [-1.0, 0.0], [2.0, -2.0]]),
        np.array([[1.0, 0.0], [0.0, 0.5], [1.0, 1.0], [0.5, 0.0], [0.0, 1.0]]))


def sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(z, dtype=float)))


def params_of(w1, b1, w2, b2):
    arrays = {"w1": w1, "b1": b1, "w2": w2, "b2": b2}
    return {name: np.array(value, dtype=float) for name, value in arrays.items()}


def shapes(d, h, o):
    return {"w1": (d, h), "b1": (h,), "w2": (h, o), "b2": (o,)}


def named_arrays(value, wanted, what, **details):
    """`value` is known to be a dict of finite float64 arrays of the `wanted` shapes."""
    check.true(isinstance(value, dict), f"{what} is {check.describe(value)}; a dict is asked for", **details)
    check.true(set(value) == set(wanted),
               f"{what} is a {check.describe(value)}; exactly 'w1', 'b1', 'w2', 'b2' are asked for", **details)
    for name, shape in wanted.items():
        label = f'{what}["{name}"]'
        check.shape(value[name], shape, name=label, **details)
        check.dtype(value[name], np.float64, name=label, **details)
        check.finite(value[name], name=label, **details)
    return value


def forward(attempt, params, x):
    result = attempt.forward(params, np.array(x, dtype=float))
    check.true(isinstance(result, tuple | list) and len(result) == 2,
               f"the result is {check.describe(result)}; a pair (hidden, output) is asked for")
    return result


def gradients(attempt, params, x, y):
    grads = attempt.gradients(params, np.array(x, dtype=float), np.array(y, dtype=float))
    return named_arrays(grads, {name: param.shape for name, param in params.items()}, "the gradients")


def train(attempt, x, y, hidden=3, lr=0.5, epochs=1, seed=0, calls=1):
    result = attempt.train(x, y, hidden, lr, epochs, seed)
    check.true(isinstance(result, tuple | list) and len(result) == 2,
               f"the result is {check.describe(result)}; a pair (params, history) is asked for", calls=calls)
    params, history = result
    named_arrays(params, shapes(x.shape[1], hidden, y.shape[1]), "params", calls=calls)
    check.true(isinstance(history, list | tuple) and len(history) == epochs,
               f"history is {check.describe(history)}; a list of {epochs}, one loss per epoch, is asked for",
               calls=calls)
    for epoch, value in enumerate(history):
        check.finite(value, name=f"history[{epoch}]", calls=calls)
        check.true(np.ndim(value) == 0, f"history[{epoch}] is {check.describe(value)}; one number is asked for",
                   calls=calls)
    return params, history


def sgd(reference, params, x, y, lr, epochs):
    """What `train` makes of these initial parameters."""
    params, history = {name: param.copy() for name, param in params.items()}, []
    for _ in range(epochs):
        losses = []
        for row, target in zip(x, y, strict=True):
            losses.append(0.5 * np.sum((reference.forward(params, row)[1] - target) ** 2))
            grads = reference.gradients(params, row, target)
            params = {name: param - lr * grads[name] for name, param in params.items()}
        history.append(float(np.mean(losses)))
    return params, history


@pytest.mark.visible
def test_forward_pass(attempt):
    """Two layers, a sigmoid after each."""
    params = params_of([[1, -1], [0, 1]], [-1, 0], [[2], [0]], [-1])
    hidden, output = forward(attempt, params, [1, 2])
    check.close(hidden, np.array([0.5, sigmoid(1)]), name="hidden")
    check.close(output, np.array([0.5]), name="output")


def test_gradients_point_uphill(attempt):
    """The output 0.5 lies above its target 0, so a larger b2 means a larger loss: the gradient is positive, and SGD,
    which subtracts it, brings the output down."""
    params = params_of([[0]], [0], [[0]], [0])
    got = gradients(attempt, params, [1], [0])
    check.true(float(got["b2"][0]) > 0,
               f'the gradients["b2"] is {check.show(got["b2"])}; a positive number is asked for')


def test_output_delta_is_that_of_the_squared_error(attempt):
    """Half the squared error of a sigmoid has two factors at the output: output - y, and the sigmoid's slope. Without
    the slope the net still learns, but it follows another loss (cross-entropy)."""
    params = params_of([[0]], [0], [[0]], [0])
    got = gradients(attempt, params, [1], [0])
    check.close(got["b2"], np.array([1 / 8]), name='the gradients["b2"]')


def test_hidden_delta_has_the_slope_of_the_hidden_layer(attempt):
    """Between b1 and the loss lie the hidden sigmoids, so their slope h (1 - h) enters, each unit's own. With one
    output, the output's slope would broadcast here unnoticed."""
    h = sigmoid([2, -1])
    params = params_of([[0, 0]], [2, -1], [[1], [3]], [-h[0] - 3 * h[1]])
    got = gradients(attempt, params, [0], [0])
    check.close(got["b1"], 1 / 8 * np.array([1, 3]) * h * (1 - h), name='the gradients["b1"]', rtol=1e-8)


def test_gradient_of_w2_pairs_each_unit_with_each_output(attempt):
    """w2[i, j] joins hidden unit i to output j: its gradient is an outer product, one number for every pair."""
    h = sigmoid([0, 1])
    params = params_of([[0, 0]], [0, 1], [[0, 0], [0, 0]], [0, 0])
    got = gradients(attempt, params, [0], [0, 1])
    check.close(got["w2"], np.outer(h, [1 / 8, -1 / 8]), name='the gradients["w2"]')


def test_gradient_of_w1_pairs_each_input_with_each_unit(attempt):
    """w1[i, j] joins input i to hidden unit j: its gradient is an outer product as well."""
    params = params_of(np.zeros((2, 2)), [0, 0], [[1], [-1]], [0])
    got = gradients(attempt, params, [2, 3], [0])
    check.close(got["w1"], np.outer([2, 3], [1 / 32, -1 / 32]), name='the gradients["w1"]')


def test_several_outputs(attempt, reference):
    """A hidden unit collects the deltas of all outputs, each times the weight that leads there. Sizes that all differ
    tell the axes apart."""
    params = params_of([[1, 0, -1], [0, 2, 1]], [0, 1, -1], [[1, 0, -1, 2], [0, 1, 1, 0], [2, 0, 0, -1]], [0, 1, 0, -1])
    x, y = np.array([1.0, -1.0]), np.array([0.0, 1.0, 0.5, 0.0])
    check.close(gradients(attempt, params, x, y), reference.gradients(params, x, y), name="the gradients")


@pytest.mark.visible
@pytest.mark.points(2)
def test_gradients_match_central_differences(attempt, reference, rng):
    """The check to write before reading a line of the code: the gradients against the loss that they claim to belong
    to."""
    params = {name: rng.normal(size=shape) for name, shape in shapes(2, 3, 2).items()}
    x, y, eps = rng.normal(size=2), rng.uniform(size=2), 1e-5
    got = gradients(attempt, params, x, y)
    for name, param in params.items():
        numeric = np.zeros_like(param)
        for i in np.ndindex(param.shape):
            for sign in (1, -1):
                moved = {**params, name: param.copy()}
                moved[name][i] += sign * eps
                numeric[i] += sign * 0.5 * np.sum((reference.forward(moved, x)[1] - y) ** 2) / (2 * eps)
        check.close(got[name], numeric, name=f'the gradients["{name}"]', rtol=1e-6, atol=1e-8)


def test_moderate_inputs_are_not_clipped(attempt):
    """At 20 a sigmoid is 1 - 2e-9 and not yet flat. Clipping its input is safe only where the result no longer
    changes."""
    params = params_of([[20, -20, 12]], [0, 0, 0], [[0], [0], [0]], [-12])
    hidden, output = forward(attempt, params, [1])
    check.close(hidden, sigmoid([20, -20, 12]), name="hidden", atol=1e-12)
    check.close(output, sigmoid([-12]), name="output", atol=1e-12)


@pytest.mark.points(2)
def test_large_inputs_do_not_overflow(attempt):
    """exp(1000) is infinite and inf / inf is nan. A sigmoid that only ever takes exp of a negative number is right at
    both ends."""
    params = params_of([[1, -1, 0]], [0, 0, 0], [[0, 2000], [0, 0], [0, 0]], [-1000, 0])
    hidden, output = forward(attempt, params, [1000])
    check.close(hidden, np.array([1.0, 0.0, 0.5]), name="hidden", atol=1e-12)
    check.close(output, np.array([0.0, 1.0]), name="output", atol=1e-12)


def test_gradients_leave_their_arguments_alone(attempt):
    """Taking a gradient is a question, not a step."""
    params = params_of([[1, 0]], [0, 1], [[1], [2]], [0])
    check.unchanged(attempt.gradients, params, np.array([2.0]), np.array([1.0]))
    check.unchanged(attempt.forward, params, np.array([2.0]))


def test_the_seed_decides(attempt):
    """The same seed repeats a run exactly, another seed gives another one. A result that no seed repeats cannot be
    debugged."""
    zero, _ = train(attempt, *ROWS, seed=0)
    again, _ = train(attempt, *ROWS, seed=0, calls=2)
    check.equal(again, zero, name="params of a second run with seed 0", calls=2)
    first, _ = train(attempt, *ROWS, seed=1)
    again, _ = train(attempt, *ROWS, seed=1, calls=2)
    check.equal(again, first, name="params of a second run with the same seed", calls=2)
    other, _ = train(attempt, *ROWS, seed=2, calls=2)
    check.true(not np.array_equal(other["w1"], first["w1"]), "another seed gives the same w1", calls=2)


def test_initial_biases_are_zero(attempt):
    """With epochs=0 the initial parameters come back, biases at zero."""
    start, _ = train(attempt, *ROWS, epochs=0)
    check.close(start["b1"], np.zeros(3), name='params["b1"]', atol=0)
    check.close(start["b2"], np.zeros(2), name='params["b2"]', atol=0)


def test_hidden_units_start_different(attempt):
    """Units that start equal get equal gradients and stay equal: H of them learn what one would."""
    start, _ = train(attempt, *ROWS, epochs=0)
    columns = {tuple(column) for column in start["w1"].T.tolist()}
    check.true(len(columns) == 3, f"some hidden units start with equal weights: w1 is\n{check.show(start['w1'])}")


def test_initial_weights_follow_the_fan_in(attempt):
    """A standard deviation of 1/sqrt(fan_in) keeps a layer's sums near 1 however many inputs it has. With 1 instead,
    wide layers start saturated, where the sigmoid's slope is almost 0."""
    start, _ = train(attempt, np.zeros((1, 64)), np.zeros((1, 40)), hidden=100, epochs=0)
    for name, std in (("w1", 1 / 8), ("w2", 1 / 10)):
        got = start[name]  # thousands of draws: the bounds below are more than 7 standard errors away
        check.true(0.9 * std < got.std() < 1.1 * std,
                   f"{name} {got.shape} starts with a standard deviation of {got.std():.4f}; {std:.4f} is asked for")
        tail = float((abs(got) > 2 * std).mean())  # 0.0455 of a normal distribution, none of a uniform one
        check.true(0.03 < tail < 0.06, f"{tail:.3f} of the weights {name} lie beyond two standard deviations; "
                   "of normal weights 0.046 do")
        check.true(abs(got.mean()) < 0.12 * std, f"{name} starts with a mean of {got.mean():.4f}; 0 is asked for")


def test_training_leaves_the_data_alone(attempt):
    """The caller still needs the rows as they were."""
    check.unchanged(attempt.train, *ROWS, 3, 0.5, 2, 0)


def test_training_goes_downhill(attempt):
    """The gradient is subtracted. Two wrong signs would cancel here, but gradients() is checked on its own as well."""
    _, history = train(attempt, *OR, epochs=20)
    first, last = float(history[0]), float(history[-1])
    check.true(last < first, f"the mean loss went from {first:.6f} to {last:.6f} in 20 epochs of an easy task (OR)")


def test_biases_are_trained(attempt):
    """Without biases every boundary is tied to the origin. They have gradients; a step must use them."""
    start, _ = train(attempt, *OR, epochs=0)
    end, _ = train(attempt, *OR, epochs=1, calls=2)
    for name in ("b1", "b2"):
        before, after = check.show(start[name]), check.show(end[name])
        check.true(bool((end[name] != start[name]).all()), calls=2,
                   message=f'params["{name}"] starts as {before} and is {after} after an epoch')


@pytest.mark.points(2)
def test_each_row_takes_its_own_step_in_order(attempt, reference):
    """Per-row SGD: every row's gradients are taken, all four at once, from the parameters that the row before has
    left."""
    start, _ = train(attempt, *ROWS, lr=0.7, epochs=0)
    end, _ = train(attempt, *ROWS, lr=0.7, epochs=2, calls=2)
    want, _ = sgd(reference, start, *ROWS, lr=0.7, epochs=2)
    for name in want:
        check.close(end[name], want[name], name=f'params["{name}"] after two epochs', rtol=1e-8, atol=1e-12, calls=2)


def test_history_is_the_mean_loss_of_each_epoch(attempt, reference):
    """A curve of means can be compared between data sets; a sum, or the last row alone, cannot."""
    start, _ = train(attempt, *ROWS, lr=0.7, epochs=0)
    _, history = train(attempt, *ROWS, lr=0.7, epochs=3, calls=2)
    _, want = sgd(reference, start, *ROWS, lr=0.7, epochs=3)
    check.close(history, want, name="history", rtol=1e-8, calls=2)


@pytest.mark.points(2)
@given(d=st.integers(1, 4), h=st.integers(1, 4), o=st.integers(1, 4), seed=st.integers(0, 999))
def test_gradients_of_any_shape(attempt, reference, d, h, o, seed):
    """Any D, H and O, equal or not, down to 1."""
    rng = np.random.default_rng(seed)
    params = {name: rng.integers(-2, 3, shape).astype(float) for name, shape in shapes(d, h, o).items()}
    x, y = rng.integers(-2, 3, d).astype(float), rng.integers(0, 2, o).astype(float)
    check.close(gradients(attempt, params, x, y), reference.gradients(params, x, y), name="the gradients", atol=1e-12)


@pytest.mark.parametrize("n, d, hidden, o", [(1, 1, 1, 1), (5, 3, 4, 2), (4, 2, 2, 2)])
def test_training_on_any_shape(attempt, reference, rng, n, d, hidden, o):
    """One row, one input, one hidden unit, one output: nothing may rely on there being more, or fewer."""
    x, y = rng.integers(-2, 3, (n, d)).astype(float), rng.integers(0, 2, (n, o)).astype(float)
    start, _ = train(attempt, x, y, hidden=hidden, epochs=0)
    end, history = train(attempt, x, y, hidden=hidden, epochs=2, calls=2)
    want, losses = sgd(reference, start, x, y, lr=0.5, epochs=2)
    check.close(end, want, name="params", rtol=1e-8, atol=1e-12, calls=2)
    check.close(history, losses, name="history", rtol=1e-8, calls=2)


def test_a_step_costs_a_few_forward_passes(attempt, reference, rng):
    """Backpropagation gets all gradients for about the price of two forward passes. Nudging 11,110 parameters one by
    one takes thousands of them: good for a check, useless for training."""
    x, y = rng.normal(size=(80, 100)), rng.uniform(size=(80, 10))
    start, _ = train(attempt, x, y, hidden=100, lr=0.1, epochs=0)
    end, history = train(attempt, x, y, hidden=100, lr=0.1, epochs=1, calls=2)
    want, losses = sgd(reference, start, x, y, lr=0.1, epochs=1)
    check.close(end, want, name="params", rtol=1e-8, calls=2)
    check.close(history, losses, name="history", rtol=1e-8, calls=2)


@pytest.mark.visible
@pytest.mark.points(2)
def test_learns_xor(attempt):
    """The task that needs a hidden layer. Two of three seeds have to solve it."""
    y = np.array([[0.0], [1.0], [1.0], [0.0]])
    final = []
    for seed in (0, 1, 2):
        _, history = train(attempt, OR[0], y, hidden=8, lr=4.0, epochs=400, seed=seed)
        final.append(float(history[-1]))
        if sum(loss < 0.01 for loss in final) == 2:
            return
    check.fail(f"the mean loss after 400 epochs is {', '.join(f'{loss:.4f}' for loss in final)} for seeds 0, 1 and 2; "
               "two of them are asked to be below 0.01", calls=3)


def test_training_on_raw_pixels(attempt, reference, rng):
    """Pixels reach 255 and sums of them saturate the sigmoids. The data are used as they are: rescaling them inside
    train, or clipping the gradients, hides the overflow and trains another net."""
    x, y = rng.integers(0, 256, (6, 5)).astype(float), rng.integers(-3, 4, (6, 2)).astype(float)
    start, _ = train(attempt, x, y, lr=0.5, epochs=0)
    end, history = train(attempt, x, y, lr=0.5, epochs=2, calls=2)
    want, losses = sgd(reference, start, x, y, lr=0.5, epochs=2)
    check.close(end, want, name="params", rtol=1e-8, atol=1e-12, calls=2)
    check.close(history, losses, name="history", rtol=1e-8, calls=2)
    check.unchanged(attempt.train, x, y, 3, 0.5, 1, 0)
