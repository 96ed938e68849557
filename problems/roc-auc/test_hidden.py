"""Hidden suite of roc-auc.

The curve first, one property a test, then the area, each on a few samples that can be ranked by eye. Labels come in no
particular order. Until test_equal_scores_make_one_point no two scores are equal.
"""

import numpy as np
import pytest

from grader import check
from grader.properties import given, st

# From the highest score down: 1 0 1 0 0. Two positives, three negatives.
Y = np.array([0, 1, 0, 0, 1])
SCORE = np.array([0.5, 0.75, 0.125, 0.625, 0.5625])

# From the highest score down: 1 0 1 0, so every point of the curve is a corner.
STAIRS = [0, 1, 0, 1], [0.25, 0.75, 0.5, 0.375]

# The four float64 below 1, falling: no two scores can be closer.
CROWDED = (1 - np.arange(1, 5) * 2.0**-53).tolist()


def unpack(result):
    """(fpr, tpr, thresholds), once they are known to be three arrays of numbers, equally long."""
    check.true(isinstance(result, tuple | list) and len(result) == 3,
               f"the result is {check.describe(result)}; a tuple (fpr, tpr, thresholds) is asked for")
    fpr, tpr, thresholds = result
    check.finite(fpr, name="fpr")
    check.finite(tpr, name="tpr")
    check.is_array(thresholds, name="thresholds")
    check.true(np.ndim(fpr) == 1 and np.shape(fpr) == np.shape(tpr) == np.shape(thresholds),
               f"fpr, tpr and thresholds have shapes {np.shape(fpr)}, {np.shape(tpr)} and {np.shape(thresholds)}; one "
               "axis and one length are asked for")
    return fpr, tpr, thresholds


def curve(attempt, y, score):
    return unpack(attempt.roc_curve(np.array(y), np.array(score, dtype=float)))


def compare(points, **want):
    """Named arrays of a curve are these. Thresholds are exact: they are infinity and scores that were given."""
    for name, got in zip(("fpr", "tpr", "thresholds"), points):
        if name in want:
            exact = {"rtol": 0.0, "atol": 0.0} if name == "thresholds" else {}
            check.close(got, np.array(want[name], dtype=float), same_dtype=False, name=name, **exact)


def expect(attempt, y, score, **want):
    """Named arrays of the curve are these."""
    compare(curve(attempt, y, score), **want)


def expect_area(attempt, y, score, area, calls=1):
    check.close(attempt.roc_auc(np.array(y), np.array(score, dtype=float)), area, name="the area", calls=calls)


def test_curve_starts_at_the_origin(attempt):
    """Above the highest score nothing is predicted positive, so both rates are 0. Without that point the area under
    the first step is lost."""
    fpr, tpr, _ = curve(attempt, Y, SCORE)
    check.true(len(fpr) > 0, "the curve has no points")
    check.close([fpr[0], tpr[0]], [0.0, 0.0], name="the first point (fpr, tpr)")


def test_curve_ends_at_one_one(attempt):
    """At the lowest score everything is predicted positive: all positives are found, and all negatives are false
    alarms."""
    fpr, tpr, _ = curve(attempt, Y, SCORE)
    check.true(len(fpr) > 0, "the curve has no points")
    check.close([fpr[-1], tpr[-1]], [1.0, 1.0], name="the last point (fpr, tpr)")


def test_true_positive_rate_from_the_highest_score_down(attempt):
    """The highest scores become positive first. Here that is a positive, so the curve rises before it goes right."""
    expect(attempt, *STAIRS, tpr=[0, 1 / 2, 1 / 2, 1, 1])


def test_false_positive_rate_is_a_share_of_the_negatives(attempt):
    """The x axis is FP / (FP + TN): how many of the negatives raise an alarm. FP / (TP + FP) belongs to precision, and
    precision against recall is another curve."""
    expect(attempt, *STAIRS, fpr=[0, 0, 1 / 2, 1 / 2, 1])


def test_thresholds_fall_from_infinity(attempt):
    """Point i predicts positive where score >= thresholds[i], so that a point picked on the curve can be used."""
    expect(attempt, *STAIRS, thresholds=[np.inf, 0.75, 0.5, 0.375, 0.25])


def test_equal_scores_make_one_point(attempt):
    """No threshold tells equal scores apart. A point for each would depend on the order in which the samples happen to
    lie."""
    expect(attempt, [1, 0, 0, 1, 0], [3, 2, 2, 2, 1], tpr=[0, 1 / 2, 1, 1], fpr=[0, 0, 2 / 3, 1],
           thresholds=[np.inf, 3, 2, 1])


def test_points_on_a_straight_line_are_kept(attempt):
    """One point for each distinct score: the caller may want any of these thresholds."""
    expect(attempt, [0, 1, 1, 0, 1, 0], [1, 6, 5, 3, 4, 2], tpr=[0, 1 / 3, 2 / 3, 1, 1, 1, 1],
           fpr=[0, 0, 0, 0, 1 / 3, 2 / 3, 1], thresholds=[np.inf, 6, 5, 4, 3, 2, 1])


def test_scores_that_hardly_differ(attempt):
    """A confident model's scores crowd together near 1. Whoever rounds them, or walks over a grid of thresholds, ties
    what the model ranked."""
    expect(attempt, [1, 0, 1, 0], CROWDED, tpr=[0, 1 / 2, 1 / 2, 1, 1], fpr=[0, 0, 1 / 2, 1 / 2, 1],
           thresholds=[np.inf, *CROWDED])


@pytest.mark.visible
def test_example_curve(attempt):
    """The curve of the prompt."""
    expect(attempt, [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], fpr=[0, 0, 0.5, 0.5, 1], tpr=[0, 0.5, 0.5, 1, 1],
           thresholds=[np.inf, 0.8, 0.4, 0.35, 0.1])


@pytest.mark.visible
def test_example_area(attempt):
    """Three of the four pairs of a positive and a negative are in the right order, so the area is 3/4."""
    expect_area(attempt, [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.75)


@pytest.mark.visible
def test_example_area_of_the_reversed_ranking(attempt):
    """Reversing the ranking turns the area A into 1 - A. An area below 1/2 is news: most likely a label is flipped
    somewhere."""
    expect_area(attempt, [0, 0, 1, 1], [-0.1, -0.4, -0.35, -0.8], 0.25)


def test_constant_score_has_area_one_half(attempt):
    """A score that says nothing is worth 1/2: the diagonal from (0, 0) to (1, 1). Rectangles would make it 0 or 1."""
    expect_area(attempt, [1, 0, 0, 1, 0], [2, 2, 2, 2, 2], 0.5)


def test_a_tied_pair_counts_half(attempt):
    """Of the six pairs, four are in order and two are tied: (4 + 2/2) / 6. The answer must not depend on the order of
    the rows either."""
    expect_area(attempt, [1, 0, 0, 1, 0], [3, 2, 2, 2, 1], 5 / 6)
    expect_area(attempt, [0, 1, 0, 0, 1], [1, 2, 2, 2, 3], 5 / 6, calls=2)


def test_scores_need_not_be_probabilities(attempt):
    """Only the order of the scores counts: logits and probabilities have the same area."""
    expect_area(attempt, Y, 1000 * SCORE - 600, 5 / 6)
    expect_area(attempt, Y, SCORE / 1e6, 5 / 6, calls=2)


def test_area_of_scores_that_hardly_differ(attempt):
    """Three of the four pairs are in order and none is tied, so the area is 3/4. np.isclose ties them all, whether they
    crowd below 1 or are tiny, and makes it 1/2."""
    expect_area(attempt, [1, 0, 1, 0], CROWDED, 3 / 4)
    expect_area(attempt, [1, 0, 1, 0], [4e-30, 3e-30, 2e-30, 1e-30], 3 / 4)


def test_more_negatives_leave_the_area(attempt):
    """Each rate is a share of its own class, so taking every negative four times changes nothing. Precision would
    change."""
    y, score = np.append(Y, np.zeros(9, int)), np.append(SCORE, np.repeat(SCORE[Y == 0], 3))
    expect_area(attempt, y, score, 5 / 6)


@pytest.mark.parametrize("label", [0, 1])
def test_curve_of_one_class_is_refused(attempt, label):
    """Without negatives, or without positives, one of the rates is 0/0. A quiet 0, 1 or nan ends up in a report. A
    single sample is always of one class."""
    check.raises(ValueError, attempt.roc_curve, np.full(3, label), np.array([0.1, 0.5, 0.3]))
    check.raises(ValueError, attempt.roc_curve, np.array([label]), np.array([0.5]))


@pytest.mark.parametrize("label", [0, 1])
def test_area_of_one_class_is_refused(attempt, label):
    """There is no pair of a positive and a negative, so there is no area to speak of; one sample makes no pair."""
    check.raises(ValueError, attempt.roc_auc, np.full(3, label), np.array([0.1, 0.5, 0.3]))
    check.raises(ValueError, attempt.roc_auc, np.array([label]), np.array([0.5]))


def test_labels_in_one_byte(attempt):
    """Labels are often uint8. Counts kept in that dtype start again at 256, and here there are 300 positives."""
    y, score = np.repeat(np.array([1, 0, 1], dtype=np.uint8), [200, 2, 100]), np.repeat([3.0, 2.0, 1.0], [200, 2, 100])
    check.close(attempt.roc_auc(y, score), 2 / 3, name="the area")


def test_float32_scores(attempt):
    """A model's scores are float32, its neighbours one step of 2 ** -24 apart."""
    score = np.nextafter(np.float32(1), np.float32(0)) - np.arange(3, dtype=np.float32) * np.float32(2.0**-24)
    y = np.array([0, 1, 0])
    compare(unpack(attempt.roc_curve(y, score)), fpr=[0, 1 / 2, 1 / 2, 1], tpr=[0, 0, 1, 1],
            thresholds=[np.inf, *score.tolist()])


def test_arguments_stay_as_they_were(attempt):
    """Labels and scores belong together row by row; sorting one of the caller's arrays in place separates them."""
    y, score = np.array([0, 1, 0, 1]), np.array([0.5, 0.25, 0.125, 0.75])
    check.unchanged(attempt.roc_curve, y, score)
    check.unchanged(attempt.roc_auc, y, score)


@pytest.mark.points(2)
@given(n=st.integers(2, 9), levels=st.integers(1, 9), seed=st.integers(0, 999))
def test_any_scores(attempt, reference, n, levels, seed):
    """Any labels and scores, from all tied to all different."""
    rng = np.random.default_rng(seed)
    y, score = rng.permutation(np.arange(n) < rng.integers(1, n)).astype(int), rng.integers(-levels, levels, n) / 2
    fpr, tpr, thresholds = reference.roc_curve(y, score)
    compare(unpack(attempt.roc_curve(y, score)), fpr=fpr, tpr=tpr, thresholds=thresholds)
    check.close(attempt.roc_auc(y, score), reference.roc_auc(y, score), name="the area")


@pytest.mark.points(2)
@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_area_is_the_share_of_ordered_pairs(attempt, rng, decimals):
    """The area is the probability that a random positive scores above a random negative, a tie counting half."""
    y = rng.permutation(np.arange(60) < 20).astype(int)
    score = np.round(rng.normal(size=60) + y, decimals)
    gap = score[y == 1][:, None] - score[y == 0]
    check.close(attempt.roc_auc(y, score), np.mean((gap > 0) + (gap == 0) / 2), name="the area")
