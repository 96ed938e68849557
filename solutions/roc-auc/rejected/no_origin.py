# expect: wrong-answer test_curve_starts_at_the_origin
# The curve begins at the highest score, so the area under its first step is missing.
import numpy as np


def roc_curve(y, score):
    order = np.argsort(-score, kind="stable")
    y, score = y[order], score[order]
    last = np.flatnonzero(np.append(score[:-1] != score[1:], True))
    tp = np.cumsum(y == 1)[last]
    fp = np.cumsum(y == 0)[last]
    if tp[-1] == 0 or fp[-1] == 0:
        raise ValueError("y holds only one class")
    return fp / fp[-1], tp / tp[-1], score[last]


def roc_auc(y, score):
    fpr, tpr, _ = roc_curve(y, score)
    return float(np.sum(np.diff(fpr) * (tpr[:-1] + tpr[1:]) / 2))
