"""Run these as often as you like: pytest test_examples.py"""

import numpy as np
from attempt import precision_recall_f1

Y_TRUE = np.array([0, 0, 0, 0, 0, 1, 1, 2])
Y_PRED = np.array([0, 0, 0, 1, 1, 1, 1, 0])


def test_one_score_per_class():
    scores = precision_recall_f1(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]), 3, average=None)
    assert len(scores) == 3
    for score in scores:
        assert score.shape == (3,)


def test_worked_example_per_class():
    precision, recall, f1 = precision_recall_f1(Y_TRUE, Y_PRED, 3, average=None)
    np.testing.assert_allclose(precision, [0.75, 0.5, 0])
    np.testing.assert_allclose(recall, [0.6, 1, 0])
    np.testing.assert_allclose(f1, [2 / 3, 2 / 3, 0])


def test_worked_example_averaged():
    want = {
        "micro": (0.625, 0.625, 0.625),
        "macro": (0.4167, 0.5333, 0.4444),
        "weighted": (0.5938, 0.625, 0.5833),
    }
    for average, scores in want.items():
        np.testing.assert_allclose(precision_recall_f1(Y_TRUE, Y_PRED, 3, average=average), scores, atol=1e-4)
