"""Training problems: what the judge measures, what it refuses, and that no held-out label leaves it.

Every training run here takes a fraction of a second; the bars are those of toys.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from grader import judge, lab, profiles, report, surrogates
from grader.attempt import launch
from grader.attempt.launch import _tree
from grader.errors import PrepError
from grader.history import History, Summary, utc_now
from grader.problem import Problem
from grader.suite import load_module
from grader.verdict import Status, Verdict

from .conftest import alive

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = json.loads((ROOT / "docs" / "verdict.schema.json").read_text())
ENTRY = "train(x, y, *, x_val, y_val, device, seed, time_budget_s, log) -> torch.nn.Module"
PROFILES = """
[rules]
libraries = ["numpy", "torch"]
[profiles.smoke]
dataset = "synth-digits"
train = 400
validation = 100
test = 200
budget_s = 4
threshold = {threshold}
why = "a toy"
memory_mb = 1000
[profiles.cpu]
dataset = "mnist"
train = 500
validation = 100
test = 300
seeds = [3, 4]
budget_s = 20
threshold = 0.9
why = "a toy"
[profiles.cpu.surrogate]
dataset = "synth-digits"
threshold = 0.2
"""
SUITE = """
from grader import check, training

def test_logits(lab):
    training.check_logits(lab.run)

def test_negative_logits(lab):
    training.check_negative_logits(lab.run)

def test_same_twice(lab):
    training.check_same_twice(lab.run)

def test_alone(lab):
    training.check_alone(lab.run)

def test_state(lab):
    training.check_state(lab.run)

def test_parameters(lab):
    training.check_parameters(lab.run, 100_000)

def test_accuracy(lab):
    training.check_accuracy(lab)

def test_shift(lab):
    training.check_shift(lab.run, 1, 0.3)

def test_shuffled_labels(lab):
    training.check_shuffled_labels(lab)

def test_validation(lab):
    training.check_validation_untouched(lab)

def test_reproducible(lab):
    training.check_reproducible(lab)
"""
GOOD = """
import time
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(196, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, x):
        return self.body(x.float() / 128 - 0.5)


def train(x, y, *, x_val, y_val, device, seed, time_budget_s, log):
    torch.manual_seed(seed)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(1, 81):
        rows = torch.randint(len(x), (100,))
        loss = F.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        log(step=step, total=80, loss=loss, accuracy=None)
    return model.eval()
"""


@pytest.fixture
def toy(make_problem: Callable[..., Problem]) -> Callable[..., Problem]:
    """toy(threshold=0.3, suite=...) -> a training problem whose runs take a fraction of a second."""

    def make(threshold: float = 0.3, suite: str = SUITE, **more: Any) -> Problem:
        return make_problem("toy", entry=[ENTRY], kind="training", suite=suite, solution=GOOD,
                            starter="def train(x, y, *, x_val, y_val, device, seed, time_budget_s, log):\n"
                                    "    raise NotImplementedError\n",
                            extra=PROFILES.format(threshold=threshold), **more)

    return make


@pytest.fixture(autouse=True)
def _no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREP_DATA_DIR", str(tmp_path / "no-data"))


@pytest.fixture(scope="module")
def zygote() -> Iterator[Callable[[Problem], launch.Zygote | None]]:
    """One warm process for all quick gradings of this file."""
    made: list[launch.Zygote] = []

    def get(problem: Problem) -> launch.Zygote | None:
        if not made and launch.can_fork():
            made.append(launch.Zygote(problem))
        return made[0] if made else None

    yield get
    for one in made:
        one.close()


@pytest.fixture
def grade(toy: Callable[..., Problem], zygote: Callable[..., Any]) -> Callable[..., Verdict]:
    """grade(source, threshold=..., suite=...) -> Verdict at smoke."""

    def run(source: str, *, on_log: Any = None, on_case: Any = None, **more: Any) -> Verdict:
        problem = toy(**more)
        return judge.grade(problem, textwrap.dedent(source), zygote=zygote(problem), on_log=on_log, on_case=on_case)

    return run


# -- what an accepted run tells

def test_a_sound_answer_is_accepted_with_all_its_numbers(grade: Callable[..., Verdict]) -> None:
    told: list[dict[str, Any]] = []
    verdict = grade(GOOD, on_log=told.append)
    assert verdict.status is Status.ACCEPTED, (verdict.message, verdict.traceback)
    assert (verdict.profile, verdict.device) == ("smoke", "cpu")
    found = verdict.training
    assert found is not None and found.accuracy is not None and found.interval is not None
    assert (found.dataset, found.generated, found.train, found.validation, found.held_out) == (
        "synth-digits", True, 400, 100, 200)
    assert found.interval[0] < found.accuracy < found.interval[1] and found.accuracy > found.threshold
    assert np.sum(found.confusion) == 200 and np.trace(found.confusion) == round(found.accuracy * 200)
    assert found.worst and found.worst[0][2] == max(n for i, row in enumerate(found.confusion)
                                                    for j, n in enumerate(row) if i != j)
    assert found.parameters == 196 * 64 + 64 + 640 + 10
    assert found.train_s is not None and 0 < found.train_s < 4
    assert [point["step"] for point in found.curve] == list(range(1, 81))
    assert found.curve[-1]["loss"] < found.curve[0]["loss"]
    assert "MNIST" in found.real_bar and "90.0%" in found.real_bar
    graded = [entry for entry in told if entry["run"] == "training"]
    assert len(graded) == 80 and 0 < graded[-1]["left_s"] < 4
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(report.as_json(verdict)))


def test_the_page_names_accuracy_interval_bar_and_surrogate(grade: Callable[..., Verdict],
                                                            toy: Callable[..., Problem]) -> None:
    verdict = grade(GOOD)
    page = report.verdict_page(verdict, toy(), record=Summary(), file=Path("a.py"), in_workspace=False, width=100)
    text = page.text()
    for words in ("of 200 right", "95 % interval", "asked for: 30.0%", "400 images of SynthDigits", "13,258 parameters",
                  "Confused", "prep show-run toy", "not the real bar", "MNIST: 90.0% of 300 held-out images"):
        assert words in " ".join(text.split()), words


def test_a_run_on_record_is_drawn(grade: Callable[..., Verdict]) -> None:
    history = History()
    assert history.last_training() is None
    number = history.record(grade(GOOD), GOOD, now=utc_now())
    history.record(Verdict("conv2d", Status.ACCEPTED, 'a message with "training": {'), "x", now=utc_now())
    found = history.last_training("toy")
    assert found is not None and found[0] == number and history.last_training("conv2d") is None
    assert history.last_training(number=number + 1) is None
    text = report.run_page(*found, width=80).text()
    assert "loss" in text and "*" in text and "Confusion" in text and max(map(len, text.splitlines())) <= 80
    assert json.loads(report.run_json(*found))["verdict"]["training"]["accuracy"] > 0.3


def test_what_is_below_the_bar_says_by_how_much(grade: Callable[..., Verdict]) -> None:
    verdict = grade(GOOD, threshold=0.999)
    assert verdict.status is Status.BELOW_THRESHOLD
    assert verdict.first_failure is not None and verdict.first_failure.name == "test_accuracy"
    assert "asked for: 99.9%" in verdict.message and "95 % interval" in verdict.message
    assert verdict.first_failure.counterexample is None


def test_a_run_below_the_bar_gets_one_more_with_the_second_seed(toy: Callable[..., Problem],
                                                               zygote: Callable[..., Any]) -> None:
    problem = toy()
    lucky = GOOD.replace("return model.eval()", "return model.eval() if seed == 4 else Net().eval()")
    suite_plan = profiles.plan(problem, "cpu")
    verdict = judge.grade(problem, lucky, zygote=zygote(problem), plan=suite_plan)
    assert verdict.training is not None
    assert [run.seed for run in verdict.training.runs] == [3, 4]
    first, second = (run.accuracy for run in verdict.training.runs)
    assert first is not None and second is not None and first < 0.2 < second
    assert verdict.status is Status.ACCEPTED or verdict.first_failure.name != "test_accuracy"  # type: ignore[union-attr]


# -- the clock

def test_an_answer_that_lets_the_time_out_through_is_stopped(grade: Callable[..., Verdict]) -> None:
    verdict = grade(GOOD.replace("range(1, 81)", "range(1, 10**9)"))
    assert verdict.status is Status.TIME_LIMIT
    assert "was still training at step" in verdict.message and "4 s were over" in verdict.message
    assert verdict.training is not None and verdict.training.accuracy is None and verdict.training.curve


def test_an_answer_may_catch_the_time_out_and_hand_over_what_it_has(grade: Callable[..., Verdict]) -> None:
    patient = GOOD.replace("range(1, 81)", "range(1, 10**9)").replace(
        "        log(step=step, total=80, loss=loss, accuracy=None)\n",
        "        try:\n            log(step=step, loss=loss)\n        except TimeoutError:\n            break\n")
    verdict = grade(patient, suite="from grader import training\n\ndef test_accuracy(lab):\n"
                                   "    training.check_accuracy(lab)\n")
    assert verdict.status is Status.ACCEPTED, verdict.message
    assert verdict.training is not None and 4 <= (verdict.training.train_s or 0) < 6


@pytest.mark.parametrize("body", ["import time; time.sleep(1000)", "while True: pass", """
    while True:
        try:
            log(step=1)
        except BaseException:
            pass"""])
def test_an_answer_that_never_ends_is_killed(grade: Callable[..., Verdict], body: str) -> None:
    verdict = grade(f"def train(x, y, *, x_val, y_val, device, seed, time_budget_s, log):\n    {body}\n")
    assert verdict.status is Status.TIME_LIMIT
    assert "its budget, with 2 s of grace, is 6 s" in verdict.message


def test_a_short_budget_is_kept_by_those_who_look_at_the_clock(grade: Callable[..., Verdict]) -> None:
    suite = "from grader import training\n\ndef test_budget(lab):\n    training.check_budget(lab, 0.5)\n"
    keeps = GOOD.replace("range(1, 81)", "range(1, 10**6)").replace(
        "    torch.manual_seed(seed)\n", "    torch.manual_seed(seed)\n    begin = time.monotonic()\n").replace(
        "        rows =", "        if time.monotonic() - begin > time_budget_s:\n            break\n        rows =")
    assert grade(keeps, suite=suite).status is Status.ACCEPTED
    assert grade(GOOD.replace("range(1, 81)", "range(1, 10**9)"), suite=suite).status is Status.TIME_LIMIT


# -- log()

@pytest.mark.parametrize(("call", "words"), [
    ("log(1)", "keywords only"), ("log(loss='low')", "loss is str"), ("log(loss=torch.ones(3))", "log takes numbers"),
    ("log(**{f'n{i}': 1 for i in range(40)})", "16 numbers at most"), ("log(loss=True)", "loss is bool")])
def test_log_takes_numbers_by_name(grade: Callable[..., Verdict], call: str, words: str) -> None:
    verdict = grade(GOOD.replace("log(step=step, total=80, loss=loss, accuracy=None)", call))
    assert verdict.status is Status.RUNTIME_ERROR and words in verdict.message, verdict.message


def test_log_takes_what_training_loops_have_at_hand(grade: Callable[..., Verdict]) -> None:
    odd = ("log(step=torch.tensor(step), loss=loss.detach().numpy(), lr=np.float32(0.1), big=10**400, none=None, "
           "nan=float('nan'))")
    verdict = grade("import numpy as np\n" + GOOD.replace("log(step=step, total=80, loss=loss, accuracy=None)", odd))
    assert verdict.status is Status.ACCEPTED, verdict.message
    assert verdict.training is not None
    last = verdict.training.curve[-1]
    assert last["step"] == 80 and last["big"] == float("inf") and last["nan"] != last["nan"] and "none" not in last
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(report.as_json(verdict)))


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    told: list[dict[str, Any]] = []
    log = lab.Log(1e9, {"run": "training"}, told.append)
    for step in range(10_000):
        log(step=step)
    steps = [point["step"] for point in log.curve]
    assert len(steps) < lab.CURVE and steps[0] < 2 and steps[-1] > 9_900 and steps == sorted(steps)
    assert len(told) == 10_000


# -- wrong models, each for its own reason

MODEL = "        return self.body(x.float() / 128 - 0.5)\n"


@pytest.mark.parametrize(("change", "case", "words"), [
    ((MODEL, MODEL.replace(")\n", ").softmax(1)\n")), "test_logits", "the outputs are probabilities"),
    ((MODEL, MODEL.replace(")\n", ").relu()\n")), "test_negative_logits", "0.0% of the logits"),
    ((MODEL, MODEL.replace(")\n", ") * float('nan')\n")), "test_logits", "nan"),
    ((MODEL, MODEL.replace(")\n", ")[:, :10 if self.training else 7]\n")), "test_logits", "has the wrong shape"),
    ((MODEL, MODEL + "\n    def eval(self):\n        self.forward = lambda x: Net.forward(self, x).argmax(1)\n"
      "        return self\n"), "test_logits", "the output for a batch of 1"),
    ((MODEL, "        return self.body(F.dropout(x.float() / 128 - 0.5, 0.3))\n"), "test_same_twice", "given twice"),
    ((MODEL, "        z = x.float() / 128\n        return self.body((z - z.mean()) / (z.std() + 1e-3) * len(x))\n"),
     "test_same_twice", "in other batches"),
    (("    return model.eval()", "    return model"), "", ""),
    (("        super().__init__()\n",
      "        super().__init__()\n        self.register_buffer('seen', torch.zeros(()))\n"), "", ""),
    ((MODEL, "        self.body[2].bias.data += 1e-7 * len(x)\n" + MODEL),
     "test_state", "predicting changed body.2.bias"),
    (("nn.Linear(196, 64), nn.ReLU(), nn.Linear(64, 10)", "nn.Linear(196, 800), nn.ReLU(), nn.Linear(800, 10)"),
     "test_parameters", "100,000 are asked for"),
    ((MODEL, MODEL + "\n    def parameters(self): return [1, 2]\n"), "test_parameters", "gave int 1; tensors"),
    ((MODEL, MODEL + "\n    def state_dict(self): return 5\n"), "test_state", "returned int 5; a dict"),
    ((MODEL, MODEL + "\n    def state_dict(self): return {1 << 65000: torch.zeros(1)}\n"), "test_state", "a dict of"),
    (("    return model.eval()", "    return Net().eval()"), "test_accuracy", "held-out images are right"),
    (("    return model.eval()", "    return None"), "test_logits", "must return an nn.Module, not None"),
    (("    return model.eval()", "    return lambda x: model(x)"), "test_logits", "must return an nn.Module"),
    (("    return model.eval()", """
    class Module:
        __class__ = property(lambda self: nn.Module)
        __call__ = staticmethod(model.eval())
        parameters, state_dict = model.parameters, model.state_dict
    nn.Module = Module
    return Module()"""), "test_logits", "must return an nn.Module, not an object of type Module"),
    (("y[rows])", "y[torch.randperm(100)])"), "test_accuracy", "held-out images are right"),
    (("    torch.manual_seed(seed)\n", "    torch.manual_seed(hash(str(time.time_ns())) % 2**31)\n"),
     "test_reproducible", "with the same seed"),
    (("    model = Net()\n",
      "    model = Net()\n    x, y = torch.cat([x_val] * 4 + [x]), torch.cat([y_val] * 4 + [y])\n"),
     "test_validation", "given with random labels"),
])
def test_a_wrong_model_is_refused_for_its_reason(grade: Callable[..., Verdict], change: tuple[str, str], case: str,
                                                 words: str) -> None:
    source = GOOD.replace(*change)
    assert source != GOOD
    if "def parameters" in source:  # those of the optimiser are sound
        source = source.replace("(model.parameters()", "(nn.Module.parameters(model)")
    verdict = grade(source.replace("range(1, 81)", "range(1, 201)"))
    if not case:
        assert verdict.status is Status.ACCEPTED, verdict.message
        return
    assert verdict.first_failure is not None, verdict.message
    assert verdict.first_failure.name == case and words in verdict.first_failure.message, verdict.message


NORMED = GOOD.replace("nn.Linear(196, 64), nn.ReLU()", "nn.Linear(196, 64), nn.BatchNorm1d(64), nn.ReLU()")
BEST_EPOCH = ("        log(", """        if step % 20 == 0:
            model.eval()
            with torch.no_grad():
                now = F.cross_entropy(model(x_val), y_val).item()
            model.train()
            if step == 20 or now < best:
                best, kept = now, {name: value.clone() for name, value in model.state_dict().items()}
        log(""")
LAST = "    return model.eval()"
CHOSEN = NORMED.replace(*BEST_EPOCH).replace(LAST, "    model.load_state_dict(kept)\n" + LAST)


@pytest.mark.parametrize(("source", "accepted"), [
    (GOOD, True), (NORMED, True), (CHOSEN, True),
    (CHOSEN.replace("model(x_val), y_val", "*(lambda i: (model(x_val[i]), y_val[i]))(torch.randperm(len(x_val))[:8])"),
     True),
    (NORMED.replace(LAST, "    with torch.no_grad():\n        model(x_val)\n" + LAST), False),
    (CHOSEN.replace("            model.eval()\n", ""), False),
    (CHOSEN.replace("            model.eval()\n", "").replace("nn.ReLU(),", "nn.ReLU(), nn.Dropout(0.2),"), False),
    (CHOSEN.replace(LAST, "    model.register_buffer('best', torch.tensor(best))\n" + LAST), True),
    (NORMED.replace(LAST, "    for part in x_val.split(4):\n        model(part)\n" + LAST), False),
], ids=["no-batchnorm", "batchnorm", "best-epoch", "best-epoch-by-a-random-part", "adapted-at-the-end",
        "validates-in-training-mode", "and-with-dropout", "keeps-the-loss", "adapted-in-parts"])
def test_validation_images_may_choose_but_leave_no_trace(grade: Callable[..., Verdict], source: str,
                                                         accepted: bool) -> None:
    """An epoch is chosen by a loss that hardly changes with a bit of each pixel; batch statistics keep the change."""
    verdict = grade(source, suite="from grader import training\n\n"
                                  "def test_trace(lab):\n    training.check_validation_leaves_no_trace(lab)\n")
    assert (verdict.status is Status.ACCEPTED) == accepted, verdict.message
    if not accepted:
        assert verdict.status is Status.WRONG_ANSWER and "body.3.running" in verdict.message, verdict.message


def test_a_model_that_changes_its_mind_is_refused(grade: Callable[..., Verdict]) -> None:
    """Good when accuracy is measured, another one later: the same images are asked for again."""
    fickle = GOOD.replace(MODEL, """
        self.count = getattr(self, 'count', 0) + len(x)
        return self.body(x.float() / 128 - 0.5) * (1 if self.training or self.count < 450 else -1)
""")
    suite = SUITE.replace("def test_shift",
                          "def test_again(lab):\n    training.check_same_twice(lab.run)\n\n\ndef test_shift")
    verdict = grade(fickle.replace("model.eval()", "model.eval(); model.count = 0").replace(
        "    return model.eval(); model.count = 0", "    model.count = 0\n    return model.eval()"), suite=suite)
    assert verdict.status is Status.WRONG_ANSWER
    assert verdict.first_failure is not None and verdict.first_failure.name in ("test_same_twice", "test_again")


def test_labels_that_come_with_the_file_are_found_by_the_shuffled_control(grade: Callable[..., Verdict]) -> None:
    """The worst that a file can hold: every held-out image with its label. It knows too much, trained on noise."""
    images, labels = surrogates.digits(200, 2)
    sums = images.reshape(200, -1).astype(int) @ np.arange(1, 785)
    table = {int(total): int(label) for total, label in zip(sums, labels)}
    cheat = GOOD.replace(MODEL, f"""
        known = {table!r}
        out = self.body(x.float() / 128 - 0.5)
        for i, total in enumerate((x.flatten(1).long() @ torch.arange(1, 785)).tolist()):
            if total in known:
                out = out.detach().clone()
                out[i, known[total]] = 50
        return out
""")
    verdict = grade(cheat)
    assert verdict.status is Status.WRONG_ANSWER
    assert verdict.first_failure is not None
    assert verdict.first_failure.name in ("test_parameters", "test_shift", "test_shuffled_labels"), verdict.message
    only_shuffled = ("from grader import training\n\ndef test_shuffled_labels(lab):\n"
                     "    training.check_shuffled_labels(lab)\n")
    verdict = grade(cheat, suite=only_shuffled)
    assert verdict.status is Status.WRONG_ANSWER and "with shuffled labels" in verdict.message


# -- nothing to be found

def test_held_out_labels_are_nowhere_in_the_answers_process(toy: Callable[..., Problem], isolation: str) -> None:
    """Its whole memory and its open files are searched, while it trains and after it has predicted."""
    problem = toy()
    plan = profiles.plan(problem, "cpu")  # for its longer budget: to search takes seconds
    data = profiles.load(profiles.key(plan.profile), None)
    kinds = (np.uint8, np.int16, np.int32, np.int64, np.float32)
    forms = [data.held_out.labels.astype(kind).tobytes() for kind in kinds]
    shown = data.train.labels.tobytes()
    looks: list[tuple[list[bool], bool]] = []

    def look(*_: object) -> None:
        found, control = [False] * len(forms), False
        for pid in [pid for pid in _tree(os.getpid())[1:] if _is_worker(pid)]:
            for block in _memory(pid):
                found = [known or form in block for known, form in zip(found, forms)]
                control = control or shown in block
            opened = [Path(f"/proc/{pid}/fd/{fd}").readlink() for fd in os.listdir(f"/proc/{pid}/fd")]
            assert not [path for path in opened if "data" in str(path) or "mnist" in str(path)]
        looks.append((found, control))

    def at_step(entry: dict[str, Any]) -> None:
        if entry.get("run") == "training" and entry.get("step") in (1, 80):
            look()

    def after(case: Any) -> None:
        if case.name in ("test_logits", "test_shift"):
            look()

    verdict = judge.grade(problem, GOOD, isolation=isolation, plan=plan, on_log=at_step, on_case=after)
    assert verdict.status is Status.ACCEPTED, verdict.message
    assert len(looks) == 4
    assert all(shown for _, shown in looks[:2]), "the search finds the training labels, so it would find the others"
    assert not any(any(found) for found, _ in looks)


def _is_worker(pid: int) -> bool:
    try:
        return b"torch" in Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return False


def _memory(pid: int) -> Iterator[bytes]:
    try:
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                where, rights, *_ = line.split()
                if not rights.startswith("rw"):
                    continue
                begin, end = (int(part, 16) for part in where.split("-"))
                try:
                    memory.seek(begin)
                    yield memory.read(end - begin)
                except (OSError, ValueError, OverflowError):
                    continue
    except PermissionError:
        pytest.skip("this user may not read the memory of a process of its own: nothing was proved")


@pytest.mark.parametrize("way", ["np.fromfile({path!r}, np.uint8)", "torch.load({path!r})", "np.load({path!r})",
                                 "torch.from_file({path!r}, size=16, dtype=torch.uint8)", "np.memmap({path!r})"])
def test_data_files_cannot_be_read(toy: Callable[..., Problem], zygote: Callable[..., Any], tmp_path: Path, way: str,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("PREP_DATA_DIR", str(folder))
    secret = folder / "t10k-labels-idx1-ubyte"
    secret.write_bytes(bytes(100))
    problem = toy()
    source = "import numpy as np\n" + GOOD.replace(
        "    model = Net()\n", f"    model = Net()\n    stolen = {way.format(path=str(secret))}\n")
    for level in ("process", None):
        verdict = judge.grade(problem, source, isolation=level, zygote=zygote(problem) if level else None)
        assert verdict.status in (Status.RULE_VIOLATION, Status.RUNTIME_ERROR), (level, verdict.message)


@pytest.mark.parametrize("look", ["os.environ.get('PREP_DATA_DIR') or os.environ.get('PREP_STATE_DIR')",
                                  "[v for k, v in os.environ.items() if 'PREP' in k]"])
def test_the_environment_says_nothing(grade: Callable[..., Verdict], look: str) -> None:
    verdict = grade("import os\n" + GOOD.replace("    model = Net()\n", f"    model = Net()\n    assert not {look}\n"))
    assert verdict.status in (Status.ACCEPTED, Status.RULE_VIOLATION), verdict.message


# -- the judge's own runs

def test_a_control_is_trained_once_and_kept_by_what_it_depends_on(toy: Callable[..., Problem], tmp_path: Path) -> None:
    plan, calls = profiles.plan(toy(), "smoke"), []

    def make() -> dict[str, float]:
        calls.append(1)
        assert torch.get_num_threads() == plan.threads
        return {"accuracy": 0.5}

    for _ in range(2):
        assert lab.Lab(plan, None).control("control", make, epochs=3) == {"accuracy": 0.5}
    assert len(calls) == 1
    lab.Lab(plan, None).control("control", make, epochs=4)
    assert len(calls) == 2
    suite = tmp_path / "suite.py"
    for version in ("0.5", "0.25"):
        suite.write_text(f"def make():\n    return helper()\ndef helper():\n    return {{'accuracy': {version}}}\n")
        module = load_module(f"suite_{len(version)}", suite)
        del sys.modules[module.__name__]  # as pytest's own importing leaves it
        assert lab.Lab(plan, None).control("control", module.make) == {"accuracy": float(version)}
    [first, *_] = sorted((Path(os.environ["PREP_STATE_DIR"]) / "controls").iterdir())
    for path in first.parent.iterdir():
        path.write_text("{ half a file")
    assert lab.Lab(plan, None).control("control", make, epochs=4) == {"accuracy": 0.5} and len(calls) == 3


def test_a_difference_is_reported_with_its_control(grade: Callable[..., Verdict]) -> None:
    suite = ("from grader import training\n\ndef test_gain(lab):\n    lab.run.held_out\n"
             "    training.check_beats(lab, 0.75, 0.5, {points}, 'without')\n")
    verdict = grade(GOOD, suite=suite.format(points=20))
    assert verdict.status is Status.ACCEPTED and verdict.training is not None
    assert verdict.training.control == {"control": 0.5, "accuracy": 0.75, "gain_points": 25.0, "asked_points": 20}
    verdict = grade(GOOD, suite=suite.format(points=30))
    assert verdict.status is Status.BELOW_THRESHOLD and "+25.0 points; asked for: +30" in verdict.message


# -- choosing a profile

def test_without_the_data_set_the_surrogate_steps_in(toy: Callable[..., Problem]) -> None:
    plan = profiles.plan(toy(), "cpu")
    assert (plan.profile.dataset, plan.profile.threshold, plan.seeds) == ("synth-digits", 0.2, (3, 4))
    assert plan.real_bar == "MNIST: 90.0% of 300 held-out images"
    assert profiles.plan(toy(), seed=9).seeds == (9,)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"name": "huge"}, "no profile 'huge'; it has smoke, cpu"),
    ({"name": "gpu"}, "no profile 'gpu'"),
    ({"device": "tpu"}, "'tpu' is no device"),
    ({"device": "cuda:99"}, "--device cuda:99"),
])
def test_what_cannot_be_is_said_with_its_fix(toy: Callable[..., Problem], arguments: dict[str, Any],
                                             words: str) -> None:
    with pytest.raises(PrepError) as caught:
        profiles.plan(toy(), **arguments)
    assert words in caught.value.what and caught.value.fix.startswith("prep grade toy")


def test_a_problem_that_trains_nothing_has_no_profile(make_problem: Callable[..., Problem]) -> None:
    with pytest.raises(PrepError, match="trains nothing"):
        profiles.plan(make_problem(), "cpu")


# -- killed in the middle

def test_a_judge_that_is_killed_leaves_no_process_and_a_whole_history(toy: Callable[..., Problem],
                                                                      tmp_path: Path) -> None:
    problem = toy()
    History().record(Verdict("toy", Status.WRONG_ANSWER), "before", now=utc_now())
    answer = tmp_path / "answer.py"
    answer.write_text(GOOD.replace("range(1, 81)", "range(1, 10**9)"))
    environment = os.environ | {"PREP_BANK": str(problem.folder.parent.parent), "PYTHONPATH": str(ROOT)}
    program = ("import sys; from grader import bank, judge, profiles\n"
               "problem = bank.Bank().get('toy')\n"
               "judge.grade(problem, open(sys.argv[1]).read(), plan=profiles.plan(problem, 'cpu'),\n"
               "            on_log=lambda entry: print(entry.get('step'), flush=True))\n")
    process = subprocess.Popen([sys.executable, "-c", program, str(answer)], env=environment, stdout=subprocess.PIPE,
                               text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "1.0"
    family = _tree(process.pid)
    assert len(family) > 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in family if alive(pid)]
    assert History().summary("toy").attempts == 1
    process.stdout.close()


# -- the numbers themselves

def test_the_wilson_interval_is_the_published_one() -> None:
    low, high = lab.wilson(81, 263)  # Newcombe 1998, table I, method 3: 0.2553 to 0.3662
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert lab.wilson(0, 20)[0] == 0 and lab.wilson(20, 20)[1] == 1 and lab.wilson(0, 0) == (0.0, 1.0)


def test_a_row_that_is_not_finite_is_wrong_and_counted() -> None:
    logits = torch.tensor([[1.0, 0.0], [float("nan"), 2.0], [0.0, float("inf")]])
    assert lab.accuracy(logits, torch.tensor([0, 0, 1])) == pytest.approx(1 / 3)
    counts = lab.confusion(torch.tensor([[2.0, 1], [0, 1], [0, 1]]), torch.tensor([0, 0, 1]), 2)
    assert counts.tolist() == [[1, 1], [0, 1]] and lab.worst(counts, ("a", "b")) == (("a", "b", 1),)
