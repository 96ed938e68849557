"""`prep verify` proves that a problem judges rightly. Prints and judges nothing.

The proof: the solution and every file of accepted/ are accepted, the starter is not, each file of rejected/ gets the
verdict and the failing test that it names, and the suite notices small mistakes put into the solution (mutants).
"""

from __future__ import annotations

import ast
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from grader.errors import PrepError
from grader.mutants import Mutant, mutate
from grader.problem import EquivalentMutant, Problem
from grader.scaffold import TEMPLATE_MARK
from grader.verdict import Status, Verdict

if TYPE_CHECKING:
    from grader.attempt.launch import Zygote

MIN_REJECTED = 5
MIN_ACCEPTED = 2
MIN_SCORE = 0.95
"""share of the mutants that can be killed which the suite must kill"""
MUTANT_CALL_S = 2.0
MUTANT_TOTAL_S = 10.0
"""a mutant may loop for ever, so its limits are tight; the solution itself is held to them first"""
EXAMPLES_S = 120.0
MAX_JOBS = 8
"""worker processes at most: with Torch each takes hundreds of megabytes, and its attempt as much again"""


@dataclass(frozen=True)
class Check:
    """One thing that must hold. `fix` says what to do where it does not."""

    name: str
    ok: bool
    detail: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Mutation:
    """How many mutants of the solution the suite notices."""

    total: int
    killed: int
    by_time_limit: int
    """of the killed, those that only ran out of time"""
    equivalent: tuple[Mutant, ...]
    """not killed, and listed in problem.toml with a reason"""
    survivors: tuple[Mutant, ...]
    """not killed, and not listed"""

    @property
    def score(self) -> float:
        """Killed over those that can be killed, 0 to 1; 1 where there is nothing to kill."""
        killable = self.total - len(self.equivalent)
        return self.killed / killable if killable else 1.0


@dataclass(frozen=True)
class VerifyReport:
    """What `prep verify` found out about one problem. `mutation` is None where no mutant was run."""

    problem: str
    checks: tuple[Check, ...]
    mutation: Mutation | None = None
    duration_s: float = 0.0

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


@dataclass(frozen=True)
class Progress:
    """`done` of `total` gradings of a stage ("solution", "answers", "control" or "mutants") are over."""

    stage: str
    done: int
    total: int


class Grade(Protocol):
    """The shape of `grader.judge.grade`, as far as it is used here."""

    def __call__(self, problem: Problem, source: str, *, filename: str, fail_fast: bool) -> Verdict: ...


def verify(problem: Problem, *, mutants: bool = True, on_event: Callable[[Progress], None] = lambda event: None,
           jobs: int | None = None, grade: Grade | None = None, profile: str = "smoke") -> VerifyReport:
    """Prove `problem`, or say what is missing.

    Gradings run in `jobs` worker processes (one per core, up to MAX_JOBS, unless told), or, where `grade` is given, in
    this process with it, one after the other. Training problems get no mutants: half a learning rate is no mistake.
    profile: of a training problem. Beyond smoke, one grading runs at a time, with all cores, and only what has to be
    accepted is graded: what has to be rejected is proved at smoke.
    """
    began = time.monotonic()
    checks = [_files(problem), _template(problem), _notes(problem)]
    mutation = None
    if all(path.is_file() for path in (problem.examples, problem.solution, problem.starter)):
        checks += _examples(problem)
    if all(path.is_file() for path in (problem.suite, problem.solution, problem.starter)):
        with _graders(grade, jobs if profile == "smoke" else 1) as run:
            proof = _Proof(problem, run, on_event, profile)
            solution = proof.solution()
            checks += solution
            if all(check.ok for check in solution):
                checks += proof.answers()
                if mutants and problem.kind != "training":
                    mutation, found = proof.mutants()
                    checks += found
    return VerifyReport(problem.slug, tuple(checks), mutation, time.monotonic() - began)


def render_text(report: VerifyReport) -> str:
    """The report as plain lines: a headline, one line per check, each failure with what to do, then survivors."""
    failed = [check for check in report.checks if not check.ok]
    count = f"{len(failed)} of {len(report.checks)} checks failed" if failed else f"{len(report.checks)} checks"
    lines = [f"{'FAIL' if failed else 'ok'}  {report.problem}: {count}, {report.duration_s:.1f} s"]
    for check in report.checks:
        detail = f": {check.detail}" if check.detail else ""
        lines.append(f"  {'ok  ' if check.ok else 'FAIL'}  {check.name}{detail}")
        if not check.ok and check.fix:
            lines += [f"        {line}" for line in f"Next: {check.fix}".splitlines()]
    for mutant in report.mutation.survivors if report.mutation else ():
        lines.append(f"  survivor  solution.py:{mutant.line} ({mutant.operator})")
        lines += [f"    - {line}" for line in mutant.before.splitlines()]
        lines += [f"    + {line}" for line in mutant.after.splitlines()]
    if failed:
        lines.append(f"Then again:  prep verify {report.problem}")
    return "\n".join(lines)


# What can be seen without running the judge.

def _files(problem: Problem) -> Check:
    wanted = {
        problem.prompt: "what an interviewer would say, with shapes, dtypes, conventions and a worked example",
        problem.starter: "the signature, a docstring, and `raise NotImplementedError`",
        problem.suite: "the hidden tests, the most telling ones first",
        problem.examples: "about three visible tests: plain pytest, `from attempt import ...`",
        problem.solution: "what the best engineer would write in an interview",
        problem.notes: "approach, cost, pitfalls, and an answer to each follow-up",
    }
    missing = [path for path in wanted if not path.is_file() or not path.read_bytes().strip()]
    names = ", ".join(path.name for path in missing)
    return Check("files", not missing, f"missing or empty: {names}" if missing else "",
                 "\n".join(f"Write {path}: {wanted[path]}." for path in missing))


def _template(problem: Problem) -> Check:
    steps = []
    for folder in (problem.folder, problem.solution_folder):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".md", ".toml"):
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                steps += [f"{path}:{i}  {line.partition(TEMPLATE_MARK)[2].removesuffix('-->').strip()}"
                          for i, line in enumerate(lines, 1) if TEMPLATE_MARK in line]
    return Check("nothing left of the template", not steps, f"{len(steps)} marks left" if steps else "",
                 "\n".join(["Write your own in place of each, and delete the mark:", *steps]))


def _notes(problem: Problem) -> Check:
    text = problem.notes.read_text(encoding="utf-8") if problem.notes.is_file() else ""
    answers: dict[str, str] = {}
    for part in re.split(r"^#+(?=\s)", text, flags=re.MULTILINE)[1:]:
        heading, _, answer = part.partition("\n")
        answers[_plain(heading)] = answer.strip()
    missing = [question for question in problem.follow_ups if not answers.get(_plain(question))]
    return Check("follow-ups answered in notes.md", not missing,
                 f"{len(missing)} of {len(problem.follow_ups)} are not" if missing else "",
                 "\n".join([f"In {problem.notes}, under a heading with the same words, answer:",
                            *(f"### {question}" for question in missing)]))


def _plain(heading: str) -> str:
    return " ".join(heading.split())


def _examples(problem: Problem) -> list[Check]:
    text = problem.examples.read_text(encoding="utf-8")
    if re.search(r"^\s*(from|import)\s+grader\b", text, flags=re.MULTILINE):
        return [Check("examples", False, "test_examples.py imports grader",
                      "Use plain pytest: it runs beside a learner's attempt.py.")]
    code, told = _run_examples(problem, problem.solution)
    passes = Check("examples pass on the solution", code == 0, "" if code == 0 else told,
                   f"Correct {problem.examples}, or the solution.")
    code, told = _run_examples(problem, problem.starter)
    fails = Check("examples fail on the starter", code == 1, "" if code == 1 else f"pytest ended with {code}; {told}",
                  "They must be collected and then fail: the starter has every name they import, and solves nothing.")
    return [passes, fails]


def _run_examples(problem: Problem, answer: Path) -> tuple[int, str]:
    """pytest's exit code on test_examples.py with `answer` as attempt.py, and what it said in a line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory(prefix="prep-examples-") as folder:
        for name, path in (("attempt.py", answer), (problem.examples.name, problem.examples), ("kit.py", problem.kit)):
            if path:
                Path(folder, name).write_bytes(path.read_bytes())
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "-c", os.devnull,
                   f"--rootdir={folder}", problem.examples.name]
        try:
            ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True,
                                 encoding="utf-8", errors="replace", timeout=EXAMPLES_S, check=False)
        except subprocess.TimeoutExpired:
            return -1, f"no end after {EXAMPLES_S:.0f} s"
    lines = ran.stdout.strip().splitlines() or ran.stderr.strip().splitlines() or ["no output"]
    return ran.returncode, next((line for line in lines if line.startswith(("FAILED", "ERROR "))), lines[-1])


# What the judge says of the answers and of the mutants.

@dataclass(frozen=True)
class _Task:
    """One grading; pickled on its way to a worker."""

    problem: Problem
    source: str
    filename: str
    fail_fast: bool = False
    profile: str = "smoke"


_Run = Callable[[Sequence[_Task]], Iterator[Verdict]]


@contextmanager
def _graders(grade: Grade | None, jobs: int | None) -> Iterator[_Run]:
    """A function that grades tasks and yields their verdicts in order.

    The judge runs pytest, which is not thread-safe, and a suite's tests run in its process: each worker is a process.
    """
    if grade is not None:
        yield lambda tasks: (grade(task.problem, task.source, filename=task.filename, fail_fast=task.fail_fast)
                             for task in tasks)
        return
    jobs = jobs or min(os.cpu_count() or 1, MAX_JOBS)
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        yield lambda tasks: pool.map(_grade, tasks)
    except BrokenProcessPool:
        raise PrepError("A grading process died, most likely for lack of memory.",
                        "Close other programs, then again:  prep verify") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    import signal

    # Ctrl-C reaches the whole process group: the parent handles it, and lets the gradings in flight end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One thread each: workers that fight over the cores are many times slower. Read when NumPy and Torch are imported.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    # A worker whose parent was killed would wait for its next task for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


_zygotes: dict[tuple[str, ...], Zygote] = {}


def _grade(task: _Task) -> Verdict:
    """One grading, in a worker. These are the author's own files: forked from a zygote where that is possible, which
    saves each of a hundred Torch answers its second of imports."""
    from grader import profiles
    from grader.attempt import launch
    from grader.judge import grade

    zygote = None
    if sys.platform == "linux":
        key = launch.zygote_key(task.problem)
        zygote = _zygotes.get(key)
        if zygote is None:
            zygote = _zygotes[key] = launch.Zygote(task.problem)
    plan = profiles.plan(task.problem, task.profile) if task.problem.kind == "training" else None
    return grade(task.problem, task.source, filename=task.filename, fail_fast=task.fail_fast, zygote=zygote, plan=plan,
                 keep_inputs=False)


class _Proof:
    """The checks of one problem that need verdicts."""

    def __init__(self, problem: Problem, run: _Run, on_event: Callable[[Progress], None], profile: str) -> None:
        self.problem, self._run, self._on_event, self._profile = problem, run, on_event, profile
        self.tests: tuple[str, ...] = ()

    def grade(self, stage: str, tasks: Sequence[_Task]) -> list[Verdict]:
        self._on_event(Progress(stage, 0, len(tasks)))
        verdicts = []
        for verdict in self._run(tasks):
            verdicts.append(verdict)
            self._on_event(Progress(stage, len(verdicts), len(tasks)))
        return verdicts

    def task(self, path: Path) -> _Task:
        try:
            return _Task(self.problem, path.read_text(encoding="utf-8"), path.name, profile=self._profile)
        except UnicodeDecodeError:
            raise PrepError(f"{path} is not UTF-8 text.", f"Save it as UTF-8, then:  prep verify {self.problem.slug}"
                            ) from None

    def solution(self) -> list[Check]:
        """The solution is accepted, twice, with the same cases."""
        first, second = self.grade("solution", [self.task(self.problem.solution)] * 2)
        self.tests = tuple(case.name for case in first.cases)
        checks = [_accepted("solution", self.problem.solution, first)]
        if first.accepted:
            runs = [[(case.name, case.status, case.points, case.message) for case in verdict.cases]
                    for verdict in (first, second)]
            differing = sorted({row[0] for row in set(runs[0]) ^ set(runs[1])})
            checks.append(Check("suite is deterministic", runs[0] == runs[1],
                                f"two runs differ in {', '.join(differing) or 'the order of the tests'}"
                                if runs[0] != runs[1] else "",
                                "Draw random inputs from the `rng` fixture, or from grader.properties."))
        return checks

    def answers(self) -> list[Check]:
        """The starter, accepted/ and rejected/ get the verdicts that they should."""
        accepted = sorted((self.problem.solution_folder / "accepted").glob("*.py"))
        everything = sorted((self.problem.solution_folder / "rejected").glob("*.py"))
        rejected = everything if self._profile == "smoke" else []
        starter = self.task(self.problem.starter)
        touched = replace(starter, source=starter.source + "\npass\n")  # unchanged, the judge does not even run it
        answers = [self.task(path) for path in (*accepted, *rejected)]
        untouched, ran, *verdicts = self.grade("answers", [starter, touched, *answers])
        checks = self.starter(untouched, ran)
        checks += [_accepted(f"accepted/{path.name}", path, verdict) for path, verdict in zip(accepted, verdicts)]
        checks += [self.rejected(path, verdict) for path, verdict in zip(rejected, verdicts[len(accepted):])]
        checks.append(_enough("accepted", accepted, MIN_ACCEPTED, self.problem,
                              "a right answer in another style: loops, another algorithm, other names inside"))
        checks.append(_enough("rejected", everything, MIN_REJECTED, self.problem,
                              "a plausible wrong answer named after its mistake, opening with "
                              "`# expect: wrong-answer TEST` and a comment that says what is wrong"))
        return checks

    def starter(self, untouched: Verdict, ran: Verdict) -> list[Check]:
        path = self.problem.starter
        checks = [Check("starter is not-started", untouched.status is Status.NOT_STARTED, _told(untouched),
                        f"Let every function of {path} be a docstring and `raise NotImplementedError`.")]
        if self.problem.kind == "debug":
            ok = ran.status not in (Status.ACCEPTED, Status.NOT_STARTED, Status.JUDGE_ERROR)
            checks.append(Check("starter has a bug that the suite finds", ok, _told(ran),
                                f"Put the bug that is to be found into {path}, and a test that fails for it."))
        else:
            ok = ran.status not in (Status.ACCEPTED, Status.JUDGE_ERROR)
            checks.append(Check("starter solves nothing", ok, _told(ran),
                                f"Let every function of {path} be a docstring and `raise NotImplementedError`."))
        return checks

    def rejected(self, path: Path, verdict: Verdict) -> Check:
        name = f"rejected/{path.name}"
        first, second, *_ = [*path.read_text(encoding="utf-8").splitlines(), "", ""]
        header = re.fullmatch(r"# expect: (\S+)(?: (\S.*))?", first.rstrip())
        statuses = [str(status) for status in Status if status not in (Status.ACCEPTED, Status.JUDGE_ERROR)]
        failure = verdict.first_failure
        got = f"{verdict.status} {failure.name if failure else ''}".strip()
        if not header or header[1] not in statuses or (header[1] == Status.WRONG_ANSWER and not header[2]):
            return Check(name, False, f"the first line is {first!r}",
                         "Open it with `# expect: STATUS TEST`: the verdict it must get and the first test that must "
                         f"fail.\nSTATUS is one of {', '.join(statuses)}. It gets now: {got}")
        if not re.match(r"# \S", second):
            return Check(name, False, "the second line does not say what is wrong",
                         "Write what is wrong with it as a comment on its second line.")
        status, test = header[1], header[2]
        tests = [*self.tests, *(case.name for case in verdict.cases)]
        if test and not any(_is_test(case, test) for case in tests):
            near = difflib.get_close_matches(test, [case.partition("[")[0] for case in tests], n=1)
            return Check(name, False, f"the suite has no test {test}",
                         f"Did you mean {near[0]}?" if near else f"Write that test, or name the one that fails: {got}")
        if verdict.status == status and (not test or (failure is not None and _is_test(failure.name, test))):
            return Check(name, True, got)
        expected = f"{status} {test or ''}".strip()
        if verdict.accepted:
            fix = f"Add a test to {self.problem.suite} that this answer fails: {second.removeprefix('# ')}"
        else:
            fix = (f"If {got} is the better diagnosis, write it in the first line; else put the test that should speak "
                   "first higher in the suite, or mend the file where it has a second mistake.")
        return Check(name, False, f"expected {expected}, got {_told(verdict)}", fix)

    def mutants(self) -> tuple[Mutation | None, list[Check]]:
        """The suite kills the mutants of the solution, but for those listed as equivalent."""
        limits = replace(self.problem.limits, call_s=min(self.problem.limits.call_s, MUTANT_CALL_S),
                         total_s=min(self.problem.limits.total_s, MUTANT_TOTAL_S))
        problem = replace(self.problem, limits=limits, speed=None)
        original = self.problem.solution.read_text(encoding="utf-8")
        mutants = mutate(original)

        # The control: without it, a suite too slow for the tight limits would seem to kill everything.
        task = _Task(problem, ast.unparse(ast.parse(original)), "solution.py", fail_fast=True)
        [control] = self.grade("control", [task])
        if not control.accepted:
            return None, [Check("mutants", False, f"under their limits the solution itself gets: {_told(control)}",
                                f"Make the suite faster: a run must take less than {limits.total_s:g} s, a call less "
                                f"than {limits.call_s:g} s.")]
        verdicts = self.grade("mutants", [replace(task, source=mutant.source) for mutant in mutants])
        judged = list(zip(mutants, verdicts))
        faults = [(mutant, verdict) for mutant, verdict in judged if verdict.status is Status.JUDGE_ERROR]
        alive = [mutant for mutant, verdict in judged if verdict.accepted]
        listed = {(row.before.strip(), row.after.strip()) for row in self.problem.equivalent_mutants}
        equivalent = tuple(mutant for mutant in alive if (mutant.before, mutant.after) in listed)
        survivors = tuple(mutant for mutant in alive if (mutant.before, mutant.after) not in listed)
        mutation = Mutation(
            total=len(mutants), killed=len(mutants) - len(alive) - len(faults),
            by_time_limit=sum(verdict.status is Status.TIME_LIMIT for verdict in verdicts),
            equivalent=equivalent, survivors=survivors)
        checks = [_score(mutation)]
        checks += [Check(f"mutant at solution.py:{mutant.line} ({mutant.after})", False, _told(verdict),
                         "Let the test use a check.* function before it touches what the answer returned.")
                   for mutant, verdict in faults]
        checks += _stale(self.problem.equivalent_mutants, mutants, alive)
        return mutation, checks


def _accepted(name: str, path: Path, verdict: Verdict) -> Check:
    speed = verdict.speed
    tier = f", tier {speed.tier} ({speed.ratio:.2g} times the reference's time)" if speed else ""
    fix = (f"Run it by hand, and mend {path.name} or the test:  pytest problems/{verdict.problem}/test_hidden.py "
           f"--attempt {path}")
    return Check(name, verdict.accepted, f"{_told(verdict)}{tier}", fix)


def _told(verdict: Verdict) -> str:
    """A verdict in a line."""
    if verdict.accepted:
        return f"accepted, {len(verdict.cases)} tests"
    failure = verdict.first_failure
    words = [str(verdict.status), f"in {failure.name}" if failure else "",
             f"({failure.message if failure and failure.message else verdict.message})"]
    return " ".join(word for word in words if word not in ("", "()")).replace("\n", " ")


def _is_test(case: str, name: str) -> bool:
    """A parametrised case goes by its whole name or by its function's."""
    return case == name or case.partition("[")[0] == name


def _enough(folder: str, found: Sequence[Path], least: int, problem: Problem, what: str) -> Check:
    return Check(f"at least {least} in {folder}/", len(found) >= least, f"{len(found)} found",
                 f"Add to {problem.solution_folder / folder}: {what}.")


def _score(mutation: Mutation) -> Check:
    detail = (f"{mutation.killed} of {mutation.total - len(mutation.equivalent)} killed ({mutation.score:.1%})"
              + (f", {mutation.by_time_limit} of them by the time limit" if mutation.by_time_limit else "")
              + (f"; {len(mutation.equivalent)} listed as equivalent" if mutation.equivalent else ""))
    fix = f"The suite must kill {MIN_SCORE:.0%}: add a test that fails for a survivor below."
    if mutation.survivors:
        first = mutation.survivors[0]
        # TOML's basic strings are JSON's.
        before, after = (json.dumps(text, ensure_ascii=False) for text in (first.before, first.after))
        fix += ("\nWhere no input can tell a survivor from the solution, list it in problem.toml, as for the first one:"
                f"\n[[equivalent_mutants]]\nbefore = {before}\nafter = {after}\nreason = \"why no input tells\"")
    return Check("mutants", mutation.score >= MIN_SCORE, detail, fix)


def _stale(listed: Sequence[EquivalentMutant], mutants: Sequence[Mutant], alive: Sequence[Mutant]) -> Iterator[Check]:
    for row in listed:
        change = (row.before.strip(), row.after.strip())
        if any((mutant.before, mutant.after) == change for mutant in alive):
            continue
        killed = any((mutant.before, mutant.after) == change for mutant in mutants)
        yield Check("equivalent mutant", False, f"`{change[1]}` is listed, but " + (
            "the suite kills it" if killed else f"no mutant turns `{change[0]}` into it"),
            "Remove it from [[equivalent_mutants]] of problem.toml" + (
                "." if killed else ", or copy `before` and `after` as this report shows them."))
