# expect: wrong-answer test_curve_ends_at_one_one
# A group of equal scores is closed only where a lower score follows: the last one never is.
import numpy as np


def roc_curve(y, score):
    order = np.argsort(-score, kind="stable")
    y, score = y[order], score[order]
    last = np.flatnonzero(score[:-1] != score[1:])
    tp = np.cumsum(y == 1)[last]
    fp = np.cumsum(y == 0)[last]
    if not 0 < np.sum(y == 1) < len(y):
        raise ValueError("y holds only one class")
    return np.append(0, fp / np.sum(y == 0)), np.append(0, tp / np.sum(y == 1)), np.append(np.inf, score[last])


def roc_auc(y, score):
    fpr, tpr, _ = roc_curve(y, score)
    return float(np.sum(np.diff(fpr) * (tpr[:-1] + tpr[1:]) / 2))
