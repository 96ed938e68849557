"""One-hot matrices: true positives are where both are set. Divides into arrays that already hold zero_division."""

import numpy as np


def divide(numerator, denominator, otherwise):
    result = np.full(np.shape(denominator), float(otherwise))
    return np.divide(numerator, denominator, out=result, where=np.asarray(denominator) != 0)


def precision_recall_f1(y_true, y_pred, num_classes, average="macro", zero_division=0.0):
    averages = {
        None: lambda scores, support: scores,
        "micro": lambda scores, support: scores[0],
        "macro": lambda scores, support: np.mean(scores),
        "weighted": lambda scores, support: np.dot(scores, support) / np.sum(support),
    }
    if average not in averages:
        raise ValueError(f"average={average!r}")
    classes = np.arange(num_classes)
    t = y_true[:, None] == classes
    p = y_pred[:, None] == classes
    if average == "micro":
        t, p = t.reshape(-1, 1), p.reshape(-1, 1)
    tp, fp, fn = (t & p).sum(axis=0), (~t & p).sum(axis=0), (t & ~p).sum(axis=0)
    reduce = averages[average]
    return tuple(reduce(divide(a, b, zero_division), tp + fn) for a, b in (
        (tp, tp + fp), (tp, tp + fn), (tp, tp + (fp + fn) / 2)))
