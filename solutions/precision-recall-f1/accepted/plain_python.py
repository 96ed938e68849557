"""Counters and fractions: exact until the last step, one pair of labels at a time."""

from collections import Counter
from fractions import Fraction

import numpy as np


def precision_recall_f1(y_true, y_pred, num_classes, average="macro", zero_division=0.0):
    if average not in {None, "micro", "macro", "weighted"}:
        raise ValueError(average)
    truth, guesses = y_true.tolist(), y_pred.tolist()
    hits, support, guessed = Counter(), Counter(truth), Counter(guesses)
    for a, b in zip(truth, guesses):
        if a == b:
            hits[a] += 1

    def score(part, whole):
        return Fraction(part, whole) if whole else Fraction(zero_division)

    if average == "micro":
        accuracy = hits.total() / len(truth)      # every miss is one false positive and one false negative
        return accuracy, accuracy, accuracy
    rows = [(score(hits[c], guessed[c]), score(hits[c], support[c]), score(2 * hits[c], guessed[c] + support[c]))
            for c in range(num_classes)]
    columns = list(zip(*rows))
    if average is None:
        return tuple(np.array([float(value) for value in column]) for column in columns)
    weights = [1 if average == "macro" else support[c] for c in range(num_classes)]
    return tuple(float(sum(w * v for w, v in zip(weights, column)) / sum(weights)) for column in columns)
