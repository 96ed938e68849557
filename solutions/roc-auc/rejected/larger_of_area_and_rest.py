# expect: wrong-answer test_example_area_of_the_reversed_ranking
# Reports max(A, 1 - A), which hides a ranking that is the wrong way round.
import numpy as np


def roc_curve(y, score):
    order = np.argsort(-score, kind="stable")
    y, score = y[order], score[order]
    last = np.flatnonzero(np.append(score[:-1] != score[1:], True))
    tp = np.cumsum(y == 1)[last]
    fp = np.cumsum(y == 0)[last]
    if tp[-1] == 0 or fp[-1] == 0:
        raise ValueError("y holds only one class")
    return np.append(0, fp / fp[-1]), np.append(0, tp / tp[-1]), np.append(np.inf, score[last])


def roc_auc(y, score):
    fpr, tpr, _ = roc_curve(y, score)
    area = float(np.sum(np.diff(fpr) * (tpr[:-1] + tpr[1:]) / 2))
    return max(area, 1 - area)
