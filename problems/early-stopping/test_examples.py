"""Run these as often as you like: pytest test_examples.py"""

import numpy as np
import pytest
from attempt import EarlyStopping


def test_stops_after_patience_epochs_without_improvement():
    stopper = EarlyStopping(patience=3)
    assert [stopper.update(m, {"loss": m}) for m in [1.0, 0.8, 0.9, 0.85, 0.81]] == [False, False, False, False, True]
    assert (stopper.best, stopper.best_epoch, stopper.best_state) == (0.8, 1, {"loss": 0.8})


def test_best_state_is_the_state_of_the_best_epoch():
    stopper = EarlyStopping(patience=3)
    weights = {"w": np.array([1.0, 2.0])}
    stopper.update(1.0, weights)
    weights["w"] += 10  # training goes on
    stopper.update(2.0, weights)
    np.testing.assert_array_equal(stopper.best_state["w"], [1.0, 2.0])


def test_higher_is_better_in_mode_max():
    stopper = EarlyStopping(patience=1, mode="max")
    assert [stopper.update(m, None) for m in [0.5, 0.75, 0.625]] == [False, False, True]
    assert (stopper.best, stopper.best_epoch) == (0.75, 1)


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError):
        EarlyStopping(mode="loss")
