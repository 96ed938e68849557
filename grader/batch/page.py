"""Results -> one self-contained HTML page: the class, its cases, its common mistakes, each verdict.

No scripts, no links to elsewhere; whatever a submission said is shown as text.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import jinja2

from grader import __version__, report
from grader.batch.store import Result, Store
from grader.problem import Problem
from grader.verdict import NOT_RUN, PASSED, Case, Status, Verdict

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
BINS = 10
GROUPS = 20
"""groups of equal mistakes that are shown"""


@dataclass
class CaseRate:
    """How a case of the suite went, over the class."""

    name: str
    rationale: str
    passed: int = 0
    failed: int = 0
    not_run: int = 0

    @property
    def share(self) -> float:
        """Passes over all submissions whose suite was run, 0 to 1."""
        return self.passed / max(1, self.passed + self.failed + self.not_run)


@dataclass
class Group:
    """Submissions that end in the same way and fail the same cases (or, where none was run, say the same)."""

    failing: tuple[str, ...]
    status: str
    message: str
    """the first one's"""
    example: Case | None
    """the first one's first failure"""
    students: list[str] = field(default_factory=list)


@dataclass
class Overview:
    """What one problem's results come to."""

    problem: Problem
    total: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    percents: list[float] = field(default_factory=list)
    cases: dict[str, CaseRate] = field(default_factory=dict)
    groups: dict[tuple[str, ...], Group] = field(default_factory=dict)
    isolations: Counter[str] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        verdict = result.verdict
        self.total += 1
        self.statuses[str(verdict.status)] += 1
        self.isolations[verdict.isolation] += 1
        self.percents.append(percent(verdict))
        for case in verdict.cases:
            rate = self.cases.setdefault(case.name, CaseRate(case.name, case.rationale))
            rate.passed += case.status == PASSED
            rate.not_run += case.status == NOT_RUN
            rate.failed += case.status not in (PASSED, NOT_RUN)
        if not verdict.accepted:
            failing = tuple(case.name for case in verdict.cases if case.status not in (PASSED, NOT_RUN))
            key = (str(verdict.status), *(failing or [verdict.message.split("\n")[0]]))
            group = self.groups.setdefault(key, Group(failing, str(verdict.status), verdict.message,
                                                      verdict.first_failure))
            group.students.append(result.student)

    @property
    def accepted(self) -> int:
        return self.statuses[Status.ACCEPTED]

    @property
    def median_percent(self) -> float:
        return median(self.percents) if self.percents else 0.0

    @property
    def ordered_statuses(self) -> list[tuple[str, int]]:
        return sorted(self.statuses.items(), key=lambda item: (item[0] != Status.ACCEPTED, -item[1], item[0]))

    @property
    def bins(self) -> list[int]:
        """Submissions by score: 0 to 10 per cent, ..., 90 to 100."""
        counts = [0] * BINS
        for value in self.percents:
            counts[min(BINS - 1, int(value * BINS / 100))] += 1
        return counts

    @property
    def largest_groups(self) -> list[Group]:
        return sorted(self.groups.values(), key=lambda group: -len(group.students))[:GROUPS]


def percent(verdict: Verdict) -> float:
    """The score, 0 to 100."""
    return 100 * verdict.score / verdict.max_score if verdict.max_score else 100.0 * verdict.accepted


def render(store: Store, problems: Sequence[Problem]) -> Iterator[str]:
    """The page, piece by piece: first the classes, then each verdict as it is read from the store."""
    by_slug = {problem.slug: problem for problem in problems}
    overviews = [Overview(by_slug[slug]) for slug in store.problems() if slug in by_slug]
    for overview in overviews:
        for result in store.results(overview.problem.slug):
            overview.add(result)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=_text)
    environment.filters |= {"words": report.words, "percent": percent, "seconds": report.seconds,
                            "lines": _first_lines, "anchor": _anchor}
    yield from environment.get_template("batch.html.j2").generate(
        overviews=overviews, results=store.results, version=__version__, passed=PASSED, not_run=NOT_RUN)


def _text(value: object) -> object:
    """Control, direction and half characters of submissions are written out, as on the terminal."""
    return report.clean(value) if type(value) is str else value


def _first_lines(text: str, count: int = report.OUTPUT_LINES) -> str:
    lines = text.rstrip().split("\n")
    more = f"\n... {len(lines) - count} more lines" if len(lines) > count else ""
    return "\n".join(lines[:count]) + more


def _anchor(student: str, slug: str) -> str:
    """An id made from any name."""
    return "s" + hashlib.sha256(f"{slug}/{student}".encode()).hexdigest()[:12]
