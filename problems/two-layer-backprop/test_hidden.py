"""Hidden suite of two-layer-backprop.

Where it can, a test makes all logits of a row equal, so that p = 1/C and the expected gradients are plain fractions.
Every batch before test_classes_absent_from_the_batch holds every class, so that each mistake meets its own test first.
"""

import numpy as np
import pytest

from grader import check
from grader.properties import given, st

PARAMS = ("w1", "b1", "w2", "b2")


def batch(x, y, w1, b1, w2, b2, dtype=np.float64):
    """The six arguments as arrays."""
    w1, b1, w2, b2 = (np.array(p, dtype=dtype) for p in (w1, b1, w2, b2))
    return np.array(x, dtype=dtype), np.array(y), w1, b1, w2, b2


def unpack(result, args):
    """(loss, grads) once they are known to be a number and four arrays in the parameters' shapes."""
    check.true(isinstance(result, tuple | list) and len(result) == 2,
               f"the result is {check.describe(result)}; a pair (loss, grads) is asked for")
    loss, grads = result
    check.finite(loss, name="loss")
    check.true(np.ndim(loss) == 0, f"loss is {check.describe(loss)}; one number is asked for")
    check.true(isinstance(grads, dict), f"grads is {check.describe(grads)}; a dict is asked for")
    check.true(set(grads) == set(PARAMS),
               f"grads is a {check.describe(grads)}; exactly 'w1', 'b1', 'w2', 'b2' are asked for")
    for name, param in zip(PARAMS, args[2:], strict=True):
        check.shape(grads[name], param.shape, name=f'grads["{name}"]',
                    why="an update such as w -= lr * dw needs the parameter's own shape; broadcasting hides the rest")
    return loss, grads


def run(attempt, args):
    return unpack(attempt.two_layer_net(*args), args)


def expect(attempt, args, loss=None, **grads):
    """The answer's loss and gradients are these, where they are given."""
    got_loss, got = run(attempt, args)
    if loss is not None:
        check.close(got_loss, loss, name="loss", atol=1e-10)
    for name, value in grads.items():
        check.close(got[name], np.array(value, dtype=float), name=f'grads["{name}"]', atol=1e-10)


def agree(attempt, reference, args):
    loss, grads = reference.two_layer_net(*args)
    expect(attempt, args, loss=loss, **grads)


@pytest.mark.visible
def test_returns_a_loss_and_a_gradient_for_each_parameter(attempt):
    """An optimiser walks over parameters and gradients side by side, so both have the same names and shapes."""
    run(attempt, batch(np.ones((4, 3)), [0, 1, 1, 0], np.ones((3, 5)), np.ones(5), np.ones((5, 2)), np.ones(2)))


def test_probabilities_are_over_the_classes(attempt):
    """Softmax makes each row a distribution over the classes: raising all logits of one row by 5 changes nothing."""
    params = [[1]], [0], [[5, 5]], [0, 1]
    level, _ = run(attempt, batch([[0], [0]], [0, 1], *params))
    raised, _ = run(attempt, batch([[0], [1]], [0, 1], *params))
    check.close(raised, level, name="the loss with one row raised", calls=2)


def test_loss_is_averaged_over_the_batch(attempt):
    """With the mean, a learning rate means the same for every batch size. Taking each row twice must not change it."""
    x, y, *params = batch([[1], [2]], [0, 1], [[1, -1]], [0, 1], [[1, 0], [0, 2]], [0, 1])
    once, _ = run(attempt, (x, y, *params))
    twice, _ = run(attempt, (np.vstack([x, x]), np.hstack([y, y]), *params))
    check.close(twice, once, name="the loss of the same rows taken twice", calls=2)


def test_gradients_are_averaged_over_the_batch(attempt):
    """The loss is a mean, so each gradient carries 1/N exactly once: sums over the batch, no second average."""
    x, y, *params = batch([[1], [2]], [0, 1], [[1, -1]], [0, 4], [[1, 0], [0, 2]], [0, 1])
    _, once = run(attempt, (x, y, *params))
    _, twice = run(attempt, (np.vstack([x, x]), np.hstack([y, y]), *params))
    for name in PARAMS:
        check.finite(once[name], name=f'grads["{name}"]', calls=2)
        check.close(twice[name], once[name], atol=1e-10, calls=2, name=f'grads["{name}"] of the same rows taken twice')


@pytest.mark.visible
def test_zero_weights_cost_ln_c(attempt):
    """Equal logits are a uniform guess, which costs ln C: the first number to check when training starts."""
    x = [[1, 2], [3, 4], [5, 6], [7, 8]]
    expect(attempt, batch(x, [0, 1, 2, 0], np.zeros((2, 2)), [0, 0], np.zeros((2, 3)), [0, 0, 0]), loss=np.log(3))


def test_hidden_units_are_rectified(attempt):
    """Without the ReLU two linear layers are one linear layer: a hidden unit at -1 must count as 0."""
    expect(attempt, batch([[1], [2]], [0, 1], [[1, -1]], [0, 0], [[0, 0], [0, 5]], [0, 0]), loss=np.log(2))


def test_logits_are_not_rectified(attempt):
    """Logits may be negative. A ReLU on them stops the gradient of every class whose score is at or below 0."""
    loss = np.log(np.exp(-1) + np.exp(-3)) + 2
    expect(attempt, batch([[1], [2]], [0, 1], [[0]], [0], [[0, 0]], [-1, -3]), loss=loss)


def test_biases_are_added(attempt):
    """With x = 0 only the biases speak: the hidden unit is relu(b1) = 2 and the logits are (2, 3)."""
    loss = np.log(np.exp(2) + np.exp(3)) - 2.5
    expect(attempt, batch([[0], [0]], [0, 1], [[1]], [2], [[1, 0]], [0, 3]), loss=loss)


def test_gradient_of_b2_points_uphill(attempt):
    """A gradient points to where the loss rises, and the optimiser subtracts it. With the sign reversed, it climbs."""
    args = batch([[1], [1], [1]], [0, 0, 1], [[0]], [0], [[0, 0]], [0, 0])
    expect(attempt, args, b2=[-1 / 6, 1 / 6])


def test_gradient_of_w2_sees_rectified_units(attempt):
    """w2 is multiplied by what the ReLU lets through. The second unit is inactive in both rows, so its weights get no
    gradient."""
    args = batch([[1], [2]], [0, 1], [[1, -1]], [0, 0], [[0, 0], [0, 0]], [0, 0])
    expect(attempt, args, w2=[[1 / 4, -1 / 4], [0, 0]])


def test_active_units_pass_the_gradient_unchanged(attempt):
    """An active ReLU has slope 1, whatever its value and whatever the sign of the gradient that arrives."""
    args = batch([[1], [2], [4]], [0, 0, 1], [[1, 2]], [0, 0], [[2, -2], [-2, 0]], [0, 0])
    expect(attempt, args, w1=[[2 / 3, -1 / 3]], b1=[-2 / 3, 1 / 3])


def test_gradient_flows_back_through_each_weight_of_w2(attempt):
    """A hidden unit collects each class's error times the weight it reached that class by: w2 transposed. reshape
    swaps the sizes too, but scrambles the weights."""
    args = batch(np.zeros((4, 1)), [0, 0, 1, 2], [[1, 1]], [1, 1], [[1, 2, 3], [4, 0, 2]], [-5, -2, -5])
    expect(attempt, args, b1=[1 / 4, -1 / 2])


def test_inactive_units_pass_no_gradient(attempt):
    """Where the ReLU cut a row off, that row's gradient stops. Each row here switches on one unit and switches off the
    other, and both w1 and b1 lie behind the cut."""
    args = batch([[1], [-1]], [0, 1], [[1, -1]], [0, 0], [[1, -1], [1, -1]], [-1, 1])
    expect(attempt, args, w1=[[-1 / 2, -1 / 2]], b1=[-1 / 2, 1 / 2])


def test_gradient_of_w1_pairs_each_input_with_each_unit(attempt):
    """w1[i, j] joins input i to unit j, so its gradient sums x[n, i] times the gradient of unit j over the rows n."""
    x = [[1, 2], [3, 4], [5, 7]]
    args = batch(x, [0, 1, 1], np.zeros((2, 2)), [1, 2], [[2, 0], [0, 1]], [0, 0])
    expect(attempt, args, w1=[[7 / 3, -7 / 6], [3, -3 / 2]])


@pytest.mark.visible
@pytest.mark.points(2)
def test_worked_example(attempt):
    """The numbers of the prompt, every gradient at once."""
    args = batch([[1, 2], [3, -1]], [0, 1], [[1, -1, 0], [0, 1, 1]], [0, 1, -1], [[1, 0], [0, 1], [1, 0]], [0, 1])
    p, q = 1 / (1 + np.exp(1)), 1 / (1 + np.exp(-2))  # softmax of class 0 in each row: logits (2, 3) and (3, 1)
    a, b = (p - 1) / 2, q / 2  # derivative of the loss at the first logit of each row; at the second, its negative
    expect(attempt, args, loss=-(np.log(p) + np.log(1 - q)) / 2, b2=[a + b, -a - b],
           w2=[[a + 3 * b, -a - 3 * b], [2 * a, -2 * a], [a, -a]],
           b1=[a + b, -a, a], w1=[[a + 3 * b, -a, a], [2 * a - b, -2 * a, 2 * a]])


def test_classes_absent_from_the_batch(attempt, reference):
    """The number of classes is w2's width. A small batch rarely holds them all; the absent ones get gradients too."""
    agree(attempt, reference, batch([[1], [2]], [1, 1], [[1, 2]], [0, 0], [[1, 0, 2, 1], [0, 1, 0, -1]], [0, 0, 0, 0]))


def test_smallest_net(attempt, reference):
    """One row, one input, one hidden unit: squeezing axes of length 1 breaks here, and a last batch may well hold one
    row."""
    agree(attempt, reference, batch([[2]], [1], [[1]], [1], [[1, -1]], [0, 1]))


@pytest.mark.points(2)
def test_logits_of_ten_thousand(attempt):
    """exp(10000) overflows, and a probability that underflowed to 0 has no logarithm. The loss itself is an ordinary
    number: 0 for the row that is right and 20000 for the row that is wrong."""
    args = batch([[1], [1]], [0, 1], [[0]], [0], [[0, 0]], [1e4, -1e4])
    expect(attempt, args, loss=1e4, b2=[1 / 2, -1 / 2], w1=[[0]], b1=[0], w2=[[0, 0]])
    args = batch([[1], [1]], [0, 1], [[0]], [0], [[0, 0]], [-1e4, 1e4])
    expect(attempt, args, loss=1e4, b2=[-1 / 2, 1 / 2], w1=[[0]], b1=[0], w2=[[0, 0]])


def test_all_logits_far_below_zero(attempt):
    """Subtracting the largest logit also lifts rows in which every logit is very negative. Shifting by the largest
    magnitude, or only where the maximum is positive, leaves exp(-10000) = 0 everywhere and log(0) after it."""
    args = batch([[1], [1]], [0, 1], [[0]], [0], [[0, 0]], [-1e4, -1e4])
    expect(attempt, args, loss=np.log(2), b2=[0, 0])


def test_each_row_has_its_own_scale(attempt):
    """Shifting by the largest logit of the whole batch underflows every row that lies far below it: shift each row by
    its own."""
    args = batch([[1], [0]], [1, 0], [[1]], [0], [[1e4, 0]], [0, 0])
    expect(attempt, args, loss=(1e4 + np.log(2)) / 2, b2=[1 / 4, -1 / 4], w2=[[1 / 2, -1 / 2]])


def test_relu_has_slope_zero_at_zero(attempt):
    """At exactly 0 the ReLU has no derivative. The prompt takes 0, as the frameworks do, so a unit at 0 passes
    nothing."""
    args = batch([[1], [2], [3]], [0, 0, 1], [[0]], [0], [[1, -1]], [0, 0])
    expect(attempt, args, w1=[[0]], b1=[0])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64"])
def test_labels_of_any_integer_type(attempt, reference, dtype):
    """Labels are often stored in one byte, where -1 wraps round to 255."""
    x, y, *params = batch([[1], [2], [3]], [2, 0, 1], [[1, -1]], [0, 4], [[1, 0, 2], [0, 1, 1]], [0, 1, 0])
    agree(attempt, reference, (x, y.astype(dtype), *params))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_more_rows_than_the_label_dtype_counts(attempt, reference, rng, dtype):
    """Arithmetic on byte labels wraps round at 256: a row number, or row * C + label, does not fit in their dtype."""
    x, w1, b1, w2, b2 = (rng.normal(size=shape) for shape in ((300, 2), (2, 3), (3,), (3, 4), (4,)))
    agree(attempt, reference, (x, rng.integers(0, 4, 300).astype(dtype), w1, b1, w2, b2))


def test_float32_gradients_stay_float32(attempt, reference):
    """One float64 array on the way, such as a one-hot matrix or an average, makes the gradients float64, and then the
    update turns the model's parameters into float64."""
    values = [[1], [2], [3]], [2, 0, 1], [[1, -1]], [0, 4], [[1, 0, 2], [0, 1, 1]], [0, 1, 0]
    want_loss, want = reference.two_layer_net(*batch(*values))
    loss, grads = run(attempt, batch(*values, dtype=np.float32))
    check.close(loss, float(want_loss), name="loss", rtol=1e-5, atol=1e-5)
    for name in PARAMS:
        check.close(grads[name], want[name].astype(np.float32), name=f'grads["{name}"]', rtol=1e-4, atol=1e-5)


def test_arguments_stay_as_they_were(attempt):
    """The caller owns the parameters and decides on the step; it may also call again with the same arrays."""
    args = batch([[1, -2], [3, 4]], [1, 0], [[1, -1], [2, 1]], [0, 1], [[1, 0], [0, 2]], [0, 1])
    unpack(check.unchanged(attempt.two_layer_net, *args), args)


@pytest.mark.points(2)
@given(n=st.integers(1, 4), d=st.integers(1, 4), h=st.integers(1, 4), c=st.integers(2, 4), seed=st.integers(0, 999))
def test_any_shape(attempt, reference, n, d, h, c, seed):
    """Any N, D, H and C, equal or not, with active and inactive units mixed."""
    rng = np.random.default_rng(seed)
    x, w1, b1, w2, b2 = (rng.integers(-2, 3, shape) for shape in ((n, d), (d, h), (h,), (h, c), (c,)))
    agree(attempt, reference, batch(x, rng.integers(0, c, n), w1, b1, w2, b2))


@pytest.mark.points(2)
@pytest.mark.parametrize("n, d, h, c", [(24, 10, 12, 7), (5, 5, 5, 5), (1, 3, 8, 2)])
def test_random_batch(attempt, reference, rng, n, d, h, c):
    """Ordinary numbers in an ordinary batch."""
    x, w1, b1, w2, b2 = (rng.normal(size=shape) for shape in ((n, d), (d, h), (h,), (h, c), (c,)))
    agree(attempt, reference, batch(x, rng.integers(0, c, n), w1, b1, w2, b2))
