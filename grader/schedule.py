"""What to solve next, and why: prerequisites before what builds on them, the same topic, one level at a time.

A function of the problems and the record alone: reads no file, asks no clock, and never decides for the learner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grader.history import Summary
from grader.problem import DIFFICULTIES, Problem


@dataclass(frozen=True)
class Step:
    """A problem to solve, and one sentence, without a capital or a full stop, that says why this one."""

    problem: Problem
    why: str


def suggest(problems: Sequence[Problem], record: Mapping[str, Summary], *, after: Problem | None = None) -> Step | None:
    """The next problem, for someone who is at `after`; None where all the others are solved."""
    solved = {slug for slug, summary in record.items() if summary.solved}
    return _pick(problems, record, solved, after)


def plan(problems: Sequence[Problem], record: Mapping[str, Summary], *, after: Problem | None = None) -> list[Step]:
    """All that is left beside `after`, in an order in which each step prepares the next ones."""
    solved = {slug for slug, summary in record.items() if summary.solved}
    steps: list[Step] = []
    while step := _pick(problems, record, solved, after):
        steps.append(step)
        solved |= {step.problem.slug} | ({after.slug} if after else set())
        after = step.problem
    return steps


def _pick(problems: Sequence[Problem], record: Mapping[str, Summary], solved: set[str],
          after: Problem | None) -> Step | None:
    left = [p for p in problems if p.slug not in solved and (after is None or p.slug != after.slug)]
    there = {p.slug for p in left}
    # a circle of prerequisites, or the problem at hand being one, must not leave the learner with nothing
    ready = [p for p in left if not there.intersection(p.prerequisites)] or left
    if not ready:
        return None
    needed = _needed_by(after, problems) if after and after.slug not in solved else set()

    def rank(p: Problem) -> tuple[object, ...]:
        summary = record.get(p.slug, Summary())
        state = 2 if summary.gave_up_at else 0 if summary.attempts else 1  # what was begun comes before what is new
        if after is None:
            return state, _level(p), p.minutes, p.slug
        shared = len(set(p.topics) & set(after.topics))
        builds = after.slug in p.prerequisites
        return (p.slug not in needed, not (builds or shared), _level(p) < _level(after), _level(p), not builds, -shared,
                state, p.minutes, p.slug)

    best = min(ready, key=rank)
    return Step(best, _why(best, record.get(best.slug, Summary()), after, needed))


def _needed_by(problem: Problem, problems: Sequence[Problem]) -> set[str]:
    """All that a problem builds on, directly or not."""
    known = {p.slug: p for p in problems}
    found: set[str] = set()
    open_ends = [*problem.prerequisites]
    while open_ends:
        slug = open_ends.pop()
        if slug in known and slug not in found:
            found.add(slug)
            open_ends += known[slug].prerequisites
    return found


def _why(problem: Problem, summary: Summary, after: Problem | None, needed: set[str]) -> str:
    if after and problem.slug in needed:
        return f"{after.slug} builds on it"
    if after and after.slug in problem.prerequisites:
        return f"it builds on {after.slug}"
    shared = [topic for topic in after.topics if topic in problem.topics] if after else []
    if after and shared:
        step = _level(problem) - _level(after)
        where = "at the same level" if step == 0 else "a level up" if step == 1 else f"{problem.difficulty}"
        return f"more on {shared[0].replace('-', ' ')}, {where}"
    if summary.gave_up_at:
        return "you have seen its solution; now write it yourself"
    if summary.attempts:
        return f"you have begun it ({summary.attempts} attempt{'s' * (summary.attempts != 1)})"
    if after:
        return f"another topic: {problem.topics[0].replace('-', ' ')} ({problem.difficulty})"
    return f"the easiest of the new ones ({problem.difficulty}, {problem.minutes} minutes)"


def _level(problem: Problem) -> int:
    return DIFFICULTIES.index(problem.difficulty)
