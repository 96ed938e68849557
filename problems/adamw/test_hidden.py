"""Hidden suite of adamw.

Betas of 0, 1/2 and 3/4 make averages and corrections plain fractions. Tests of one mistake switch the others off: a
beta of 0 needs no bias correction, and a state from the middle of a run meets no start at zero.
"""

import numpy as np
import pytest

from grader import check

TINY = 1e-12


def unpack(result, params):
    """(new_params, new_state) once their form is known."""
    check.true(isinstance(result, tuple | list) and len(result) == 2,
               f"the result is {check.describe(result)}; a pair (new_params, new_state) is asked for")
    new_params, state = result
    check.true(isinstance(state, dict) and set(state) == {"t", "m", "v"},
               f"new_state is {check.describe(state)}; a dict with exactly 't', 'm' and 'v' is asked for")
    for label, arrays in (("new_params", new_params), ('new_state["m"]', state["m"]), ('new_state["v"]', state["v"])):
        check.true(isinstance(arrays, dict) and set(arrays) == set(params),
                   f"{label} is {check.describe(arrays)}; a dict with the parameters' names is asked for")
        for name, param in params.items():
            check.shape(arrays[name], param.shape, name=f"{label}[{name!r}]")
    return new_params, state


def step(attempt, params, grads, state, lr=0.5, betas=(0.0, 0.0), eps=TINY, weight_decay=0.0):
    return unpack(attempt.adamw_step(params, grads, state, lr, betas, eps, weight_decay), params)


def one(values):
    """A dict with one parameter."""
    return {"w": np.array(values, dtype=float)}


def midway(t, m, v):
    """A state of one parameter, as a checkpoint would hold it."""
    return {"t": t, "m": one(m), "v": one(v)}


def moved(attempt, p, g, state, expected, **hyper):
    """One step takes p to the expected values."""
    new_params, _ = step(attempt, one(p), one(g), state, **hyper)
    check.close(new_params["w"], np.array(expected, dtype=float), name="new_params['w']", atol=1e-9)


@pytest.mark.visible
def test_returns_new_params_and_state(attempt):
    """A training loop hands the state back at the next step, so its form is part of the contract: two dicts, with the
    parameters' names and shapes throughout."""
    params = {"w": np.ones((2, 3)), "b": np.ones(3)}
    step(attempt, params, params, {}, lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.5)


def test_first_moment_averages_the_gradient(attempt):
    """beta1 is the share of the past that is kept: m = beta1 m + (1 - beta1) g. It is stored as it is; a bias
    correction that is stored would be applied again and again."""
    _, state = step(attempt, one([1]), one([8]), midway(4, [4], [9]), betas=(0.75, 0.5))
    check.close(state["m"]["w"], np.array([5.0]), name="new_state['m']['w']")


def test_second_moment_averages_the_squared_gradient(attempt):
    """v = beta2 v + (1 - beta2) g^2, stored without correction. It can fall as well as rise."""
    _, state = step(attempt, one([1]), one([-2]), midway(4, [4], [18]), betas=(0.5, 0.75))
    check.close(state["v"]["w"], np.array([14.5]), name="new_state['v']['w']")


def test_counts_the_steps(attempt):
    """t is 1 after the first step and goes on from the state's count."""
    _, state = step(attempt, one([1]), one([1]), {})
    check.close(state["t"], 1, name="new_state['t']")
    _, state = step(attempt, one([1]), one([1]), midway(4, [1], [1]))
    check.close(state["t"], 5, name="new_state['t']")


def test_steps_downhill(attempt):
    """The gradient points to where the loss rises; the step goes the other way."""
    new_params, _ = step(attempt, one([1, 1]), one([2, -2]), midway(9, [0, 0], [4, 4]))
    check.finite(new_params["w"], name="new_params['w']")
    check.true(bool(new_params["w"][0] < 1 < new_params["w"][1]),
               f"w went from [1, 1] to {check.show(new_params['w'])} on the gradient [2, -2]: the wrong way")


def test_divides_by_the_root_of_the_second_moment(attempt):
    """With both betas 0 the step is g / |g|: each weight moves by lr, whatever its gradient's scale. Without the root
    it would be 1 / g."""
    moved(attempt, [1, 1], [4, -0.5], midway(9, [0, 0], [1, 1]), [0.5, 1.5])


def test_eps_is_added_outside_the_root(attempt):
    """The denominator is sqrt(v) + eps, here 4 + 4. Inside the root an eps of 1e-8 would act like 1e-4."""
    moved(attempt, [1], [4], midway(9, [0], [1]), [0.75], eps=4.0)


def test_first_moment_is_corrected_for_its_start_at_zero(attempt):
    """After one step m is only (1 - beta1) g. Divided by 1 - beta1^t, with t = 1 at the first step, it is g."""
    moved(attempt, [1, 1], [4, -2], {}, [0.5, 1.5], betas=(0.5, 0.0))


def test_second_moment_is_corrected_for_its_start_at_zero(attempt):
    """After one step v is only (1 - beta2) g^2. Uncorrected, a beta2 of 0.999 makes the first steps 32 times too
    long."""
    moved(attempt, [1, 1], [4, -2], {}, [0.5, 1.5], betas=(0.0, 0.75))


def test_eps_joins_the_corrected_second_moment(attempt):
    """eps is compared with the root of the corrected moment, 4 here, not with the root of v as stored, 2."""
    moved(attempt, [1], [4], {}, [0.75], betas=(0.0, 0.75), eps=4.0)


def test_constant_gradient_keeps_every_step_at_lr(attempt):
    """The corrected averages of a constant are that constant, so every step has length lr: the correction must shrink
    with t."""
    params, state = one([8, 8]), {}
    for t in range(1, 5):
        params, state = step(attempt, params, one([2, -4]), state, betas=(0.5, 0.75))
        check.close(params["w"], 8 + 0.5 * t * np.array([-1, 1]), name=f"w after step {t}", calls=t, atol=1e-9)


@pytest.mark.visible
def test_zero_gradient_shrinks_a_weight_by_lr_times_decay(attempt):
    """Decoupled decay multiplies the weight by 1 - lr decay, here 0.95, and that is all that happens at gradient zero.
    Added to the gradient instead, decay passes through 1 / sqrt(v), and its strength no longer depends on
    weight_decay."""
    moved(attempt, [2, -4], [0, 0], {}, [1.9, -3.8], lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.5)


def test_decay_takes_the_weight_from_before_the_step(attempt):
    """The weight decays, then it steps: 2 (1 - 0.25) - 0.5. Decayed after the step, the step would shrink too."""
    moved(attempt, [2], [4], midway(9, [0], [1]), [1.0], weight_decay=0.5)


def test_each_parameter_has_its_own_moments(attempt):
    """Moments belong to one parameter each; the step count belongs to all, and goes up once in a step."""
    params = {"w": np.array([1.0, 2.0]), "gain": np.array([3.0]), "b": np.array([[4.0]])}
    grads = {"w": np.array([100.0, -1.0]), "gain": np.array([0.01]), "b": np.array([[-5.0]])}
    state = {}
    for t in (1, 2, 3):
        params, state = step(attempt, params, grads, state, lr=0.25, betas=(0.5, 0.75))
        check.close(state["t"], t, name="new_state['t']", calls=t)
    expected = {"w": np.array([0.25, 2.75]), "gain": np.array([2.25]), "b": np.array([[4.75]])}
    check.close(params, expected, name="new_params after 3 steps", calls=3, atol=1e-9)


@pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3)], ids=str)
def test_parameters_of_any_shape(attempt, reference, shape):
    """A temperature is one number without axes, a convolution's weight has four. The step is elementwise."""
    values = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
    agree(attempt, reference, {"w": values}, {"w": values - 2.5}, {}, steps=2)


def test_float32_stays_float32(attempt, reference):
    """One float64 array on the way, such as np.zeros(p.shape), doubles the model's memory at the first step."""
    params = {"w": np.array([1, -2, 0.5], dtype=np.float32)}
    grads = {"w": np.array([0.5, 4, -0.25], dtype=np.float32)}
    agree(attempt, reference, params, grads, {}, steps=3, rtol=1e-5)


@pytest.mark.parametrize("first", [True, False], ids=["first-step", "later-step"])
def test_arguments_stay_as_they_were(attempt, first):
    """A pure step can be tried and thrown away; the caller may keep the old state as a checkpoint."""
    state = {} if first else midway(3, [0.5, -1], [1, 2])
    args = one([1, 2]), one([3, -4]), state, 0.1, (0.9, 0.99), 1e-8, 0.1
    unpack(check.unchanged(attempt.adamw_step, *args), args[0])


@pytest.mark.parametrize("first", [True, False], ids=["first-step", "later-step"])
def test_returns_new_arrays(attempt, first):
    """With gradients of 0 and no decay the weights stay as they are, and are new arrays all the same: the caller may
    write to the new ones and keep the old ones, or the other way."""
    state = {} if first else midway(3, [0, 0], [1, 2])
    check.new_arrays(attempt.adamw_step, one([1, 2]), one([0, 0]), state, 0.1, (0.0, 0.5), 1e-8, 0.0)


@pytest.mark.points(2)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_twelve_steps(attempt, reference, rng, weight_decay):
    """A short run with gradients of order 1, 1e-4 and 1e-8, where eps shows."""
    params = {"w": rng.normal(size=(4, 3)), "b": rng.normal(size=3)}
    scale = np.array([1, 1e-4, 1e-8])
    grads = [{"w": rng.normal(size=(4, 3)) * scale, "b": rng.normal(size=3) * scale} for _ in range(12)]
    agree(attempt, reference, params, grads, {}, steps=12, weight_decay=weight_decay)


def test_goes_on_from_a_checkpoint(attempt, reference, rng):
    """A run continued at step 100,000: the corrections are 1 by now and must neither overflow nor vanish."""
    params, grads, m = ({"w": rng.normal(size=(2, 3)), "b": rng.normal(size=3)} for _ in range(3))
    state = {"t": 100_000, "m": m, "v": {name: array**2 + 0.1 for name, array in grads.items()}}
    agree(attempt, reference, params, grads, state, steps=2)


def agree(attempt, reference, params, grads, state, *, steps, weight_decay=0.1, rtol=1e-9):
    """So many steps end where the reference's end. grads: one dict for all steps, or one for each."""
    hyper = {"lr": 0.01, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": weight_decay}
    got, want = (params, state), (params, state)
    for t in range(steps):
        g = grads[t] if isinstance(grads, list) else grads
        got = step(attempt, got[0], g, got[1], **hyper)
        want = reference.adamw_step(want[0], g, want[1], **hyper)
        for label, actual, expected in (("new_params", got[0], want[0]), ("new_state", got[1], want[1])):
            check.close(actual, expected, name=f"{label} of step {t + 1}", calls=t + 1, rtol=rtol)
