# expect: wrong-answer test_curve_ends_at_one_one
# Draws recall against 1 - precision, FP / (TP + FP): its x axis is no share of the negatives.
import numpy as np


def roc_curve(y, score):
    order = np.argsort(-score, kind="stable")
    y, score = y[order], score[order]
    last = np.flatnonzero(np.append(score[:-1] != score[1:], True))
    tp = np.cumsum(y == 1)[last]
    fp = np.cumsum(y == 0)[last]
    if tp[-1] == 0 or fp[-1] == 0:
        raise ValueError("y holds only one class")
    return np.append(0, fp / (tp + fp)), np.append(0, tp / tp[-1]), np.append(np.inf, score[last])


def roc_auc(y, score):
    fpr, tpr, _ = roc_curve(y, score)
    return float(np.sum(np.diff(fpr) * (tpr[:-1] + tpr[1:]) / 2))
