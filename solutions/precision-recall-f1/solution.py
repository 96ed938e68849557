import numpy as np


def precision_recall_f1(y_true, y_pred, num_classes, average="macro", zero_division=0.0):
    """Precision, recall and F1, per class (average=None) or averaged.

    y_true: (N,)   y_pred: (N,)   ->   three (C,) arrays, or three floats
    """
    if average not in (None, "micro", "macro", "weighted"):
        raise ValueError(f"average must be None, 'micro', 'macro' or 'weighted', not {average!r}")

    right = np.bincount(y_true[y_true == y_pred], minlength=num_classes)        # (C,): TP
    predicted = np.bincount(y_pred, minlength=num_classes)                      # (C,): TP + FP
    actual = np.bincount(y_true, minlength=num_classes)                         # (C,): TP + FN
    if average == "micro":                                                      # as if one class held them all: ()
        right, predicted, actual = right.sum(), predicted.sum(), actual.sum()

    def ratio(part, whole):
        return np.where(whole > 0, part / np.maximum(whole, 1), zero_division)

    # F1 from counts: 2PR / (P + R) would itself be 0/0 where P = R = 0
    scores = ratio(right, predicted), ratio(right, actual), ratio(2 * right, predicted + actual)
    if average is None:
        return scores
    weights = actual if average == "weighted" else None
    return tuple(float(np.average(score, weights=weights)) for score in scores)
