"""Training in the judge: runs the answer's train() on training data only, and measures the model on held-out images.

The held-out labels never leave this process, and the clock is the judge's. `Lab` is the fixture `lab` of a suite; what
suites check with it is in training.py.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grader import check, profiles
from grader.attempt.outcomes import AttemptRaised
from grader.paths import state_dir
from grader.profiles import Plan
from grader.verdict import Status, Training, TrainingRun

CURVE = 2000
"""points of a curve that are kept at most"""
LOG_KEYS = 16
EVAL_BATCHES = (1, 7, 64, 250)
"""sizes of the first batches of held-out images; the others are of EVAL_BATCH"""
EVAL_BATCH = 500
BY_ITSELF = "an nn.Module has this method already, and need not write its own"

OnLog = Callable[[dict[str, Any]], None]


class Log:
    """What the answer is given as `log`: takes numbers, keeps them as the curve, and says when the time is over."""

    def __init__(self, budget_s: float, about: dict[str, Any], on_log: OnLog) -> None:
        self._about, self._on_log = about, on_log
        self._begin, self.budget_s = time.monotonic(), budget_s
        self.curve: list[dict[str, float]] = []
        self.asked_to_stop = False
        self._every = self._count = 1

    def __call__(self, *args: Any, **numbers: Any) -> None:
        elapsed_s = time.monotonic() - self._begin
        if args:
            raise TypeError("log takes keywords only: log(step=..., total=..., loss=..., accuracy=...)")
        if len(numbers) > LOG_KEYS:
            raise TypeError(f"log takes {LOG_KEYS} numbers at most")
        entry = {"elapsed_s": round(elapsed_s, 4)} | {name[:40]: _number(name, value) for name, value in numbers.items()
                                                      if value is not None}
        if self._count % self._every == 0:
            self.curve.append(entry)
            if len(self.curve) >= CURVE:
                self.curve, self._every = self.curve[::2], self._every * 2
        self._count += 1
        self._on_log(self._about | entry | {"left_s": self.budget_s - elapsed_s})
        # an answer that keeps time itself began a little later than this clock, after the data had come
        if elapsed_s > self.budget_s + profiles.grace_s(self.budget_s) / 4:
            self.asked_to_stop = True
            raise TimeoutError(f"the time budget of {self.budget_s:g} s is over")


def _number(name: str, value: Any) -> float:
    if isinstance(value, torch.Tensor | np.ndarray) and math.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"log takes numbers; {name} is {check.describe(value)}")
    try:
        return float(value)
    except OverflowError:
        return math.inf


@dataclass
class Run:
    """A model that the answer trained. Everything asked of it happens beyond the boundary, and comes back as data."""

    lab: Lab
    model: Any
    extra: tuple[Any, ...]
    """what train() returned besides the model"""
    seed: int
    seconds: float
    curve: list[dict[str, float]]

    _held_out: torch.Tensor | None = None
    _parameters: int | None = None

    def logits(self, images: torch.Tensor, batch: int | Sequence[int] = EVAL_BATCH) -> torch.Tensor:
        """(N, C, H, W) uint8 -> (N, classes) float32 on the CPU. Images go in shuffled order, so that an answer cannot
        tell which is which by its place; the sizes of the first batches are `batch`, where it is a sequence."""
        sizes = list(batch) if not isinstance(batch, int) else []
        order = torch.randperm(len(images), generator=_secret())
        out: torch.Tensor | None = None
        begin = 0
        while begin < len(images):
            size = sizes.pop(0) if sizes else batch if isinstance(batch, int) else EVAL_BATCH
            chosen = order[begin:begin + size]
            got = self.forward(images[chosen])
            if out is None:
                out = torch.empty(len(images), got.shape[1])
            out[chosen] = got
            begin += size
        return torch.empty(0, len(self.lab.classes)) if out is None else out

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """One batch through the model, exactly as given."""
        with torch.no_grad(), self.lab.on_device():
            got = self.model(images)
        name = f"the output for a batch of {len(images)}"
        check.is_float_tensor(got, name=name, why="the model returns logits, one row of scores per image")
        check.shape(got, (len(images), len(self.lab.classes)), name=name,
                    why=f"one row per image, one column per class ({len(self.lab.classes)})")
        logits: torch.Tensor = got.detach().float()
        return logits

    @property
    def held_out(self) -> torch.Tensor:
        """Logits on the held-out images, asked for once: in shuffled order, in batches of several sizes."""
        if self._held_out is None:
            self._held_out = self.logits(self.lab.x_test, EVAL_BATCHES)
        return self._held_out

    @property
    def accuracy(self) -> float:
        """Share of the held-out images whose largest logit is at their label."""
        return accuracy(self.held_out, self.lab.y_test)

    @property
    def parameters(self) -> int:
        """Numbers in the model's parameters; 0 where it has none."""
        if self._parameters is None:
            found = self.model.parameters()
            listed = list(found) if isinstance(found, Iterator | list | tuple) else [found]
            for item in listed:
                check.true(check.is_tensor(item), f"the model's parameters() gave {check.describe(item)}; tensors are "
                                                  "asked for", why=BY_ITSELF)
            self._parameters = sum(math.prod(parameter.shape) for parameter in listed)
        return self._parameters

    def state(self) -> dict[str, torch.Tensor]:
        """The model's parameters and buffers, as copies."""
        found = self.model.state_dict()
        check.true(isinstance(found, dict) and all(isinstance(name, str) for name in found),
                   f"the model's state_dict() returned {check.describe(found)}; a dict of tensors by name is asked for",
                   why=BY_ITSELF)
        return {name: value.detach().clone() for name, value in found.items() if isinstance(value, torch.Tensor)}


class Lab:
    """The judge's side of a training problem: data, clock, and the runs that were made, each made once."""

    def __init__(self, plan: Plan, attempt: Any, on_log: OnLog = lambda entry: None) -> None:
        self.plan, self._attempt, self._on_log = plan, attempt, on_log
        self.device, self.profile = plan.device, plan.profile
        self._data: profiles.Data | None = None
        self._run: Run | None = None
        self._last: Log | None = None
        self._entry, self._more = "train", dict[str, Any]()
        self._labels: torch.Tensor | None = None
        self._before: Callable[[], tuple[Any, ...]] = tuple
        self.runs: list[TrainingRun] = []
        self.comparison: dict[str, float] | None = None

    def configure(self, entry: str, before: Callable[[], tuple[Any, ...]] = tuple, labels: torch.Tensor | None = None,
                  **more: Any) -> None:
        """For answers whose entry point is not train(x, y, ...): its name, what it takes before x and y (made anew for
        each run), and further keyword arguments. labels: (N,) int64, in place of the training labels."""
        self._entry, self._before, self._more, self._labels = entry, before, more, labels

    # -- the data

    @property
    def data(self) -> profiles.Data:
        if self._data is None:
            self._data = profiles.load(profiles.key(self.profile), self.plan.data_dir)
            self._tensors = {
                name: (torch.from_numpy(split.images), torch.from_numpy(split.labels))
                for name, split in (("train", self._data.train), ("validation", self._data.validation),
                                    ("held_out", self._data.held_out))}
        return self._data

    def _tensor(self, name: str, part: int) -> torch.Tensor:
        _ = self.data
        return self._tensors[name][part]

    x = property(lambda self: self._tensor("train", 0), doc="(N, C, H, W) uint8: what the answer trains on")
    y = property(lambda self: self._tensor("train", 1) if self._labels is None else self._labels,
                 doc="(N,) int64: what it is told they show; see `configure` for other labels than the true ones")
    x_val = property(lambda self: self._tensor("validation", 0), doc="(V, C, H, W) uint8: given to the answer too")
    y_val = property(lambda self: self._tensor("validation", 1), doc="(V,) int64")
    x_test = property(lambda self: self._tensor("held_out", 0), doc="(T, C, H, W) uint8: sent for prediction only")
    y_test = property(lambda self: self._tensor("held_out", 1), doc="(T,) int64: never sent")

    @property
    def classes(self) -> tuple[str, ...]:
        return self.data.classes

    @property
    def surrogate(self) -> bool:
        """Whether the images are drawn by prep."""
        return self.profile.generated

    # -- runs

    @property
    def run(self) -> Run:
        """The graded run: the whole training split, the profile's budget, its first seed."""
        if self._run is None:
            self._run = self.train(self.x, self.y, seed=self.plan.seeds[0])
        return self._run

    def again(self, seed: int) -> Run:
        """The graded run once more, with another seed."""
        return self.train(self.x, self.y, seed=seed)

    def train(self, x: torch.Tensor, y: torch.Tensor, *, seed: int = 0, budget_s: float | None = None,
              entry: str | None = None, before: tuple[Any, ...] | None = None, args: Sequence[Any] = (),
              **more: Any) -> Run:
        """Run the answer's `entry` on x, y (and the validation split, unless `more` has another) under the clock.

        before, args: positional arguments before and after x and y; more: further keyword arguments. What is not given
        is as `configure` has it.
        Raises AttemptStopped where it takes longer than its budget and the time of grace.
        """
        whole = len(x) == len(self.x) and budget_s is None
        entry, more = entry or self._entry, self._more | more
        before = self._before() if before is None else before
        budget_s = min(budget_s or math.inf, self.profile.budget_s)
        log = self._last = Log(budget_s, {"run": "training" if whole else "a check", "seed": seed}, self._on_log)
        keywords = {"x_val": self.x_val, "y_val": self.y_val, "device": self.device, "seed": seed,
                    "time_budget_s": float(budget_s), "log": log} | more
        begin = time.monotonic()
        try:
            with self.within(budget_s, entry):
                found = getattr(self._attempt, entry)(*before, x, y, *args, **keywords)
        except AttemptRaised as error:
            if log.asked_to_stop and "TimeoutError" in (error.attempt_error, *error.error.bases):
                last = log.curve[-1] if log.curve else {}
                at = f" at step {last['step']:g}" + (f" of {last['total']:g}" if "total" in last else "") if (
                    "step" in last) else ""
                self._stop(f"{entry}() was still training{at} when its {budget_s:g} s were over: "
                           "log() raised TimeoutError, and no model was returned")
            raise
        seconds = time.monotonic() - begin
        model, *extra = found if isinstance(found, list | tuple) and found else (found,)
        check.true(is_module(model), f"{entry}() must return an nn.Module, not {check.describe(model)}",
                   why="the judge calls what train() returns on images it has never seen")
        if whole:
            self.runs.append(TrainingRun(seed, round(seconds, 3), None))
        return Run(self, model, tuple(extra), seed, seconds, log.curve)

    def model(self, entry: str, *args: Any, **keywords: Any) -> Any:
        """What the answer's `entry` returns, with the training budget as its limit."""
        with self.within(self.profile.budget_s, entry):
            return getattr(self._attempt, entry)(*args, **keywords)

    @contextmanager
    def within(self, budget_s: float, entry: str) -> Iterator[None]:
        """Calls in here may take the budget and the time of grace."""
        grace_s = profiles.grace_s(budget_s)
        allowing = getattr(self._attempt, "allowing", None)
        if allowing is None:
            yield
            return
        with allowing(budget_s + grace_s, f"{entry}()", f"its budget, with {grace_s:g} s of grace, is"):
            yield

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """In here, tensors that go to the answer are put on its device."""
        placing = getattr(self._attempt, "placing", None)
        if placing is None or self.device == "cpu":
            yield
            return
        with placing(self.device):
            yield

    def _stop(self, message: str) -> None:
        stop = getattr(self._attempt, "stop", None)
        if stop is not None:
            stop(Status.TIME_LIMIT, message)
        raise TimeoutError(message)

    # -- the judge's own runs

    def control(self, name: str, make: Callable[[], dict[str, float]], **content: Any) -> dict[str, float]:
        """What `make()` measures: a training run of the judge's own, to compare an answer with.

        Kept on disk under the hash of all that it depends on: the source of make's module, the data, the device, the
        version of Torch, and `content`.
        """
        source = Path(inspect.getfile(make)).read_text(encoding="utf-8")  # a suite is in no table of modules
        parts = [name, source, repr(profiles.key(self.profile)), repr(sorted(self.profile.settings.items())),
                 self.device, torch.__version__, repr(sorted(content.items())), str(self.plan.threads)]
        digest = hashlib.sha256("\0".join(parts).encode())
        for split in (self.data.train, self.data.validation, self.data.held_out):
            digest.update(split.images.data)
            digest.update(split.labels.data)
        path = state_dir() / "controls" / f"{digest.hexdigest()[:32]}.json"
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return {str(key): float(value) for key, value in kept.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            pass
        self._on_log({"run": name})
        with self.threads():
            found = {key: float(value) for key, value in make().items()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(f".{os.getpid()}")
            half.write_text(json.dumps(found), encoding="utf-8")
            os.replace(half, path)
        except OSError:  # a read-only state folder costs time, not the verdict
            pass
        return found

    @contextmanager
    def threads(self) -> Iterator[None]:
        """In here the judge's own Torch has the profile's threads. Random states are as before afterwards."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.plan.threads)
        try:
            with torch.random.fork_rng():
                yield
        finally:
            torch.set_num_threads(before)

    # -- the outcome

    def report(self) -> Training | None:
        """What is known of the graded run, for the verdict; None where no training was begun."""
        if self._last is None:
            return None
        profile, run = self.profile, self._run
        peak = getattr(self._attempt, "peak_mb", None)
        found = Training(
            dataset=profile.dataset, generated=profile.generated, real_bar=self.plan.real_bar,
            measured=profile.measured, train=len(self.y), validation=len(self.y_val), held_out=len(self.y_test),
            threshold=profile.threshold, budget_s=profile.budget_s, seed=run.seed if run else self.plan.seeds[0],
            classes=self.classes, peak_memory_mb=round(peak, 1) if peak else None, control=self.comparison,
            curve=tuple(run.curve if run else self._last.curve), runs=tuple(self.runs))
        if run is None:
            return found
        found = replace(found, train_s=round(run.seconds, 3), parameters=run._parameters)
        if run._held_out is None:
            return found
        counts = confusion(run._held_out, self.y_test, len(self.classes))
        right = int(np.trace(counts))
        return replace(
            found, accuracy=right / max(len(self.y_test), 1), interval=wilson(right, len(self.y_test)),
            confusion=tuple(tuple(int(n) for n in row) for row in counts), worst=worst(counts, self.classes),
            runs=tuple(replace(r, accuracy=right / max(len(self.y_test), 1)) if r.seed == run.seed
                       and r.accuracy is None else r for r in self.runs))


def _secret() -> torch.Generator:
    return torch.Generator().manual_seed(int.from_bytes(os.urandom(7), "little"))


def is_module(value: Any) -> bool:
    """Whether `value` is an nn.Module, here or beyond the boundary."""
    return isinstance(value, torch.nn.Module) or getattr(value, "_prep_module", False) is True


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of rows whose largest entry is at their label; a row that is not finite is wrong."""
    right = (logits.argmax(1) == labels) & logits.isfinite().all(1)
    return right.float().mean().item() if len(labels) else 0.0


def confusion(logits: torch.Tensor, labels: torch.Tensor, classes: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(classes, classes) counts: row = label, column = prediction."""
    flat = labels * classes + logits.argmax(1)
    counts = torch.bincount(flat, minlength=classes * classes)
    return counts.reshape(classes, classes).numpy()


def worst(counts: np.ndarray[Any, Any], classes: Sequence[str], most: int = 3) -> tuple[tuple[str, str, int], ...]:
    """The off-diagonal entries with the largest counts, largest first, as (class, taken for, count)."""
    off = counts - np.diag(np.diag(counts))
    order = np.argsort(-off, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return tuple((classes[i], classes[j], int(off[i, j])) for i, j in pairs if off[i, j] > 0)


def wilson(right: int, total: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927)."""
    if total == 0:
        return 0.0, 1.0
    p = right / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)
