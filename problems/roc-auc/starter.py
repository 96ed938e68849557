import numpy as np


def roc_curve(y, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ROC curve of a binary classifier.

    y: (N,) ints, 0 or 1   score: (N,) floats, higher means more positive
    Returns (fpr, tpr, thresholds), each (K + 1,) for K distinct scores: thresholds fall from infinity, and point i
    predicts positive where score >= thresholds[i]. Raises ValueError where y holds only one class.
    """
    raise NotImplementedError


def roc_auc(y, score) -> float:
    """The area under the ROC curve, by the trapezoid rule. Raises ValueError where y holds only one class."""
    raise NotImplementedError
