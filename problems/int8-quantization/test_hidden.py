"""Hidden suite of int8-quantization.

Where it can, a test uses a range of 255 or 127.5, so that the scale is exactly 1 or 1/2 and ties are real ties.
Integers are compared exactly only there and on numbers far from a tie, where x / scale and x * (1 / scale) agree.
"""

import numpy as np
import pytest

from grader import check
from grader.properties import given, st


def quantized(result, x):
    """(q, scale, zero_point) of quantize_affine(x), once they are known to be what they should be."""
    check.true(isinstance(result, tuple | list) and len(result) == 3,
               f"the result is {check.describe(result)}; (q, scale, zero_point) is asked for")
    q, scale, zero_point = result
    check.shape(q, x.shape, name="q")
    check.dtype(q, np.int8, name="q", why="int8 is what makes the array small")
    check.finite(scale, name="scale")
    check.true(np.ndim(scale) == 0, f"scale is {check.describe(scale)}; one number is asked for")
    integer(zero_point)
    check.true(np.ndim(zero_point) == 0, f"zero_point is {check.describe(zero_point)}; one integer is asked for")
    return q, scale, zero_point


def integer(zero_point):
    check.finite(zero_point, name="zero_point")
    check.true(np.asarray(zero_point).dtype.kind in "iu",
               f"zero_point is {check.describe(zero_point)}; integers are asked for")


def quantize(attempt, x):
    x = np.array(x, dtype=float)
    return quantized(attempt.quantize_affine(x), x)


def quantize_channels(attempt, w, axis):
    """(q, scale, zero_point) of quantize_per_channel, once their shapes and dtypes are right."""
    result = attempt.quantize_per_channel(w, axis=axis)
    check.true(isinstance(result, tuple | list) and len(result) == 3,
               f"the result is {check.describe(result)}; (q, scale, zero_point) is asked for")
    q, scale, zero_point = result
    kept = [1] * w.ndim
    kept[axis] = w.shape[axis]
    check.shape(q, w.shape, name="q")
    check.dtype(q, np.int8, name="q")
    check.shape(scale, kept, name="scale", why="size 1 on the other axes makes it broadcast against q")
    check.finite(scale, name="scale")
    check.shape(zero_point, kept, name="zero_point", why="size 1 on the other axes makes it broadcast against q")
    integer(zero_point)
    return q, scale, zero_point


def expect(attempt, x, q=None, scale=None, zero_point=None):
    got_q, got_scale, got_zero_point = quantize(attempt, x)
    if scale is not None:
        check.close(got_scale, scale, name="scale")
    if zero_point is not None:
        check.close(got_zero_point, zero_point, name="zero_point", atol=0, rtol=0)
    if q is not None:
        check.equal(got_q, np.array(q, dtype=np.int8), name="q")


def int8(rows):
    return np.array(rows, dtype=np.int8)


def test_int8_array_one_scale_one_zero_point(attempt):
    """A quantised tensor is three things: the integers, the width of one step, and the integer that stands for 0."""
    quantize(attempt, [[-1, 0, 0.5], [1.55, 1, -0.25]])


def test_scale_spreads_the_range_over_255_steps(attempt):
    """256 integers have 255 steps between them. A smaller scale pushes the ends of the range off the
    integers; a larger one leaves some integers unused."""
    expect(attempt, [-100, 155], scale=1)


def test_range_of_positive_values_reaches_down_to_zero(attempt):
    """0 must be representable, for padding and ReLU: the range of 51 and 255 is 0 to 255, not 51 to 255."""
    expect(attempt, [51, 255], q=[-77, 127], scale=1, zero_point=-128)


def test_range_of_negative_values_reaches_up_to_zero(attempt):
    """The range of -255 and -51 is -255 to 0."""
    expect(attempt, [-255, -51], q=[-128, 76], scale=1, zero_point=127)


def test_smallest_value_is_minus_128(attempt):
    """int8 runs from -128 to 127, so lo maps to -128. Mapping it to 0 is the uint8 convention."""
    expect(attempt, [-100, 155], q=[-128, 127], zero_point=-28)


def test_values_are_rounded_to_the_nearest_step(attempt):
    """Truncation doubles the largest error and pulls every value towards 0."""
    expect(attempt, [-100.0, -0.7, 0.7, 1.3, 155.0], q=[-128, -29, -27, -27, 127])


def test_zero_point_is_rounded_to_the_nearest_integer(attempt):
    """-128 + 100.3 is nearest to -28, and -128 + 100.7 to -27. Any other rounding clips one end of the range by more
    than half a step."""
    expect(attempt, [-100.3, 154.7], zero_point=-28)
    expect(attempt, [-100.7, 154.3], zero_point=-27)


def test_tiny_and_huge_values(attempt):
    """Only the ratios within the array matter: a small constant added to the scale would drown a tiny tensor."""
    for unit in (1e-28, 1e27):
        expect(attempt, [-100 * unit, 7 * unit, 155 * unit], q=[-128, -21, 127], scale=unit, zero_point=-28)


def test_ties_go_to_the_even_integer(attempt):
    """Rounding every tie up shifts the mean of the tensor; to the even neighbour, ties cancel."""
    expect(attempt, [-100, 0.5, 1.5, 2.5, -0.5, -1.5, 155], q=[-128, -28, -26, -26, -28, -30, 127])


def test_zero_point_is_added_after_rounding(attempt):
    """round(x / scale) + zero_point, as the ONNX standard has it. With an odd zero point the other order sends ties the
    other way."""
    expect(attempt, [-101, 0.5, 1.5, 154], q=[-128, -27, -25, 127], zero_point=-27)


def test_largest_value_does_not_wrap(attempt):
    """Both ends may round up: 126 + 2 = 128, and 128 as int8 is -128. Clip before the cast."""
    expect(attempt, [-129.5, 125.5], q=[-128, 127], zero_point=2)


def test_all_zeros(attempt):
    """An empty range has no scale. Pruned channels and fresh LoRA matrices are all zeros, and nan would spread from
    them."""
    q, scale, zero_point = quantize(attempt, [0, 0, 0])
    check.close(scale, 1.0, name="scale")
    check.close(attempt.dequantize(int8(q), 1.0, int(zero_point)), np.zeros(3), calls=2, name="what comes back")


@pytest.mark.visible
@pytest.mark.points(2)
def test_worked_example(attempt):
    """The numbers of the prompt."""
    expect(attempt, [-1, 0, 0.5, 1.55], q=[-128, -28, 22, 127], scale=0.01, zero_point=-28)


def test_dequantize_does_not_wrap(attempt):
    """127 - (-128) = 255 does not fit in int8: widen before you subtract."""
    check.close(attempt.dequantize(int8([-128, -1, 0, 127]), 0.5, -128), np.array([0, 63.5, 64, 127.5]))
    check.close(attempt.dequantize(int8([-128, 127]), 2.0, 127), np.array([-510.0, 0]))


@pytest.mark.visible
@pytest.mark.points(2)
@given(low=st.integers(-40, 10), high=st.integers(-10, 40), seed=st.integers(0, 99))
def test_values_come_back_within_half_a_step(attempt, low, high, seed):
    """Rounding to the nearest step costs half a step at most, at the ends of the range as well. And 0 comes back as
    exactly 0, whatever the range."""
    x = np.append(np.random.default_rng(seed).uniform(min(low, high), max(low, high) + 1, 3).round(2), 0)
    q, scale, zero_point = quantize(attempt, x)
    back = attempt.dequantize(int8(q), float(scale), int(zero_point))
    check.close(back, x, rtol=0, atol=float(np.ptp(x)) / 510 + 1e-9, calls=2, name="what comes back")
    check.close(back[-1], 0.0, rtol=0, atol=0, calls=2, name="what comes back for 0")


@pytest.mark.visible
@pytest.mark.points(2)
def test_each_channel_has_its_own_scale(attempt):
    """One large output channel would take all the steps from the small ones. Axis 0 holds the outputs by default."""
    w = np.array([[0.0, 255, 51], [-127.5, 0, -1], [0, 0, 0]])
    q, scale, zero_point = attempt.quantize_per_channel(w)
    check.close(scale, np.array([[1.0], [0.5], [1]]), name="scale")
    check.close(zero_point, np.array([[-128], [127], [-128]]), name="zero_point", same_dtype=False, atol=0, rtol=0)
    check.equal(q, int8([[-128, 127, -77], [-128, 127, 125], [-128, -128, -128]]), name="q")


@pytest.mark.parametrize("axis", [1, -1])
def test_channels_along_the_last_axis(attempt, axis):
    """A weight stored as (in, out) has its output channels on axis 1, which is also axis -1."""
    w = np.array([[0.0, -127.5], [255, 0], [51, -1]])
    q, scale, zero_point = quantize_channels(attempt, w, axis)
    check.close(scale, np.array([[1, 0.5]]), name="scale")
    check.close(zero_point, np.array([[-128, 127]]), name="zero_point", same_dtype=False, atol=0, rtol=0)
    check.equal(q, int8([[-128, -128], [127, 127], [-77, 125]]), name="q")


@pytest.mark.parametrize("axis", [0, 1, 3, -2])
def test_channels_of_a_convolution(attempt, reference, rng, axis):
    """A convolution's weight has four axes; all but one are taken together. Each slice is what quantize_affine makes of
    it, and comes back within half of its own step."""
    w = rng.normal(size=(3, 2, 4, 5)) * np.logspace(-2, 2, 4).reshape(4, 1)
    want_q, want_scale, want_zero_point = reference.quantize_per_channel(w, axis=axis)
    q, scale, zero_point = quantize_channels(attempt, w, axis)
    check.close(scale, want_scale, name="scale", same_dtype=False)
    check.close(zero_point, want_zero_point, name="zero_point", same_dtype=False, atol=0, rtol=0)
    check.equal(q, want_q, name="q")
    back = attempt.dequantize(q, scale, zero_point)
    check.close(back, (want_q.astype(float) - want_zero_point) * want_scale, name="what comes back", calls=2)


def test_product_removes_both_zero_points(attempt):
    """The integers stand for real numbers only after the zero points are taken off: the rows are (3, 4) and (5, 6)."""
    check.close(attempt.int8_matmul(int8([[8, 9]]), 1.0, 5, int8([[3], [4]]), 1.0, -2), np.array([[39.0]]))


def test_product_is_scaled_by_both_scales(attempt):
    """Each factor brings its own scale, and the product of the two multiplies the integer sum."""
    check.close(attempt.int8_matmul(int8([[3, 4]]), 0.5, 0, int8([[5], [6]]), 0.25, 0), np.array([[39 / 8]]))


@pytest.mark.visible
def test_zero_points_do_not_wrap_in_the_product(attempt):
    """100 - (-28) = 128 does not fit in int8."""
    check.close(attempt.int8_matmul(int8([[100, -100]]), 0.5, -28, int8([[7], [3]]), 0.1, 2), np.array([[28.4]]))


def test_sum_is_wider_than_the_factors(attempt):
    """A product of two differences reaches 255 * 255 = 65025, beyond int16, and a sum of them far more: accumulate in
    int32."""
    got = attempt.int8_matmul(np.full((1, 3), 127, np.int8), 1.0, -128, np.full((3, 2), -128, np.int8), 1.0, 127)
    check.close(got, np.full((1, 2), -3 * 65025.0))


def test_sum_is_exact(attempt):
    """float32 holds integers exactly up to 2**24 only. An int32 sum has no rounding at all."""
    qa, qb = np.full((1, 301), 127, np.int8), np.full((301, 1), 127, np.int8)
    qa[0, 0] = -127
    check.close(attempt.int8_matmul(qa, 1.0, -128, qb, 1.0, -128), np.array([[300 * 65025.0 + 255]]), rtol=1e-12)


def test_integers_are_summed_before_they_are_scaled(attempt, rng):
    """Each term of these sums is there with either sign, so the integers cancel to 0. 0.1 and 0.3 are no binary
    fractions: once multiplied by them, the terms are rounded, and something is left."""
    a, b, order = rng.integers(-99, 100, (2, 99)), rng.integers(-99, 100, (99, 3)), rng.permutation(198)
    qa, qb = int8(np.hstack([a, a])[:, order] - 28), int8(np.vstack([b, -b])[order] + 2)
    check.close(attempt.int8_matmul(qa, 0.1, -28, qb, 0.3, 2), np.zeros((2, 3)), rtol=0, atol=0)


def test_scale_and_zero_point_per_column(attempt):
    """Weights are quantised per output channel, that is per column: each brings its own scale and zero point."""
    got = attempt.int8_matmul(int8([[3, 4], [1, 0]]), 0.5, 1, int8([[5, 6], [7, 9]]), np.array([[1.0, 10]]), 0)
    check.close(got, np.array([[15.5, 195], [-3.5, -45]]))
    got = attempt.int8_matmul(int8([[3, 4], [1, 0]]), 0.5, 1, int8([[5, 6], [7, 9]]), np.array([[1.0, 10]]),
                              np.array([[4, -2]]))
    check.close(got, np.array([[5.5, 245], [-1.5, -55]]))


@pytest.mark.points(2)
@pytest.mark.parametrize("per_channel", [False, True])
def test_product_of_quantised_matrices(attempt, reference, rng, per_channel):
    """From real matrices to their product, through int8: it equals the product of the dequantised matrices."""
    a, b = rng.normal(size=(4, 9)), rng.normal(size=(9, 5)) * [1, 10, 0.1, 0, 3] + [0, 0, 1, 0, -9]
    qa, sa, za = reference.quantize_affine(a)
    qb, sb, zb = reference.quantize_per_channel(b, axis=1) if per_channel else reference.quantize_affine(b)
    want = ((qa.astype(float) - za) * sa) @ ((qb.astype(float) - zb) * sb)
    check.close(attempt.int8_matmul(qa, sa, za, qb, sb, zb), want)


def test_float32_values(attempt):
    """Models keep float32. Its rounding is far below a step, so it must change nothing."""
    x = np.array([-1.0, 0, 0.3, 1.55], dtype=np.float32)
    q, scale, zero_point = quantized(attempt.quantize_affine(x), x)
    check.close(scale, 0.01, rtol=1e-6, name="scale")
    check.equal(q, int8([-128, -28, 2, 127]), name="q")
    w = np.array([[-1.0, 1.55], [0.0, 51.0]], dtype=np.float32)
    q, scale, zero_point = quantize_channels(attempt, w, 0)
    check.close(scale, np.array([[0.01], [0.2]]), rtol=1e-6, same_dtype=False, name="scale")
    check.close(attempt.dequantize(q, scale, zero_point), w.astype(float), rtol=1e-6, calls=2, name="what comes back")


def test_arguments_stay_as_they_were(attempt):
    """The float weights are still needed, and so are the integers."""
    w = np.array([[-129.5, 0.3], [125.5, 1.0]])
    check.unchanged(attempt.quantize_affine, w)
    check.unchanged(attempt.quantize_per_channel, w, axis=1)
    q, scale, zero_point = int8([[1, 2], [3, 4]]), np.array([[1.0, 2]]), np.array([[1, 2]])
    check.unchanged(attempt.dequantize, q, scale, zero_point)
    check.unchanged(attempt.int8_matmul, q, 0.5, 3, q, scale, zero_point)


@pytest.mark.points(2)
@pytest.mark.parametrize("shape", [(1,), (40,), (3, 5), (2, 3, 2, 2)])
def test_random_values(attempt, reference, rng, shape):
    """Arrays of any shape, around 0 and away from it."""
    for shift in (-3, 0, 3):
        x = rng.normal(size=shape) + shift
        want_q, want_scale, want_zero_point = reference.quantize_affine(x)
        expect(attempt, x, q=want_q.tolist(), scale=want_scale, zero_point=want_zero_point)
