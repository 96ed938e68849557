"""Grades an answer each time it is saved, and shows what that changed. Judges nothing: it holds a warm judge.

The file is looked at a hundred times a second by its path, so editors that save by replacing it are no special case.
Measured on two cores (Linux, n = 40): a save is noticed after 5 ms (median; 10 ms at most) for 0.3 % of a core.
watchdog (inotify) takes 1 ms, watchfiles 9 to 71 ms; either adds 35 ms to the start and would need all of this beside
it, for file systems that report nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import select
import shlex
import shutil
import signal
import sys
import termios
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Protocol, TypeVar

from grader import report, schedule, workspace
from grader.bank import Bank
from grader.errors import PrepError
from grader.history import History, Summary, utc_now
from grader.judge import OnCase
from grader.parsing import parse
from grader.problem import Problem
from grader.report import Page
from grader.verdict import NOT_RUN, PASSED, Status, Verdict
from grader.warm import WarmJudge

T = TypeVar("T")

LOOK_S = 0.01
"""how often the file's time, size and inode are looked at"""
REREAD_S = 1.0
"""how often its text is read all the same: some file systems' clocks tick every two seconds"""
SETTLE_S = 0.01
"""how long a text that Python can parse has to stay as it is"""
DOUBT_S = 0.25
"""how long anything else has to: it looks like half a save (empty, gone, no valid Python, no newline at its end)"""
OVERTAKE_S = 1.0
"""a grade that has taken this long is given up when a newer text is saved"""
NAMES = 4
"""cases named in a line of what changed; the others are counted"""
EARLIER = 5

Part = tuple[report.Span, ...] | report.Markdown


class Judge(Protocol):
    """What `warm.WarmJudge` is."""

    def grade(self, problem: Problem, source: str, *, filename: str = ..., on_case: OnCase | None = ...,
              fail_fast: bool = ..., speed: bool = ...) -> Verdict: ...

    def prepare(self, problem: Problem) -> None: ...

    def close(self) -> None: ...


# Saves


@dataclass(frozen=True)
class Seen:
    """A file as it was found: its text, or what is wrong with it and how to mend that."""

    source: str = ""
    fault: str = ""
    fix: str = ""


class Saves:
    """Notices that a file was saved, once it has come to rest. Every time is in seconds of the same clock.

    poll_s: for network file systems: the file is opened and read this often, since only opening it makes such a system
    ask its server. None: LOOK_S, by time, size and inode.
    """

    def __init__(self, path: Path, slug: str, *, poll_s: float | None = None) -> None:
        self.path, self._slug = path, slug
        self._look_s, self._reread_s = (LOOK_S, REREAD_S) if poll_s is None else (poll_s, 0.0)
        self._mark = object()  # like no mark of a file
        self._seen = Seen()
        self._read_at = self._since = self._patience_s = 0.0
        self._pending = False

    def look(self, now: float) -> Seen | None:
        """What was saved, once for each save (also one that changed nothing); None where there is nothing new."""
        mark = self._marked()
        if mark != self._mark or now - self._read_at >= self._reread_s:
            seen = self._read()
            if seen != self._seen or mark != self._mark:
                self._pending, self._since = True, now
                self._patience_s = SETTLE_S if _whole(seen) else DOUBT_S
            self._mark, self._seen, self._read_at = mark, seen, now
        if not self._pending or now - self._since < self._patience_s:
            return None
        self._pending = False
        return self._seen

    def again(self) -> None:
        """Have the next look return what is there, even if it was returned before."""
        self._pending, self._since = True, 0.0

    @property
    def wait_s(self) -> float:
        """How long until the next look is due."""
        return min(self._look_s, SETTLE_S / 3 if self._reread_s else 0.05) if self._pending else self._look_s

    def overtaken(self) -> bool:
        """Whether there was a save since the last look. Reads nothing; may be asked by another thread."""
        return self._marked() != self._mark

    def _marked(self) -> object:
        try:
            found = self.path.stat()
        except (OSError, ValueError) as error:
            return type(error)
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> Seen:
        try:
            return Seen(workspace.read_attempt(self.path, self._slug, command="watch"))
        except PrepError as error:
            return Seen(fault=error.what, fix=error.fix)


def _whole(seen: Seen) -> bool:
    if seen.fault or not seen.source.endswith("\n"):
        return False
    try:
        parse(seen.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


# What changed


@dataclass(frozen=True)
class Changes:
    """One verdict against the one before. Names of cases, in the suite's order."""

    passing: tuple[str, ...] = ()
    """passed now, and did not before"""
    failing: tuple[str, ...] = ()
    """fail now, and did not before"""
    unreached: int = 0
    """passed before; the attempt ended before they were run"""
    nothing_ran: int = 0
    """where no case was run at all: how many passed before"""
    tier: tuple[str, str] | None = None
    """speed tiers before and now, where they differ"""

    def __bool__(self) -> bool:
        return self != Changes()


def changes(before: Verdict, after: Verdict, tier: str | None = None) -> Changes:
    """What `after` changed. before: the last verdict with cases. tier: the last one measured."""
    passed = {case.name for case in before.cases if case.status == PASSED}
    failed = {case.name for case in before.cases if case.status not in (PASSED, NOT_RUN)}
    if not after.cases:
        return Changes(nothing_ran=len(passed))
    now = after.speed.tier if after.speed else None
    return Changes(
        tuple(c.name for c in after.cases if c.status == PASSED and c.name not in passed),
        tuple(c.name for c in after.cases if c.status not in (PASSED, NOT_RUN) and c.name not in failed),
        sum(c.status == NOT_RUN and c.name in passed for c in after.cases),
        tier=(tier, now) if tier and now and tier != now else None)


# Screens: pages of `report`, made of nothing but their arguments


@dataclass(frozen=True)
class Shown:
    """A verdict, what it changed, and when its answer was saved."""

    verdict: Verdict
    changes: Changes | None
    """None where there was no run before"""
    at: datetime


def verdict_page(shown: Shown, problem: Problem, *, record: Summary, file: Path, in_workspace: bool,
                 keys: bool) -> Page:
    """The verdict, and after its headline what it changed. keys: they take the place of the commands to type next."""
    # what a verdict asks to type after mending the file is what saving it does here
    verdict = dataclasses.replace(shown.verdict, fix=re.sub(r"then:  prep grade \S+$", "then save it.",
                                                            shown.verdict.fix))
    page = report.verdict_page(verdict, problem, record=record, file=file, in_workspace=in_workspace)
    if keys and shown.verdict.status is not Status.JUDGE_ERROR:
        without_next(page)
    if shown.changes is not None:
        middle = Page(page.width)
        _changed(middle, shown.changes)
        at = next((i for i, part in enumerate(page.parts) if not part), len(page.parts))
        page.parts[at:at] = [(), *middle.parts]
    return page


def _changed(page: Page, changed: Changes) -> None:
    if not changed:
        page.prose("Since the last run: nothing changed", "dim")
        return
    page.line(("Since the last run", "title"))
    lines: list[Sequence[report.Span | str]] = []
    for names, word, style in ((changed.passing, "now passing", "good"), (changed.failing, "now failing", "bad")):
        if names:
            more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
            lines.append([(f"{word} {len(names)}", style), ", ".join(names[:NAMES]) + more])
    if changed.unreached:
        lines.append([("not reached", "warn"), f"{changed.unreached} that passed before"])
    if changed.nothing_ran:
        lines.append([("nothing ran", "warn"), f"{changed.nothing_ran} passed before"])
    if changed.tier:
        lines.append(["speed", (f"{changed.tier[0]} -> {changed.tier[1]}", "title")])
    page.table(lines, indent=2)


def fault_page(seen: Seen) -> Page:
    """The file cannot be graded as it is."""
    page = Page()
    page.line(("NOT GRADED", "warn"))
    page.prose(seen.fault)
    page.prose(seen.fix)
    page.gap()
    page.prose("Save it to have it graded: watching goes on.", "dim")
    return page


def keys_page(*, solution: bool, verdict: bool) -> Page:
    """The line of keys. solution: whether it may be seen. verdict: whether some of the verdict is out of sight."""
    page = Page()
    keys = [("h", "hint"), *([("s", "solution")] if solution else []), ("n", "next"), ("r", "again"),
            *([("v", "verdict")] if verdict else []), ("q", "quit")]
    page.line(*(span for key, what in keys for span in ((key, "command"), f" {what}   ")))
    return page


def suggestion(step: schedule.Step | None, *, here: str, ready: bool) -> str:
    """What comes next and why, and what the key n does about it. here: the problem at hand. ready: whether n moves."""
    if step is None:
        return "Next: every other problem is solved."
    then = "n goes there." if ready else f"n goes there once {here} is accepted."
    return f"Next: {step.problem.slug} ({step.problem.difficulty}, {step.problem.minutes} minutes): {step.why}. {then}"


def earlier_page(runs: Sequence[tuple[datetime, Verdict]]) -> Page:
    """The runs before, newest first."""
    page = Page()
    if runs:
        page.gap()
        page.line(("Earlier", "title"))
        page.table([[f"{at.astimezone():%H:%M:%S}", report.words(verdict.status).lower(),
                     f"{sum(c.status == PASSED for c in verdict.cases)} of {len(verdict.cases)} cases"
                     if verdict.cases else verdict.message.split("\n")[0]] for at, verdict in runs], indent=2)
    return page


def without_next(page: Page) -> Page:
    """The page without its last block, the commands to type."""
    title = (("Next", "title"),)
    at = max((i for i, part in enumerate(page.parts) if part == title), default=len(page.parts))
    del page.parts[at:]
    while page.parts and not page.parts[-1]:
        page.parts.pop()
    return page


def rows(part: Part, width: int) -> int:
    """How many rows of a terminal a part takes."""
    if isinstance(part, report.Markdown):
        return sum(max(1, -(-_cells(line) // width)) for line in part.text.splitlines())
    return max(1, -(-_cells("".join(text for text, _ in part)) // width))


def _cells(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in text.expandtabs())


def fitted(body: Page, foot: Page, *, height: int) -> tuple[Page, int]:
    """`body` cut so that it and `foot` fit on `height` rows, and how many rows were cut. The headline always stays."""
    page = Page(body.width)
    room = max(3, height - sum(rows(part, page.width) for part in foot.parts))
    sizes = [rows(part, page.width) for part in body.parts]
    if sum(sizes) <= room:
        page.parts = [*body.parts, *foot.parts]
        return page, 0
    used = kept = 0
    while used + sizes[kept] <= room - 1:
        used += sizes[kept]
        kept += 1
    hidden = sum(sizes[kept:])
    page.parts = body.parts[:kept]
    page.line((f"... {hidden} more lines: v shows them", "warn"))
    page.parts += foot.parts
    return page, hidden


# The terminal


class Terminal:
    """The keyboard, one key at a time and unechoed, and the screen. `cooked` puts it back as it was, once or often.

    Where standard input or output is no terminal, there are no keys and nothing is ever cleared.
    """

    def __init__(self) -> None:
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self.gone = False
        self._fd = sys.stdin.fileno() if self.interactive else -1
        self._saved = termios.tcgetattr(self._fd) if self.interactive else None
        self._is_raw = False

    def raw(self, *, lost: bool = False) -> bool:
        """Have keys come at once; Ctrl-C and Ctrl-Z keep their meaning. lost: someone else has had the terminal.

        Returns whether that changed anything: nothing, where it is so already or this is a background job.
        """
        if self._saved is None or (self._is_raw and not lost) or not self.foreground():
            return False
        wanted = termios.tcgetattr(self._fd)
        wanted[3] &= ~(termios.ECHO | termios.ICANON)
        self._set(wanted)
        self._is_raw = True
        return True

    def cooked(self) -> None:
        if self._is_raw and self._saved is not None and self.foreground():
            self._set(self._saved)
            self._is_raw = False

    def _set(self, wanted: list[object]) -> None:
        with contextlib.suppress(termios.error):  # the terminal was closed
            termios.tcsetattr(self._fd, termios.TCSADRAIN, wanted)  # type: ignore[arg-type]

    def foreground(self) -> bool:
        """Whether the shell lets this job use the terminal; reading it or changing it from elsewhere stops the job."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # not the terminal that this process was started from: no shell has a say in it
            return True

    def wait(self, wait_s: float) -> None:
        """Until a key was pressed, or for so long."""
        if self._is_raw and not self.gone and self.foreground():
            select.select([self._fd], [], [], wait_s)
        else:
            time.sleep(wait_s)

    def keys(self) -> str:
        """The keys pressed since the last time: small letters; arrows and the like are none, nor is what was pasted."""
        if not self._is_raw or self.gone or not self.foreground() or not select.select([self._fd], [], [], 0)[0]:
            return ""
        try:
            typed = os.read(self._fd, 1024)
        except OSError:
            typed = b""
        self.gone = not typed
        text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?", "", typed.decode("utf-8", "replace"), flags=re.DOTALL)
        return text.lower() if len(text) <= 8 else ""

    def clear(self) -> None:
        if os.environ.get("TERM") != "dumb":
            sys.stdout.write("\x1b[2J\x1b[H")


# The loop


class Watch:
    """One learner at one problem at a time, until told to stop."""

    def __init__(self, problem: Problem, path: Path, *, bank: Bank, make_judge: Callable[[], Judge],
                 poll_s: float | None = None, clock: Callable[[], datetime] = utc_now) -> None:
        self._bank, self._make_judge, self._poll_s, self._clock = bank, make_judge, poll_s, clock
        self._terminal = Terminal()
        self._notices: list[str] = []
        self._history = History(warn=self._notices.append)
        self.recorded = 0
        self._judge: Judge | None = None
        self._typed = ""
        self._quit = self._redraw = self._suspended = self._grading = self._closing = False
        self._raised_at = float("-inf")
        self._ended_by = 0
        self._begin(problem, path)

    def _begin(self, problem: Problem, path: Path, side: Page | None = None) -> None:
        self._problem, self._path = problem, path
        self._warm = False  # what a grade imports is imported: it may be broken off anywhere
        self._in_workspace = path.absolute() == workspace.attempt_path(problem.slug).absolute()
        self._saves = Saves(path, problem.slug, poll_s=self._poll_s)
        self._source: str | None = None  # what was graded last
        self._fault: Seen | None = None
        self._shown: Shown | None = None
        self._runs: list[tuple[datetime, Verdict]] = []
        self._before: Verdict | None = None
        self._tier: str | None = None
        self._kept: Verdict | None = None  # what history holds of self._source
        self._side, self._whole = side, side is not None
        self._next: str | None = None
        self._record = self._or_notice(lambda: self._history.summary(problem.slug), Summary())

    def run(self) -> int:
        """Watch until told to stop. Returns the exit code: 0 after q, 128 + the signal's number after a signal."""
        with self._signals():
            try:
                self._judge = self._make_judge()
                self._terminal.raw()
                self._draw()
                while not (self._quit or self._ended_by):
                    self._step()
            except KeyboardInterrupt:
                if not self._ended_by and not self._quit:
                    raise
            finally:
                self._closing = True
                self._terminal.cooked()
                if self._judge is not None:
                    self._judge.close()
        return 128 + self._ended_by if self._ended_by else 0

    @property
    def command(self) -> str:
        """What starts this watch again, where it is now."""
        words = ["prep", "watch", self._problem.slug, *([] if self._in_workspace else [str(self._path)])]
        return shlex.join(words)

    def _step(self) -> None:
        self._redraw |= self._terminal.raw()  # a background job that was brought to the front
        typed, self._typed = self._typed + self._terminal.keys(), ""
        self._quit |= self._terminal.gone
        for key in typed:
            self._press(key)
        if self._quit:
            return
        if seen := self._saves.look(time.monotonic()):
            self._saved(seen)
        if self._redraw and not self._quit:
            self._draw()
        if self._warm and self._judge is not None:
            self._judge.prepare(self._problem)
        self._terminal.wait(self._saves.wait_s)

    # -- grading

    def _saved(self, seen: Seen) -> None:
        self._notices.clear()
        first, self._fault = self._shown is None, seen if seen.fault else None
        if self._fault:
            self._side, self._whole = None, False
            self._print()
        elif seen.source == self._source:
            if self._terminal.interactive:
                self._notices.append("Saved again, the same text: r grades it once more.")
            self._redraw = True
        else:
            if not first:  # the question stays while the file is still the starter
                self._side, self._whole = None, False
            self._grade(seen.source)

    def _grade(self, source: str) -> None:
        """Show the verdict at once; where speed is the point, time the answer after that, and show it again."""
        again = source == self._source
        at, timed = self._clock(), self._problem.speed is not None
        verdict = self._judged(source, speed=not self._terminal.interactive)
        if verdict is None:
            return
        self._next = None
        self._source = source
        if self._shown and not again:
            self._runs = [(self._shown.at, self._shown.verdict), *self._runs][:EARLIER]
        self._show(verdict, at)
        if verdict.accepted and timed and self._terminal.interactive:
            final = self._judged(source, speed=True)
            if final is not None:
                verdict = final
                self._show(verdict, at)
        if verdict.cases:
            self._before = verdict
        self._tier = verdict.speed.tier if verdict.speed else self._tier
        if not again or self._kept is None or _outcome(verdict) != _outcome(self._kept):
            self._keep(verdict, source)
        if verdict.accepted:
            self._next = self._suggestion()
        self._redraw = True  # what comes next, and which keys there are, depend on the record

    def _judged(self, source: str, *, speed: bool) -> Verdict | None:
        """The verdict; None where it was broken off, by a newer save or by q."""
        while True:
            self._suspended = False
            assert self._judge is not None
            try:
                with report.progress(self._problem.slug, quiet=not self._terminal.interactive) as on_case, \
                        self._overseen():
                    verdict = self._judge.grade(self._problem, source, filename=self._path.name, on_case=on_case,
                                                speed=speed)
            except KeyboardInterrupt:
                if self._ended_by or self._quit:
                    raise
                # what a judge was broken off in is unknown, so it is not asked again
                self._judge.close()
                self._judge = self._make_judge()
                self._saves.again()
                return None
            self._warm = True
            if not self._suspended:  # or the clock of the time limits ran on while nothing else did
                return verdict

    @contextlib.contextmanager
    def _overseen(self) -> Iterator[None]:
        """While a grade runs, a thread looks for q and for a newer save, and breaks it off."""
        over = threading.Event()
        main = threading.main_thread().ident
        assert main is not None

        def oversee() -> None:
            begin = time.monotonic()
            while not over.wait(0.05):
                self._typed += self._terminal.keys()
                self._quit |= "q" in self._typed or self._terminal.gone
                ending = self._quit or self._ended_by
                newer = time.monotonic() - begin > OVERTAKE_S and self._saves.overtaken()
                if ending or (self._warm and newer):
                    signal.pthread_kill(main, signal.SIGUSR1)

        thread = threading.Thread(target=oversee, daemon=True)
        self._grading = True
        try:
            thread.start()
            yield
        finally:
            self._grading = False
            over.set()
            thread.join()

    def _keep(self, verdict: Verdict, source: str) -> None:
        def keep() -> Summary:
            self._history.record(verdict, source, now=self._clock())
            self.recorded += 1
            return self._history.summary(verdict.problem)

        self._record = self._or_notice(keep, self._record, "This verdict was not recorded. ")
        self._kept = verdict

    def _or_notice(self, work: Callable[[], T], otherwise: T, prefix: str = "") -> T:
        try:
            return work()
        except PrepError as error:
            self._notices.append(f"{prefix}{error.what} {error.fix}")
            return otherwise

    def _suggestion(self) -> str | None:
        return self._or_notice(
            lambda: suggestion(self._following(), here=self._problem.slug, ready=self._accepted), None)

    def _following(self) -> schedule.Step | None:
        """Raises PrepError where the bank or the record cannot be read."""
        return schedule.suggest(self._bank.all(), self._history.summaries(), after=self._problem)

    @property
    def _accepted(self) -> bool:
        return self._shown is not None and self._shown.verdict.accepted and self._fault is None

    @property
    def _may_see_solution(self) -> bool:
        return self._accepted or self._record.solved or self._record.gave_up_at is not None

    # -- keys

    def _press(self, key: str) -> None:
        self._notices.clear()
        slug = self._problem.slug
        if key == "q":
            self._quit = True
            return
        if key == "h":
            self._hint()
        elif key == "s" and self._may_see_solution:
            self._solution()
        elif key == "s":
            self._notices.append(f"The solution comes after a pass, or:  prep solution {slug} --give-up")
        elif key == "n" and self._accepted:
            self._move_on()
        elif key == "n":
            self._next = self._suggestion()
        elif key == "r" and self._source is not None and self._fault is None:
            self._side, self._whole = None, False
            self._grade(self._source)
        elif key == "r":
            self._notices.append("There is nothing to grade yet.")
        elif key == "v":
            self._side, self._whole = None, self._side is None and not self._whole
        self._redraw = True

    def _hint(self) -> None:
        def take() -> int:
            return self._history.take_hint(self._problem.slug, rungs=len(self._problem.hints), now=self._clock())

        rung = self._or_notice(take, 1)
        self._record = self._or_notice(lambda: self._history.summary(self._problem.slug), self._record)
        self._side, self._whole = without_next(report.hint_page(self._problem, rung, record=self._record)), False

    def _solution(self) -> None:
        try:
            code, notes = (path.read_text(encoding="utf-8") for path in (self._problem.solution, self._problem.notes))
        except (OSError, UnicodeDecodeError) as error:
            self._notices.append(f"The solution cannot be read: {error}  prep verify {self._problem.slug}")
            return
        self._side = without_next(report.solution_page(self._problem, code, notes, record=self._record))
        self._whole = True

    def _move_on(self) -> None:
        """To the next problem: its files are copied where they are missing, and its question is shown."""
        try:
            step = self._following()
            if step is None:
                return
            prompt = step.problem.prompt.read_text(encoding="utf-8")
            workspace.start(step.problem)
        except PrepError as error:
            self._notices.append(f"{error.what} {error.fix}")
        except (OSError, UnicodeDecodeError) as error:
            self._notices.append(f"The next question cannot be read: {error}  prep verify --all")
        else:
            question = without_next(report.problem_page(step.problem, prompt, started=True))
            self._begin(step.problem, workspace.attempt_path(step.problem.slug), question)

    # -- the screen

    def _show(self, verdict: Verdict, at: datetime) -> None:
        changed = changes(self._before, verdict, self._tier) if self._before else None
        self._shown = Shown(verdict, changed, at)
        self._print()

    def _print(self) -> None:
        """The screen anew; where it is no terminal, what is new on it."""
        if self._terminal.interactive:
            self._draw()
            return
        page = self._body()
        page.gap()
        page.line((self._where(), "dim"))
        page.line("")
        report.show(page)

    def _draw(self) -> None:
        if self._terminal.interactive and not self._terminal.foreground():
            self._redraw = True  # later: the terminal is someone else's now
            return
        self._redraw = False
        if not self._terminal.interactive:
            for notice in self._notices:
                report.warn(notice)
            self._notices.clear()
            return
        body, height = self._body(), shutil.get_terminal_size().lines - 1  # the last row is for what is going on
        if self._whole:
            body.parts += self._foot(verdict=True).parts
        else:
            earlier = earlier_page(self._runs) if self._shown and not self._fault and not self._side else Page()
            foot = self._foot(verdict=False)
            more = _joined(body, earlier)
            if not fitted(more, foot, height=height)[1]:
                body = more
            page, hidden = fitted(body, foot, height=height)
            body = fitted(body, self._foot(verdict=True), height=height)[0] if hidden else page
        self._terminal.clear()
        report.show(body)

    def _body(self) -> Page:
        if self._fault:
            return fault_page(self._fault)
        if self._side and self._whole:
            return _joined(self._side)
        if self._shown is None:
            page = Page()
            page.line((self._problem.title, "title"))
            page.prose("Graded now, and each time it is saved.", "dim")
            return _joined(self._side, page) if self._side else page
        page = verdict_page(self._shown, self._problem, record=self._record, file=self._path,
                            in_workspace=self._in_workspace, keys=self._terminal.interactive)
        return _joined(self._side, page) if self._side else page

    def _foot(self, *, verdict: bool) -> Page:
        page = Page()
        page.line("")
        if self._next:
            page.prose(self._next, "title")
        for notice in self._notices:
            page.prose(notice, "warn")
        page.line((self._where(), "dim"))
        page.parts += keys_page(solution=self._may_see_solution, verdict=verdict).parts
        return page

    def _where(self) -> str:
        if self._shown is None:
            return f"{self._path}"
        return f"{self._path}, {'last ' if self._fault else ''}graded {self._shown.at.astimezone():%H:%M:%S}"

    # -- signals

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGINT: self._end, signal.SIGTERM: self._end, signal.SIGHUP: self._end, signal.SIGQUIT: self._end,
            signal.SIGUSR1: self._break_off, signal.SIGCONT: self._resume}
        if self._terminal.interactive:
            handlers |= {signal.SIGTSTP: self._suspend, signal.SIGWINCH: self._resize}
        before = {number: signal.getsignal(number) for number in handlers}
        try:
            for number, handler in handlers.items():
                if before[number] is not signal.SIG_IGN:  # nohup, or a shell without job control, wants it so
                    signal.signal(number, handler)
            yield
        finally:
            for number, previous in before.items():
                signal.signal(number, previous)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ended_by = self._ended_by or number
        self._interrupt()

    def _break_off(self, number: int, frame: FrameType | None) -> None:
        if self._grading:
            self._interrupt()

    def _interrupt(self) -> None:
        """Raise, but not while what was interrupted is still being put away: a process could be left behind."""
        if not self._closing and time.monotonic() - self._raised_at > 2.0:
            self._raised_at = time.monotonic()
            raise KeyboardInterrupt

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the shell gets its terminal back as it was; what is left is what the signal does by itself."""
        self._terminal.cooked()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspend)  # from here on, it runs again
        self._resume(number, frame)

    def _resume(self, number: int, frame: FrameType | None) -> None:
        self._suspended = self._redraw = True
        if not self._closing:
            self._terminal.raw(lost=True)

    def _resize(self, number: int, frame: FrameType | None) -> None:
        self._redraw = True


def _joined(*pages: Page) -> Page:
    page = Page()
    for each in pages:
        if page.parts and each.parts and each.parts[0]:
            page.gap()
        page.parts += each.parts
    return page


def _outcome(verdict: Verdict) -> tuple[object, ...]:
    return verdict.status, verdict.score, verdict.speed.tier if verdict.speed else None


def watch(problem: Problem, path: Path, *, bank: Bank, poll_s: float | None = None) -> int:
    """`prep watch`. Returns the exit code: 0 after q, 130 after Ctrl-C.

    poll_s: for network file systems, how often the file is opened and read; None where its time and size can be
    trusted. Raises PrepError where there is no file to begin with.
    """
    if not path.is_file():
        workspace.read_attempt(path, problem.slug, command="watch")  # which says what to type
    session = Watch(problem, path, bank=bank, make_judge=WarmJudge, poll_s=poll_s)
    code = session.run()
    if code != 128 + signal.SIGHUP:
        report.show(ended_page(session.command, session.recorded))
    return code


def ended_page(command: str, recorded: int) -> Page:
    """The last words."""
    page = Page()
    page.prose(f"Stopped. {recorded} verdict{'s' * (recorded != 1)} recorded.")
    page.next((command, "go on"), ("prep stats", "your record"))
    return page
