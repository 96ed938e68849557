"""Which profile of a training problem is graded here, on what data, and within which limits. Trains nothing.

A profile whose data set is not on this machine gives way to its surrogate: images that prep draws itself. A verdict
reached on those says so.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grader import surrogates
from grader.errors import PrepError
from grader.problem import Problem, Profile

if TYPE_CHECKING:
    from grader.datasets import Split

MIN_GRACE_S = 2.0
GRACE = 0.1
"""of the budget: what a run may take beyond it to hand over its model"""
SOURCE_CLASSES = ("automobile", "bird", "cat", "frog", "ship")
"""of CIFAR-10: what the backbone that comes with resnet-transfer was trained on"""
TARGET_CLASSES = ("airplane", "deer", "dog", "horse", "truck")
"""of CIFAR-10: what it has never seen (the data set cifar10-target)"""
CHECKS_S = 30.0
"""for one call of a trained model"""


@dataclass(frozen=True)
class Plan:
    """How one attempt at a training problem will be graded."""

    profile: Profile
    """the one in force: a surrogate where the real data set is not here"""
    device: str
    """cpu, cuda or cuda:N"""
    seeds: tuple[int, ...]
    threads: int
    data_dir: Path | None = None
    real_bar: str = ""
    """what the real data set asks for, where this plan has to do without it"""

    @property
    def grace_s(self) -> float:
        return grace_s(self.profile.budget_s)


def grace_s(budget_s: float) -> float:
    """How long a run may go on after its budget is over."""
    return max(MIN_GRACE_S, GRACE * budget_s)


def plan(problem: Problem, name: str | None = None, *, device: str | None = None, seed: int | None = None,
         data_dir: Path | None = None) -> Plan:
    """Choose. name: smoke, cpu or gpu; what the machine has where None. seed: instead of the profile's own.

    Raises PrepError for a profile that the problem does not have, and for a device that the machine does not have.
    """
    if problem.kind != "training":
        raise PrepError(f"{problem.slug} trains nothing: it has no profiles.", f"prep grade {problem.slug}")
    if name is not None and name not in problem.profiles:
        raise PrepError(f"{problem.slug} has no profile '{name}'; it has {', '.join(problem.profiles)}.",
                        f"prep grade {problem.slug} --profile {next(iter(problem.profiles))}")
    on_cpu = device == "cpu" or (device is None and name in ("smoke", "cpu"))
    cuda = 0 if on_cpu else _cuda_devices()
    device = _device(problem, device, cuda, name)
    if name is None:
        name = "gpu" if device != "cpu" and "gpu" in problem.profiles else "cpu"
    profile = problem.profiles[name]
    if profile.surrogate and not _at_hand(profile, data_dir):
        profile = profile.surrogate
    threads = 1 if name == "smoke" else cores()
    seeds = profile.seeds if seed is None else (seed,)
    return Plan(profile, device, seeds, threads, data_dir, _real_bar(problem, profile))


def _at_hand(profile: Profile, data_dir: Path | None) -> bool:
    """Whether the profile's images, and the weights that it begins with, are here or can be fetched."""
    from grader import backbones, datasets

    weights = profile.settings.get("weights")
    return datasets.available(file_set(profile.dataset), data_dir) and (
        weights is None or backbones.available(str(weights), data_dir))


def _device(problem: Problem, asked: str | None, cuda: int, name: str | None) -> str:
    if asked is None:
        if name == "gpu" and not cuda:
            raise PrepError("The profile gpu wants a GPU, and Torch finds none that it can use here.",
                            f"prep grade {problem.slug} --profile cpu    (or, slowly: --profile gpu --device cpu)")
        return "cuda" if cuda and name in (None, "gpu") else "cpu"
    kind, _, number = asked.partition(":")
    if asked == "cpu":
        return asked
    if kind != "cuda" or (number and not number.isdecimal()):
        raise PrepError(f"'{asked}' is no device that prep knows: cpu, cuda, cuda:0, ...",
                        f"prep grade {problem.slug} --device cpu")
    if int(number or 0) >= cuda:
        found = f"only {cuda}" if cuda else "none"
        raise PrepError(f"--device {asked}: Torch finds {found} of the GPUs that this asks for.",
                        f"prep grade {problem.slug} --device cpu    (prep doctor says what is here)")
    return asked


def _cuda_devices() -> int:
    try:
        import torch
    except ImportError:
        return 0
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def equip(problem: Problem, plan: Plan) -> Problem:
    """The problem, with limits that leave room for training under `plan`."""
    profile = plan.profile
    limits = dataclasses.replace(
        problem.limits, memory_mb=profile.memory_mb, frame_mb=1024, processes=4 * plan.threads + 64,
        start_s=max(problem.limits.start_s, 180.0), call_s=max(problem.limits.call_s, CHECKS_S),
        total_s=problem.limits.total_s + 12 * (profile.budget_s + plan.grace_s) + 20 * CHECKS_S)
    return dataclasses.replace(problem, limits=limits)


@dataclass(frozen=True)
class Data:
    """Images (N, C, H, W) uint8 and labels (N,) int64: to train on, to validate on, and held out."""

    train: Split
    validation: Split
    held_out: Split
    classes: tuple[str, ...]


def prepare(plan: Plan) -> None:
    """Read the images now. Raises PrepError where files are broken."""
    load(key(plan.profile), plan.data_dir)


@functools.lru_cache(maxsize=4)
def load(profile_key: tuple[Any, ...], data_dir: Path | None) -> Data:
    """The images of a profile (see `key`): always the same ones. Raises PrepError where files are broken."""
    from grader.datasets import REAL, Split
    from grader.datasets import load as read

    dataset, train, validation, test = profile_key
    name = file_set(dataset)
    if name in REAL:
        everything, held_out = read(name, data_dir)
        classes = REAL[name].classes
        if dataset == "cifar10-target":
            everything, held_out = (only(split, classes, TARGET_CLASSES) for split in (everything, held_out))
            classes = TARGET_CLASSES
        for asked, there, what in ((train + validation, len(everything.labels), "training"),
                                   (test, len(held_out.labels), "test")):
            if asked > there:
                raise PrepError(f"A profile asks for {asked:,} {what} images; {dataset} has {there:,}.",
                                "Lower train, validation or test in problem.toml.")
        everything = _pick(everything, train + validation)
        held_out = _pick(held_out, test)
    else:
        draw = surrogates.digits if dataset == "synth-digits" else surrogates.shapes
        classes = surrogates.DIGITS if dataset == "synth-digits" else surrogates.SHAPES
        everything, held_out = Split(*draw(train + validation, 1)), Split(*draw(test, 2))
    return Data(Split(everything.images[:train], everything.labels[:train]),
                Split(everything.images[train:], everything.labels[train:]), held_out, tuple(classes))


def key(profile: Profile) -> tuple[Any, ...]:
    """What the images of a profile depend on."""
    return profile.dataset, profile.train, profile.validation, profile.test


def file_set(dataset: str) -> str:
    """The data set on disk that the images of `dataset` come from."""
    return "cifar10" if dataset == "cifar10-target" else dataset


def only(split: Split, classes: tuple[str, ...], wanted: tuple[str, ...]) -> Split:
    """The images of some classes, labelled in the order of `wanted`."""
    new = np.full(len(classes), -1, np.int64)
    new[[classes.index(name) for name in wanted]] = np.arange(len(wanted))
    labels = new[split.labels]
    return type(split)(split.images[labels >= 0], labels[labels >= 0])


def _pick(split: Split, count: int) -> Split:
    """A fixed random choice, in a fixed random order: official files may be sorted."""
    chosen = np.random.default_rng(0).permutation(len(split.labels))[:count]
    return type(split)(split.images[chosen], split.labels[chosen])


def _real_bar(problem: Problem, chosen: Profile) -> str:
    """What the verdict has to be reached on in the end, where it is reached on images that prep draws; else nothing."""
    if not chosen.generated:
        return ""
    real = [profile for name, profile in problem.profiles.items() if not profile.generated]
    best = next((profile for profile in real if profile.name == chosen.name), real[0] if real else None)
    return f"{title(best.dataset)}: {best.threshold:.1%} of {best.test:,} held-out images" if best else ""


def title(dataset: str) -> str:
    """A data set's name as people write it."""
    return {"mnist": "MNIST", "cifar10": "CIFAR-10", "cifar10-target": "CIFAR-10's five target classes",
            "synth-digits": "SynthDigits", "synth-shapes": "SynthShapes"}[dataset]
