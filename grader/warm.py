"""A judge that stays warm: libraries imported, suites collected, references loaded. Judges exactly as `judge.grade`.

One per process; not for threads.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from grader import judge
from grader.attempt import launch
from grader.judge import OnCase
from grader.problem import Problem
from grader.profiles import Plan
from grader.suite import JudgeFault, LoadedSuite, SuitePlugin
from grader.verdict import Status, Verdict

Stamp = tuple[tuple[str, int, int], ...]


class WarmJudge:
    """Verdicts in tens of milliseconds.

    isolation: "bubblewrap", "landlock" or "process"; the best that this machine gives where None.
    """

    def __init__(self, isolation: str | None = None) -> None:
        self.isolation = isolation or launch.probe()[0]
        self._zygotes: dict[tuple[str, ...], launch.Zygote] = {}
        self._suites: dict[str, tuple[Stamp, LoadedSuite]] = {}

    def grade(self, problem: Problem, source: str, *, filename: str = "attempt.py", on_case: OnCase | None = None,
              fail_fast: bool = False, speed: bool = True, plan: Plan | None = None,
              keep_inputs: bool = True) -> Verdict:
        """As `judge.grade`. A zygote that died is replaced, and what it was asked for is asked again; where the second
        dies too, of a process that starts from nothing."""
        judge.use_one_thread()
        self._zygote(problem)  # it imports its libraries while the suite is loaded here
        with contextlib.suppress(JudgeFault):  # the judge meets it again, and says so in a verdict
            loaded = self._suite(problem)
            return self._grade(problem, source, filename, on_case, fail_fast, speed, plan, keep_inputs, loaded)
        return self._grade(problem, source, filename, on_case, fail_fast, speed, plan, keep_inputs, None)

    def _grade(self, problem: Problem, source: str, filename: str, on_case: OnCase | None, fail_fast: bool,
               speed: bool, plan: Plan | None, keep_inputs: bool, loaded: LoadedSuite | None) -> Verdict:
        for ask_zygote in (True, True, False):
            zygote = self._zygote(problem) if ask_zygote else None
            verdict = judge.grade(problem, source, filename=filename, on_case=on_case, fail_fast=fail_fast,
                                  isolation=self.isolation, zygote=zygote, suite=loaded, speed=speed,
                                  plan=plan, keep_inputs=keep_inputs)
            if zygote is None or zygote.alive or verdict.status is Status.ACCEPTED:
                break
        return verdict

    def prepare(self, problem: Problem) -> None:
        """Do all of the next grade of `problem` that needs no answer yet. Worth it where nothing else is to be done:
        a process is kept waiting for that."""
        zygote = self._zygote(problem)
        if zygote is not None and problem.kind != "training":  # whose terms depend on the profile
            with contextlib.suppress(OSError):  # a grade meets it again
                zygote.prepare(problem)

    def _zygote(self, problem: Problem) -> launch.Zygote | None:
        if not launch.can_fork():
            return None
        key = launch.zygote_key(problem)
        found = self._zygotes.get(key)
        if found is None or not found.alive:
            if found is not None:
                found.close()
            found = self._zygotes[key] = launch.Zygote(problem, isolation=self.isolation)
        return found

    def _suite(self, problem: Problem) -> LoadedSuite:
        stamp = _stamp(problem)
        known = self._suites.get(problem.slug)
        if known is None or known[0] != stamp:
            known = self._suites[problem.slug] = (stamp, LoadedSuite(SuitePlugin(problem, None)))
        return known[1]

    def close(self) -> None:
        """End the zygotes. May be called twice."""
        for zygote in self._zygotes.values():
            zygote.close()
        self._zygotes.clear()
        self._suites.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _stamp(problem: Problem) -> Stamp:
    """Changes whenever a file that a verdict depends on does."""
    files: list[Path] = [problem.folder / "problem.toml", problem.suite, problem.solution]
    files += [problem.kit] if problem.kit else []
    return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files if path.exists())
