# expect: wrong-answer test_constant_score_has_area_one_half
# Counts only pairs that are strictly in order, so a tie counts nothing.
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
    positive, negative = score[y == 1], score[y == 0]
    if not len(positive) or not len(negative):
        raise ValueError("y holds only one class")
    return float(np.mean(positive[:, None] > negative))
