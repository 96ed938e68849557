# expect: wrong-answer test_labels_in_one_byte
# The built-in sum of uint8 labels stays in one byte, and starts again at 256.
import numpy as np


def roc_curve(y, score):
    order = np.argsort(-score, kind="stable")
    y, score = y[order], score[order]
    last = np.flatnonzero(np.append(score[:-1] != score[1:], True))
    tp = np.cumsum(y == 1)[last]
    fp = np.cumsum(y == 0)[last]
    positives = sum(y)
    negatives = sum(1 - y)
    if positives == 0 or negatives == 0:
        raise ValueError("y holds only one class")
    return np.append(0, fp / negatives), np.append(0, tp / positives), np.append(np.inf, score[last])


def roc_auc(y, score):
    fpr, tpr, _ = roc_curve(y, score)
    return float(np.sum(np.diff(fpr) * (tpr[:-1] + tpr[1:]) / 2))
