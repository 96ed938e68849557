"""What comes next, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grader.history import Summary
from grader.problem import Entry, Problem
from grader.schedule import plan, suggest

SOLVED = Summary(attempts=1, attempts_to_pass=1, first_pass_at=datetime(2030, 1, 1, tzinfo=UTC))
GAVE_UP = Summary(attempts=2, gave_up_at=datetime(2030, 1, 1, tzinfo=UTC))
BEGUN = Summary(attempts=3)


def problem(slug: str, level: str = "easy", topics: str = "toys", needs: str = "", minutes: int = 20) -> Problem:
    return Problem(slug, Path(), Path(), slug, "function", level, minutes, tuple(topics.split()),
                   (Entry("f(x)"),), ("a", "b", "c"), ("why?",), tuple(needs.split()))


BANK = [
    problem("softmax", "easy", "softmax stability", minutes=10),
    problem("conv2d", "medium", "convolution numpy", minutes=30),
    problem("pooling", "medium", "convolution", minutes=15),
    problem("residual", "medium", "resnet convolution", needs="conv2d", minutes=25),
    problem("resnet", "hard", "resnet", needs="residual", minutes=60),
    problem("attention", "hard", "attention", needs="softmax", minutes=40),
]
AT = {p.slug: p for p in BANK}


def slugs(record: dict[str, Summary], after: str | None = None) -> list[str]:
    return [step.problem.slug for step in plan(BANK, record, after=AT[after] if after else None)]


def test_everything_unsolved_is_in_the_plan_once_and_after_what_it_builds_on() -> None:
    for after in (None, *AT):
        order = slugs({}, after)
        assert sorted(order) == sorted(set(AT) - {after})
        assert all(order.index(need) < order.index(slug) for slug in order for need in AT[slug].prerequisites
                   if need != after)


def test_a_newcomer_begins_with_the_easiest() -> None:
    step = suggest(BANK, {})
    assert step and step.problem.slug == "softmax"
    assert step.why == "the easiest of the new ones (easy, 10 minutes)"


def test_what_builds_on_the_one_just_solved_comes_before_what_shares_its_topic() -> None:
    step = suggest(BANK, {"conv2d": SOLVED}, after=AT["conv2d"])
    assert step and (step.problem.slug, step.why) == ("residual", "it builds on conv2d")


def test_the_same_topic_comes_before_another() -> None:
    step = suggest(BANK, {"residual": SOLVED, "conv2d": SOLVED, "resnet": SOLVED}, after=AT["residual"])
    assert step and (step.problem.slug, step.why) == ("pooling", "more on convolution, at the same level")


@pytest.mark.parametrize(("here", "there", "why"), [("easy", "medium", "more on toys, a level up"),
                                                    ("easy", "hard", "more on toys, hard"),
                                                    ("hard", "easy", "more on toys, easy")])
def test_the_step_in_difficulty_is_named(here: str, there: str, why: str) -> None:
    step = suggest([problem("a", here), problem("b", there)], {"a": SOLVED}, after=problem("a", here))
    assert step and step.why == why


def test_difficulty_rises_before_it_falls() -> None:
    bank = [problem("here", "medium"), problem("lower", "easy"), problem("same", "medium"), problem("higher", "hard")]
    order = [step.problem.slug for step in plan(bank, {"here": SOLVED}, after=bank[0])]
    assert order == ["same", "higher", "lower"]


def test_who_is_stuck_is_sent_to_what_is_missing() -> None:
    step = suggest(BANK, {"resnet": BEGUN}, after=AT["resnet"])
    assert step and (step.problem.slug, step.why) == ("conv2d", "resnet builds on it")


def test_what_was_begun_comes_first_and_what_was_given_up_last() -> None:
    bank = [problem("new"), problem("begun"), problem("seen")]
    steps = plan(bank, {"begun": BEGUN, "seen": GAVE_UP})
    assert [(step.problem.slug, step.why) for step in steps][:1] == [("begun", "you have begun it (3 attempts)")]
    step = suggest(bank[2:], {"seen": GAVE_UP})
    assert step and step.why == "you have seen its solution; now write it yourself"
    alone = suggest([problem("x", topics="x"), problem("seen", topics="y")], {"x": SOLVED, "seen": GAVE_UP},
                    after=problem("x", topics="x"))
    assert alone and alone.problem.slug == "seen"


def test_another_topic_is_called_one() -> None:
    step = suggest([problem("a", topics="a"), problem("b", topics="batch-norm")], {"a": SOLVED},
                   after=problem("a", topics="a"))
    assert step and step.why == "another topic: batch norm (easy)"


def test_nothing_is_left() -> None:
    assert suggest(BANK, dict.fromkeys(AT, SOLVED), after=AT["conv2d"]) is None
    assert plan([], {}) == []
    assert suggest([AT["conv2d"]], {}, after=AT["conv2d"]) is None


def test_circles_and_prerequisites_that_do_not_exist_stop_nobody() -> None:
    circle = [problem("a", needs="b"), problem("b", needs="a"), problem("c", needs="gone")]
    assert sorted(step.problem.slug for step in plan(circle, {})) == ["a", "b", "c"]
    assert suggest(circle, {}, after=circle[0]) is not None


def test_it_depends_on_its_arguments_only() -> None:
    shuffled = [replace(p) for p in reversed(BANK)]
    assert [step.why for step in plan(shuffled, {"conv2d": SOLVED})] == [s.why for s in plan(BANK, {"conv2d": SOLVED})]
