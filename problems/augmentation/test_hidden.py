"""Hidden suite of augmentation: crops and flips, affine maps, then the two callers: make_augment and train.

Functions are judged on images whose every pixel is told apart, so that a wrong index shows as a wrong number. Where a
test looks at how often something is drawn, a right answer fails it with a probability below 1e-8; all such tests
together stay below 1e-6. Where a source coordinate is within TIE of halfway between two pixels, either is right.

The gain is measured on a network of the judge's own, in this process: see `fit`.
"""

import math
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from grader import check, training
from grader.properties import given, st

TIE = 1e-3
"""px: rounding in float32, or another order of operations, may move a source coordinate by this much"""
CHI2_17 = 80.0
"""17 degrees of freedom: exceeded with probability 4e-10"""
KS_300 = 0.19
"""the largest gap to a uniform distribution function, of 300 values: exceeded with probability 8e-10"""
SURVIVE = 0.85
"""of the judge's predictions must survive. Measured on both sets of digits: 0.94 or more for shifts up to 4 px and for
rotations up to 30 degrees, 0.92 to 0.95 for a hole of 8 x 8, 0.87 or more for noise of standard deviation 60; 0.68 to
0.72 for mirroring half of the images, 0.41 to 0.48 for rotations by any angle"""


# --- crops and flips --------------------------------------------------------------------------------------------------

def ramp(n, channels=1, height=3, width=4, dtype=np.int64):
    """n copies of one image; its values are 1, 2, 3, ..."""
    one = np.arange(1, channels * height * width + 1).reshape(1, channels, height, width)
    return np.repeat(one, n, axis=0).astype(dtype)


def cropped(attempt, x, rng, *args, **keywords):
    """random_crop_flip(x, rng, ...), known to have x's shape and dtype."""
    return alike(attempt.random_crop_flip(x.copy(), rng, *args, **keywords), x)


def alike(got, x):
    check.shape(got, x.shape)
    check.dtype(got, x.dtype)
    return got


def check_images_unchanged(function, x, rng, **keywords):
    """The generator moves on; x does not."""
    check.equal(function.observed(x.copy(), rng, **keywords).args[0], x, name="x after the call")


def windows(one, pad):
    """(C, H, W)  ->  (2, (2 pad + 1)^2, C, H, W): all that the image can become; [1] is mirrored."""
    _, height, width = one.shape
    padded = np.pad(one, ((0, 0), (pad, pad), (pad, pad)))
    plain = np.stack([padded[:, top:top + height, left:left + width]
                      for top in range(2 * pad + 1) for left in range(2 * pad + 1)])
    return np.stack([plain, plain[..., ::-1]])


def which(got, one, pad):
    """Which window each image of `got` is: (N,) mirrored or not, and (N,) the offset's number."""
    candidates = windows(one, pad)
    flat = candidates.reshape(-1, one.size)
    match = (got.reshape(len(got), 1, -1) == flat).all(2)  # (N, 2 * offsets)
    lost = np.flatnonzero(~match.any(1))
    if len(lost):
        check.fail(f"image {lost[0]} of the result is none of the {len(flat)} windows of the image padded by {pad} "
                   f"with zeros, plain or mirrored left to right; it is\n{check.show(got[lost[0]])}")
    return np.divmod(match.argmax(1), candidates.shape[1])


@pytest.mark.visible
def test_crop_is_a_window_of_the_padded_image(attempt, rng):
    """Moving the window over a zero-padded image moves what is on it and loses at most `pad` pixels: nothing is scaled,
    mixed or reordered."""
    x = ramp(24)
    which(cropped(attempt, x, rng, pad=1, p_flip=0.0), x[0], 1)


def test_each_image_has_its_own_offset(attempt, rng):
    """One offset for the whole batch shows the network one shift per step instead of one per image."""
    got = cropped(attempt, ramp(64), rng, pad=2, p_flip=0.0)
    check.true(bool((got != got[0]).any()), "64 copies of one image were all moved by the same offset")


def test_every_offset_occurs(attempt, rng):
    """There are 2 pad + 1 places along each axis, both ends included; rng.integers leaves its upper end out."""
    x = ramp(400)
    _, offset = which(cropped(attempt, x, rng, pad=1, p_flip=0.0), x[0], 1)
    missing = [divmod(place, 3) for place in range(9) if place not in offset]
    check.true(not missing, f"of the 9 windows for pad = 1, these never occur in 400 images, as (row, column) in the "
                            f"padded image: {missing}")


@pytest.mark.visible
def test_flip_is_left_to_right(attempt, rng):
    """The last axis is the width. A photograph upside down is a rarer sight than a mirrored one."""
    x = ramp(2)
    check.equal(cropped(attempt, x, rng, pad=0, p_flip=1.0), x[..., ::-1])


def test_nothing_to_do(attempt, rng):
    """With pad 0 and p_flip 0 the images come back as they are."""
    x = ramp(3, channels=2)
    check.equal(cropped(attempt, x, rng, pad=0, p_flip=0.0), x)


def test_each_image_is_flipped_on_its_own(attempt, rng):
    """A coin per image, not one per batch."""
    flipped, _ = which(cropped(attempt, ramp(64), rng, pad=0, p_flip=0.5), ramp(1)[0], 0)
    check.true(0 < flipped.sum() < 64, f"{flipped.sum()} of 64 images were mirrored with p_flip = 0.5")


def test_share_of_flips(attempt, rng):
    """p_flip is the probability that an image is mirrored."""
    x = ramp(2000)
    flipped, _ = which(cropped(attempt, x, rng, pad=0, p_flip=0.2), x[0], 0)
    check.true(abs(flipped.mean() - 0.2) < 0.054, f"{flipped.mean():.1%} of 2,000 images were mirrored; p_flip is 0.2")


def test_offsets_are_uniform_and_flips_independent(attempt, rng):
    """All windows are equally likely, mirrored or not."""
    x = ramp(1800)
    flipped, offset = which(cropped(attempt, x, rng, pad=1, p_flip=0.5), x[0], 1)
    counts = np.bincount(9 * flipped + offset, minlength=18)
    chi2 = ((counts - 100) ** 2 / 100).sum()
    check.true(chi2 < CHI2_17, "1,800 images fall unevenly on the 9 windows, plain and mirrored: 100 each are "
                               f"expected, there are {counts[:9]} and {counts[9:]}")


def test_channels_stay_together(attempt, rng):
    """Red, green and blue of a pixel move as one, and in their order."""
    x = ramp(100, channels=3)
    which(cropped(attempt, x, rng, pad=1, p_flip=0.5), x[0], 1)


def test_pad_larger_than_the_image(attempt, rng):
    """Then some windows are all zeros."""
    x = ramp(200, height=2, width=3)
    which(cropped(attempt, x, rng, pad=4, p_flip=0.5), x[0], 4)


@pytest.mark.parametrize("name", ["random_crop_flip", "random_affine"])
def test_same_generator_same_result(attempt, name):
    """All randomness comes from rng, so that a run can be repeated: no np.random.rand, no generator of your own."""
    x, function = ramp(32, height=5), getattr(attempt, name)
    first, second = (alike(function(x.copy(), np.random.default_rng(3)), x) for _ in range(2))
    check.equal(second, first, name="the result for a generator in the same state", calls=2)
    other = alike(function(x.copy(), np.random.default_rng(4)), x)
    check.true(bool((other != first).any()), "generators in different states give the same result for 32 images",
               calls=2)


@pytest.mark.parametrize("name", ["random_crop_flip", "random_affine"])
def test_generator_moves_on(attempt, name):
    """The next batch must get other draws: the generator that was given is the one that draws, not a copy of it."""
    x, function = ramp(32, height=5), getattr(attempt, name)
    observed = function.observed(x.copy(), np.random.default_rng(5))
    rng = observed.args[1]
    check.true(isinstance(rng, np.random.Generator), "the generator is no longer one after the call")
    first, second = alike(observed.result, x), alike(function(x.copy(), rng), x)
    check.true(bool((second != first).any()), "two batches in a row, drawn from one generator, got the same draws",
               calls=2)


def test_defaults(attempt):
    """pad = 4 and p_flip = 0.5: what is usual for 32 x 32 photographs."""
    x = ramp(100, height=8, width=9)
    without, told = (cropped(attempt, x, np.random.default_rng(8), *args) for args in ((), (4, 0.5)))
    check.equal(without, told, name="the result without pad and p_flip", calls=2)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "bool"])
def test_crop_keeps_dtype_and_values(attempt, rng, dtype):
    """Bytes stay bytes: a float64 copy takes eight times the memory."""
    x = ramp(20, height=5).astype(dtype)
    which(cropped(attempt, x, rng, pad=1, p_flip=0.5), x[0], 1)


def test_crop_leaves_its_argument_alone(attempt, rng):
    """The training set is used again in the next epoch, as it was."""
    check_images_unchanged(attempt.random_crop_flip, ramp(8), rng, pad=1, p_flip=0.7)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 2, 7), (5, 2, 7, 2)], ids=str)
def test_crop_of_any_shape(attempt, rng, shape):
    """One image, many channels, images that are not square, and arrays that are not contiguous."""
    x = ramp(*shape)
    for array in (x, np.asfortranarray(x), x[:, :, ::-1, ::-1]):
        which(cropped(attempt, array, rng, pad=2, p_flip=0.5), array[0], 2)


# --- affine -----------------------------------------------------------------------------------------------------------

def parameters(n, angle=0.0, dy=0.0, dx=0.0, shear=0.0, zoom=1.0):
    """Arguments of affine for n images: (N,), (N, 2), (N,), (N,), float64."""
    angle, dy, dx, shear, zoom = (np.array(np.broadcast_to(value, n), float) for value in (angle, dy, dx, shear, zoom))
    return angle, np.stack([dy, dx], axis=1), shear, zoom


def sources(angle, shift, shear, zoom, height, width):
    """Where each output pixel comes from, in pixels: rows (N, H, W) and columns (N, H, W), neither rounded nor clipped.

    The closed form of centre + M^-1 (o - centre - shift).
    """
    angle, slope, zoom = (v[:, None, None] for v in (np.radians(angle), np.tan(np.radians(shear)), zoom))
    cos, sin = np.cos(angle), np.sin(angle)
    row = np.arange(height)[:, None] - (height - 1) / 2 - shift[:, 0, None, None]
    column = np.arange(width) - (width - 1) / 2 - shift[:, 1, None, None]
    return ((cos * row + sin * column) / zoom + (height - 1) / 2,
            ((cos * slope - sin) * row + (cos + sin * slope) * column) / zoom + (width - 1) / 2)


def nearest(x, rows, columns):
    """x (N, C, H, W) at the pixels nearest to these coordinates, those outside taken to the edge."""
    n, channels, height, width = x.shape
    rows = np.clip(np.rint(rows), 0, height - 1).astype(int)[:, None]
    columns = np.clip(np.rint(columns), 0, width - 1).astype(int)[:, None]
    return x[np.arange(n)[:, None, None, None], np.arange(channels)[:, None, None], rows, columns]


def check_affine(attempt, x, why="", **changes):
    """affine(x, ...) is right but for ties; changes: angle, dy, dx, shear, zoom, each a number or (N,)."""
    arguments = parameters(len(x), **changes)
    got = alike(attempt.affine(x.copy(), *(value.copy() for value in arguments)), x)
    rows, columns = sources(*arguments, *x.shape[2:])
    expected = nearest(x, rows, columns)
    for down in (-TIE, TIE):
        for right in (-TIE, TIE):
            other = nearest(x, rows + down, columns + right)
            expected = np.where((got == other).all(1, keepdims=True), other, expected)
    check.equal(got, expected, why=why)


def image(*rows, dtype=np.int64):
    """One image of one channel."""
    return np.array([[rows]], dtype)


SMALL = image([1, 2, 3], [4, 5, 6], [7, 8, 9])
LOW_WIDE = image([1, 2, 3, 4], [5, 6, 7, 8])


def test_affine_identity(attempt):
    """Nothing asked, nothing done: the centre of H pixels is (H - 1) / 2, and for W likewise."""
    for x in (SMALL, LOW_WIDE):
        check_affine(attempt, x)


def test_half_turn(attempt):
    """180 degrees about the centre reverses both axes. NumPy's cos takes radians, and about a corner nothing is left of
    the picture."""
    for x in (SMALL, LOW_WIDE):
        check_affine(attempt, x, angle=180.0)


@pytest.mark.visible
def test_quarter_turn_is_counterclockwise(attempt):
    """Positive angles turn the picture counterclockwise, as np.rot90 does. With rows counted downwards the usual
    formula turns the other way, and so does a map from output to input that was meant to be its inverse."""
    check_affine(attempt, SMALL, angle=90.0)
    check_affine(attempt, SMALL, angle=-90.0)


def test_shift_is_rows_then_columns(attempt):
    """(dy, dx) = (1, 0) moves the picture down by a pixel, (0, 1) to the right."""
    x = np.zeros((1, 1, 5, 5), np.int64)
    x[0, 0, 2, 2] = 7
    for dy, dx in ((1.0, 0.0), (0.0, 1.0), (-1.0, 1.0)):
        check_affine(attempt, x, dy=dy, dx=dx)


@pytest.mark.points(2)
def test_edges_are_repeated(attempt):
    """What moves in from outside is the nearest edge pixel: no zeros, and nothing from the opposite side."""
    check_affine(attempt, SMALL, dy=2.0)
    check_affine(attempt, SMALL, dx=-2.0)
    check_affine(attempt, SMALL, dy=-9.0, dx=9.0)


def test_zoom_above_one_enlarges(attempt):
    """A factor of 2 shows the middle of the picture at twice its size; 0.5 leaves a border of repeated edges."""
    check_affine(attempt, np.arange(16).reshape(1, 1, 4, 4), zoom=2.0)
    check_affine(attempt, np.arange(25).reshape(1, 1, 5, 5), zoom=0.5)


def test_shear_of_45_degrees(attempt):
    """tan 45 degrees = 1: each row goes one pixel further to the right than the row below it, and a vertical stroke
    leans to the right, as in italics."""
    x = image([0, 0, 1, 0, 0], [0, 0, 2, 0, 0], [0, 0, 3, 0, 0], [0, 0, 4, 0, 0], [0, 0, 5, 0, 0])
    check_affine(attempt, x, shear=45.0)
    check_affine(attempt, x, shear=-45.0)


def test_shear_is_in_degrees(attempt):
    """0.2 degrees move the top row of 32 by 0.05 pixels: nothing. 0.2 radians would move it by three pixels. Ask which
    unit a library means before you copy shear_range=0.2."""
    x = np.arange(32 * 32).reshape(1, 1, 32, 32)
    check_affine(attempt, x, shear=0.2)


def test_shift_is_not_scaled_or_turned(attempt):
    """The shift comes last: zoom and rotation change the picture about its centre, then it is moved by whole dy and dx
    of the output."""
    x = np.arange(1, 26).reshape(1, 1, 5, 5)
    check_affine(attempt, x, angle=90.0, dx=1.0)
    check_affine(attempt, x, zoom=2.0, dy=1.0)
    check_affine(attempt, x, shear=45.0, dy=1.0)


def test_shear_before_rotation(attempt):
    """Matrices do not commute: the picture is sheared, then turned."""
    check_affine(attempt, np.arange(1, 26).reshape(1, 1, 5, 5), shear=45.0, angle=90.0)


def test_each_image_has_its_own_map(attempt):
    """The parameters are arrays: one entry per image."""
    x = np.concatenate([SMALL, SMALL, SMALL + 10, SMALL + 20])
    check_affine(attempt, x, angle=[0.0, 90.0, 180.0, 0.0], dx=[1.0, 0.0, 0.0, 0.0], zoom=[1.0, 1.0, 1.0, 2.5])


def test_centre_of_images_that_are_not_square(attempt):
    """Rows have their centre and columns theirs, half a pixel off where a side is even."""
    for shape in ((4, 6), (3, 6), (6, 3), (1, 5), (2, 2)):
        x = np.arange(1, math.prod(shape) + 1).reshape(1, 1, *shape)
        check_affine(attempt, x, angle=90.0)
        check_affine(attempt, x, angle=30.0, zoom=1.5)


def test_affine_moves_channels_together(attempt):
    """One map per image, not per channel."""
    check_affine(attempt, ramp(2, channels=3, height=5), angle=[25.0, -70.0], dy=1.0, shear=10.0, zoom=0.8)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_affine_keeps_dtype_and_values(attempt, dtype):
    """Nearest neighbours are the image's own values, of its own dtype: nothing is averaged, nothing rounded."""
    x = (ramp(1, height=6, width=5, dtype="float64") * 8.25).astype(dtype)
    check_affine(attempt, x, angle=33.0, dx=0.7)


def test_affine_leaves_its_arguments_alone(attempt):
    """Neither the images nor the parameters may change."""
    check.unchanged(attempt.affine, ramp(2), *parameters(2, angle=20.0, dy=1.0, shear=5.0, zoom=1.1))


@pytest.mark.points(4)
@given(n=st.integers(1, 2), height=st.integers(1, 7), width=st.integers(1, 7), seed=st.integers(0, 999))
def test_affine_agrees(attempt, n, height, width, seed):
    """Any size, and all parameters at once, different for each image."""
    draw = np.random.default_rng(seed)
    check_affine(attempt, ramp(n, height=height, width=width), angle=draw.integers(-18, 19, n) * 10.0,
                 dy=draw.integers(-8, 9, n) / 4, dx=draw.integers(-8, 9, n) / 4, shear=draw.integers(-6, 7, n) * 10.0,
                 zoom=draw.integers(2, 9, n) / 4)


def test_affine_of_a_batch(attempt, rng):
    """Forty digits' worth of pixels at once, every parameter drawn from a continuous range."""
    x = rng.integers(0, 256, size=(40, 1, 28, 28)).astype(np.uint8)
    check_affine(attempt, x, angle=rng.uniform(-180, 180, 40), dy=rng.uniform(-6, 6, 40), dx=rng.uniform(-6, 6, 40),
                 shear=rng.uniform(-50, 50, 40), zoom=rng.uniform(0.4, 2.5, 40))


def test_returns_new_arrays(attempt, rng):
    """Where nothing is moved the result is a copy all the same: who writes to it must not reach the training set."""
    check.new_arrays(attempt.random_crop_flip, ramp(2), rng, pad=0, p_flip=0.0)
    check.new_arrays(attempt.affine, ramp(2), *parameters(2))
    check.new_arrays(attempt.random_affine, ramp(2), rng, max_angle_deg=0, max_shift=0)


# --- random_affine ----------------------------------------------------------------------------------------------------

SIDE, MANY = 45, 300
NAMES = ("angle", "dy", "dx", "shear", "zoom")
UNITS = ("degrees", "pixels", "pixels", "degrees", "times")
ERRORS = (2.2, 0.55, 0.55, 3.0, 0.04)
"""how far a parameter that was read off an image may be from the one it was made with: pixels are whole"""


def drawn(attempt, rng, **bounds):
    """What random_affine drew for MANY images: (MANY, 5), in the order of NAMES, read off images of coordinates."""
    one = np.stack(np.indices((SIDE, SIDE))).astype(np.int16)  # (2, H, W): each pixel holds its own row and column
    x = np.repeat(one[None], MANY, axis=0)
    got = alike(attempt.random_affine(x, rng, **bounds), x).astype(float)
    middle = (SIDE - 1) / 2
    out = np.stack([*(one.reshape(2, -1) - middle), np.ones(SIDE * SIDE)], axis=1)  # (H W, 3)
    found = np.empty((MANY, 5))
    for i, source in enumerate(got.reshape(MANY, 2, -1)):
        inside = ((source > 0) & (source < SIDE - 1)).all(0)  # what was clipped says nothing
        fit_, *_ = np.linalg.lstsq(out[inside], source[:, inside].T - middle, rcond=None)  # (3, 2)
        back = fit_[:2].T  # from output to input
        if inside.sum() < 30 or not 0.01 < np.linalg.det(back) < 100:
            check.fail(f"image {i} of random_affine with {bounds} is not its input turned, moved, sheared and zoomed "
                       "by any such amount")
        there = np.linalg.inv(back)
        angle = math.atan2(-there[0, 1], there[1, 1])
        zoom = math.hypot(there[0, 1], there[1, 1])
        turned = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) @ there / zoom
        dy, dx = -there @ fit_[2]
        found[i] = math.degrees(angle), dy, dx, math.degrees(math.atan(-turned[1, 0])), zoom
    return found


def check_uniform(values, which_one, low, high):
    """Within low to high, and evenly spread between them."""
    name, unit, error = NAMES[which_one], UNITS[which_one], ERRORS[which_one]
    least, most = (round(float(value), 2) + 0.0 for value in (values.min(), values.max()))  # + 0.0: no "-0"
    told = f"{name} of {len(values)} images lies between {least:g} and {most:g} {unit}"
    asked = f"; asked for: uniform from {low:g} to {high:g}"
    check.true(values.min() >= low - error and values.max() <= high + error, told + asked)
    near = 0.1 * (high - low) + error
    check.true(values.min() < low + near and values.max() > high - near, told + asked)
    ordered = np.clip((np.sort(values) - low) / (high - low), 0, 1)
    steps = np.arange(len(values) + 1) / len(values)
    gap = max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max())
    check.true(gap < KS_300 + error / (high - low), f"{told}, but not evenly: quartiles "
                                                    f"{np.quantile(values, (0.25, 0.5, 0.75)).round(2)}{asked}")


def check_still(values, which_one):
    """Where the bound is 0, nothing happens."""
    rest = float(NAMES[which_one] == "zoom")
    off = np.abs(values - rest).max()
    check.true(off <= ERRORS[which_one], f"{NAMES[which_one]} is {rest:g} give or take {off:.3g} "
                                         f"{UNITS[which_one]} though its bound is 0")


def test_bounds_of_zero(attempt, rng):
    """All bounds at 0: the images come back as they are."""
    x = ramp(8, channels=2)
    got = attempt.random_affine(x.copy(), rng, max_angle_deg=0, max_shift=0, max_shear_deg=0, max_zoom=0.0)
    check.equal(got, x)


@pytest.mark.parametrize("bound, value, moved", [("max_angle_deg", 40.0, (0,)), ("max_shift", 6.0, (1, 2)),
                                                 ("max_shear_deg", 30.0, (3,)), ("max_zoom", 0.4, (4,))],
                         ids=["angle", "shift", "shear", "zoom"])
def test_each_bound(attempt, rng, bound, value, moved):
    """Each parameter is drawn evenly from its whole range, to both sides: zoom between 1 - max_zoom and 1 + max_zoom,
    the others between minus and plus their bound."""
    bounds = {"max_angle_deg": 0.0, "max_shift": 0.0, "max_shear_deg": 0.0, "max_zoom": 0.0} | {bound: value}
    found = drawn(attempt, rng, **bounds)
    for i in range(5):
        if i in moved:
            rest = float(NAMES[i] == "zoom")
            check_uniform(found[:, i], i, rest - value, rest + value)
        else:
            check_still(found[:, i], i)


def test_parameters_are_drawn_apart(attempt, rng):
    """Five numbers per image. One number for all five turns every picture that is moved down to the left as well."""
    found = drawn(attempt, rng, max_angle_deg=40.0, max_shift=5.0, max_shear_deg=30.0, max_zoom=0.3)
    for i, low, high in ((0, -40, 40), (1, -5, 5), (2, -5, 5), (3, -30, 30), (4, 0.7, 1.3)):
        check_uniform(found[:, i], i, low, high)
    together = np.corrcoef(found.T) - np.eye(5)
    i, j = np.unravel_index(np.abs(together).argmax(), (5, 5))
    check.true(abs(together[i, j]) < 0.4, f"{NAMES[i]} and {NAMES[j]} of {MANY} images go together: their correlation "
                                          f"is {together[i, j]:.2f}")


def test_default_bounds(attempt):
    """10 degrees and 2 pixels, no shear and no zoom."""
    x = ramp(50, height=24, width=30)
    without, told = (alike(attempt.random_affine(x.copy(), np.random.default_rng(8), *args), x)
                     for args in ((), (10, 2, 0, 0.0)))
    check.equal(without, told, name="the result without bounds", calls=2)


def test_random_affine_repeats_edges(attempt, rng):
    """White pictures stay white, wherever they are moved."""
    x = ramp(50, height=1, width=1).repeat(9, axis=2).repeat(9, axis=3)
    got = attempt.random_affine(x, rng, max_angle_deg=45, max_shift=6, max_shear_deg=20, max_zoom=0.5)
    check.equal(got, x)


def test_random_affine_leaves_its_argument_alone(attempt, rng):
    """As before: the training set is used again."""
    check_images_unchanged(attempt.random_affine, ramp(8, dtype="uint8"), rng, max_angle_deg=40)


# --- make_augment -----------------------------------------------------------------------------------------------------

def augmenter(lab, seed):
    """make_augment(seed), known to be callable."""
    function = lab.model("make_augment", seed)
    check.true(callable(function), f"make_augment must return a function, not {check.describe(function)}")
    return function


def augmented(lab, function, images):
    """function(images), known to be bytes of the same shape."""
    with lab.on_device():
        got = function(images.clone())
    check.shape(got, images.shape, name="the augmented batch")
    check.true(check.is_tensor(got), f"the augmented batch is {check.describe(got)}; a Torch tensor is asked for")
    check.dtype(got, torch.uint8, name="the augmented batch",
                why="raw bytes in, raw bytes out: scaling belongs to the model")
    return got


def images_of(lab):
    """What the answer knows anyway: it is shown held-out images for prediction only."""
    return torch.cat([lab.x, lab.x_val])


def test_augment_returns_bytes(lab):
    """The loop that uses it knows nothing of what is in it: whatever the batch, its shape and dtype stay."""
    function = augmenter(lab, 0)
    for shape in ((8, 1, 28, 28), (1, 1, 28, 28), (3, 3, 32, 32)):
        images = torch.arange(math.prod(shape)).reshape(shape).to(torch.uint8)
        augmented(lab, function, images)


def test_augment_keeps_the_range(lab):
    """Bytes from 0 to 255: images divided by 255 and cast back to bytes are black."""
    images = images_of(lab)[:64]
    before, after = (batch.flatten(1).amax(1).float().mean().item()
                     for batch in (images, augmented(lab, augmenter(lab, 0), images)))
    check.true(after >= before / 2, f"the brightest pixel of an image is {before:.0f} on average, and {after:.1f} "
                                    "after augmentation")


def test_augment_varies_from_call_to_call(lab):
    """The same batch looks different in the next epoch. A transform that is drawn once is another data set of the same
    size."""
    function, images = augmenter(lab, 0), images_of(lab)[:64]
    first, second = (augmented(lab, function, images) for _ in range(2))
    check.true(not torch.equal(first, second), "the same 64 images were augmented in the same way twice")


def test_augment_varies_from_image_to_image(lab):
    """Every image of a batch has draws of its own."""
    got = augmented(lab, augmenter(lab, 0), lab.x[:1].repeat(64, 1, 1, 1))
    check.true(not torch.equal(got, got[:1].expand_as(got)), "64 copies of one image all came back the same")


def test_augment_same_seed_same_sequence(lab):
    """A run can be repeated: the seed fixes the whole sequence of calls, and no other draws disturb it. So the function
    keeps a generator of its own."""
    images = images_of(lab)[:32]
    one, other = augmenter(lab, 7), augmenter(lab, 7)
    for call in range(3):
        first, second = augmented(lab, one, images), augmented(lab, other, images)
        check.true(torch.equal(first, second), "two functions made by make_augment(7) and called in turn differ in "
                                               f"call {call}")


def test_augment_another_seed(lab):
    """Another seed, another sequence."""
    images = images_of(lab)[:64]
    first, second = (augmented(lab, augmenter(lab, seed), images) for seed in (1, 2))
    check.true(not torch.equal(first, second), "make_augment(1) and make_augment(2) do the same")


def test_augment_leaves_its_argument_alone(lab):
    """The batch may be a view of the training set."""
    check.unchanged(augmenter(lab, 0), images_of(lab)[:32].clone())


def test_augment_keeps_the_order(lab):
    """The labels are elsewhere, in the order of the batch: image i stays image i."""
    white = torch.randperm(32, generator=torch.Generator().manual_seed(2)) < 16
    images = (255 * white.to(torch.uint8))[:, None, None, None].repeat(1, *lab.x.shape[1:])
    means = augmented(lab, augmenter(lab, 0), images).float().mean((1, 2, 3))
    check.true(torch.equal(means > 127, white), "white and black images came back in another order: their mean is "
                                                f"{means.round().int().tolist()} for {images[:, 0, 0, 0].tolist()}")


@pytest.mark.points(3)
def test_labels_survive(lab):
    """A mirrored 2 is no digit, and a 6 upside down is a 9. A transform is legal if the label is still true after it.
    Here the judge's own network, which knows shifts, small rotations and holes, says what it sees before and after."""
    if lab.x.shape[1] != 1:
        return  # of photographs the gain alone decides
    model, images, labels = expert(lab), images_of(lab), torch.cat([lab.y, lab.y_val])
    before = predictions(model, images)
    known = before == labels
    after = predictions(model, augmented(lab, augmenter(lab, 0), images))
    kept = (after == before)[known].float().mean().item()
    lost = [f"{lab.classes[i]} ({(after != before)[known & (labels == i)].float().mean():.0%})"
            for i in range(len(lab.classes))]
    check.true(kept >= SURVIVE, f"the judge's network recognises {known.sum()} of {len(images)} digits, and "
                                f"{kept:.0%} of these after augmentation; asked for: {SURVIVE:.0%}. Lost: "
                                f"{', '.join(lost)}")


def expert(lab):
    """A network that reads digits well, shifted, turned and with holes too. Its numbers are kept from run to run."""
    x = torch.cat([lab.x_test, lab.x, lab.x_val])[:2500]
    y = torch.cat([lab.y_test, lab.y, lab.y_val])[:2500]
    model = expert_network()

    def make():
        torch.manual_seed(0)
        fresh = fit(expert_network(), x, y, harsh, epochs=12, rate=1e-2)
        return {f"{i}": value for i, value in enumerate(flat(fresh).tolist())}

    kept = lab.control("the judge's expert", make)
    values, place = torch.tensor([kept[str(i)] for i in range(len(kept))]), 0
    for tensor in model.state_dict().values():
        tensor.copy_(values[place:place + tensor.numel()].reshape(tensor.shape))
        place += tensor.numel()
    return model.eval()


def flat(model):
    return torch.cat([tensor.flatten().float() for tensor in model.state_dict().values()])


def expert_network(width=8):
    """(N, 1, 28, 28) -> (N, 10) logits; 7,362 parameters."""
    def block(c_in, c_out, size, shrink):
        conv = nn.Conv2d(c_in, c_out, size, stride=1 if shrink else 2, padding=size // 2, bias=False)
        return conv, nn.MaxPool2d(2) if shrink else nn.Identity(), nn.BatchNorm2d(c_out), nn.ReLU()

    return nn.Sequential(*block(1, width, 5, False), *block(width, 2 * width, 3, True),
                         *block(2 * width, 4 * width, 3, True), nn.AdaptiveMaxPool2d(2), nn.Flatten(),
                         nn.Linear(16 * width, 10))


def harsh(images):
    """Whatever a legal augmentation may do to a digit: all are moved, half get a hole, and a quarter get noise."""
    n, _, height, width = images.shape
    rng = np.random.default_rng(int(images.sum()))
    u = rng.uniform(-1, 1, (5, n))
    x = nearest(images.numpy(), *sources(15 * u[0], 3 * u[1:3].T, 10 * u[3], 1 + 0.15 * u[4], height, width))
    for one in x[: n // 2]:
        top, left = rng.integers(0, height - 8), rng.integers(0, width - 8)
        one[:, top:top + 8, left:left + 8] = 0
    some = x[n // 4: n // 2]
    some[:] = np.clip(some + rng.normal(0, 40, some.shape), 0, 255)
    return torch.from_numpy(x)


# --- training with augmentation that is given -------------------------------------------------------------------------

class Watched:
    """An augmentation to hand to train(): keeps count of what it is given."""

    def __init__(self, lab, augment):
        self._augment, self._shape = augment, tuple(lab.x.shape[1:])
        self._known = {image.tobytes(): i for i, image in enumerate(lab.x.numpy())}
        self._validation = {image.tobytes() for image in lab.x_val.numpy()}
        self.calls = 0
        self.images = np.zeros(len(lab.x), np.int64)
        """how often each training image came"""
        self.from_validation = self.unknown = 0

    def __call__(self, images):
        check.true(check.is_tensor(images), f"augment was given {check.describe(images)}; it takes a uint8 tensor "
                                            "(B, C, H, W)")
        check.true(images.dtype == torch.uint8 and images.ndim == 4 and tuple(images.shape[1:]) == self._shape,
                   f"augment was given {check.describe(images)}; it takes raw images, uint8 (B, "
                   f"{', '.join(map(str, self._shape))})", why="it stands at the very start, before any scaling")
        self.calls += 1
        for image in images.numpy():
            key = image.tobytes()
            if (place := self._known.get(key)) is not None:
                self.images[place] += 1
            elif key in self._validation:
                self.from_validation += 1
            else:
                self.unknown += 1
        return self._augment(images)


def blank(images):
    """Nothing is left to learn from."""
    return torch.zeros_like(images)


_WATCHED = weakref.WeakKeyDictionary()


@pytest.fixture
def watched(lab, reference):
    """What train() is given as `augment` in the graded run: the reference's own, watched."""
    if lab not in _WATCHED:
        _WATCHED[lab] = Watched(lab, reference.make_augment(0))
    lab.configure("train", augment=_WATCHED[lab])
    return _WATCHED[lab]


def test_keeps_a_short_budget(lab, reference):
    """With 2 seconds, train() must look at the clock and hand over what it has, however little that is."""
    lab.configure("train", augment=reference.make_augment(1))
    training.check_budget(lab, budget_s=2.0)


@pytest.mark.points(3)
def test_only_training_images_are_augmented(lab, watched):
    """Validation stands for the images that will come: augment it, and you measure something else, noisier and lower.
    The same holds for what the trained model is asked to classify."""
    run = lab.run
    calls = watched.calls
    check.true(calls > 0, "augment was never called")
    check.true(not watched.from_validation, f"augment was given {watched.from_validation:,} validation images")
    check.true(not watched.unknown, f"augment was given {watched.unknown:,} images that are no rows of x",
               why="give it rows of x as they are; scaling and whatever else you do comes after it")
    run.forward(lab.x_test[:8])
    check.true(watched.calls == calls, "the trained model calls augment on the images that it is to classify")


def test_every_epoch_is_augmented_anew(lab, watched):
    """Augmentation multiplies the data only if an image looks different each time it comes. Once before the first epoch
    gives as many images as there were."""
    _ = lab.run
    seen, count = watched.images, len(watched.images)
    check.true(seen.sum() >= 3 * count, f"in the whole run {seen.sum():,} images went through augment, of a training "
                                        f"set of {count:,}; asked for: at least three times each, on average")
    check.true((seen > 0).mean() >= 0.9, f"{(seen == 0).sum()} of {count:,} training images never went through "
                                           "augment")


@pytest.mark.points(3)
def test_trains_on_what_augment_returns(lab, watched):
    """Here augment returns black images, and so nothing can be learned. A model that recognises digits all the same was
    trained on the images as they were."""
    run = lab.train(lab.x[:150], lab.y[:150], seed=4, budget_s=10.0, augment=blank)
    images, labels = lab.x_test[:1000], lab.y_test[:1000]
    found = (run.logits(images).argmax(1) == labels).float().mean().item()
    check.true(found <= 0.25, f"trained with an augment that returns black images, the model recognises {found:.1%} of "
                              f"{len(labels):,} held-out images; chance is {1 / len(lab.classes):.0%}")


def test_validation_leaves_no_trace(lab, watched):
    """Validation images choose a model, and no more. In training mode BatchNorm averages what goes through it, gradient
    or not: the model is then fitted to the images that were to judge it."""
    lab.configure("train", augment=lambda images: images)
    training.check_validation_leaves_no_trace(lab)


def test_logits_are_scores(lab, watched):
    """Cross-entropy in PyTorch contains the softmax: a model that ends in one learns slowly."""
    training.check_logits(lab.run)


def test_same_image_same_logits(lab, watched):
    """What is random in training, dropout and batch statistics among it, is over when the model is returned."""
    training.check_same_twice(lab.run)


def test_one_image_alone(lab, watched):
    """An image's logits are the same alone and among 63 others."""
    training.check_alone(lab.run)


def test_predicting_changes_nothing(lab, watched):
    """A model that is in use must not go on learning from what it is shown."""
    training.check_state(lab.run)


@pytest.mark.points(3)
def test_accuracy(lab, watched):
    """The share of held-out images that are recognised, after training on few, with the augmentation that was given.
    See the profile for where the bar comes from."""
    training.check_accuracy(lab)


def test_same_seed_same_model(lab, reference, watched):
    """Weights and order follow from seed, and the augmentation from its own: the run can be repeated."""
    if lab.device != "cpu":
        return
    images = lab.x_test[:1000]
    first, second = (
        lab.train(lab.x[:64], lab.y[:64], seed=5, budget_s=10.0, augment=reference.make_augment(5)).logits(images)
        .argmax(1) for _ in range(2))
    share = (first == second).float().mean().item()
    check.true(share >= 0.999, f"trained twice with the same seed and the same augmentation, the models agree on "
                               f"{share:.1%} of {len(images):,} images")


# --- what make_augment is worth ---------------------------------------------------------------------------------------

def network(channels, side, classes):
    """(N, channels, side, side) -> (N, classes) logits, large enough to learn 300 wrong labels by heart."""
    width, small = (16, 32)[channels > 1], -(-side // 4)
    return nn.Sequential(nn.Conv2d(channels, width, 5, 2, 2), nn.ReLU(),
                         nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                         nn.Linear(2 * width * small * small, 64), nn.ReLU(), nn.Linear(64, classes))


def scaled(images):
    return images.float() / 128 - 1


def fit(model, x, y, augment, *, epochs, rate, batch=50, device="cpu"):
    """Train with Adam: a constant rate for half of the steps, then down to 0. Epochs are augmented in batches of 500.

    Random numbers here are Torch's global ones, and augment has its own: weights and order are the same without it.
    """
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    steps, step = epochs * -(-len(x) // batch), 0
    for _ in range(epochs):
        order = torch.randperm(len(x))
        images, labels = torch.cat([augment(part) for part in x[order].split(500)]).to(device), y[order].to(device)
        for chosen, wanted in zip(images.split(batch), labels.split(batch)):
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1, 2 - 2 * step / steps)
            loss = F.cross_entropy(model(scaled(chosen)), wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
    return model.eval()


def predictions(model, images, device="cpu"):
    with torch.no_grad():
        return torch.cat([model(scaled(part.to(device))).argmax(1).cpu() for part in images.split(500)])


def noisy(lab):
    """Training labels, a share of them replaced by random ones."""
    generator = torch.Generator().manual_seed(11)
    y = lab.y.clone()
    chosen = torch.randperm(len(y), generator=generator)[: round(lab.profile.settings["label_noise"] * len(y))]
    y[chosen] = torch.randint(len(lab.classes), chosen.shape, generator=generator)
    return y


def accuracy_with(lab, make):
    """The judge's network on held-out images, trained on noisy labels with make(seed); the mean over the seeds."""
    asked, y, found = lab.profile.settings, noisy(lab), []
    for seed in range(int(asked["gain_seeds"])):
        torch.manual_seed(seed)
        model = network(lab.x.shape[1], lab.x.shape[3], len(lab.classes)).to(lab.device)
        fit(model, lab.x, y, make(seed), epochs=int(asked["epochs"]), rate=asked["rate"], device=lab.device)
        found.append((predictions(model, lab.x_test, lab.device) == lab.y_test).float().mean().item())
    return sum(found) / len(found)


@pytest.mark.points(5)
def test_gain(lab):
    """What the augmentation is worth: the judge's own network is trained on the same few images, some of them wrongly
    labelled, with it and without it, and measured on held-out images as they are."""
    without = lab.control("without augmentation", lambda: {"accuracy": accuracy_with(lab, lambda seed: lambda x: x)})

    def make(seed):
        function = augmenter(lab, seed)
        return lambda images: augmented(lab, function, images)

    with lab.threads():
        reached = accuracy_with(lab, make)
    training.check_beats(lab, reached, without["accuracy"], lab.profile.settings["gain_points"], "without augmentation")
