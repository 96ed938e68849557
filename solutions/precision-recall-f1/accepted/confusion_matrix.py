"""A confusion matrix, then its diagonal, column sums and row sums; F1 from precision and recall."""

import numpy as np


def precision_recall_f1(y_true, y_pred, num_classes, average="macro", zero_division=0.0):
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)             # rows: truth, columns: prediction
    np.add.at(matrix, (y_true, y_pred), 1)
    tp = np.diag(matrix).astype(float)
    fp = matrix.sum(axis=0) - tp
    fn = matrix.sum(axis=1) - tp
    if average == "micro":
        tp, fp, fn = tp.sum(), fp.sum(), fn.sum()

    with np.errstate(invalid="ignore"):
        precision = tp / (tp + fp)
        recall = tp / (tp + fn)
        f1 = 2 * precision * recall / (precision + recall)
    f1 = np.where((tp == 0) & (fp + fn > 0), 0.0, f1)
    precision, recall, f1 = (np.where(np.isnan(score), zero_division, score) for score in (precision, recall, f1))

    match average:
        case None | "micro":
            return precision, recall, f1
        case "macro":
            return precision.mean(), recall.mean(), f1.mean()
        case "weighted":
            share = matrix.sum(axis=1) / matrix.sum()
            return share @ precision, share @ recall, share @ f1
        case _:
            raise ValueError(f"unknown average {average!r}")
