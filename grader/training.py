"""The standard checks of a training problem, for suites: accuracy, and what accuracy does not show. Starts no process.

Each takes the `lab` of the suite, or one of its runs, and raises a CheckFailure that says what is wrong and why it
matters.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from grader import check
from grader.lab import EVAL_BATCHES, Lab, Run, accuracy, wilson

EXTRA_S = 20.0
"""budget of the runs on a few hundred images, where the profile has as much"""


def check_accuracy(lab: Lab) -> None:
    """The graded run reaches the threshold; where the profile has a second seed, it gets one more run."""
    bar = lab.profile.threshold
    reached = [lab.run.accuracy]
    if reached[0] < bar and len(lab.plan.seeds) > 1:
        second = lab.again(lab.plan.seeds[1])
        reached.append(second.accuracy)
        lab.runs[-1] = replace(lab.runs[-1], accuracy=second.accuracy)
    if max(reached) < bar:
        low, high = wilson(round(reached[0] * len(lab.y_test)), len(lab.y_test))
        more = f"; with seed {lab.plan.seeds[1]}: {reached[1]:.1%}" if len(reached) > 1 else ""
        raise check.BelowThreshold(f"{reached[0]:.1%} of {len(lab.y_test):,} held-out images are right "
                                   f"(95 % interval {low:.1%} to {high:.1%}){more}; asked for: {bar:.1%}")


def check_logits(run: Run) -> None:
    """Finite, and scores rather than probabilities."""
    logits = run.held_out
    check.finite(logits, name="the logits")
    rows = logits.exp().sum(1) if (logits <= 0).all() else logits.sum(1)
    if (logits >= 0).all() and (rows - 1).abs().max() < 1e-3:
        check.fail("the outputs are probabilities: nothing negative, and each row sums to 1",
                   why="cross-entropy applies softmax itself; a softmax before it squeezes the gradients, and the loss "
                       "cannot fall below 1.46 for ten classes")


def check_negative_logits(run: Run, at_least: float = 0.05) -> None:
    """Nothing has bent the logits: a ReLU after the last layer turns the negative ones into zeros, a sigmoid or a
    second softmax squeezes all into 0 to 1. Logits that happen to be positive are none of these."""
    logits = run.held_out
    share, zeros = (logits < 0).float().mean().item(), (logits == 0).float().mean().item()
    bent = zeros > 0.01 or ((logits >= 0).all().item() and logits.max().item() <= 1)
    check.true(share >= at_least or not bent,
               f"{share:.1%} of the logits on held-out images are negative, and {zeros:.1%} are exactly 0; at least "
               f"{at_least:.0%} of those of a sound classifier are negative",
               why="a ReLU after the last layer cuts off every negative score, and its units stop learning")


def check_same_twice(run: Run) -> None:
    """The same images give the same logits: at once, again, and as they were when accuracy was measured."""
    images = run.lab.x_test[:64]
    first, second = run.forward(images), run.forward(images)
    _same(run, first, second, "the same 64 images, given twice, got different logits")
    _same(run, first, run.held_out[:64], "the same 64 images got other logits than before, in other batches", rtol=1e-2)


def check_alone(run: Run) -> None:
    """An image's logits do not depend on what else is in its batch."""
    images = run.lab.x_test[:64]
    together = run.forward(images)
    for i in (0, 17, 63):
        _same(run, run.forward(images[i:i + 1]), together[i:i + 1],
              "an image got other logits alone than in a batch of 64", rtol=1e-2)


def _same(run: Run, a: torch.Tensor, b: torch.Tensor, what: str, rtol: float = 1e-4) -> None:
    """Equal up to rtol of the largest logit: batches of another size are summed in another order, and a GPU may count
    in bfloat16, with eight bits."""
    rtol *= 1 if run.lab.device == "cpu" else 10
    scale = max(b.abs().max().item(), 1e-6)
    error = (a - b).abs().max().item()
    check.true(error <= rtol * scale or not math.isfinite(scale), f"{what}: they differ by up to {error:.3g}, where "
                                                                  f"the largest is {scale:.3g}",
               why="a model that is served must not depend on its neighbours or on chance: call model.eval() before "
                   "you return it, so that dropout is off and BatchNorm uses its running statistics")


def check_state(run: Run) -> None:
    """Predicting changes no parameter and no buffer."""
    before = run.state()
    run.forward(run.lab.x_test[:64])
    after = run.state()
    changed = [name for name, value in after.items() if name not in before or not torch.equal(
        torch.nan_to_num(value), torch.nan_to_num(before[name]))]
    check.true(not changed, f"predicting changed {', '.join(changed[:3])}",
               why="in training mode BatchNorm goes on averaging what it sees, test images included")


def check_parameters(run: Run, at_most: int) -> None:
    """The model is no larger than asked for, and what it knows is in the numbers that were counted."""
    check.true(0 < run.parameters <= at_most, f"the model has {run.parameters:,} parameters; at most {at_most:,} are "
                                              "asked for, and at least one",
               why="what a small model can do is the question")
    state, images = run.state(), run.lab.x_test[:64]
    try:
        run.model.load_state_dict({name: torch.zeros_like(value) for name, value in state.items()}, strict=False)
        blank = run.forward(images)
    finally:
        run.model.load_state_dict(state, strict=False)
    blank = blank - blank.mean(1, keepdim=True)  # the same for all classes says nothing
    spread = torch.nan_to_num(blank - blank[:1]).abs().max().item()
    check.true(spread <= 1e-4, "with all its parameters and buffers set to 0 the model still tells images apart: by "
                               f"up to {spread:.3g} in a logit",
               why="a layer in a plain list or dict is not registered: it is not counted, saved or moved to a GPU; "
                   "nn.ModuleList, nn.ParameterList and register_buffer are there for that")


def check_shift(run: Run, pixels: int = 1, at_most: float = 0.03) -> None:
    """Held-out images moved by a pixel are recognised nearly as often: what was learned is shape, not place."""
    lab = run.lab
    count = min(len(lab.y_test), 2000)
    images, labels = lab.x_test[:count], lab.y_test[:count]
    before = accuracy(run.held_out[:count], labels)
    moved = accuracy(run.logits(images.roll(pixels, 3), EVAL_BATCHES), labels)
    check.true(before - moved <= at_most, f"moved by {pixels} pixel to the right, {moved:.1%} of {count:,} images are "
                                          f"recognised, instead of {before:.1%}; a loss of {at_most:.0%} is allowed",
               why="the same picture one pixel further is the same picture")


def small(lab: Lab, count: int = 512) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `count` training images and labels."""
    return lab.x[:count], lab.y[:count]


def check_budget(lab: Lab, budget_s: float = 2.0) -> None:
    """With a short budget, train() returns in time, with a model that works."""
    run = lab.train(lab.x, lab.y, seed=1, budget_s=budget_s)
    check.finite(run.logits(lab.x_test[:64], 64), name=f"the logits of a model trained for {budget_s:g} s")


def check_shuffled_labels(lab: Lab, at_most: float = 0.25, count: int = 1000) -> None:
    """Trained on labels that mean nothing, the same code must know nothing."""
    x, y = small(lab, count)
    mixed = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(3))]
    images, labels = lab.x_test[:1000], lab.y_test[:1000]
    run = lab.train(x, mixed, seed=2, budget_s=EXTRA_S)
    found = accuracy(run.logits(images), labels)
    slack = 3 * math.sqrt(at_most * (1 - at_most) / max(len(labels), 1)) if len(labels) < 500 else 0.0
    check.true(found <= at_most + slack, f"trained on {len(x):,} images with shuffled labels, the model still gets "
                                         f"{found:.1%} of the held-out images right; chance is "
                                         f"{1 / len(lab.classes):.0%}",
               why="what a model knows has to come from the labels it was given")


def check_reproducible(lab: Lab, count: int = 512) -> None:
    """The same seed gives the same model (on a CPU)."""
    if lab.device != "cpu":
        return
    x, y = small(lab, count)
    images = lab.x_test[:1000]
    first, second = (lab.train(x, y, seed=5, budget_s=EXTRA_S).logits(images).argmax(1) for _ in range(2))
    share = (first == second).float().mean().item()
    check.true(share >= 0.999, f"trained twice with the same seed, the models agree on {share:.1%} of {len(images):,} "
                               "images",
               why="a result that cannot be repeated cannot be debugged: seed everything that draws, from `seed`")


def check_validation_untouched(lab: Lab, count: int = 512) -> None:
    """Validation images given with random labels: a model that has learned those labels was trained on them."""
    x, y = small(lab, count)
    generator = torch.Generator().manual_seed(7)
    fake = torch.randint(len(lab.classes), (len(lab.y_val),), generator=generator)
    run = lab.train(x, y, seed=3, budget_s=EXTRA_S, y_val=fake)
    found = accuracy(run.logits(lab.x_val), fake)
    chance = 1 / len(lab.classes)
    bar = chance + 5 * math.sqrt(chance * (1 - chance) / max(len(fake), 1))
    check.true(found <= bar, f"validation images were given with random labels, and the model reproduces {found:.1%} "
                             f"of these; by chance it would be {chance:.0%}",
               why="validation data chooses between models; what has been trained on can no longer judge")


def check_validation_leaves_no_trace(lab: Lab, count: int = 64) -> None:
    """Validation images that differ in what nobody sees, the lowest bit of each pixel, leave the same model (on a CPU).

    What went through the model in training mode shows in BatchNorm's running statistics, gradient or not. An answer may
    choose its epoch by these images: where another one was chosen the parameters differ too, and nothing is said. A
    buffer of one number may hold what validation said.
    """
    if lab.device != "cpu":
        return
    x, y = small(lab, count)
    first, second = (lab.train(x, y, seed=6, budget_s=EXTRA_S, x_val=x_val) for x_val in (lab.x_val, lab.x_val ^ 1))
    buffers = {str(name) for name, _ in first.model.named_buffers()}
    before, after = first.state(), second.state()
    changed = [name for name, value in before.items() if name not in after or not torch.equal(
        torch.nan_to_num(value), torch.nan_to_num(after[name]))]
    traces = [name for name in changed if before[name].numel() > 1]
    check.true(not traces or not buffers.issuperset(changed),
               f"trained once more, with validation images of which the lowest bit of each pixel was flipped, the "
               f"model has the same parameters, but another {', '.join(traces[:3])}",
               why="validation data chooses between models. In training mode BatchNorm averages what it sees, under "
                   "no_grad too: call model.eval() before validation images go through it")


def check_beats(lab: Lab, reached: float, control: float, points: float, what: str) -> None:
    """`reached` is at least `points` percentage points above `control`, accuracies from 0 to 1."""
    gain = 100 * (reached - control)
    lab.comparison = {"control": control, "accuracy": reached, "gain_points": gain, "asked_points": points}
    if gain < points:
        raise check.BelowThreshold(f"{reached:.1%} against {control:.1%} {what}: {gain:+.1f} points; asked for: "
                                   f"{points:+g} points")
