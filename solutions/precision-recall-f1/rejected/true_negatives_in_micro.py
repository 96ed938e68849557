# expect: wrong-answer test_micro_adds_up_the_counts
# Counts true negatives as right too: the accuracy of N * C yes-or-no decisions.
import numpy as np


def precision_recall_f1(y_true, y_pred, num_classes, average="macro", zero_division=0.0):
    if average not in (None, "micro", "macro", "weighted"):
        raise ValueError(f"unknown average {average!r}")
    tp = np.bincount(y_true[y_true == y_pred], minlength=num_classes)
    predicted = np.bincount(y_pred, minlength=num_classes)
    actual = np.bincount(y_true, minlength=num_classes)
    if average == "micro":
        cells = len(y_true) * num_classes
        wrong = predicted.sum() - tp.sum()
        tp, predicted, actual = np.array([cells - 2 * wrong]), np.array([cells]), np.array([cells])

    def ratio(part, whole):
        return np.where(whole > 0, part / np.maximum(whole, 1), zero_division)

    precision, recall = ratio(tp, predicted), ratio(tp, actual)
    f1 = ratio(2 * tp, predicted + actual)
    if average is None:
        return precision, recall, f1
    weights = actual if average == "weighted" else None
    return tuple(float(np.average(score, weights=weights)) for score in (precision, recall, f1))
