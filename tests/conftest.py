"""Fixtures that build small problems and run answers beyond the boundary."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader import problem as problems
from grader.attempt import launch
from grader.attempt.proxy import Attempt
from grader.attempt.proxy import launch as launch_attempt
from grader.problem import Problem


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the history of the person who runs it."""
    monkeypatch.setenv("PREP_STATE_DIR", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def make_problem(tmp_path: Path) -> Callable[..., Problem]:
    """make_problem(entry=["f(x)"], suite="...", solution="...", libraries=["numpy"], limits={...}) -> Problem."""

    def make(slug: str = "toy", *, entry: list[str] | None = None, suite: str = "", solution: str = "",
             starter: str = "", kit: str = "", kind: str = "function", limits: dict[str, Any] | None = None,
             rules: dict[str, Any] | None = None, extra: str = "") -> Problem:
        folder, answers = tmp_path / "bank" / "problems" / slug, tmp_path / "bank" / "solutions" / slug
        folder.mkdir(parents=True, exist_ok=True)
        answers.mkdir(parents=True, exist_ok=True)
        lines = [f'title = "{slug}"', f'kind = "{kind}"', 'difficulty = "easy"', "minutes = 5", 'topics = ["toys"]',
                 f"entry = {json.dumps(entry or ['f(x)'])}", 'hints = ["a", "b", "c"]', 'follow_ups = ["why?"]', extra]
        for name, table in (("limits", limits), ("rules", rules)):
            if table:
                lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        (folder / "problem.toml").write_text("\n".join(lines))
        (folder / "test_hidden.py").write_text(textwrap.dedent(suite))
        (folder / "starter.py").write_text(textwrap.dedent(starter or "def f(x):\n    raise NotImplementedError\n"))
        (folder / "prompt.md").write_text("# Toy\n")
        if kit:
            (folder / "kit.py").write_text(textwrap.dedent(kit))
        (answers / "solution.py").write_text(textwrap.dedent(solution))
        return problems.load(folder, answers)

    return make


def isolations() -> list[str]:
    """The least and the best that this machine can really give."""
    return list(dict.fromkeys(["process", launch.probe()[0]]))


@pytest.fixture(params=isolations())
def isolation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def answer(make_problem: Callable[..., Problem]) -> Iterator[Callable[..., Attempt]]:
    """answer(source, libraries=("numpy",), isolation="process", limits={...}) -> Attempt, closed after the test."""
    opened: list[Attempt] = []

    def start(source: str, *, libraries: tuple[str, ...] = ("numpy",), isolation: str = "process",
              limits: dict[str, Any] | None = None, entry: list[str] | None = None, **rules: Any) -> Attempt:
        problem = make_problem(entry=entry, limits=limits, rules={"libraries": list(libraries)} | rules)
        attempt = launch_attempt(problem, textwrap.dedent(source), isolation=isolation)
        opened.append(attempt)
        return attempt

    yield start
    for attempt in opened:
        attempt.close()


def alive(pid: int) -> bool:
    """Whether a process exists (a zombie does not count)."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
