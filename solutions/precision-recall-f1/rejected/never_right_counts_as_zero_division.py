# expect: wrong-answer test_never_right_is_an_f1_of_zero
# 2PR / (P + R) is 0/0 where precision and recall are 0, and is filled with zero_division.
import numpy as np


def precision_recall_f1(y_true, y_pred, num_classes, average="macro", zero_division=0.0):
    if average not in (None, "micro", "macro", "weighted"):
        raise ValueError(f"unknown average {average!r}")
    tp = np.bincount(y_true[y_true == y_pred], minlength=num_classes)
    predicted = np.bincount(y_pred, minlength=num_classes)
    actual = np.bincount(y_true, minlength=num_classes)
    if average == "micro":
        tp, predicted, actual = (counts.sum(keepdims=True) for counts in (tp, predicted, actual))

    def ratio(part, whole):
        return np.where(whole > 0, part / np.maximum(whole, 1), zero_division)

    precision, recall = ratio(tp, predicted), ratio(tp, actual)
    total = precision + recall
    f1 = np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1), zero_division)
    if average is None:
        return precision, recall, f1
    weights = actual if average == "weighted" else None
    return tuple(float(np.average(score, weights=weights)) for score in (precision, recall, f1))
