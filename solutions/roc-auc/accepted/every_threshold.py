"""From the definition: every threshold against every sample, (K + 1, N) comparisons, and the area over all pairs."""

import numpy as np


def split(y, score):
    positive, negative = score[y == 1], score[y == 0]
    if positive.size == 0 or negative.size == 0:
        raise ValueError("ROC needs positives and negatives")
    return positive, negative


def roc_curve(y, score):
    positive, negative = split(y, score)
    thresholds = np.array([np.inf, *sorted(set(score.tolist()), reverse=True)])
    fpr = np.mean(negative >= thresholds[:, None], axis=1)
    tpr = np.mean(positive >= thresholds[:, None], axis=1)
    return fpr, tpr, thresholds


def roc_auc(y, score):
    positive, negative = split(y, score)
    above = positive[:, None] > negative
    tied = positive[:, None] == negative
    return np.mean(above + 0.5 * tied)
