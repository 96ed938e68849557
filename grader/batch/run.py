"""From assignments to results: what is graded already is kept, the rest is graded, each verdict is kept as it comes.

Prints nothing; tells `on_progress`.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from grader import profiles
from grader.attempt import launch
from grader.batch import work
from grader.batch.store import Entry, Store
from grader.batch.submissions import Assignment
from grader.batch.work import Executor, Task, Terms
from grader.errors import PrepError
from grader.problem import Problem
from grader.verdict import Status, Verdict

EXECUTORS = ("local", "ray")
WINDOW = 100
"""the rate is that of this many latest gradings"""


@dataclass(frozen=True)
class Options:
    """How to grade. timeout_s: of one answer, where that is less than the problem allows. workers: one per core."""

    executor: str = "local"
    address: str | None = None
    workers: int | None = None
    speed: bool = False
    trust_submissions: bool = False
    timeout_s: float | None = None
    profile: str | None = None
    """of training problems; smoke unless told. The others have one worker unless told, which has all cores."""

    def terms(self, isolation: str) -> Terms:
        """What all gradings have in common."""
        if self.profile in (None, "smoke"):
            return Terms(isolation, self.speed)
        return Terms(isolation, self.speed, self.profile or "smoke", max(1, profiles.cores() // (self.workers or 1)))


@dataclass(frozen=True)
class Progress:
    """Counts are of submissions; `reused` of the `done` were graded in an earlier run."""

    done: int
    total: int
    reused: int
    rate: float = 0.0
    """submissions a second, of late"""
    eta_s: float | None = None

    def line(self) -> str:
        """ "graded 120 of 400, 23.1 a second, 12 s left" """
        parts = [f"graded {self.done:,} of {self.total:,}"]
        if self.rate:
            parts.append(f"{self.rate:.1f} a second" if self.rate >= 1 else f"{1 / self.rate:.1f} s each")
        if self.eta_s is not None and self.done < self.total:
            minutes, seconds = divmod(round(self.eta_s), 60)
            parts.append(f"{minutes} min {seconds} s left" if minutes else f"{seconds} s left")
        return ", ".join(parts)


@dataclass(frozen=True)
class Outcome:
    """What a finished batch comes to; the results are in `folder`."""

    folder: Path
    total: int
    reused: int
    """of the submissions, those graded in an earlier run"""
    gradings: int
    """of this run; submissions with the same text share one"""
    statuses: dict[str, int]
    duration_s: float
    isolation: str

    @property
    def exit_code(self) -> int:
        """0: each submission has a verdict; 3: some could not be judged, by our fault."""
        return 3 if self.statuses.get(Status.JUDGE_ERROR) else 0


class Interrupted(KeyboardInterrupt):
    """Ctrl-C: what is kept, and how to go on."""


def grade(assignments: Sequence[Assignment], folder: Path, options: Options = Options(), *,
          on_progress: Callable[[Progress], None] = lambda progress: None,
          executor: Executor | None = None) -> Outcome:
    """Grade what is not graded yet; the results are in FOLDER/results.sqlite.

    Raises PrepError where the options ask for what there is not, the answers cannot be jailed (and are not trusted) or
    FOLDER cannot be used; Interrupted at Ctrl-C. No process is left in any case.
    """
    began = time.monotonic()
    check(assignments, options)
    terms = options.terms(required_isolation(options.trust_submissions))
    assignments = [dataclasses.replace(a, problem=_hurried(a.problem, options.timeout_s)) for a in assignments]
    problems = {a.problem.slug: a.problem for a in assignments}
    with Store(folder) as store:
        try:
            store.enlist(_entries(assignments, terms))
            total, reused = store.count()
            pending = store.pending()
            report = _Reporter(total, reused, on_progress)
            if pending:
                tasks = (Task(key, problems[slug], source) for key in pending for slug, source in [store.task(key)])
                with closing(executor or _executor(options, terms, len(pending))) as running:
                    for key, verdict in running.run(tasks):
                        report.add(store.record(key, verdict, now=datetime.now(UTC)))
        except KeyboardInterrupt:
            total, done = store.count()
            raise Interrupted(f"{done:,} of {total:,} submissions are graded, and kept in {folder}. "
                              "The same command grades the rest.") from None
        return Outcome(folder, total, reused, len(pending), store.statuses(), time.monotonic() - began,
                       terms.isolation)


def check(assignments: Sequence[Assignment], options: Options) -> None:
    """Raise PrepError for options that nothing here obeys: also where all is graded already."""
    if options.executor not in EXECUTORS:
        raise PrepError(f"No executor '{options.executor}'.", f"There are: {', '.join(EXECUTORS)}.  prep batch --help")
    if options.address is not None and options.executor != "ray":
        raise PrepError("--address is that of a Ray cluster, and this batch runs on this machine.",
                        f"prep batch ... --executor ray --address {options.address}")
    if options.profile is None:
        return
    trained = [a.problem for a in assignments if a.problem.kind == "training"]
    if assignments and not trained:
        slugs = [a.problem.slug for a in assignments]
        raise PrepError(f"{slugs[0]} trains nothing: it has no profiles." if len(slugs) == 1 else
                        f"{', '.join(slugs)} train nothing: they have no profiles.",
                        "The same command without --profile.  prep batch --help")
    for problem in trained:
        try:  # the GPUs of a cluster are not here
            profiles.plan(problem, options.profile, device="cpu" if options.executor == "ray" else None)
        except PrepError as error:
            raise PrepError(error.what, error.fix.replace(f"prep grade {problem.slug}", "prep batch ...")) from None


def required_isolation(trusted: bool) -> str:
    """The isolation of this machine. Raises PrepError where it is no jail and the answers are not trusted."""
    level, reason = launch.probe()
    if level != "bubblewrap" and not trusted:
        raise PrepError(f"These are other people's files, and this machine cannot jail them: {reason}.",
                        "Install bubblewrap (prep doctor), or, where you trust every file: "
                        "prep batch ... --trust-submissions")
    return level


def _hurried(problem: Problem, timeout_s: float | None) -> Problem:
    if timeout_s is None:
        return problem
    limits = problem.limits
    return dataclasses.replace(problem, limits=dataclasses.replace(
        limits, total_s=min(limits.total_s, timeout_s), call_s=min(limits.call_s, timeout_s),
        load_s=min(limits.load_s, timeout_s)))


def _entries(assignments: Sequence[Assignment], terms: Terms) -> Iterator[Entry]:
    for assignment in assignments:
        problem = assignment.problem
        conditions = work.Conditions.of(problem, terms)
        for submission in assignment.submissions:
            path = str(submission.path).encode("utf-8", "backslashreplace").decode()
            try:
                source = submission.read(problem.slug)
            except PrepError as error:
                verdict = Verdict(problem.slug, Status.RUNTIME_ERROR, error.what, error.fix)
                yield Entry(problem.slug, submission.student, path, conditions.key(f"\0{error.what}"), "", verdict)
            else:
                yield Entry(problem.slug, submission.student, path, conditions.key(source), source)


def _executor(options: Options, terms: Terms, tasks: int) -> Executor:
    if options.executor == "ray":
        from grader.batch.cluster import Cluster

        return Cluster(terms, address=options.address, workers=options.workers)
    from grader.batch.local import LocalPool, cores

    workers = options.workers or (cores() if terms.profile == "smoke" else 1)
    return LocalPool(terms, min(workers, tasks))


class _Reporter:
    def __init__(self, total: int, reused: int, on_progress: Callable[[Progress], None]) -> None:
        self._total, self._done, self._reused, self._tell = total, reused, reused, on_progress
        self._ends = deque[tuple[float, int]]([(time.monotonic(), reused)], maxlen=WINDOW)
        self._tell(Progress(reused, total, reused))

    def add(self, count: int) -> None:
        """So many more submissions have their verdict."""
        now = time.monotonic()
        self._done += count
        then, before = self._ends[0]
        self._ends.append((now, self._done))
        rate = (self._done - before) / max(now - then, 1e-9)
        self._tell(Progress(self._done, self._total, self._reused, rate, (self._total - self._done) / rate))
