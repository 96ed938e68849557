"""Hidden suite of conv2d. One mistake per test and hand-computed results first, agreement with the reference after."""

import numpy as np
import pytest

from grader import check
from grader.properties import assume, given, st


def single(rows, dtype=float):
    """One image with one channel, or one filter with one channel: (1, 1, height, width)."""
    return np.array(rows, dtype)[None, None]


def worked_example():
    """The prompt's 5 x 5 image."""
    return single([[1, 1, 1, 0, 0],
                   [0, 1, 1, 1, 0],
                   [0, 0, 1, 1, 1],
                   [0, 0, 1, 1, 0],
                   [0, 1, 1, 0, 0]])


def values(actual, expected):
    """`actual` holds these numbers. The dtype has tests of its own."""
    check.close(actual, np.array(expected, dtype=float), same_dtype=False)


def speed_inputs(rng, size):
    """Arguments whose work grows 4096-fold from size 1 (58 thousand multiply-adds) to size 4 (239 million)."""
    channels = 3 * size * size
    x = rng.normal(size=(2, channels, 18 * size, 20 * size)).astype(np.float32)
    w = rng.normal(size=(channels, channels, 3, 3)).astype(np.float32)
    b = rng.normal(size=channels).astype(np.float32)
    return (x, w, b), {"padding": 1}


# The dot product

@pytest.mark.visible
def test_symmetric_kernel(attempt):
    """Slide the kernel over every position where it fits, multiply, add up: the whole operation in nine numbers."""
    w = single([[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    values(attempt.conv2d(worked_example(), w), [[[[4, 3, 4], [2, 4, 3], [2, 3, 4]]]])


@pytest.mark.visible
def test_kernel_is_not_flipped(attempt):
    """What networks call convolution is cross-correlation. The textbook operation flips the kernel on both axes; since
    kernels are learnt the flip would be pointless, but weights from elsewhere would no longer fit.
    """
    w = single([[1, 2, 0], [0, 1, 0], [0, 0, -1]])
    values(attempt.conv2d(worked_example(), w), [[[[3, 3, 1], [1, 3, 4], [-1, 3, 4]]]])


def test_non_square_image(attempt):
    """Height and width are separate sizes. Code that mixes them up passes on squares, as most test images are."""
    x = single([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 13, 14, 15]])
    w = single([[1, 0], [0, 10]])
    values(attempt.conv2d(x, w), [[[[71, 82, 93, 104], [126, 137, 148, 159]]]])


def test_non_square_kernel(attempt):
    """R belongs to the height and S to the width: 1 x 3 and 3 x 1 kernels are used to factor larger ones."""
    x = single([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]])
    w = single([[1, 0, 0], [0, 0, 100]])
    values(attempt.conv2d(x, w), [[[[701, 802], [1105, 1206], [1509, 1610]]]])


@pytest.mark.visible
def test_channels_are_summed(attempt):
    """A filter looks at all input channels at once: each channel has its own kernel and the products are added, not
    averaged.
    """
    x = np.array([[[[1, 2], [3, 4]], [[10, 20], [30, 40]]]], dtype=float)
    w = np.array([1, 2], dtype=float).reshape(1, 2, 1, 1)
    values(attempt.conv2d(x, w), [[[[21, 42], [63, 84]]]])


def test_each_channel_meets_its_own_kernel(attempt):
    """Flattened windows and flattened filters must list (channel, row, column) in the same order, or taps of one
    channel multiply pixels of another.
    """
    x = np.arange(1, 19, dtype=float).reshape(1, 2, 3, 3)
    w = np.array([[[[1, 0], [0, 0]], [[0, 100], [0, 0]]]], dtype=float)
    values(attempt.conv2d(x, w), [[[[1101, 1202], [1404, 1505]]]])


def test_one_output_channel_per_filter(attempt):
    """Every filter produces an output channel of its own; the next layer has K input channels."""
    x = single([[1, 2], [3, 4]])
    w = np.array([1, 10, 100], dtype=float).reshape(3, 1, 1, 1)
    values(attempt.conv2d(x, w), [[[[1, 2], [3, 4]], [[10, 20], [30, 40]], [[100, 200], [300, 400]]]])


def test_every_image_of_the_batch(attempt):
    """Images of a batch are processed independently, and all of them."""
    x = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], dtype=float).reshape(2, 1, 2, 2)
    values(attempt.conv2d(x, single([[2]])), [[[[2, 4], [6, 8]]], [[[10, 12], [14, 16]]]])


def test_images_and_filters_keep_their_axes(attempt):
    """With as many images as filters, (K, N, ...) has the shape of (N, K, ...): a reshape where a transpose is needed
    swaps results between images without an error.
    """
    x = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], dtype=float).reshape(2, 1, 2, 2)
    w = np.array([1, 10], dtype=float).reshape(2, 1, 1, 1)
    values(attempt.conv2d(x, w), [[[[1, 2], [3, 4]], [[10, 20], [30, 40]]], [[[5, 6], [7, 8]], [[50, 60], [70, 80]]]])


# Sizes, stride, padding

@pytest.mark.visible
def test_stride_on_both_axes(attempt):
    """Stride moves the window by that many pixels down as well as across; it is how many networks halve resolution."""
    x = np.arange(15, dtype=float).reshape(1, 1, 3, 5)
    values(attempt.conv2d(x, single([[1]]), stride=2), [[[[0, 2, 4], [10, 12, 14]]]])


def test_window_that_does_not_fit_is_dropped(attempt):
    """The output size rounds down: a window that would hang over the edge produces nothing."""
    x = np.arange(30, dtype=float).reshape(1, 1, 5, 6)
    w = single([[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    values(attempt.conv2d(x, w, stride=3), [[[[0, 3]]]])


def test_kernel_as_large_as_the_image(attempt):
    """The window then fits exactly once. A fully connected layer is this case."""
    values(attempt.conv2d(single([[1, 2, 3], [4, 5, 6]]), single([[1, 0, 2], [0, 3, 0]])), [[[[22]]]])


def test_padding_enlarges_the_output(attempt):
    """Each unit of padding adds two rows and two columns: with a 3 x 3 kernel and padding 1 the size stays the same,
    which lets networks be deep.
    """
    out = attempt.conv2d(np.ones((1, 1, 3, 4)), np.ones((1, 1, 3, 3)), padding=1)
    check.shape(out, (1, 1, 3, 4))


def test_kernel_may_exceed_the_image_before_padding(attempt):
    """Only the padded size matters: small feature maps late in a network meet 3 x 3 kernels all the time."""
    out = attempt.conv2d(single([[5]]), np.ones((1, 1, 3, 3)), padding=1)
    check.shape(out, (1, 1, 1, 1))


def test_padding_is_zeros(attempt):
    """Zeros add nothing to the sum. Repeating or mirroring the border is a different operation."""
    values(attempt.conv2d(single([[1, 2]]), np.ones((1, 1, 3, 4)), padding=1), [[[[3]]]])


def test_padding_surrounds_the_image(attempt):
    """Zeros go on all four sides, so that the output stays aligned with the input instead of drifting to a corner."""
    out = attempt.conv2d(single([[1, 2]]), single([[1]]), padding=1)
    values(out, [[[[0, 0, 0, 0], [0, 1, 2, 0], [0, 0, 0, 0]]]])


def test_stride_with_padding(attempt):
    """The first window starts in the padding; stride counts from there. Most strided layers are padded as well."""
    out = attempt.conv2d(single([[1, 2, 3], [4, 5, 6]]), single([[0, 1], [10, 100]]), stride=2, padding=1)
    values(out, [[[[100, 320], [4, 6]]]])


# Bias

def test_bias_is_added(attempt):
    """The bias shifts the whole output channel; without it a filter can only answer 0 to a black image."""
    values(attempt.conv2d(single([[1, 2], [3, 4]]), single([[1]]), np.array([10.0])), [[[[11, 12], [13, 14]]]])


def test_bias_is_added_once(attempt):
    """One bias per output value, not one per channel or per tap of the kernel."""
    out = attempt.conv2d(np.ones((1, 2, 3, 3)), np.ones((1, 2, 2, 2)), np.array([100.0]))
    values(out, [[[[108, 108], [108, 108]]]])


def test_bias_belongs_to_the_filter(attempt):
    """NumPy broadcasts a (K,) vector along the last axis, the width. With K = Wo that is silent: b[:, None, None] is
    meant.

    N = K = Ho = Wo = 2: a bias along any wrong axis has a fitting shape.
    """
    out = attempt.conv2d(np.zeros((2, 1, 2, 2)), np.ones((2, 1, 1, 1)), np.array([10.0, 20.0]))
    values(out, [[[[10, 10], [10, 10]], [[20, 20], [20, 20]]]] * 2)


# Arguments and dtypes

def test_arguments_stay_unchanged(attempt):
    """A layer's input and weights are used again, for the backward pass and the next batch: a function that edits them
    breaks code far away.
    """
    x, w, b = np.arange(1.0, 19.0).reshape(1, 2, 3, 3), np.arange(1.0, 17.0).reshape(2, 2, 2, 2), np.array([1.0, 2.0])
    check.unchanged(attempt.conv2d, x, w, b)
    check.unchanged(attempt.conv2d, x, w, b, stride=2, padding=1)
    check.unchanged(attempt.conv2d, *(a.astype(np.int64) for a in (x, w, b)))


@pytest.mark.parametrize("size", [1, 2], ids=["1x1-kernel", "2x2-kernel"])
def test_returns_a_new_array(attempt, size):
    """What a layer returned is kept for the backward pass: a buffer that the next call overwrites, or a view of the
    input, changes under its owner's hands. A 1 x 1 kernel of 1 copies the image; it still copies it.
    """
    w = np.zeros((1, 1, size, size))
    w[..., 0, 0] = 1
    check.new_arrays(attempt.conv2d, np.arange(9.0).reshape(1, 1, 3, 3), w)


def test_fractions_are_kept(attempt):
    """An accumulator of an integer dtype cuts off every fraction."""
    values(attempt.conv2d(single([[0.5, 1.5], [2.5, 3.5]]), single([[0.5]])), [[[[0.25, 0.75], [1.25, 1.75]]]])


def test_float64_keeps_its_precision(attempt):
    """float32 has 24 bits: 2^24 + 1 is the first integer it cannot hold. Numerical gradient checks need float64."""
    values(attempt.conv2d(single([[16777217, 1], [2, 3]]), single([[1]])), [[[[16777217, 1], [2, 3]]]])


def test_float32_stays_float32(attempt):
    """np.zeros is float64 unless told otherwise. Returning float64 doubles memory and slows all that follows."""
    out = attempt.conv2d(single([[1, 2], [3, 4]], np.float32), single([[2]], np.float32), np.ones(1, np.float32))
    check.close(out, single([[3, 5], [7, 9]], np.float32))


def test_integers_stay_integers(attempt):
    """Integers are exact, and what quantised networks compute with."""
    check.equal(attempt.conv2d(single([[1, 2], [3, 4]], np.int32), single([[-2]], np.int32)),
                single([[-2, -4], [-6, -8]], np.int32))


def test_byte_image_with_float_kernel(attempt):
    """Pixels arrive as uint8. The result follows both dtypes: in x's own, 1.5 times 201 would become 45."""
    out = attempt.conv2d(single([[201, 100], [50, 1]], np.uint8), single([[1.5]], np.float32))
    check.close(out, single([[301.5, 150], [75, 1.5]], np.float32))


def test_bias_takes_part_in_the_dtype(attempt):
    """A float bias makes the result of integers float; out += b refuses to."""
    out = attempt.conv2d(single([[1, 2], [3, 4]], int), single([[2]], int), np.array([0.5]))
    check.close(out, single([[2.5, 4.5], [6.5, 8.5]]))


def test_large_integers_are_exact(attempt):
    """Sums of int32 products pass 2^15 and 2^24 early: 16-bit or float32 accumulators are not exact there."""
    out = attempt.conv2d(single([[4097, 1], [-4097, 2]], np.int32), single([[4097, 0], [0, 1]], np.int32))
    check.equal(out, single([[16785411]], np.int32))


def test_integers_of_a_whole_layer(attempt, reference, rng):
    """Bytes times signed bytes, as in a quantised network. An answer that goes by way of floats must round, not cut."""
    x, w = rng.integers(0, 9, (2, 3, 7, 5)).astype(np.uint8), rng.integers(-9, 10, (4, 3, 3, 2)).astype(np.int8)
    check.equal(attempt.conv2d(x, w, padding=1), reference.conv2d(x, w, padding=1))


def test_bias_of_zeros_takes_part_in_the_dtype(attempt):
    """The dtype follows from the dtypes, not from the values: a fresh layer's bias is all zeros."""
    out = attempt.conv2d(single([[1, 2]], np.int32), single([[2]], np.int32), np.zeros(1))
    check.equal(out, single([[2, 4]], float))


def test_transposed_input(attempt, reference):
    """A transposed or sliced array is an array like any other; strides written out by hand assume otherwise."""
    x = np.arange(48.0).reshape(2, 6, 4, 1).transpose(3, 0, 2, 1)[..., ::2]
    w = np.arange(12.0).reshape(1, 2, 3, 2).transpose(0, 1, 3, 2)
    check.agrees(attempt.conv2d, reference.conv2d, x, w)


def test_dtype_is_that_of_all_inputs_together(attempt):
    """np.result_type is how NumPy itself combines dtypes, so nothing surprises the caller."""
    for x, w, b in [("f2", "f2", "f2"), ("f4", "f8", "f4"), ("f4", "f4", "f8"), ("i4", "f4", None), ("u1", "i1", None),
                    ("i2", "i2", "i8"), ("u1", "u1", "u1"), ("f4", "f4", "g")]:
        operands = [single([[1, 2], [3, 4]], x), single([[3]], w)] + ([] if b is None else [np.array([1], b)])
        expected = single([[3, 6], [9, 12]]) + (b is not None)
        check.close(attempt.conv2d(*operands), expected.astype(np.result_type(*operands)))


# Errors

def test_different_channels_are_an_error(attempt):
    """With one channel on either side broadcasting makes up a result; the caller passed the wrong layer's weights."""
    for channels, kernel_channels in [(3, 1), (1, 3), (3, 2)]:
        check.raises(ValueError, attempt.conv2d, np.ones((1, channels, 2, 2)), np.ones((1, kernel_channels, 2, 2)))


def test_kernel_taller_than_the_image_is_an_error(attempt):
    """The size formula gives 0 rows: an empty array would travel on and turn into nan at the first mean."""
    check.raises(ValueError, attempt.conv2d, np.ones((1, 1, 2, 5)), np.ones((1, 1, 3, 2)))
    check.raises(ValueError, attempt.conv2d, np.ones((1, 1, 2, 7)), np.ones((1, 1, 5, 2)), stride=2, padding=1)


def test_kernel_wider_than_the_image_is_an_error(attempt):
    """Both axes need the check."""
    check.raises(ValueError, attempt.conv2d, np.ones((1, 1, 5, 2)), np.ones((1, 1, 2, 3)))
    check.raises(ValueError, attempt.conv2d, np.ones((1, 1, 7, 2)), np.ones((1, 1, 2, 5)), stride=2, padding=1)


def test_kernel_longer_than_the_other_side(attempt):
    """Each side of the kernel is compared with its own side of the image: a tall kernel fits a tall, narrow image."""
    x, w = single([[1, 2], [3, 4], [5, 6], [7, 8]]), single([[1], [10], [100]])
    check.close(attempt.conv2d(x, w), single([[531, 642], [753, 864]]))
    x, w = x.transpose(0, 1, 3, 2), w.transpose(0, 1, 3, 2)
    check.close(attempt.conv2d(x, w), single([[531, 753], [642, 864]]))


# Everything together

@pytest.mark.points(4)
@given(n=st.integers(1, 3), c=st.integers(1, 3), k=st.integers(1, 3), h=st.integers(1, 6), wd=st.integers(1, 6),
       r=st.integers(1, 4), s=st.integers(1, 4), stride=st.integers(1, 3), padding=st.integers(0, 2),
       bias=st.booleans(), seed=st.integers(0, 99))
def test_any_sizes(attempt, reference, n, c, k, h, wd, r, s, stride, padding, bias, seed):
    """Every size, stride and padding at once: what is right one at a time can still be wrong in combination."""
    assume(r <= h + 2 * padding and s <= wd + 2 * padding)
    rng = np.random.default_rng(seed)
    x, w = rng.integers(-4, 5, (n, c, h, wd)).astype(float), rng.integers(-4, 5, (k, c, r, s)).astype(float)
    b = rng.integers(-9, 10, k).astype(float) if bias else None
    # atol: an FFT leaves 1e-15 where the exact result is 0 everywhere
    check.agrees(attempt.conv2d, reference.conv2d, x, w, b, stride=stride, padding=padding, atol=1e-9)


@pytest.mark.points(2)
def test_layer_of_a_network(attempt, reference, rng):
    """A batch of float32 images and weights, as in a network; rounding may differ with the order of the additions."""
    x = rng.normal(size=(2, 3, 11, 9)).astype(np.float32)
    w, b = rng.normal(size=(5, 3, 3, 4)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    check.agrees(attempt.conv2d, reference.conv2d, x, w, b, stride=2, padding=1)


def test_arguments_by_position(attempt):
    """The signature is the contract: conv2d(x, w, b, stride, padding)."""
    out = attempt.conv2d(single([[1, 2], [3, 4]]), single([[1]]), None, 2, 1)
    values(out, [[[[0, 0], [0, 4]]]])


def test_empty_batch(attempt):
    """A filter upstream may leave no image at all; reshape(n, -1, ...) cannot infer a size from 0 elements."""
    out = attempt.conv2d(np.ones((0, 2, 3, 4)), np.ones((3, 2, 2, 2)), np.ones(3))
    check.equal(out, np.ones((0, 3, 2, 3)))
    out = attempt.conv2d(np.ones((0, 2, 3, 4), np.int32), np.ones((3, 2, 2, 2), np.int32), stride=2, padding=1)
    check.equal(out, np.ones((0, 3, 2, 3), np.int32))
    check.raises(ValueError, attempt.conv2d, np.ones((0, 2, 3, 4)), np.ones((3, 1, 2, 2)))
