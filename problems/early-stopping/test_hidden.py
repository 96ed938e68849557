"""Hidden suite of early-stopping.

Metrics are multiples of 1/8, so that best - metric > min_delta and metric < best - min_delta are the same, bit by bit.
Beyond the boundary the answer gets a copy of every array, so in-place training cannot be played with arrays. An object
of the answer's own, passed back in as a state, is live: the tests of best_state as a copy use further stoppers.
"""

import math

import numpy as np
import pytest

from grader import check

NAN = math.nan


def new(attempt, **options):
    return no_plain_data(attempt.EarlyStopping(**options), "EarlyStopping(...)")


def no_plain_data(stopper, name):
    """The stopper, once it is known to be an object and no plain data."""
    check.true(type(stopper).__module__ not in ("builtins", "numpy"),
               f"{name} is {check.describe(stopper)}; an object with a method update is asked for")
    return stopper


def update(stopper, metric, state=None):
    """The answer's decision, once it is known to be a bool."""
    stop = stopper.update(metric, {"metric": metric} if state is None else state)
    check.true(isinstance(stop, bool | np.bool_), f"update returned {check.describe(stop)}; a bool is asked for")
    return bool(stop)


def run(stopper, metrics):
    """Feed the metrics up to the first True. Returns how many were taken, or None if it never stopped."""
    for i, metric in enumerate(metrics):
        if update(stopper, metric):
            return i + 1
    return None


def stops(attempt, metrics, after, **options):
    """The stopper says True for the first time at the call `after` (None: never). Returns it."""
    stopper = new(attempt, **options)
    got = run(stopper, metrics)
    shown = ", ".join(f"{metric:g}" for metric in metrics)
    when = {None: "never"}
    check.true(got == after, f"on the metrics {shown} with {options} it stopped at call {when.get(got, got)}; "
               f"expected: {when.get(after, after)}", calls=(got or len(metrics)) + 1)
    return stopper


def best(stopper, metric, epoch):
    check.close(stopper.best, metric, name="best")
    check.true(not isinstance(stopper.best_epoch, bool), "best_epoch is a bool; an epoch is asked for")
    check.close(stopper.best_epoch, epoch, name="best_epoch")


@pytest.mark.visible
def test_stops_after_patience_epochs_without_improvement(attempt):
    """Patience 3 forgives two poor epochs in a row; the third one stops the run, here the fifth call."""
    stops(attempt, [1, 0.75, 0.875, 0.875, 1, 1, 1], 5, patience=3)


def test_patience_of_one(attempt):
    """The first epoch without improvement stops the run, and the first epoch of all is an improvement."""
    stops(attempt, [4, 3, 2, 3, 3], 4, patience=1)


def test_improvement_restores_patience(attempt):
    """Poor epochs count in a row, not in total: an improvement between them sets the count back to zero."""
    stops(attempt, [8, 9, 7, 8, 6, 7, 5, 6, 6], 9, patience=2)


def test_compares_with_the_best_not_the_last(attempt):
    """A metric that recovers from a poor epoch is better than the last one, yet no better than the best."""
    stops(attempt, [1, 4, 3, 2], 4, patience=3)


def test_best_and_its_epoch_start_from_zero(attempt):
    """The first update is epoch 0; off by one, a later run to the best epoch trains too long or too short."""
    stopper = new(attempt, patience=9)
    for metric, expected in [(4, (4, 0)), (2, (2, 1)), (3, (2, 1)), (1, (1, 3))]:
        update(stopper, metric)
        best(stopper, *expected)


@pytest.mark.points(2)
def test_best_state_belongs_to_the_best_epoch(attempt):
    """The point of keeping a state is to go back to it: the last one is by definition `patience` epochs too old to
    be good."""
    stopper = new(attempt, patience=3)
    for epoch, metric in enumerate([3, 1, 2, 2, 2]):
        update(stopper, metric, {"w": np.array([epoch, 10.0 * epoch]), "layers": [{"b": np.array([epoch])}]})
    check.equal(stopper.best_state, {"w": np.array([1.0, 10.0]), "layers": [{"b": np.array([1])}]}, name="best_state")


def test_tie_is_no_improvement(attempt):
    """A constant metric has stopped improving, so it must stop the run; and of two equal epochs the earlier is the
    best."""
    best(stops(attempt, [2, 2, 2, 2], 3, patience=2), 2, 0)


@pytest.mark.visible
def test_higher_is_better_in_mode_max(attempt):
    """Accuracy goes up: with the loss's direction, training stops while it improves."""
    best(stops(attempt, [0.5, 0.75, 0.625, 0.875, 0.75, 0.875], 6, patience=2, mode="max"), 0.875, 3)


def test_best_of_zero_is_a_best(attempt):
    """0 is a metric like any other. `if not self.best` takes it for nothing seen yet."""
    best(stops(attempt, [0, 1, 2], 3, patience=2), 0, 0)


def test_negative_metrics(attempt):
    """A log-likelihood is negative; a relative or an absolute margin gets its direction wrong."""
    best(stops(attempt, [-1, -3, -2, -4, -3.5, -3], 6, patience=2, min_delta=0.5), -4, 3)


def test_gain_must_exceed_min_delta(attempt):
    """More than min_delta is asked for: a gain of exactly min_delta is still none."""
    stops(attempt, [4, 3.5, 3], 2, patience=1, min_delta=0.5)
    stops(attempt, [4, 3.375, 3.25], 3, patience=1, min_delta=0.5)


def test_gain_must_exceed_min_delta_in_mode_max(attempt):
    """The margin is on the other side when higher is better."""
    stops(attempt, [1, 1.75, 2.25, 2], 4, patience=2, min_delta=0.5, mode="max")
    stops(attempt, [1, 1.75, 2.375, 2], None, patience=2, min_delta=0.5, mode="max")


def test_small_gains_add_up(attempt):
    """A gain too small leaves best where it was, so a slow but steady improvement is seen in the end. A best that
    follows every small gain never sees it."""
    best(stops(attempt, [4, 3.75, 3.5, 3.25], None, patience=3, min_delta=0.5), 3.25, 3)


def test_two_stoppers_share_nothing(attempt):
    """Two runs at once, as in a search over hyper-parameters: each has its own best and its own count."""
    first, second = new(attempt, patience=2), new(attempt, patience=2)
    update(first, 1)
    check.true(not update(second, 5), "the first update of a new stopper stopped its run")
    update(first, 2)
    check.true(not update(second, 6), "another stopper's poor epoch was counted", calls=6)
    best(first, 1, 0)
    best(second, 5, 0)


def test_nan_is_no_improvement(attempt):
    """A NaN loss is a poor epoch. NaN compares False with everything, which lets it in when the test is written the
    other way round."""
    best(stops(attempt, [2, NAN, NAN, 1], 3, patience=2), 2, 0)


def test_nan_at_the_start(attempt):
    """Stored as the first best, NaN can never be beaten. It counts as an epoch without improvement, and the first real
    metric is the first best."""
    for mode in ("min", "max"):
        stopper = new(attempt, patience=2, mode=mode)
        check.true(not update(stopper, NAN), "one NaN stopped a run with patience 2")
        check.equal(stopper.best_state, None, name="best_state")
        check.equal(stopper.best_epoch, None, name="best_epoch")
        check.true(not update(stopper, 3), "the first real metric stopped the run")
        best(stopper, 3, 1)
        stops(attempt, [NAN, NAN, 1], 2, patience=2, mode=mode)


@pytest.mark.points(2)
def test_best_state_is_a_copy(attempt):
    """Training goes on in the very objects that it handed over. A stored reference, or a copy of the outer dict alone,
    follows them, and restoring the best restores the last."""
    inner, stopper = new(attempt, patience=9), new(attempt, patience=9)
    update(inner, 4)
    update(stopper, 1, {"schedule": [inner]})
    update(inner, 2)
    kept = stopper.best_state
    check.true(isinstance(kept, dict) and set(kept) == {"schedule"} and isinstance(kept["schedule"], list)
               and len(kept["schedule"]) == 1, f"best_state is {check.describe(kept)}; the state given is asked for")
    check.close(getattr(kept["schedule"][0], "best", None), 4, calls=5,
                name="a value inside best_state, after the loop changed the object that it had passed,")


@pytest.mark.points(2)
def test_objects_in_the_state_are_copied_with_all_they_hold(attempt):
    """A scheduler or a stopper keeps arrays and objects of its own. copy.copy of it shares them with the loop, which
    goes on changing them in place."""
    innermost, inner, stopper = (new(attempt, patience=9) for _ in range(3))
    update(innermost, 4)
    update(inner, 1, innermost)
    update(stopper, 1, {"stopper": inner})
    update(no_plain_data(inner.best_state, "best_state, where the state was a stopper,"), 2)
    kept = stopper.best_state
    check.true(isinstance(kept, dict) and set(kept) == {"stopper"},
               f"best_state is {check.describe(kept)}; the state given is asked for")
    held = getattr(kept["stopper"], "best_state", None)
    check.close(getattr(held, "best", None), 4, calls=7,
                name="a value held by an object inside best_state, after the loop changed it in place,")


@pytest.mark.parametrize("state", [0, "weights.npz", [1.0, 2.0]], ids=["zero", "path", "list"])
def test_state_of_any_type(attempt, state):
    """The class only keeps the state: it need be no dict, and may be falsy."""
    stopper = new(attempt)
    update(stopper, 1, state)
    check.equal(stopper.best_state, state, name="best_state")


def test_defaults(attempt):
    """Patience 3, any gain counts, lower is better."""
    best(stops(attempt, [2, 1.875, 3, 3, 3], 5), 1.875, 1)


@pytest.mark.parametrize("options", [{"patience": 0}, {"patience": -1}, {"min_delta": -0.5}, {"mode": "loss"}],
                         ids=["patience-0", "patience-negative", "min_delta-negative", "mode"])
def test_refuses_bad_options(attempt, options):
    """A typing mistake in the mode would otherwise stop a good run, hours later."""
    check.raises(ValueError, attempt.EarlyStopping, **options)


@pytest.mark.points(2)
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("patience, min_delta", [(1, 0.0), (2, 0.25), (4, 0.5)])
def test_random_runs(attempt, reference, rng, mode, patience, min_delta):
    """Noisy curves with a NaN now and then: the same decision in every epoch, and the same record."""
    options = {"patience": patience, "min_delta": min_delta, "mode": mode}
    got, want = new(attempt, **options), reference.EarlyStopping(**options)
    for epoch, metric in enumerate(np.where(rng.random(20) < 0.1, np.nan, rng.integers(-8, 9, 20) / 8)):
        decision = want.update(metric, {"metric": metric})
        check.equal(update(got, metric), decision, name=f"update in epoch {epoch}", calls=epoch + 2)
        if want.best_epoch == epoch:
            best(got, want.best, epoch)
        if decision:
            break
    check.equal(got.best_state, want.best_state, name="best_state", calls=epoch + 2)
