"""Training curves as lines of characters. Prints nothing, and knows nothing of verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

MARK, LAST = "*", "o"


def series(curve: Sequence[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    """The points (x, value) at which `name` was logged: x is the step, where it was given, else the seconds."""
    by_step = all("step" in point for point in curve)
    points = ((point["step" if by_step else "elapsed_s"], point[name]) for point in curve if name in point)
    return [(float(x), float(y)) for x, y in points]


def names(curve: Sequence[Mapping[str, float]]) -> list[str]:
    """What was logged, besides the axes: losses first, then accuracies, then the rest."""
    found = dict.fromkeys(name for point in curve for name in point if name not in ("step", "total", "elapsed_s"))
    return sorted(found, key=lambda name: (0 if "loss" in name else 1 if "acc" in name else 2))


def draw(points: Sequence[tuple[float, float]], *, width: int = 72, height: int = 9) -> list[str]:
    """A chart of (x, y) points, `width` characters wide, with its smallest and largest values on the axes.

    Points that are not finite are left out; a column shows the mean of its points.
    """
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not finite:
        return ["(no finite value)"]
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    first, last = min(x for x, _ in finite), max(x for x, _ in finite)
    labels = [_short(high), _short(low)]
    margin = max(map(len, labels)) + 1
    columns = max(8, width - margin - 2)
    bins: dict[int, list[float]] = {}
    for x, y in finite:
        place = round((x - first) / (last - first) * (columns - 1)) if last > first else 0
        bins.setdefault(place, []).append(y)
    grid = [[" "] * columns for _ in range(height)]
    for place, values in bins.items():
        y = sum(values) / len(values)
        row = round((high - y) / (high - low) * (height - 1)) if high > low else height // 2
        grid[row][place] = LAST if place == max(bins) else MARK
    lines = []
    for i, cells in enumerate(grid):
        label = labels[0] if i == 0 else labels[1] if i == height - 1 and high > low else ""
        lines.append(f"{label:>{margin - 1}} |{''.join(cells)}".rstrip())
    start, end = _short(first), _short(last)
    gap = max(1, columns - len(start) - len(end))
    lines.append(" " * margin + "+" + "-" * columns)
    lines.append(" " * (margin + 1) + start + " " * gap + end)
    return lines


def _short(value: float) -> str:
    return f"{value:.4g}"
