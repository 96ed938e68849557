"""Hidden suite of precision-recall-f1.

The single mistakes come first, each on labels whose counts fit in the head; no two of precision, recall, F1 and
accuracy of a class agree there. Until test_never_predicted_class every class is predicted rightly at least once.
"""

import numpy as np
import pytest

from grader import check
from grader.properties import given, st

NAMES = ("precision", "recall", "f1")
RTOL = 1e-6  # an answer that adds a tiny epsilon to a divisor is told about 0/0, not about its ninth digit

# Class 1: 1 right, 2 predicted, 4 occur. Class 0: 5 right, 8 predicted, 6 occur. Accuracy 0.6.
TRUE = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
PRED = np.array([1, 0, 0, 0, 1, 0, 0, 0, 0, 0])


def unpack(result):
    """The three scores, once they are known to be three."""
    check.true(isinstance(result, tuple | list) and len(result) == 3,
               f"the result is {check.describe(result)}; a tuple (precision, recall, f1) is asked for")
    return dict(zip(NAMES, result))


def expect(attempt, y_true, y_pred, num_classes, *, options=None, **want):
    """The named scores of the answer are these."""
    got = unpack(attempt.precision_recall_f1(np.array(y_true), np.array(y_pred), num_classes, **(options or {})))
    for name, value in want.items():
        value = np.array(value, dtype=float) if isinstance(value, list) else float(value)
        check.close(got[name], value, rtol=RTOL, same_dtype=False, name=name)


def agree(attempt, reference, y_true, y_pred, num_classes, **options):
    want = reference.precision_recall_f1(y_true.copy(), y_pred.copy(), num_classes, **options)
    got = unpack(attempt.precision_recall_f1(y_true, y_pred, num_classes, **options))
    for name, value in zip(NAMES, want):
        check.close(got[name], value, rtol=RTOL, same_dtype=False, name=name)


PER_CLASS = {"average": None}


@pytest.mark.visible
def test_one_score_per_class(attempt):
    """Without an average each class is judged against the rest, so each score is an array with a place per class."""
    got = unpack(attempt.precision_recall_f1(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]), 3, average=None))
    for name in NAMES:
        check.shape(got[name], (3,), name=name)


def test_precision_divides_by_the_predictions(attempt):
    """Precision asks how many of the predictions of a class are right. The numerator is that class's true positives,
    not every right prediction."""
    expect(attempt, TRUE, PRED, 2, options=PER_CLASS, precision=[5 / 8, 1 / 2])


def test_recall_divides_by_the_occurrences(attempt):
    """Recall asks how many of the samples that are of a class were found."""
    expect(attempt, TRUE, PRED, 2, options=PER_CLASS, recall=[5 / 6, 1 / 4])


def test_f1_is_the_harmonic_mean_of_precision_and_recall(attempt):
    """The harmonic mean stays near the smaller of the two: precision 1/2 and recall 1/4 give 1/3. The arithmetic mean
    would be 3/8; accuracy has no part in it."""
    expect(attempt, TRUE, PRED, 2, options=PER_CLASS, f1=[5 / 7, 1 / 3])


def test_micro_adds_up_the_counts(attempt):
    """Micro pools the counts of all classes before it divides. Each sample has one label and one prediction, so all
    three scores are the share of right predictions. A correct rejection is no true positive."""
    expect(attempt, [0, 0, 1, 1, 2], [0, 1, 1, 2, 2], 3, options={"average": "micro"},
           precision=0.6, recall=0.6, f1=0.6)


def test_macro_f1_is_the_mean_of_the_f1_scores(attempt):
    """F1 of mean precision and mean recall is another number: here 0.5519 instead of 0.5238."""
    expect(attempt, TRUE, PRED, 2, options={"average": "macro"}, precision=9 / 16, recall=13 / 24, f1=11 / 21)


def test_weighted_by_how_often_a_class_occurs(attempt):
    """The weights are the true counts, 6 and 4. The predictions' counts, 8 and 2, would let the classifier choose its
    own weights."""
    expect(attempt, TRUE, PRED, 2, options={"average": "weighted"},
           precision=0.6 * 5 / 8 + 0.4 / 2, recall=0.6, f1=0.6 * 5 / 7 + 0.4 / 3)


def test_macro_is_the_default(attempt):
    """The signature is part of the question: callers rely on its defaults."""
    expect(attempt, TRUE, PRED, 2, precision=9 / 16, recall=13 / 24, f1=11 / 21)


def test_never_predicted_class(attempt):
    """Precision of a class that is never predicted is 0/0. One nan there makes the whole average nan."""
    expect(attempt, [0, 0, 0, 1], [0, 0, 0, 0], 2, options=PER_CLASS, precision=[3 / 4, 0], recall=[1, 0],
           f1=[6 / 7, 0])


def test_class_that_does_not_occur(attempt):
    """Recall of a class that does not occur is 0/0: a small test set often lacks a rare class."""
    expect(attempt, [0, 0, 0, 0], [0, 0, 0, 1], 2, options=PER_CLASS, precision=[1, 0], recall=[3 / 4, 0],
           f1=[6 / 7, 0])


def test_classes_are_counted_by_num_classes(attempt):
    """The last classes may be missing from both arrays, and class 1 from between. Each keeps its place in the
    result."""
    expect(attempt, [0, 2, 2], [0, 2, 0], 5, options=PER_CLASS, precision=[1 / 2, 0, 1, 0, 0],
           recall=[1, 0, 1 / 2, 0, 0], f1=[2 / 3, 0, 2 / 3, 0, 0])


def test_macro_is_over_all_classes(attempt):
    """A mean over only the classes that turned up is a mean over another set for each test set, and two reports cannot
    be compared."""
    expect(attempt, [0, 0, 1, 1], [0, 0, 1, 0], 4, options={"average": "macro"},
           precision=5 / 12, recall=3 / 8, f1=(4 / 5 + 2 / 3) / 4)


@pytest.mark.visible
def test_worked_example_per_class(attempt):
    """The numbers of the prompt, class by class."""
    expect(attempt, [0, 0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 1, 1, 0], 3, options=PER_CLASS,
           precision=[3 / 4, 1 / 2, 0], recall=[3 / 5, 1, 0], f1=[2 / 3, 2 / 3, 0])


@pytest.mark.visible
def test_worked_example_averaged(attempt):
    """The numbers of the prompt, averaged in each way."""
    for average, scores in {"micro": (5 / 8, 5 / 8, 5 / 8), "macro": (5 / 12, 8 / 15, 4 / 9),
                            "weighted": (19 / 32, 5 / 8, 7 / 12)}.items():
        expect(attempt, [0, 0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 1, 1, 0], 3, options={"average": average},
               **dict(zip(NAMES, scores)))


def test_zero_division_is_the_value_of_every_zero_over_zero(attempt):
    """Class 1 is never predicted, class 2 does not occur, class 3 is in neither array: each has another score that is
    0/0, and only that one is filled in."""
    expect(attempt, [0, 0, 1], [0, 2, 0], 4, options={"average": None, "zero_division": 0.5},
           precision=[1 / 2, 0.5, 0, 0.5], recall=[1 / 2, 0, 0.5, 0.5], f1=[1 / 2, 0, 0, 0.5])


def test_never_right_is_an_f1_of_zero(attempt):
    """Both classes occur and are predicted, always wrongly. 2PR / (P + R) is 0/0 then, but 2TP / (2TP + FP + FN) is 0:
    the worst classifier must not get zero_division = 1 for it."""
    expect(attempt, [0, 1], [1, 0], 2, options={"average": None, "zero_division": 1.0},
           precision=[0, 0], recall=[0, 0], f1=[0, 0])


def test_zero_division_as_a_whole_number(attempt):
    """An array filled with the integer 1 holds integers, and the fractions written into it are cut off."""
    expect(attempt, [0, 0, 1], [0, 2, 0], 4, options={"average": None, "zero_division": 1},
           precision=[1 / 2, 1, 0, 1], recall=[1 / 2, 0, 1, 1], f1=[1 / 2, 0, 0, 1])


def test_averages_include_the_filled_values(attempt):
    """zero_division reaches the averages: macro over every class, weighted wherever the class occurs."""
    for average, scores in {"macro": (3 / 8, 3 / 8, 1 / 4), "weighted": (1 / 2, 1 / 3, 1 / 3)}.items():
        expect(attempt, [0, 0, 1], [0, 2, 0], 4, options={"average": average, "zero_division": 0.5},
               **dict(zip(NAMES, scores)))


def test_one_sample(attempt):
    """Fewer samples than classes: nearly every class is 0/0, and the one sample is right."""
    for average, score in {"micro": 1, "macro": 1 / 5, "weighted": 1}.items():
        expect(attempt, [3], [3], 5, options={"average": average}, precision=score, recall=score, f1=score)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32"])
def test_labels_of_any_integer_type(attempt, reference, dtype):
    """Labels are often stored in one byte. 13 * 20 + 7, the cell of a confusion matrix, does not fit into it."""
    y_true, y_pred = np.array([13, 13, 19, 7, 0], dtype=dtype), np.array([7, 13, 19, 7, 19], dtype=dtype)
    agree(attempt, reference, y_true, y_pred, 20, average=None)


@pytest.mark.parametrize("average", ["binary", "Macro"])
def test_unknown_average_is_refused(attempt, average):
    """A misspelt option that quietly means something else ends up in a report."""
    check.raises(ValueError, attempt.precision_recall_f1, np.array([0, 1]), np.array([0, 1]), 2, average=average)


def test_arguments_stay_as_they_were(attempt):
    """The caller goes on to use the labels, for another metric or another model."""
    check.unchanged(attempt.precision_recall_f1, np.array([2, 0, 1, 1]), np.array([1, 0, 2, 1]), 3)


@pytest.mark.points(3)
@given(n=st.integers(1, 8), num_classes=st.integers(1, 5),
       average=st.sampled_from([None, "micro", "macro", "weighted"]),
       zero_division=st.sampled_from([0.0, 1.0, 0.25]), seed=st.integers(0, 999))
def test_any_labels(attempt, reference, n, num_classes, average, zero_division, seed):
    """Any labels, with any classes missing, under every average."""
    y_true, y_pred = np.random.default_rng(seed).integers(0, num_classes, (2, n))
    agree(attempt, reference, y_true, y_pred, num_classes, average=average, zero_division=zero_division)


@pytest.mark.points(2)
@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
def test_rare_positive_class(attempt, reference, average):
    """1000 samples, 20 of them positive: 8 found, 12 missed, 2 false alarms. Accuracy is 0.986, F1 of the positives
    0.5333."""
    y_true, y_pred = np.repeat([1, 1, 0, 0], [8, 12, 2, 978]), np.repeat([1, 0, 1, 0], [8, 12, 2, 978])
    agree(attempt, reference, y_true, y_pred, 2, average=average)
