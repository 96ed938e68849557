"""`prep new`: scaffolds a problem that works, to be replaced piece by piece. Overwrites nothing, judges nothing."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from grader.errors import PrepError
from grader.problem import KINDS

TEMPLATE_MARK = "REPLACE:"
"""stands in each line that an author still has to write; `prep verify` lists them"""


def new(slug: str, kind: str, root: Path) -> list[Path]:
    """Write ROOT/problems/SLUG and ROOT/solutions/SLUG: a miniature that works, to be replaced piece by piece.

    Returns the files written. Raises PrepError, and writes nothing, for a bad slug or kind and where a folder exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
        near = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-0123456789")
        raise PrepError(f"'{slug}' cannot be a problem's name: a-z, 0-9 and single hyphens, a letter first.",
                        f"prep new {near or 'batch-norm'}")
    if kind not in KINDS:
        raise PrepError(f"No kind '{kind}'.", f"There are: {', '.join(KINDS)}.  prep new {slug} --kind function")
    folders = {"problems": root / "problems" / slug, "solutions": root / "solutions" / slug}
    for folder in folders.values():
        if folder.exists():
            raise PrepError(f"{folder} exists already.", f"See what it lacks:  prep verify {slug}")
    name = slug.replace("-", "_")
    if keyword.iskeyword(name):
        name += "_"
    if kind == "module":
        name = "".join(word.capitalize() for word in slug.split("-"))
    written = []
    for place, text in TEMPLATES[kind].items():
        area, _, rest = place.partition("/")
        path = folders[area] / rest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("NAME", name), encoding="utf-8", newline="\n")
        written.append(path)
    return written


# The templates: a small problem of each kind, right in every file, so that `prep verify` passes all but the count of
# files and the marked lines. NAME stands for the function or class.

_TOML = '''\
# REPLACE: describe your problem in every key of this file.
title = "{title}"
kind = "{kind}"
difficulty = "easy"
minutes = 10
topics = ["{topic}"]
entry = ["{entry}"]
hints = [
    "{hints[0]}",
    "{hints[1]}",
    "{hints[2]}",
]
follow_ups = ["{follow_up}"]

[rules]
libraries = ["{library}"]
'''

_NOTES = '''\
<!-- REPLACE: approach, cost, pitfalls, and an answer to each follow-up under a heading with its exact words. -->
# {title}

{approach}

## Follow-ups

### {follow_up}

{answer}
'''

_CENTRE: dict[str, str] = {
    "problems/problem.toml": _TOML.format(
        title="Centre the rows", kind="function", topic="normalisation", entry="NAME(x)", library="numpy",
        hints=("Which sums must be zero afterwards: those along the rows, or those along the columns?",
               "Each row has one mean, and every element of that row loses it.",
               "One reduction that keeps its axis, so that its result broadcasts against x, and one subtraction."),
        follow_up="Why is a variance computed from centred values, and not as E[x^2] - E[x]^2?") + '''
[[equivalent_mutants]]
before = "return x - x.mean(axis=1, keepdims=True)"
after = "return x - x.mean(axis=-1, keepdims=True)"
reason = "x has two axes, so the last one is axis 1"
''',
    "problems/prompt.md": '''\
<!-- REPLACE: what an interviewer would say: shapes, dtypes, conventions, errors, rules, a worked example. -->
# Centre the rows

Write `NAME(x)`: subtract from each row of `x` that row's mean.

* `x`: float array of shape (N, D), N and D at least 1. It must not be changed.
* Returns an array of the same shape and dtype.

```python
>>> NAME(np.array([[1.0, 3.0, 5.0], [10.0, 10.0, 40.0]]))
array([[ -2.,   0.,   2.],
       [-10., -10.,  20.]])
```
''',
    "problems/starter.py": '''\
# REPLACE: your signature and docstring.
def NAME(x):
    """Subtract from each row its mean.

    x: (N, D) float array   ->   (N, D), dtype of x
    """
    raise NotImplementedError
''',
    "problems/test_examples.py": '''\
# REPLACE: the visible tests; learners run them with plain pytest beside their attempt.py.
import numpy as np

from attempt import NAME


def test_rows_not_columns():
    x = np.array([[1.0, 3.0, 5.0], [10.0, 10.0, 40.0]])
    np.testing.assert_allclose(NAME(x), [[-2.0, 0.0, 2.0], [-10.0, -10.0, 20.0]])
''',
    "problems/test_hidden.py": '''\
# REPLACE: your hidden tests. Each names one mistake, on the smallest input that shows it; broad agreement comes last.
import numpy as np
import pytest

from grader import check
from grader.properties import given, st


@pytest.mark.visible
@pytest.mark.points(2)
def test_rows_not_columns(attempt):
    """Rows are examples and columns are features: a mean over the wrong axis mixes the examples of a batch."""
    x = np.array([[1.0, 3.0, 5.0], [10.0, 10.0, 40.0]])
    check.close(attempt.NAME(x), np.array([[-2.0, 0.0, 2.0], [-10.0, -10.0, 20.0]]))


def test_float32_stays_float32(attempt):
    """A float64 result doubles the memory of every layer that follows."""
    check.dtype(attempt.NAME(np.ones((2, 3), dtype=np.float32)), np.float32)


def test_input_is_unchanged(attempt):
    """The caller still needs x: work in place shows up as a bug somewhere else."""
    check.unchanged(attempt.NAME, np.array([[1.0, 3.0]]))


@given(n=st.integers(1, 4), d=st.integers(1, 5), seed=st.integers(0, 99))
def test_any_shape(attempt, reference, n, d, seed):
    """One row and one column are shapes as well."""
    x = np.random.default_rng(seed).integers(-9, 10, (n, d)).astype(float)
    # A row may be centred to exact zeros, which leave no room for another order of summation: hence atol.
    check.agrees(attempt.NAME, reference.NAME, x, atol=1e-12)
''',
    "solutions/solution.py": '''\
# REPLACE: what the best engineer would write in an interview.
def NAME(x):
    return x - x.mean(axis=1, keepdims=True)  # (N, D) - (N, 1)
''',
    "solutions/notes.md": _NOTES.format(
        title="Centre the rows",
        approach="One mean per row; `keepdims=True` makes it (N, 1), which broadcasts against (N, D). O(ND) time.\n\n"
                 "Pitfall: without `keepdims` the means have shape (N,), which broadcasts along the wrong axis where "
                 "N = D\nand raises elsewhere.",
        follow_up="Why is a variance computed from centred values, and not as E[x^2] - E[x]^2?",
        answer="The two terms are nearly equal where the mean is large. With mean 10^4 and variance 1 both are near "
               "10^8, where\nneighbouring float32 numbers are 8 apart: nothing of the variance is left."),
    "solutions/accepted/loops.py": '''\
# REPLACE: right answers in other styles, one a file.
import numpy as np


def NAME(x):
    out = np.empty_like(x)
    for i, row in enumerate(x):
        out[i] = row - sum(row) / len(row)
    return out
''',
    "solutions/rejected/columns.py": '''\
# expect: wrong-answer test_rows_not_columns
# The mean is taken over the wrong axis. REPLACE: wrong answers that a reviewer would notice, one mistake a file.
def NAME(x):
    return x - x.mean(axis=0)
''',
    "solutions/rejected/always_float64.py": '''\
# expect: wrong-answer test_float32_stays_float32
# Converts to float64, and returns it. REPLACE: as in the other files here.
import numpy as np


def NAME(x):
    x = np.asarray(x, dtype=np.float64)
    return x - x.mean(axis=1, keepdims=True)
''',
    "solutions/rejected/in_place.py": '''\
# expect: wrong-answer test_input_is_unchanged
# Works on the caller's array. REPLACE: as in the other files here.
def NAME(x):
    x -= x.mean(axis=1, keepdims=True)
    return x
''',
}

_FIND_THE_BUG: dict[str, str] = _CENTRE | {
    "problems/problem.toml": _CENTRE["problems/problem.toml"].replace('"function"', '"debug"').replace(
        "Centre the rows", "Find the bug: rows that are not centred"),
    "problems/prompt.md": _CENTRE["problems/prompt.md"].replace(
        "Write `NAME(x)`: subtract from each row of `x` that row's mean.",
        "`NAME(x)` should subtract from each row of `x` that row's mean, and does not. Find the bug and correct it."),
    "problems/starter.py": '''\
# REPLACE: code that runs, reads well, and has the bug that is to be found.
def NAME(x):
    """Subtract from each row its mean.

    x: (N, D) float array   ->   (N, D), dtype of x
    """
    return x - x.mean(axis=0)
''',
}

_SCALE: dict[str, str] = {
    "problems/problem.toml": _TOML.format(
        title="Scale and shift", kind="module", topic="normalisation", entry="NAME(features)", library="torch",
        hints=("What must the module do to its input before it has learned anything?",
               "Each feature has a factor and an offset of its own, shared by every row.",
               "Two parameters of shape (features,), made in __init__; one line in forward."),
        follow_up="Why does a normalisation layer need a learned scale and shift?"),
    "problems/prompt.md": '''\
<!-- REPLACE: what an interviewer would say: shapes, dtypes, conventions, errors, rules, a worked example. -->
# Scale and shift

Write the module `NAME(features)` with two learned parameters of shape (features,): `scale`, at first all ones, and
`shift`, at first all zeros.

* `x`: float tensor of shape (N, features).
* `forward(x)` returns a tensor of the same shape: every row is scaled first, and shifted then.

```python
>>> NAME(3)(torch.tensor([[1.0, -2.0, 3.0]])).tolist()
[[1.0, -2.0, 3.0]]
```
''',
    "problems/starter.py": '''\
# REPLACE: your signature and docstring.
from torch import nn


class NAME(nn.Module):
    """Scale each feature, then shift it.

    forward: x (N, features)   ->   (N, features)
    """

    def __init__(self, features):
        raise NotImplementedError

    def forward(self, x):
        raise NotImplementedError
''',
    "problems/test_examples.py": '''\
# REPLACE: the visible tests; learners run them with plain pytest beside their attempt.py.
import torch

from attempt import NAME


def test_changes_nothing_at_first():
    x = torch.tensor([[1.0, -2.0, 3.0]])
    torch.testing.assert_close(NAME(3)(x), x)
''',
    "problems/test_hidden.py": '''\
# REPLACE: your hidden tests. Each names one mistake, on the smallest input that shows it; broad agreement comes last.
import pytest
import torch

from grader import check

SCALE, SHIFT = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 0.0, -3.0])


@pytest.mark.visible
def test_changes_nothing_at_first(attempt):
    """A layer that starts as the identity cannot harm a network that it is added to."""
    x = torch.tensor([[1.0, -2.0, 3.0]])
    check.close(attempt.NAME(3)(x), x)


def test_names_and_shapes_of_the_parameters(attempt):
    """Weights are loaded by name: another name breaks every checkpoint."""
    check.close(attempt.NAME(3).state_dict(), {"scale": torch.ones(3), "shift": torch.zeros(3)}, calls=2)


@pytest.mark.points(2)
def test_scales_before_it_shifts(attempt):
    """(x + shift) * scale is another function, though both start as the identity."""
    model = attempt.NAME(3)
    model.load_state_dict({"scale": SCALE, "shift": SHIFT})
    x = torch.tensor([[1.0, 2.0, 4.0], [0.0, 1.0, 2.0]])
    check.close(model(x), x * SCALE + SHIFT, calls=3)


@pytest.mark.points(2)
def test_gradients_reach_both_parameters(attempt):
    """What gets no gradient does not learn."""
    model = attempt.NAME(3)
    x = torch.tensor([[1.0, 2.0, 4.0], [0.0, 1.0, 2.0]], requires_grad=True)
    model(x).sum().backward()
    check.close(model.scale.grad, torch.tensor([1.0, 3.0, 6.0]), name="the gradient of scale", calls=2)
    check.close(model.shift.grad, torch.tensor([2.0, 2.0, 2.0]), name="the gradient of shift", calls=2)
''',
    "solutions/solution.py": '''\
# REPLACE: what the best engineer would write in an interview.
import torch
from torch import nn


class NAME(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features))  # (D,)
        self.shift = nn.Parameter(torch.zeros(features))  # (D,)

    def forward(self, x):
        return x * self.scale + self.shift  # (N, D)
''',
    "solutions/notes.md": _NOTES.format(
        title="Scale and shift",
        approach="Two parameters, which broadcast over the rows. O(ND) time.\n\n"
                 "Pitfall: a plain tensor as an attribute is neither trained nor saved.",
        follow_up="Why does a normalisation layer need a learned scale and shift?",
        answer="Normalised features have mean 0 and variance 1, whatever the layer before has learned. The two "
               "parameters give the\nnetwork back the choice of another mean and variance, where that is better."),
    "solutions/accepted/addcmul.py": '''\
# REPLACE: right answers in other styles, one a file.
import torch


class NAME(torch.nn.Module):
    def __init__(self, features):
        super().__init__()
        self.register_parameter("scale", torch.nn.Parameter(torch.full((features,), 1.0)))
        self.register_parameter("shift", torch.nn.Parameter(torch.full((features,), 0.0)))

    def forward(self, x):
        return torch.addcmul(self.shift, x, self.scale)
''',
    "solutions/rejected/shift_first.py": '''\
# expect: wrong-answer test_scales_before_it_shifts
# Shifts before it scales. REPLACE: wrong answers that a reviewer would notice, one mistake a file.
import torch
from torch import nn


class NAME(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features))
        self.shift = nn.Parameter(torch.zeros(features))

    def forward(self, x):
        return (x + self.shift) * self.scale
''',
    "solutions/rejected/buffers.py": '''\
# expect: wrong-answer test_gradients_reach_both_parameters
# Buffers are saved with the weights, but not trained. REPLACE: as in the other files here.
import torch
from torch import nn


class NAME(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("shift", torch.zeros(features))

    def forward(self, x):
        return x * self.scale + self.shift
''',
}

_TRAIN_SIGNATURE = "NAME(x, y, *, x_val, y_val, device, seed, time_budget_s, log)"
_PROFILES = '''
# REPLACE: the profiles, with thresholds that you measured (three seeds, mean minus four standard deviations), and how.
[profiles.smoke]
dataset = "synth-digits"
train = 500
validation = 100
test = 300
budget_s = 10
threshold = 0.3
why = "chance is 10 %"

[profiles.cpu]
dataset = "mnist"
train = 5000
validation = 1000
test = 10000
budget_s = 60
threshold = 0.8
why = "chance is 10 %"

[profiles.cpu.surrogate]
dataset = "synth-digits"
test = 2000
threshold = 0.4
'''
_NET = '''
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(196, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, x):                            # (N, 1, 28, 28) uint8
        return self.layers(x.float() / 128 - 0.5)    # (N, 10)
'''
_CLASSIFIER: dict[str, str] = {
    "problems/problem.toml": _TOML.format(
        title="Digits", kind="training", topic="classification", entry=_TRAIN_SIGNATURE, library="torch",
        hints=("What does a pixel's value have to become before a layer multiplies it?",
               "A small net gives ten logits; cross-entropy compares them with the labels.",
               "Seed, model, optimiser; a loop of loss, zero_grad, backward, step, and a call of log; the model."),
        follow_up="Why does the model return logits, and not probabilities?") + _PROFILES,
    "problems/prompt.md": f'''\
<!-- REPLACE: what an interviewer would say: the data, shapes, the bar, the budget, rules. -->
# Digits

Write `{_TRAIN_SIGNATURE}`: train a classifier of digits, and return it.

* `x`: uint8 tensor (N, 1, 28, 28), raw pixels; `y`: int64 labels (N,). `x_val` and `y_val` are a validation split.
  All are on the CPU; the model is to be on `device`.
* Call `log(step=..., total=..., loss=...)` once a step or less often. It shows your progress, and raises
  `TimeoutError` once `time_budget_s` seconds are over.
* Returns a module in eval mode that takes raw uint8 images (M, 1, 28, 28) to logits (M, 10).
''',
    "problems/starter.py": f'''\
# REPLACE: your signature and docstring.
def {_TRAIN_SIGNATURE}:
    """Train a classifier of digits.

    x: (N, 1, 28, 28) uint8   y: (N,) int64   ->   a module in eval mode, (M, 1, 28, 28) uint8 -> (M, 10) logits
    """
    raise NotImplementedError
''',
    "problems/test_examples.py": '''\
# REPLACE: the visible tests; learners run them with plain pytest beside their attempt.py.
import torch

from attempt import NAME


def test_returns_logits():
    x, y = torch.randint(0, 256, (20, 1, 28, 28), dtype=torch.uint8), torch.arange(20) % 10
    model = NAME(x, y, x_val=x, y_val=y, device="cpu", seed=0, time_budget_s=5.0, log=lambda **values: None)
    assert model(x).shape == (20, 10)
''',
    "problems/test_hidden.py": '''\
# REPLACE: your hidden tests: behaviour first, accuracy after it, further training runs last (grader/training.py).
import pytest

from grader import training


@pytest.fixture(autouse=True)
def _entry(lab):
    lab.configure("NAME")


@pytest.mark.visible
def test_logits(lab):
    """Cross-entropy takes logits: finite scores of any sign, not probabilities."""
    training.check_logits(lab.run)


def test_same_twice(lab):
    """A model that is served gives the same answer to the same question."""
    training.check_same_twice(lab.run)


@pytest.mark.points(3)
def test_accuracy(lab):
    """Only images that training has not seen tell what was learned."""
    training.check_accuracy(lab)


def test_shuffled_labels(lab):
    """What the model knows has to come from the labels it was given."""
    training.check_shuffled_labels(lab)


def test_reproducible(lab):
    """A result that cannot be repeated cannot be debugged."""
    training.check_reproducible(lab)
''',
    "solutions/solution.py": f'''\
# REPLACE: what the best engineer would write in an interview.
import torch
from torch import nn
from torch.nn import functional as F

{_NET}

def {_TRAIN_SIGNATURE}:
    torch.manual_seed(seed)
    model = Net().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(100):
        rows = torch.randint(len(x), (100,))
        loss = F.cross_entropy(model(x[rows].to(device)), y[rows].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        log(step=step + 1, total=100, loss=loss.item())
    return model.eval()
''',
    "solutions/notes.md": _NOTES.format(
        title="Digits",
        approach="Halve the resolution, scale the pixels, one hidden layer.\n\n"
                 "Pitfall: a softmax inside the model as well as in the loss flattens the gradient.",
        follow_up="Why does the model return logits, and not probabilities?",
        answer="Cross-entropy of logits is computed by log-sum-exp and does not overflow; the logarithm of a "
               "probability that has\nunderflowed to 0 is minus infinity."),
    "solutions/accepted/sgd.py": f'''\
# REPLACE: right answers in other styles, one a file.
import torch
from torch import nn

{_NET}

def {_TRAIN_SIGNATURE}:
    torch.manual_seed(seed)
    model = Net().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(20):
        for rows in torch.randperm(len(x)).split(50):
            loss = torch.nn.functional.cross_entropy(model(x[rows].to(device)), y[rows].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        log(step=epoch + 1, total=20, loss=loss)
    return model.eval()
''',
    "solutions/rejected/never_steps.py": f'''\
# expect: below-threshold test_accuracy
# Computes gradients, and never takes a step. REPLACE: wrong answers that a reviewer would notice, one mistake a file.
import torch
from torch import nn

{_NET}

def {_TRAIN_SIGNATURE}:
    torch.manual_seed(seed)
    model = Net().to(device)
    for step in range(10):
        loss = torch.nn.functional.cross_entropy(model(x[:100].to(device)), y[:100].to(device))
        loss.backward()
        log(step=step + 1, total=10, loss=loss)
    return model.eval()
''',
    "solutions/rejected/probabilities.py": f'''\
# expect: wrong-answer test_logits
# Softmax in the model, and again in the loss. REPLACE: as in the other files here.
import torch
from torch import nn

{_NET.replace("nn.Linear(64, 10))", "nn.Linear(64, 10), nn.Softmax(1))")}

def {_TRAIN_SIGNATURE}:
    torch.manual_seed(seed)
    model = Net().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(100):
        rows = torch.randint(len(x), (100,))
        loss = torch.nn.functional.cross_entropy(model(x[rows].to(device)), y[rows].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        log(step=step + 1, total=100, loss=loss)
    return model.eval()
''',
}

TEMPLATES = {"function": _CENTRE, "module": _SCALE, "training": _CLASSIFIER, "debug": _FIND_THE_BUG}
"""kind -> {"problems/FILE" or "solutions/FILE": text}"""
