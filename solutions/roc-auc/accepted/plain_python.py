"""Walks down the sorted samples with two counters, group by group; the area is summed on the same walk."""

from itertools import groupby

import numpy as np


def walk(y, score):
    """(false positives, true positives, threshold) at each point, as whole numbers."""
    rows = sorted(zip(score.tolist(), y.tolist()), reverse=True)
    fp = tp = 0
    points = [(0, 0, float("inf"))]
    for threshold, group in groupby(rows, key=lambda row: row[0]):
        for _, label in group:
            if label == 1:
                tp += 1
            else:
                fp += 1
        points.append((fp, tp, threshold))
    if not fp or not tp:
        raise ValueError("only one class")
    return points


def roc_curve(y, score):
    points = np.array(walk(y, score))
    return points[:, 0] / points[-1, 0], points[:, 1] / points[-1, 1], points[:, 2]


def roc_auc(y, score):
    points = walk(y, score)
    doubled = 0
    for (x0, y0, _), (x1, y1, _) in zip(points, points[1:]):
        doubled += (x1 - x0) * (y0 + y1)
    return doubled / (2 * points[-1][0] * points[-1][1])
