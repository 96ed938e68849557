# expect: wrong-answer test_zero_division_as_a_whole_number
# np.full takes its dtype from zero_division, so an integer there cuts off every fraction.
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
        result = np.full(len(whole), zero_division)
        result[whole > 0] = part[whole > 0] / whole[whole > 0]
        return result

    precision, recall = ratio(tp, predicted), ratio(tp, actual)
    f1 = ratio(2 * tp, predicted + actual)
    if average is None:
        return precision, recall, f1
    weights = actual if average == "weighted" else None
    return tuple(float(np.average(score, weights=weights)) for score in (precision, recall, f1))
