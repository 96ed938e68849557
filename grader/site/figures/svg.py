"""SVG by the line: a panel to draw on, and axes to plot in. Knows no figure.

Colours are classes of static/site.css (strokes l0 to l5, fills f0 to f2, text t and q): a picture follows the theme.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape


@dataclass
class Panel:
    """One picture of width x height pixels, with what a screen reader says of it."""

    width: int
    height: int
    title: str
    description: str
    parts: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str = "axis") -> None:
        self.parts.append(f'<path class="{style}" d="M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}"/>')

    def path(self, points: Iterable[tuple[float, float]], style: str, close: bool = False) -> None:
        way = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self.parts.append(f'<path class="{style}" d="M{way}{"Z" if close else ""}"/>')

    def rect(self, x: float, y: float, width: float, height: float, style: str, *, opacity: float | None = None,
             round_by: float = 0) -> None:
        faint = "" if opacity is None else f' fill-opacity="{_n(opacity)}"'
        corner = f' rx="{_n(round_by)}"' if round_by else ""
        self.parts.append(f'<rect class="{style}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
                          f'{corner}{faint}/>')

    def circle(self, x: float, y: float, r: float, style: str) -> None:
        self.parts.append(f'<circle class="{style}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}"/>')

    def text(self, x: float, y: float, words: str, style: str = "t", anchor: str = "middle") -> None:
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(f'<text class="{style}" x="{_n(x)}" y="{_n(y)}"{where}>{escape(words, quote=False)}</text>')

    def arrow(self, points: Sequence[tuple[float, float]], style: str = "l0") -> None:
        """A line along the points with a head at its end; the last stretch is horizontal or vertical."""
        (x0, y0), (x, y) = points[-2], points[-1]
        dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
        self.path(points, style)
        back_x, back_y = x - 7 * dx, y - 7 * dy
        self.path([(x, y), (back_x - 4 * dy, back_y - 4 * dx), (back_x + 4 * dy, back_y + 4 * dx)], "f0", close=True)

    def svg(self, name: str) -> str:
        """The picture. name: unique on the page."""
        size = f'viewBox="0 0 {self.width} {self.height}" width="{self.width}" height="{self.height}"'
        title, description = escape(self.title, quote=False), escape(self.description, quote=False)
        return (f'<svg role="img" {size} aria-labelledby="{name}-title {name}-text"><title id="{name}-title">{title}'
                f'</title><desc id="{name}-text">{description}</desc>{"".join(self.parts)}</svg>')


@dataclass
class Axes:
    """A plotting area on a panel: x from x0 to x1 and y from y0 to y1, in the box (left, top, right, bottom)."""

    panel: Panel
    x: tuple[float, float]
    y: tuple[float, float]
    box: tuple[float, float, float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = self.box
        return (left + (x - self.x[0]) / (self.x[1] - self.x[0]) * (right - left),
                bottom - (y - self.y[0]) / (self.y[1] - self.y[0]) * (bottom - top))

    def frame(self, x_ticks: Iterable[float], y_ticks: Iterable[float], x_label: str, y_label: str) -> None:
        left, top, right, bottom = self.box
        for tick in y_ticks:
            _, y = self.at(self.x[0], tick)
            self.panel.line(left, y, right, y, "grid")
            self.panel.text(left - 6, y + 4, _tick(tick), "q", "end")
        for tick in x_ticks:
            x, _ = self.at(tick, self.y[0])
            self.panel.line(x, bottom, x, bottom + 4)
            self.panel.text(x, bottom + 17, _tick(tick), "q")
        self.panel.line(left, bottom, right, bottom)
        self.panel.text((left + right) / 2, bottom + 34, x_label, "q")
        self.panel.text(left, top - 9, y_label, "q", "start")

    def plot(self, points: Iterable[tuple[float, float]], style: str) -> None:
        self.panel.path([self.at(x, y) for x, y in points], style)

    def legend(self, rows: Sequence[tuple[str, str]], x: float, y: float) -> None:
        """(style, words) rows from the point (x, y) of the panel downwards."""
        for i, (style, words) in enumerate(rows):
            self.panel.line(x, y + 18 * i - 4, x + 24, y + 18 * i - 4, style)
            self.panel.text(x + 30, y + 18 * i, words, "t", "start")


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 1 or value == 0 else f"{value:.2f}"


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "−")
