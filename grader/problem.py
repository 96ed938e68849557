"""problem.toml -> Problem, with every mistake in it reported by file, line, key and what was expected. Runs nothing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from grader.errors import PrepError

KINDS = ("function", "module", "training", "debug")
DIFFICULTIES = ("easy", "medium", "hard")


@dataclass(frozen=True)
class Entry:
    """A name that the answer must define, and how it is called."""

    signature: str
    """As in the prompt: "conv2d(x, w, b=None, stride=1, padding=0)". For a class, the constructor."""

    @property
    def name(self) -> str:
        return self.signature.partition("(")[0].strip()


@dataclass(frozen=True)
class Limits:
    """What an attempt may use. Seconds are wall clock."""

    start_s: float = 60.0
    """importing NumPy or Torch, before the answer's own code runs"""
    load_s: float = 10.0
    """running the answer's file"""
    call_s: float = 5.0
    """one call"""
    total_s: float = 60.0
    """all calls together"""
    memory_mb: int = 1024
    """resident memory beyond what the imports take"""
    output_kb: int = 1024
    """bytes printed, before the attempt is stopped (the first 64 KiB are shown)"""
    disk_mb: int = 64
    """bytes written to files"""
    processes: int = 32
    """threads of the attempt; other processes are never allowed"""
    frame_mb: int = 256
    """one message between the attempt and the judge"""


@dataclass(frozen=True)
class Rules:
    """What an answer may not use. The standard library is open, but for files, network, processes and introspection."""

    libraries: tuple[str, ...] = ("numpy",)
    """third-party packages that may be imported"""
    forbid: tuple[str, ...] = ()
    """dotted names that may not be used: "numpy.convolve", "torch.nn.functional.conv2d" """
    forbid_ops: tuple[str, ...] = ()
    """Torch operators that may not run, under any alias: "aten.convolution" """
    why: str = ""
    """one sentence for the learner"""


@dataclass(frozen=True)
class SpeedTest:
    """Where speed is the point: how the tiers are set. Inputs come from `speed_inputs(rng, size)` in the suite, asked
    anew for each turn: the values must depend on `rng`, the work on `size` alone."""

    function: str
    sizes: tuple[int, ...] = (1, 2, 4)
    fast: float = 2.0
    """at most this many times the reference's time: tier "fast" """
    vectorised: float = 20.0
    """at most this many times: tier "vectorised"; slower is "correct" """


@dataclass(frozen=True)
class EquivalentMutant:
    """A mutant of the solution that no test can kill, because it behaves the same."""

    before: str
    after: str
    reason: str


@dataclass(frozen=True)
class Profile:
    """How a training problem is graded on one kind of machine. Counts are images."""

    name: str
    """smoke, cpu or gpu"""
    dataset: str
    """one of DATASETS"""
    train: int
    """what the answer trains on"""
    test: int
    """held out: sent for prediction only, its labels never"""
    budget_s: float
    """wall clock of one run of the answer's train()"""
    threshold: float
    """accuracy on the held-out images, 0 to 1"""
    why: str
    """where the threshold comes from"""
    validation: int = 0
    """given to the answer as x_val, y_val; cut from the training split"""
    seeds: tuple[int, ...] = (0,)
    """of the graded run; a second one is for the one re-run that a run below the threshold gets"""
    memory_mb: int = 4096
    measured: bool = True
    """whether the threshold was measured on such a machine"""
    settings: Mapping[str, float | str] = field(default_factory=dict)
    """this problem's own numbers, for its suite"""
    surrogate: Profile | None = None
    """what is used in its place where the data set is not on this machine"""

    @property
    def generated(self) -> bool:
        """Whether the images are drawn by prep itself, so that the bar is not the real one."""
        return self.dataset.startswith("synth-")


PROFILES = ("smoke", "cpu", "gpu")
DATASETS = ("mnist", "cifar10", "cifar10-target", "synth-digits", "synth-shapes")


@dataclass(frozen=True)
class Problem:
    """One problem of the bank, as its problem.toml states it."""

    slug: str
    folder: Path
    solution_folder: Path
    title: str
    kind: str
    difficulty: str
    minutes: int
    topics: tuple[str, ...]
    entries: tuple[Entry, ...]
    hints: tuple[str, ...]
    follow_ups: tuple[str, ...]
    prerequisites: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    rules: Rules = field(default_factory=Rules)
    speed: SpeedTest | None = None
    equivalent_mutants: tuple[EquivalentMutant, ...] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    """of a training problem: smoke, cpu, gpu"""

    @property
    def prompt(self) -> Path:
        return self.folder / "prompt.md"

    @property
    def starter(self) -> Path:
        return self.folder / "starter.py"

    @property
    def examples(self) -> Path:
        return self.folder / "test_examples.py"

    @property
    def suite(self) -> Path:
        return self.folder / "test_hidden.py"

    @property
    def kit(self) -> Path | None:
        path = self.folder / "kit.py"
        return path if path.exists() else None

    @property
    def solution(self) -> Path:
        return self.solution_folder / "solution.py"

    @property
    def notes(self) -> Path:
        return self.solution_folder / "notes.md"

    @property
    def uses_torch(self) -> bool:
        return "torch" in self.rules.libraries


def load(folder: Path, solution_folder: Path) -> Problem:
    """Read and check FOLDER/problem.toml.

    Raises PrepError with file, line, key and what was expected.
    """
    path = folder / "problem.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PrepError(f"{folder} has no problem.toml.", f"Make one:  prep new {folder.name}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PrepError(f"{path} cannot be read: {error}", "Save it as UTF-8 text.") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PrepError(f"{path}: not valid TOML: {error}",
                        f"Mend that line, then:  prep verify {folder.name}") from None
    return _Reader(path, text, folder.name).problem(table, folder, solution_folder)


class _Reader:
    """Turns a TOML table into dataclasses; knows the file and the lines, for its errors."""

    def __init__(self, path: Path, text: str, slug: str) -> None:
        self.path, self.lines, self.slug = path, text.splitlines(), slug

    def fail(self, key: str, expected: str, got: object = None) -> PrepError:
        leaf = re.escape(key.rsplit(".", 1)[-1])
        pattern = re.compile(rf"^\s*(\[+\s*[\w.]*\b{leaf}\b\s*\]+|\"?{leaf}\"?\s*=)")
        line = next((i for i, text in enumerate(self.lines, 1) if pattern.match(text)), 1)
        found = "" if got is None else f", found {got!r}"
        return PrepError(f"{self.path}:{line}: {key}: expected {expected}{found}.",
                         f"Mend it, then:  prep verify {self.slug}")

    def problem(self, table: Mapping[str, Any], folder: Path, solution_folder: Path) -> Problem:
        known = {"title", "kind", "difficulty", "minutes", "topics", "entry", "hints", "follow_ups", "prerequisites",
                 "limits", "rules", "speed", "equivalent_mutants", "profiles"}
        for key in table:
            if key not in known:
                raise self.fail(key, f"one of the keys {', '.join(sorted(known))}")
        kind = self.choice(table, "kind", KINDS)
        entries = tuple(Entry(signature) for signature in self.strings(table, "entry", at_least=1))
        for entry in entries:
            if not re.fullmatch(r"[A-Za-z_]\w*\(.*\)( -> [\w.\[\], ]+)?", entry.signature):
                raise self.fail("entry", 'signatures such as "conv2d(x, w, b=None)"', entry.signature)
        minutes = self.value(table, "minutes", int)
        if minutes <= 0:
            raise self.fail("minutes", "a number of minutes above 0", minutes)
        return Problem(
            slug=self.slug, folder=folder, solution_folder=solution_folder,
            title=self.value(table, "title", str), kind=kind,
            difficulty=self.choice(table, "difficulty", DIFFICULTIES), minutes=minutes,
            topics=self.strings(table, "topics", at_least=1), entries=entries,
            hints=self.strings(table, "hints", at_least=3), follow_ups=self.strings(table, "follow_ups", at_least=1),
            prerequisites=self.strings(table, "prerequisites", at_least=0),
            limits=self.section(table, "limits", Limits), rules=self.section(table, "rules", Rules),
            speed=self.section(table, "speed", SpeedTest) if "speed" in table else None,
            equivalent_mutants=tuple(
                self.section({"equivalent_mutants": row}, "equivalent_mutants", EquivalentMutant)
                for row in self.value(table, "equivalent_mutants", list, default=[])),
            profiles=self.profiles(table, kind),
        )

    def profiles(self, table: Mapping[str, Any], kind: str) -> dict[str, Profile]:
        found = self.value(table, "profiles", dict, default={})
        if kind == "training" and not {"smoke", "cpu"} <= set(found):
            raise self.fail("profiles", "tables [profiles.smoke] and [profiles.cpu] (and gpu, where there is one)")
        if found and kind != "training":
            raise self.fail("profiles", 'kind = "training" where there are profiles')
        read = {}
        for name in found:
            if name not in PROFILES:
                raise self.fail(f"profiles.{name}", f"one of {', '.join(PROFILES)}")
            row = dict(self.value(found, name, dict))
            own = row.pop("surrogate", None)
            profile = self.profile(row | {"name": name}, f"profiles.{name}")
            if own is not None:
                if type(own) is not dict:
                    raise self.fail(f"profiles.{name}.surrogate", "a table", own)
                key = f"profiles.{name}.surrogate"
                settings = dict(profile.settings) | dict(self.value(own, "settings", dict, default={}))
                second = self.profile(row | own | {"name": name, "settings": settings}, key)
                if not second.generated:
                    raise self.fail(f"{key}.dataset", "synth-digits or synth-shapes", second.dataset)
                profile = replace(profile, surrogate=second)
            if profile.generated == (profile.surrogate is not None):
                raise self.fail(f"profiles.{name}", "a [surrogate] table where the data set is real, and only there")
            read[name] = profile
        return {name: read[name] for name in PROFILES if name in read}

    def profile(self, row: Mapping[str, Any], key: str) -> Profile:
        settings = self.value(row, "settings", dict, default={})
        for name, value in settings.items():
            if type(value) not in (str, int, float):
                raise self.fail(f"{key}.settings.{name}", "a number or a string", value)
        plain = {name: value for name, value in row.items() if name != "settings"}
        profile: Profile = replace(self.section({key: plain}, key, Profile), settings=settings)
        if profile.dataset not in DATASETS:
            raise self.fail(f"{key}.dataset", f"one of {', '.join(DATASETS)}", profile.dataset)
        if not profile.threshold < 1:
            raise self.fail(f"{key}.threshold", "an accuracy between 0 and 1", profile.threshold)
        if not profile.seeds:
            raise self.fail(f"{key}.seeds", "at least one seed", profile.seeds)
        return profile

    def value(self, table: Mapping[str, Any], key: str, kind: type, default: Any = None) -> Any:
        if key not in table:
            if default is not None:
                return default
            raise self.fail(key, f"{_words(kind)} (the key is missing)")
        value = table[key]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self.fail(key, _words(kind), value)
        return value

    def choice(self, table: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
        value = self.value(table, key, str)
        if value not in choices:
            raise self.fail(key, f"one of {', '.join(choices)}", value)
        return str(value)

    def strings(self, table: Mapping[str, Any], key: str, at_least: int) -> tuple[str, ...]:
        values = self.value(table, key, list, default=[] if at_least == 0 else None)
        if len(values) < at_least or not all(type(v) is str and v.strip() for v in values):
            raise self.fail(key, f"a list of at least {at_least} non-empty strings", values)
        return tuple(values)

    def section(self, table: Mapping[str, Any], name: str, shape: type) -> Any:
        section = self.value(table, name, dict, default={})
        hints = get_type_hints(shape)
        for key in section:
            if key not in hints:
                raise self.fail(f"{name}.{key}", f"one of the keys {', '.join(hints)}")
        read = {}
        for item in fields(shape):
            key, kind = f"{name}.{item.name}", hints[item.name]
            if item.name not in section:
                if item.default is MISSING and item.default_factory is MISSING:
                    raise self.fail(key, f"{_words(kind)} (the key is missing)")
                continue
            value = section[item.name]
            if kind is float and type(value) is int:
                value = float(value)
            if kind in (str, int, float, bool):
                zero = item.default == 0 and kind is int
                if type(value) is not kind or (kind in (int, float) and (value < 0 or (value == 0 and not zero))):
                    above = " above 0" if kind in (int, float) and not zero else ""
                    raise self.fail(key, _words(kind) + above, value)
            else:
                element = int if "int" in str(kind) else str
                if type(value) is not list or not all(type(v) is element for v in value):
                    raise self.fail(key, f"a list, each {_words(element)}", value)
                value = tuple(value)
            read[item.name] = value
        return shape(**read)


def _words(kind: type) -> str:
    return {str: "a string", int: "a whole number", float: "a number", bool: "true or false", list: "a list",
            dict: "a table"}[kind]
