"""Hidden suite of cnn-cifar10: the clock, then the trained model, then further runs.

The short run comes first, so that an answer which overlooks the clock is not paid for with the whole budget.
"""

import pytest

from grader import training

MOST_PARAMETERS = 3_000_000


@pytest.mark.points(2)
def test_keeps_a_short_budget(lab):
    """Whoever pays for the machine sets the time. With a few seconds, train() must look at the clock and hand over what
    it has, however little that is."""
    training.check_budget(lab, budget_s=lab.profile.settings["short_budget_s"])


@pytest.mark.visible
def test_logits_are_scores(lab):
    """Cross-entropy in PyTorch contains the softmax. A second one in the model still learns, slowly, and hides behind
    an accuracy that looks like bad luck."""
    training.check_logits(lab.run)


@pytest.mark.visible
def test_logits_of_both_signs(lab):
    """A ReLU after the last layer cuts off every negative score. A class that is at 0 for all images gets no gradient,
    and is never predicted again."""
    training.check_negative_logits(lab.run)


def test_same_image_same_logits(lab):
    """Dropout left on draws a new network in each call; BatchNorm in training mode makes a picture depend on the
    others in its batch. Return the model in eval mode."""
    training.check_same_twice(lab.run)


def test_one_image_alone(lab):
    """An image's logits are the same alone and among 63 others."""
    training.check_alone(lab.run)


def test_predicting_changes_nothing(lab):
    """A model that is in use must not go on learning from what it is shown, not even averages."""
    training.check_state(lab.run)


def test_parameters(lab):
    """Three million numbers are plenty: networks of two reach 94 % on CIFAR-10. What is asked for is a recipe that
    uses its time, not a larger network."""
    training.check_parameters(lab.run, at_most=MOST_PARAMETERS)


@pytest.mark.points(6)
def test_accuracy(lab):
    """The share of held-out images that are recognised, where the model gets raw bytes and nothing else. See the
    profile for where the bar comes from."""
    training.check_accuracy(lab)


@pytest.mark.points(2)
def test_shifted_by_a_pixel(lab):
    """The same picture one pixel further is the same picture. A network that has learned places instead of forms
    forgets a good part of what it knew."""
    training.check_shift(lab.run, pixels=1, at_most=0.04)


def test_shuffled_labels_teach_nothing(lab):
    """Trained on labels in random order the same code must be at chance: what it knows comes from the labels."""
    training.check_shuffled_labels(lab, at_most=0.25, count=500)


def test_validation_images_are_not_trained_on(lab):
    """Here the validation labels are random. A model that gives them back was trained on them, and nothing is left to
    choose by."""
    training.check_validation_untouched(lab, count=256)


def test_validation_leaves_no_trace(lab):
    """Validation images are to watch and to choose by. In training mode BatchNorm averages what goes through it,
    gradient or not: it is then fitted to the images that were to judge it."""
    training.check_validation_leaves_no_trace(lab, count=256)


def test_same_seed_same_model(lab):
    """A result that cannot be repeated cannot be debugged: weights, order and augmentation all follow from seed."""
    training.check_reproducible(lab, count=256)
