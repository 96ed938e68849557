# expect: wrong-answer test_curve_of_one_class_is_refused
# Looks for two classes only where there are two samples.
import numpy as np


def roc_curve(y, score):
    order = np.argsort(-score, kind="stable")
    y, score = y[order], score[order]
    last = np.flatnonzero(np.append(score[:-1] != score[1:], True))
    tp = np.cumsum(y == 1)[last]
    fp = np.cumsum(y == 0)[last]
    if len(y) > 1 and (tp[-1] == 0 or fp[-1] == 0):
        raise ValueError("y holds only one class")
    return np.append(0, fp / max(fp[-1], 1)), np.append(0, tp / max(tp[-1], 1)), np.append(np.inf, score[last])


def roc_auc(y, score):
    fpr, tpr, _ = roc_curve(y, score)
    return float(np.sum(np.diff(fpr) * (tpr[:-1] + tpr[1:]) / 2))
