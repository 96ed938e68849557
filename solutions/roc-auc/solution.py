import numpy as np


def roc_curve(y, score):
    """ROC curve with one point per distinct score.

    y: (N,) of 0 and 1   score: (N,)   ->   fpr, tpr, thresholds, each (K + 1,)
    """
    order = np.argsort(-score)                                  # highest first; the order within a tie does not matter
    y, score = y[order], score[order]
    last = np.flatnonzero(np.append(score[:-1] != score[1:], True))             # (K,): last row of each tied group

    tp = np.cumsum(y == 1)[last]                                # the comparison counts in int64, whatever y's dtype
    fp = np.cumsum(y == 0)[last]
    if tp[-1] == 0 or fp[-1] == 0:
        raise ValueError("y holds only one class: the other one's rate is 0/0")
    return np.append(0, fp / fp[-1]), np.append(0, tp / tp[-1]), np.append(np.inf, score[last])


def roc_auc(y, score):
    """Area under the ROC curve, by the trapezoid rule."""
    fpr, tpr, _ = roc_curve(y, score)
    return float(np.sum(np.diff(fpr) * (tpr[:-1] + tpr[1:]) / 2))
