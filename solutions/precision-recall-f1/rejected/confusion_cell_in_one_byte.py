# expect: wrong-answer test_labels_of_any_integer_type
# num_classes * y_true is computed in the labels' dtype, where one byte overflows.
import numpy as np


def precision_recall_f1(y_true, y_pred, num_classes, average="macro", zero_division=0.0):
    if average not in (None, "micro", "macro", "weighted"):
        raise ValueError(f"unknown average {average!r}")
    cells = np.bincount(num_classes * y_true + y_pred, minlength=num_classes**2)
    matrix = cells[: num_classes**2].reshape(num_classes, num_classes)
    tp, predicted, actual = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    if average == "micro":
        tp, predicted, actual = (counts.sum(keepdims=True) for counts in (tp, predicted, actual))

    def ratio(part, whole):
        return np.where(whole > 0, part / np.maximum(whole, 1), zero_division)

    precision, recall = ratio(tp, predicted), ratio(tp, actual)
    f1 = ratio(2 * tp, predicted + actual)
    if average is None:
        return precision, recall, f1
    weights = actual if average == "weighted" else None
    return tuple(float(np.average(score, weights=weights)) for score in (precision, recall, f1))
