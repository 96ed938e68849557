"""One grading, as every executor does it, and what decides its verdict. Schedules nothing."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from grader import __version__, profiles
from grader.judge import judge_error
from grader.problem import Problem
from grader.verdict import Verdict

if TYPE_CHECKING:
    from grader.profiles import Plan
    from grader.warm import WarmJudge

GRACE_S = 60.0
"""a grading that takes this much longer than all limits of its problem together hangs"""
JUDGING = ("attempt/*.py", "check.py", "counterexample.py", "datasets.py", "judge.py", "lab.py", "problem.py",
           "profiles.py", "properties.py", "suite.py", "surrogates.py", "training.py", "verdict.py", "warm.py")
"""the code that a verdict depends on; reports and the command line are not among it"""


@dataclass(frozen=True)
class Terms:
    """What all gradings of a batch have in common."""

    isolation: str
    """bubblewrap or process"""
    speed: bool = False
    """also time the accepted answers: on busy cores, that is noise"""
    profile: str = "smoke"
    """of training problems"""
    threads: int = 1
    """of training problems"""

    def plan(self, problem: Problem) -> Plan | None:
        """How a training problem is graded; None for the others. Raises PrepError for a profile it does not have."""
        if problem.kind != "training":
            return None
        return dataclasses.replace(profiles.plan(problem, self.profile), threads=self.threads)


@dataclass(frozen=True)
class Task:
    """One answer to be graded."""

    key: str
    problem: Problem
    source: str


class Executor(Protocol):
    """Grades tasks somewhere; yields (key, verdict) as they come, in any order."""

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[str, Verdict]]: ...

    def close(self) -> None:
        """Leave no process behind."""


def grade(judge: WarmJudge, problem: Problem, source: str, terms: Terms) -> Verdict:
    """One verdict, the same wherever and whenever it is reached but for its times: it names no file of this machine."""
    from grader.counterexample import LEFT_OUT  # with NumPy, which only those that grade need

    verdict = judge.grade(problem, source, speed=terms.speed, plan=terms.plan(problem), keep_inputs=False)
    told = f"{LEFT_OUT}; to have them:  prep grade {problem.slug} FILE"
    return dataclasses.replace(verdict, cases=tuple(
        dataclasses.replace(case, counterexample=case.counterexample.replace(LEFT_OUT, told))
        if case.counterexample else case for case in verdict.cases))


def deadline_s(problem: Problem, terms: Terms) -> float:
    """How long one grading may take before it is taken for hung."""
    plan = terms.plan(problem)
    limits = profiles.equip(problem, plan).limits if plan else problem.limits
    return limits.start_s + limits.load_s + limits.total_s + GRACE_S


def lost(problem: Problem, why: str, tries: int) -> Verdict:
    """The verdict on an answer whose grading never came to an end."""
    return judge_error(problem.slug, f"{why}\nThe answer was tried {tries} times.\n")


@dataclass(frozen=True)
class Conditions:
    """All that decides a verdict but the answer: the problem with its limits, the judge, the terms."""

    digest: str

    @classmethod
    def of(cls, problem: Problem, terms: Terms) -> Conditions:
        parts = [problem.slug, _hash(problem_files(problem)), judge_version(), repr(problem.limits), terms.isolation,
                 terms.speed]
        if plan := terms.plan(problem):
            parts += [plan.profile.name, plan.profile.dataset, plan.device]
        return cls(hashlib.sha256(json.dumps(parts).encode()).hexdigest())

    def key(self, source: str) -> str:
        """Names an answer under these conditions."""
        return hashlib.sha256(f"{self.digest}\n{source}".encode()).hexdigest()


def problem_files(problem: Problem) -> dict[str, bytes]:
    """What a grading reads of a problem, by its path below the bank."""
    files = {f"problems/{problem.slug}/{path.relative_to(problem.folder).as_posix()}": path.read_bytes()
             for path in sorted(problem.folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts}
    return files | {f"solutions/{problem.slug}/solution.py": problem.solution.read_bytes()}


@functools.cache
def judge_version() -> str:
    """prep's version and a hash of the code that judges: a checkout changes between versions."""
    root = Path(__file__).resolve().parent.parent
    found = {path.relative_to(root).as_posix(): path.read_bytes() for pattern in JUDGING for path in root.glob(pattern)}
    return f"{__version__}+{_hash(found)[:16]}"


def one_thread() -> None:
    """Workers that fight over the cores are many times slower. To be called before NumPy or Torch is imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def _hash(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(json.dumps([name, len(content)]).encode() + content)
    return digest.hexdigest()
