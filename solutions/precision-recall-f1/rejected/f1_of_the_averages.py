# expect: wrong-answer test_macro_f1_is_the_mean_of_the_f1_scores
# Computes F1 from averaged precision and recall.
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
    f1 = ratio(2 * tp, predicted + actual)
    if average is None:
        return precision, recall, f1
    weights = actual if average == "weighted" else None
    p, r = (float(np.average(score, weights=weights)) for score in (precision, recall))
    return p, r, 2 * p * r / (p + r) if p + r > 0 else 0.0
