"""The generated images: their shapes, their balance, the same bytes everywhere, and pixels that tell the classes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from grader import surrogates
from grader.surrogates import DIGITS, SHAPES, SOURCE_SHAPES, Sample, digits, shapes

source_shapes = partial(shapes, source=True)
KINDS = {"digits": (digits, (1, 28, 28)), "shapes": (shapes, (3, 32, 32)), "source": (source_shapes, (3, 32, 32))}
every_kind = pytest.mark.parametrize(("draw", "shape"), KINDS.values(), ids=KINDS)
Draw = Callable[[int, int], Sample]


def fingerprint(sample: Sample) -> str:
    images, labels = sample
    return hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()


def each(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_class_names() -> None:
    assert tuple("0123456789") == DIGITS
    assert SHAPES == ("disc", "ring", "square", "frame", "triangle", "plus", "bar", "L", "two dots", "checker")
    assert SOURCE_SHAPES == ("crescent", "T", "half-disc", "diamond frame", "diamond", "Z", "double bar", "target", "U",
                             "three dots")


@every_kind
@pytest.mark.parametrize("n", [0, 1, 7, 10, 333, np.int32(12)])
def test_shapes_dtypes_and_balance(draw: Draw, shape: tuple[int, ...], n: int) -> None:
    images, labels = draw(n, 5)
    assert images.shape == (n, *shape)
    assert images.dtype == np.uint8
    assert labels.shape == (n,)
    assert labels.dtype == np.int64
    counts = np.bincount(labels, minlength=10)
    assert counts.shape == (10,)
    assert set(counts) <= {n // 10, n // 10 + 1}
    assert images.flags.owndata


@every_kind
def test_labels_are_shuffled(draw: Draw, shape: tuple[int, ...]) -> None:
    labels = draw(200, 0)[1]
    assert 5 <= (labels[1:] == labels[:-1]).sum() <= 40  # sorted: 190, in turns: 0
    assert len(set(labels[:20].tolist())) > 5
    assert not np.array_equal(labels, draw(200, 1)[1])


@every_kind
@pytest.mark.parametrize(("n", "seed"), [(-1, 0), (2.0, 0), ("3", 0), (True, 0), (None, 0), (3, -1), (3, 0.5)])
def test_a_bad_n_or_seed_is_refused(draw: Draw, shape: tuple[int, ...], n: int, seed: int) -> None:
    with pytest.raises(ValueError, match="must be a whole number, 0 or more"):
        draw(n, seed)


@pytest.mark.parametrize(("kind", "sha256"), [
    ("digits", "f66723222825a4c94a775de50caf5fcc9cbf5b6f97aaa50290b206a9da4d804d"),
    ("shapes", "e470c357bb8ef4c8b4dfc3cd386853c5c3b247caa228daa77a1f3c6a48e726dc"),
    ("source", "8b937d188ce8261b6b83c64022918d79b7d25f76791d23385c646f4642f4c553"),
])
def test_the_bytes_never_change(kind: str, sha256: str) -> None:
    """Thresholds are calibrated on these images: whoever changes one measures them anew."""
    assert fingerprint(KINDS[kind][0](50, 0)) == sha256


@every_kind
def test_the_same_seed_gives_the_same_images(draw: Draw, shape: tuple[int, ...]) -> None:
    np.random.seed(0)
    first = fingerprint(draw(120, 3))
    np.random.seed(1)
    assert fingerprint(draw(120, 3)) == first
    assert fingerprint(draw(120, np.int64(3))) == first


def test_the_global_generator_is_left_alone() -> None:
    np.random.seed(0)
    expected = np.random.random(3)
    np.random.seed(0)
    digits(20, 0), shapes(20, 0)
    assert np.array_equal(np.random.random(3), expected)


@every_kind
def test_no_image_is_repeated_within_or_between_seeds(draw: Draw, shape: tuple[int, ...]) -> None:
    samples = [draw(300, seed)[0] for seed in range(3)]
    assert len(set.union(*map(each, samples))) == 900


def test_source_and_target_share_no_background() -> None:
    """One seed for both kinds must not pair their images: the colours of the corners would match."""
    target, source = shapes(200, 0)[0][..., :3, :3], source_shapes(200, 0)[0][..., :3, :3]
    far = np.abs(target.mean(axis=(2, 3)) - source.mean(axis=(2, 3))).max(axis=1)
    assert np.median(far) > 60


def test_every_class_has_a_drawing_of_its_own() -> None:
    """All twenty shapes, source and target, drawn alike on one grid: each covers other pixels than any other."""
    axis = np.linspace(-1, 1, 41, dtype=np.float32)
    u, v = np.broadcast_to(axis, (41, 41)), np.broadcast_to(axis[:, None], (41, 41))
    drawings = {**surrogates._TARGET, **surrogates._SOURCE}
    assert len(drawings) == 20
    covers = {name: np.asarray(drawing(u, v)) < 0 for name, drawing in drawings.items()}
    for name, cover in covers.items():
        assert 0.1 < cover.mean() < 0.75, name
        for other in set(covers) - {name}:
            union = (cover | covers[other]).sum()
            assert (cover & covers[other]).sum() / union < 0.85, (name, other)


@every_kind
def test_images_use_the_whole_range(draw: Draw, shape: tuple[int, ...]) -> None:
    images = draw(200, 0)[0]
    assert images.min() == 0
    assert images.max() == 255
    assert len(np.unique(images)) == 256


def test_digits_are_light_on_dark_and_of_their_contrast() -> None:
    images = digits(300, 0)[0].reshape(300, -1)
    assert np.median(images) < 25
    brightest = np.sort(images, axis=1)[:, -20:].mean(axis=1) / 255
    assert 0.5 < brightest.min() < brightest.max() <= 1
    assert 0.03 < (images > 128).mean() < 0.2


def test_shapes_differ_from_their_background() -> None:
    """The colour in the middle half differs from the border's somewhere in nearly every image, in whatever channel."""
    images = shapes(300, 0)[0].astype(np.float64) / 255
    border = np.concatenate([images[..., :3, :].reshape(300, 3, -1), images[..., -3:, :].reshape(300, 3, -1)], axis=2)
    gap = np.abs(images[:, :, 6:26, 6:26] - np.median(border, axis=2)[..., None, None]).mean(axis=1)
    assert (np.quantile(gap, 0.97, axis=(1, 2)) > 0.25).mean() > 0.95


def nearest_mean_accuracy(train: Sample, test: Sample) -> float:
    x, x_test = (images.reshape(len(images), -1) / 255 for images, _ in (train, test))
    means = np.stack([x[train[1] == label].mean(axis=0) for label in range(10)])
    guesses = ((means * means).sum(axis=1) - 2 * x_test @ means.T).argmin(axis=1)
    return float((guesses == test[1]).mean())


def test_digits_carry_signal_that_a_linear_model_finds_only_in_part() -> None:
    assert 0.4 < nearest_mean_accuracy(digits(1000, 1), digits(500, 2)) < 0.7


@pytest.mark.parametrize("draw", [shapes, source_shapes], ids=["target", "source"])
def test_shapes_carry_no_signal_in_single_pixels(draw: Draw) -> None:
    assert nearest_mean_accuracy(draw(1000, 1), draw(500, 2)) < 0.2


def test_turns_are_exact() -> None:
    angle = np.linspace(-0.5, 0.5, 101)
    cos, sin = surrogates._turn(angle)
    assert np.allclose(cos, np.cos(angle), rtol=0, atol=1e-9)
    assert np.allclose(sin, np.sin(angle), rtol=0, atol=1e-9)


def test_strokes_that_meet_share_a_vertex() -> None:
    """Jitter must not tear a digit apart: every skeleton but the 4, whose strokes cross, hangs together."""
    for digit, skeleton in zip(DIGITS, surrogates._SKELETONS, strict=True):
        assert all(a != b for a, b in skeleton.segments), digit
        reached, edge = {0}, {0}
        while edge:
            edge = {b for s in skeleton.segments for a, b in (s, s[::-1]) if a in edge} - reached
            reached |= edge
        assert digit == "4" or reached == set(range(len(skeleton.vertices)))
