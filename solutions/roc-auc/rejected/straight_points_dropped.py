# expect: wrong-answer test_points_on_a_straight_line_are_kept
# Keeps only the corners of the curve.
import numpy as np


def roc_curve(y, score):
    order = np.argsort(-score, kind="stable")
    y, score = y[order], score[order]
    last = np.flatnonzero(np.append(score[:-1] != score[1:], True))
    tp = np.cumsum(y == 1)[last]
    fp = np.cumsum(y == 0)[last]
    if tp[-1] == 0 or fp[-1] == 0:
        raise ValueError("y holds only one class")
    fpr, tpr = np.append(0, fp / fp[-1]), np.append(0, tp / tp[-1])
    steps = np.diff(fp, prepend=0), np.diff(tp, prepend=0)
    turns = steps[0][1:] * steps[1][:-1] != steps[0][:-1] * steps[1][1:]
    corner = np.concatenate([[True], turns, [True]])
    return fpr[corner], tpr[corner], np.append(np.inf, score[last])[corner]


def roc_auc(y, score):
    fpr, tpr, _ = roc_curve(y, score)
    return float(np.sum(np.diff(fpr) * (tpr[:-1] + tpr[1:]) / 2))
