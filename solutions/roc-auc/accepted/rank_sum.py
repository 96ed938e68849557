"""The curve from np.unique and histograms; the area from ranks (Mann-Whitney), without the curve."""

import numpy as np


def distinct(y, score):
    values, group = np.unique(score, return_inverse=True)        # rising
    group = group.reshape(-1)
    positives = np.bincount(group, weights=y == 1, minlength=len(values))
    negatives = np.bincount(group, weights=y == 0, minlength=len(values))
    if not positives.any() or not negatives.any():
        raise ValueError("both classes are needed")
    return values, group, positives, negatives


def roc_curve(y, score):
    values, _, positives, negatives = distinct(y, score)
    tpr = np.concatenate([[0.0], np.cumsum(positives[::-1]) / positives.sum()])
    fpr = np.concatenate([[0.0], np.cumsum(negatives[::-1]) / negatives.sum()])
    return fpr, tpr, np.concatenate([[np.inf], values[::-1]])


def roc_auc(y, score):
    _, group, positives, negatives = distinct(y, score)
    size = positives + negatives
    mean_rank = np.cumsum(size) - (size - 1) / 2                 # (K,): ranks start at 1, tied scores share theirs
    p, n = positives.sum(), negatives.sum()
    return (mean_rank[group[y == 1]].sum() - p * (p + 1) / 2) / (p * n)
