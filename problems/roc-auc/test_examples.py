"""Run these as often as you like: pytest test_examples.py"""

import numpy as np
from attempt import roc_auc, roc_curve

Y = np.array([0, 0, 1, 1])
SCORE = np.array([0.1, 0.4, 0.35, 0.8])


def test_example_curve():
    fpr, tpr, thresholds = roc_curve(Y, SCORE)
    np.testing.assert_allclose(fpr, [0, 0, 0.5, 0.5, 1])
    np.testing.assert_allclose(tpr, [0, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(thresholds, [np.inf, 0.8, 0.4, 0.35, 0.1])


def test_example_area():
    np.testing.assert_allclose(roc_auc(Y, SCORE), 0.75)


def test_example_area_of_the_reversed_ranking():
    np.testing.assert_allclose(roc_auc(Y, -SCORE), 0.25)
