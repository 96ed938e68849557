"""Every problem of the bank proves itself: answers, wrong answers, starter, examples and mutants."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.author import render_text, verify
from grader.bank import Bank
from grader.judge import grade
from grader.verdict import Status

ROOT = Path(__file__).resolve().parent.parent
LEAST_REJECTED = {"conv2d": 12, "two-layer-backprop": 12, "residual-block": 8, "debug-two-layer-backprop": 8}


@pytest.mark.parametrize("slug", Bank().slugs())
def test_verify(slug: str) -> None:
    report = verify(Bank().get(slug))
    assert report.ok, render_text(report)


@pytest.mark.parametrize("slug", LEAST_REJECTED)
def test_there_are_enough_answers(slug: str) -> None:
    folder = Bank().get(slug).solution_folder
    assert len(list(folder.glob("rejected/*.py"))) >= LEAST_REJECTED[slug]
    assert len(list(folder.glob("accepted/*.py"))) >= 3


def test_the_samples_are_what_they_say() -> None:
    problem = Bank().get("conv2d")
    right, wrong = (ROOT / "docs" / "samples" / f"conv2d_{name}.py" for name in ("right", "wrong"))
    assert grade(problem, right.read_text()).status is Status.ACCEPTED
    verdict = grade(problem, wrong.read_text())
    assert verdict.status is Status.WRONG_ANSWER and verdict.first_failure
    assert verdict.first_failure.name == "test_stride_with_padding"
