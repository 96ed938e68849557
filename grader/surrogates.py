"""Images for the training problems, drawn from a seed: SynthDigits in place of MNIST, SynthShapes of CIFAR-10.

Reads and writes no files, and decides nothing about how they are split: another seed gives another sample of the same
classes.

The same (n, seed) gives the same bytes everywhere, as far as NumPy's `Generator` keeps its streams. So pixels are made
with +, -, *, / and sqrt alone, which IEEE 754 fixes to the last bit; cos, exp, matmul and long sums it leaves open, and
a last bit can tip a pixel. Noise is drawn in float64, where the C library's exp next to never decides a sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
"""float32; NumPy's stubs lose the width"""
Parameters: TypeAlias = NDArray[np.float64]
Sample: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]
Point: TypeAlias = tuple[float, float]

CHUNK = 32
"""images drawn at a time: their temporaries stay in the processor's cache"""


def digits(n: int, seed: int) -> Sample:
    """SynthDigits: `n` grey images of hand-drawn digits, light on dark, with a class each.

    n: number of images, 0 or more; each class gets n // 10 of them or one more, in random order
    seed: 0 or more; the same (n, seed) gives the same images, another seed others
    ->   images (n, 1, 28, 28) uint8, labels (n,) int64: indices into DIGITS

    Raises ValueError for an n or a seed that is not a whole number, 0 or more.
    """
    rng, labels = _start(n, seed, 0)
    images = np.empty((n, 1, DIGIT_SIDE, DIGIT_SIDE), np.uint8)
    for label, chosen in _chunks(labels):
        images[chosen, 0] = _draw_digit(_SKELETONS[label], len(chosen), rng)
    return images, labels


def shapes(n: int, seed: int, *, source: bool = False) -> Sample:
    """SynthShapes: `n` colour images of one shape each, on a background with clutter.

    n: number of images, 0 or more; each class gets n // 10 of them or one more, in random order
    seed: 0 or more; the same (n, seed, source) gives the same images, another seed others
    source: draw ten other shapes, on which a backbone can be pretrained
    ->   images (n, 3, 32, 32) uint8, labels (n,) int64: indices into SHAPES, or into SOURCE_SHAPES

    Raises ValueError for an n or a seed that is not a whole number, 0 or more.
    """
    rng, labels = _start(n, seed, 2 if source else 1)
    drawings = list((_SOURCE if source else _TARGET).values())
    images = np.empty((n, 3, SHAPE_SIDE, SHAPE_SIDE), np.uint8)
    for label, chosen in _chunks(labels):
        images[chosen] = _draw_shape(drawings[label], len(chosen), rng)
    return images, labels


def _start(n: int, seed: int, kind: int) -> tuple[np.random.Generator, NDArray[np.int64]]:
    """A generator, different for every kind of image, and n balanced labels in random order."""
    for name, value in (("n", n), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise ValueError(f"{name} must be a whole number, 0 or more, not {value!r}")
    rng = np.random.Generator(np.random.PCG64([int(seed), kind]))
    order = np.argsort(rng.random(int(n)), kind="stable")
    return rng, (order % 10).astype(np.int64)


def _chunks(labels: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each class's images, at most CHUNK at a time: (label, their indices)."""
    for label in range(10):
        where = np.flatnonzero(labels == label)
        for begin in range(0, len(where), CHUNK):
            yield label, where[begin:begin + CHUNK]


def _uniform(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> Parameters:
    return low + (high - low) * rng.random(shape)


def _turn(angle: Parameters) -> tuple[Parameters, Parameters]:
    """cos and sin of angles (rad) within half a radian, to 1e-9, by Taylor's series: see the module's docstring."""
    q = angle * angle
    cos = 1 - q / 2 * (1 - q / 12 * (1 - q / 30 * (1 - q / 56)))
    sin = angle * (1 - q / 6 * (1 - q / 20 * (1 - q / 42 * (1 - q / 72))))
    return cos, sin


def _pixels(light: Floats, sigma: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Brightness, 0 to 1, with Gaussian noise, as bytes. Overwrites `light`."""
    light += (sigma * rng.standard_normal(light.shape)).astype(np.float32)
    np.clip(light, 0, 1, out=light)
    light *= 255
    light += 0.5
    return light.astype(np.uint8)


# --- SynthDigits ------------------------------------------------------------------------------------------------------

DIGITS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
DIGIT_SIDE = 28
DIGIT_BOX = 18.0
"""px: a skeleton's box of 1 x 1 before it is scaled"""
DIGIT_JITTER = 0.03
"""standard deviation of a vertex's place, in boxes"""
DIGIT_ROTATION = 0.35
"""rad, either way"""
DIGIT_X_SCALE = (0.6, 1.05)
DIGIT_Y_SCALE = (0.7, 1.05)
DIGIT_SHEAR = 0.35
"""px to the side per px upwards, either way"""
DIGIT_SHIFT = 3.0
"""px, either way, along each axis"""
DIGIT_PEN = (0.7, 1.5)
"""px: half the width of a stroke"""
DIGIT_CONTRAST = (0.6, 1.0)
"""brightness of the ink, where the paper is 0 and the brightest pixel 1"""
DIGIT_NOISE = 0.12
"""standard deviation of every pixel's noise, in the same unit"""


def _arc(x: float, y: float, rx: float, ry: float, begin: float, end: float, steps: int) -> list[Point]:
    """Points on an ellipse about (x, y), from angle `begin` to `end` in turns; 0 is right, 0.25 down."""
    angles = 2 * np.pi * np.linspace(begin, end, steps + 1)
    # rounded, so that the last bit of a machine's cos reaches no pixel
    return [(round(x + rx * float(np.cos(a)), 3), round(y + ry * float(np.sin(a)), 3)) for a in angles]


_STROKES: tuple[tuple[list[Point], ...], ...] = (
    (_arc(0.5, 0.5, 0.34, 0.5, 0, 1, 10),),
    ([(0.28, 0.24), (0.54, 0.0), (0.54, 0.5), (0.54, 1.0)],),
    ([*_arc(0.48, 0.29, 0.33, 0.29, 0.52, 1.08, 5), (0.58, 0.66), (0.14, 1.0), (0.86, 1.0)],),
    ([*_arc(0.46, 0.25, 0.31, 0.25, 0.58, 1.25, 5), *_arc(0.46, 0.75, 0.36, 0.25, 0.75, 1.42, 5)],),
    ([(0.6, 0.0), (0.12, 0.66), (0.9, 0.66)], [(0.66, 0.3), (0.66, 1.0)]),
    ([(0.82, 0.0), (0.26, 0.0), (0.2, 0.46), *_arc(0.46, 0.68, 0.37, 0.32, 0.74, 1.4, 5)],),
    ([(0.74, 0.02), (0.4, 0.2), (0.2, 0.5), *_arc(0.5, 0.72, 0.32, 0.28, 0.5, -0.5, 8)],),
    ([(0.14, 0.0), (0.86, 0.0), (0.6, 0.5), (0.4, 1.0)],),
    (_arc(0.5, 0.24, 0.27, 0.24, 0.25, 1.25, 8), _arc(0.5, 0.74, 0.34, 0.26, 0.75, 1.75, 8)),
    ([*_arc(0.5, 0.28, 0.31, 0.28, 0, -1, 8), (0.8, 0.5), (0.74, 1.0)],),
)
"""each digit's strokes, in a box of 1 x 1: x to the right, y down"""


class _Skeleton:
    """Vertices (V, 2) about the box's centre, and segments as pairs of them (S, 2). Strokes that touch share one."""

    def __init__(self, strokes: Sequence[Sequence[Point]]) -> None:
        places = {point: i for i, point in enumerate(dict.fromkeys(point for stroke in strokes for point in stroke))}
        self.vertices = np.array(list(places), np.float64) - 0.5
        self.segments = [(places[a], places[b]) for stroke in strokes for a, b in pairwise(stroke) if a != b]


_SKELETONS = tuple(_Skeleton(strokes) for strokes in _STROKES)


def _draw_digit(skeleton: _Skeleton, n: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """n images (n, 28, 28) of one digit."""
    x, y = _place_digit(skeleton, n, rng)
    pen = _uniform(rng, *DIGIT_PEN, (n, 1, 1)).astype(np.float32)
    ink = _uniform(rng, *DIGIT_CONTRAST, (n, 1, 1)).astype(np.float32)
    light = np.sqrt(_squared_distance(x, y, skeleton.segments))  # (n, 28, 28)
    np.subtract(pen + 0.5, light, out=light)
    np.clip(light, 0, 1, out=light)  # an edge one pixel wide
    light *= ink
    return _pixels(light, DIGIT_NOISE, rng)


def _place_digit(skeleton: _Skeleton, n: int, rng: np.random.Generator) -> tuple[Parameters, Parameters]:
    """The vertices of n drawings in pixels: x (n, V), y (n, V)."""
    vertices = skeleton.vertices + DIGIT_JITTER * rng.standard_normal((n, *skeleton.vertices.shape))
    x = DIGIT_BOX * _uniform(rng, *DIGIT_X_SCALE, (n, 1)) * vertices[..., 0]
    y = DIGIT_BOX * _uniform(rng, *DIGIT_Y_SCALE, (n, 1)) * vertices[..., 1]
    x = x - _uniform(rng, -DIGIT_SHEAR, DIGIT_SHEAR, (n, 1)) * y
    cos, sin = _turn(_uniform(rng, -DIGIT_ROTATION, DIGIT_ROTATION, (n, 1)))
    shift = (DIGIT_SIDE - 1) / 2 + _uniform(rng, -DIGIT_SHIFT, DIGIT_SHIFT, (2, n, 1))
    return cos * x - sin * y + shift[0], sin * x + cos * y + shift[1]


def _squared_distance(x: Parameters, y: Parameters, segments: Sequence[tuple[int, int]]) -> Floats:
    """Each pixel's squared distance (n, 28, 28) to the nearest segment between vertices x, y (n, V)."""
    grid = np.arange(DIGIT_SIDE, dtype=np.float64)
    nearest = np.full((len(x), DIGIT_SIDE, DIGIT_SIDE), np.inf, np.float32)
    for a, b in segments:
        dx, dy = x[:, b] - x[:, a], y[:, b] - y[:, a]
        length = np.sqrt(dx * dx + dy * dy)
        cos, sin = (dx / length)[:, None], (dy / length)[:, None]
        px, py = grid - (x[:, a] + x[:, b])[:, None] / 2, grid - (y[:, a] + y[:, b])[:, None] / 2  # (n, 28)
        half = (length / 2).astype(np.float32)[:, None, None]
        along = _plane(cos * px, sin * py)
        np.abs(along, out=along)
        np.maximum(along, half, out=along)
        along -= half  # how far beyond either end
        along *= along
        across = _plane(-sin * px, cos * py)
        across *= across
        along += across
        np.minimum(nearest, along, out=nearest)
    return nearest


def _plane(along_x: Parameters, along_y: Parameters) -> Floats:
    """(n, W) and (n, H) -> their sums (n, H, W)."""
    return along_x.astype(np.float32)[:, None, :] + along_y.astype(np.float32)[:, :, None]


# --- SynthShapes ------------------------------------------------------------------------------------------------------

SHAPE_SIDE = 32
SHAPE_SIZE = (6.5, 11.0)
"""px from the centre to the edge of a shape's box"""
SHAPE_SHIFT = 6.0
"""px, either way, along each axis"""
SHAPE_ROTATION = 0.45
"""rad, either way"""
SHAPE_ASPECT = (0.8, 1.2)
"""width over height, at the same area"""
SHAPE_CONTRAST = 0.3
"""least difference of shape and background in brightness, 0 to 1, on average over the channels"""
SHAPE_SHADING = 0.3
"""how much brighter, or darker, each edge of the image is lit than its middle, at most"""
SHAPE_CLUTTER = 3
"""boxes behind the shape, at most"""
SHAPE_CLUTTER_SIZE = (1.5, 4.5)
"""px: half the side of such a box"""
SHAPE_NOISE = 0.10
"""standard deviation of every channel's noise, in brightness from 0 to 1"""

SQRT_HALF = math.sqrt(0.5)

Drawing: TypeAlias = Callable[[Floats, Floats], Floats]
"""Signed distance to a shape's edge, negative within, at (u, v): u right, v down, the shape's box from -1 to 1."""


def _any(*parts: Floats) -> Floats:
    joined = parts[0]
    for part in parts[1:]:
        joined = np.minimum(joined, part)
    return joined


def _all(*parts: Floats) -> Floats:
    common = parts[0]
    for part in parts[1:]:
        common = np.maximum(common, part)
    return common


def _box(u: Floats, v: Floats, x: float, y: float, width: float, height: float) -> Floats:
    """A box about (x, y), given by half its sides."""
    return _all(np.abs(u - x) - width, np.abs(v - y) - height)


def _disc(u: Floats, v: Floats, x: float, y: float, radius: float) -> Floats:
    du, dv = u - x, v - y
    edge: Floats = np.sqrt(du * du + dv * dv) - radius
    return edge


def _outline(edge: Floats, width: float) -> Floats:
    """The line along an edge, inside it."""
    line: Floats = np.abs(edge + width / 2) - width / 2
    return line


def _diamond(u: Floats, v: Floats, radius: float) -> Floats:
    return SQRT_HALF * (np.abs(u) + np.abs(v) - radius)


def _triangle(u: Floats, v: Floats) -> Floats:
    return _all(v - 0.8, (2 * np.abs(u) - v - 1) / math.sqrt(5))


def _checker(u: Floats, v: Floats) -> Floats:
    return _all(_box(u, v, 0, 0, 0.85, 0.85), np.sign(u) * np.sign(v) * np.minimum(np.abs(u), np.abs(v)))


def _z(u: Floats, v: Floats) -> Floats:
    slash = _all(SQRT_HALF * np.abs(u + v) - 0.2, np.abs(v) - 0.85)
    return _any(_box(u, v, 0, -0.68, 0.85, 0.17), _box(u, v, 0, 0.68, 0.85, 0.17), slash)


_TARGET: dict[str, Drawing] = {
    "disc": lambda u, v: _disc(u, v, 0, 0, 0.9),
    "ring": lambda u, v: _outline(_disc(u, v, 0, 0, 0.95), 0.35),
    "square": lambda u, v: _box(u, v, 0, 0, 0.8, 0.8),
    "frame": lambda u, v: _outline(_box(u, v, 0, 0, 0.85, 0.85), 0.35),
    "triangle": _triangle,
    "plus": lambda u, v: _any(_box(u, v, 0, 0, 0.95, 0.27), _box(u, v, 0, 0, 0.27, 0.95)),
    "bar": lambda u, v: _box(u, v, 0, 0, 1, 0.3),
    "L": lambda u, v: _any(_box(u, v, -0.5, 0, 0.25, 0.9), _box(u, v, 0, 0.65, 0.75, 0.25)),
    "two dots": lambda u, v: _disc(np.abs(u), v, 0.55, 0, 0.4),
    "checker": _checker,
}
_SOURCE: dict[str, Drawing] = {
    "crescent": lambda u, v: _all(_disc(u, v, 0, 0, 0.95), -_disc(u, v, 0.45, 0, 0.75)),
    "T": lambda u, v: _any(_box(u, v, 0, -0.65, 0.85, 0.25), _box(u, v, 0, 0, 0.25, 0.9)),
    "half-disc": lambda u, v: _all(_disc(u, v, 0, 0.45, 1.0), v - 0.45),
    "diamond frame": lambda u, v: _outline(_diamond(u, v, 1.1), 0.33),
    "diamond": lambda u, v: _diamond(u, v, 1.05),
    "Z": _z,
    "double bar": lambda u, v: _box(u, np.abs(v), 0, 0.5, 0.95, 0.22),
    "target": lambda u, v: _any(_outline(_disc(u, v, 0, 0, 1.0), 0.28), _disc(u, v, 0, 0, 0.38)),
    "U": lambda u, v: _any(_box(np.abs(u), v, 0.6, 0, 0.22, 0.9), _box(u, v, 0, 0.68, 0.8, 0.22)),
    "three dots": lambda u, v: _any(_disc(np.abs(u), v, 0.55, 0.4, 0.36), _disc(u, v, 0, -0.52, 0.36)),
}
SHAPES = tuple(_TARGET)
SOURCE_SHAPES = tuple(_SOURCE)


def _draw_shape(drawing: Drawing, n: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """n images (n, 3, 32, 32) of one shape."""
    ground, colour = _colours(n, rng)
    light = np.empty((n, 3, SHAPE_SIDE, SHAPE_SIDE), np.float32)
    light[:] = ground
    _add_clutter(light, rng)
    u, v, size = _place_shape(n, rng)
    _paint(light, drawing(u, v) * size, colour)
    middle = (SHAPE_SIDE - 1) / 2
    grid = (np.arange(SHAPE_SIDE) - middle) / middle
    slope = _uniform(rng, -SHAPE_SHADING, SHAPE_SHADING, (2, n, 1))
    light *= _plane(1 + slope[0] * grid, slope[1] * grid)[:, None]
    return _pixels(light, SHAPE_NOISE, rng)


def _colours(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Background and shape, each (n, 3, 1, 1); drawn anew until they can be told apart."""
    pairs = rng.random((n, 2, 3))
    while True:
        gap = np.abs(pairs[:, 0] - pairs[:, 1])
        alike = np.flatnonzero(gap[:, 0] + gap[:, 1] + gap[:, 2] < 3 * SHAPE_CONTRAST)
        if not len(alike):
            break
        pairs[alike] = rng.random((len(alike), 2, 3))
    colours = pairs.astype(np.float32)[..., None, None]
    return colours[:, 0], colours[:, 1]


def _add_clutter(light: Floats, rng: np.random.Generator) -> None:
    """Paint up to SHAPE_CLUTTER boxes of random colours on each image."""
    n = len(light)
    grid = np.arange(SHAPE_SIDE, dtype=np.float64)
    count = rng.integers(0, SHAPE_CLUTTER + 1, n)
    for box in range(SHAPE_CLUTTER):
        centre = _uniform(rng, 0, SHAPE_SIDE - 1, (2, n, 1))
        half = _uniform(rng, *SHAPE_CLUTTER_SIZE, (2, n, 1))
        colour = rng.random((n, 3, 1, 1)).astype(np.float32)
        x, y = (np.abs(grid - centre) - half).astype(np.float32)  # (n, 32) each
        there = count > box
        _paint(light, np.maximum(x[:, None, :], y[:, :, None]), colour, there)


def _place_shape(n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """The shape's own coordinates u, v (n, 32, 32) of every pixel, and the shape's size in pixels (n, 1, 1)."""
    size = _uniform(rng, *SHAPE_SIZE, (n, 1))
    stretch = np.sqrt(_uniform(rng, *SHAPE_ASPECT, (n, 1)))
    cos, sin = _turn(_uniform(rng, -SHAPE_ROTATION, SHAPE_ROTATION, (n, 1)))
    middle = (SHAPE_SIDE - 1) / 2
    px, py = np.arange(SHAPE_SIDE) - middle - _uniform(rng, -SHAPE_SHIFT, SHAPE_SHIFT, (2, n, 1))  # (n, 32) each
    width, height = size * stretch, size / stretch
    u = _plane(cos * px / width, sin * py / width)
    v = _plane(-sin * px / height, cos * py / height)
    return u, v, size.astype(np.float32)[..., None]


def _paint(light: Floats, edge: Floats, colour: Floats, there: NDArray[np.bool_] | None = None) -> None:
    """Cover images (n, 3, H, W) with a colour (n, 3, 1, 1) where `edge` (n, H, W), in pixels, is negative.

    there: (n,) the images to paint; all where None.
    """
    cover = np.clip(0.5 - edge, 0, 1)  # an edge one pixel wide
    if there is not None:
        cover *= there[:, None, None]
    light += cover[:, None] * (colour - light)
