"""The runs behind the measured figures: fits, trains and scores on generated data, and writes runs.json beside it.

Run it after a change:  python -m grader.site.figures.runs      (0.5 s; NumPy only; a test compares it with the file)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grader.site.figures.measured import FILE

Array = NDArray[np.float64]
_DIGITS = """
01110 00100 01110 11111 00010 11111 00110 11111 01110 01110
10001 01100 10001 00010 00110 10000 01000 00001 10001 10001
10011 00100 00001 00100 01010 11110 10000 00010 10001 10001
10101 00100 00010 00010 10010 00001 11110 00100 01110 01111
11001 00100 00100 00001 11111 00001 10001 01000 10001 00001
10001 00100 01000 10001 00010 10001 10001 01000 10001 00010
01110 01110 11111 01110 00010 01110 01110 01000 01110 01100
""".split()


def polynomials(seed: int = 3) -> dict[str, Any]:
    """Least-squares polynomials of growing degree through 24 noisy points of a sine: RMSE there, and on new points."""
    rng = np.random.default_rng(seed)

    def sample(n: int) -> tuple[Array, Array]:
        x = rng.uniform(-1, 1, n)
        return x, np.sin(np.pi * x) + 0.25 * rng.standard_normal(n)

    (x, y), (x_new, y_new) = sample(24), sample(1000)
    rows = []
    for degree in range(11):
        fit = np.polynomial.Chebyshev.fit(x, y, degree, domain=[-1, 1])
        rows.append([degree, _rmse(fit(x) - y), _rmse(fit(x_new) - y_new)])
    return {"rows": rows}


def epochs(seed: int = 0) -> dict[str, Any]:
    """64 hidden units on 60 noisy points of two moons: cross-entropy by epoch, training and validation."""
    rng = np.random.default_rng(seed)

    def moons(n: int) -> tuple[Array, Array]:
        y = np.arange(n) % 2
        angle = rng.uniform(0, np.pi, n)
        x = np.where(y[:, None] == 0, np.c_[np.cos(angle), np.sin(angle)],
                     np.c_[1 - np.cos(angle), 0.5 - np.sin(angle)])
        return x + 0.35 * rng.standard_normal((n, 2)), y.astype(float)

    (x, y), (x_new, y_new) = moons(60), moons(2000)
    weights = [rng.standard_normal((2, 64)), np.zeros(64), rng.standard_normal(64) / 8, np.zeros(1)]
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    rows = []
    for epoch in range(601):
        hidden, logits = _forward(x, weights)
        if epoch % 10 == 0:
            rows.append([epoch, _bce(logits, y), _bce(_forward(x_new, weights)[1], y_new)])
        delta = (1 / (1 + np.exp(-logits)) - y) / len(y)
        back = np.outer(delta, weights[2]) * (hidden > 0)
        gradients = [x.T @ back, back.sum(0), hidden.T @ delta, delta.sum(keepdims=True)]
        for i, g in enumerate(gradients):  # Adam
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            scale = 1e-2 * np.sqrt(1 - 0.999 ** (epoch + 1)) / (1 - 0.9 ** (epoch + 1))
            weights[i] = weights[i] - scale * first[i] / (np.sqrt(second[i]) + 1e-8)
    return {"rows": rows}


def confusion(seed: int = 0) -> dict[str, Any]:
    """Softmax regression on noisy, shifted digits of a 5 x 7 pixel font: counts [true][predicted] on 2000 new ones."""
    rng = np.random.default_rng(seed)
    font = np.array([[[int(bit) for bit in _DIGITS[10 * row + digit]] for row in range(7)] for digit in range(10)])

    def sample(n: int) -> tuple[Array, NDArray[np.intp]]:
        y = np.arange(n) % 10
        images = np.zeros((n, 8, 6))
        for image, digit, (dy, dx) in zip(images, y, rng.integers(0, 2, (n, 2))):
            image[dy:dy + 7, dx:dx + 5] = font[digit]
        return (images + 0.5 * rng.standard_normal(images.shape)).reshape(n, -1), y

    (x, y), (x_new, y_new) = sample(2000), sample(2000)
    w, b = np.zeros((x.shape[1], 10)), np.zeros(10)
    for _ in range(400):
        logits = x @ w + b
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(len(y)), y] -= 1
        w -= 0.5 * (x.T @ p / len(y) + 1e-3 * w)
        b -= 0.5 * p.mean(0)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y_new, (x_new @ w + b).argmax(1)), 1)
    return {"counts": counts.tolist()}


def ranking(seed: int = 0) -> dict[str, Any]:
    """Scores of 200 positives N(2, 1) among 19 800 negatives N(0, 1): the ROC and the PR curve, their areas."""
    rng = np.random.default_rng(seed)
    y = np.arange(20_000) < 200
    score = rng.standard_normal(y.size) + 2 * y
    hit = y[np.argsort(-score)]
    true, false = np.cumsum(hit), np.cumsum(~hit)
    tpr, fpr, precision = true / 200, false / (y.size - 200), true / np.arange(1, y.size + 1)
    area = float((score[y][:, None] > score[~y]).mean())
    at = np.unique(np.r_[np.geomspace(1, y.size, 90).astype(int) - 1, np.flatnonzero(hit)[9::10]])
    return {"auc": round(area, 4), "ap": round(float(precision[hit].mean()), 4),
            "roc": [[0.0, 0.0], *_rounded(fpr[at], tpr[at])], "pr": list(_rounded(tpr[at], precision[at]))}


def everything() -> dict[str, Any]:
    return {"polynomials": polynomials(), "epochs": epochs(), "confusion": confusion(), "ranking": ranking()}


def _forward(x: Array, weights: list[Array]) -> tuple[Array, Array]:
    hidden = np.maximum(x @ weights[0] + weights[1], 0)
    return hidden, hidden @ weights[2] + weights[3]


def _bce(logits: Array, y: Array) -> float:
    return round(float(np.mean(np.logaddexp(0, logits) - y * logits)), 4)


def _rmse(errors: Array) -> float:
    return round(float(np.sqrt(np.mean(errors**2))), 4)


def _rounded(x: Array, y: Array) -> Iterator[list[float]]:
    for a, b in zip(x, y):
        yield [round(float(a), 4), round(float(b), 4)]


if __name__ == "__main__":
    FILE.write_text(json.dumps(everything(), separators=(",", ":")) + "\n")
