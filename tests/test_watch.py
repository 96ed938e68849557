"""Watching an answer: each part by itself, then `prep watch` on a pseudo-terminal, with saves as editors make them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

import grader
from grader import report
from grader.history import Summary
from grader.problem import Problem
from grader.report import Page
from grader.schedule import Step
from grader.verdict import NOT_RUN, PASSED, Case, Speed, Status, Verdict
from grader.watch import (
    DOUBT_S,
    REREAD_S,
    SETTLE_S,
    Changes,
    Saves,
    Shown,
    changes,
    earlier_page,
    fitted,
    keys_page,
    rows,
    suggestion,
    verdict_page,
    without_next,
)

MakeProblem = Callable[..., Problem]
ROOT = Path(grader.__file__).resolve().parent.parent
RIGHT = "def f(x):\n    return 2 * x\n"
WRONG = "def f(x):\n    return x * x\n"
HANGS = "def f(x):\n    while True:\n        pass\n"
SUITE = """
    import numpy as np
    from grader import check

    def test_two(attempt):
        '''The smallest case.'''
        check.close(attempt.f(2.0), 4.0)

    def test_three(attempt):
        '''A square is not a double, and at 2 they look the same.'''
        check.close(attempt.f(np.array([[2.0, 3.0]])), np.array([[4.0, 6.0]]))
"""
WHEN = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


# Saves


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "attempt.py"
    path.write_text(RIGHT)
    return path


def settled(saves: Saves, now: float) -> float:
    """Take in what is there."""
    saves.look(now)
    assert saves.look(now + 10) is not None
    return now + 10


def test_a_file_is_told_once_when_it_has_settled(file: Path) -> None:
    saves = Saves(file, "toy")
    assert saves.look(0.0) is None
    assert saves.look(SETTLE_S / 2) is None
    seen = saves.look(SETTLE_S + 0.001)
    assert seen and (seen.source, seen.fault) == (RIGHT, "")
    assert all(saves.look(SETTLE_S + t) is None for t in (0.02, 0.5, 5.0))


def test_a_save_starts_the_clock_anew(file: Path) -> None:
    saves = Saves(file, "toy")
    now = settled(saves, 0.0)
    file.write_text(WRONG)
    assert saves.look(now + 1) is None
    file.write_text(RIGHT + "\n")
    assert saves.look(now + 1 + SETTLE_S) is None
    seen = saves.look(now + 1 + 3 * SETTLE_S)
    assert seen and seen.source == RIGHT + "\n"


@pytest.mark.parametrize("half", ["", "def f(x):\n    return (2 *", "def f(x):\n    return 2"])
def test_what_may_be_half_a_save_is_doubted_for_longer(file: Path, half: str) -> None:
    saves = Saves(file, "toy")
    now = settled(saves, 0.0)
    file.write_text(half)
    assert saves.look(now + 1) is None
    assert saves.look(now + 1 + DOUBT_S - 0.01) is None
    file.write_text(RIGHT + "# done\n")
    assert saves.look(now + 1 + DOUBT_S) is None
    seen = saves.look(now + 2 + DOUBT_S)
    assert seen and seen.source.endswith("# done\n")


def test_what_stays_half_is_told_in_the_end(file: Path) -> None:
    saves = Saves(file, "toy")
    now = settled(saves, 0.0)
    file.write_text("def f(:\n")
    saves.look(now + 1)
    seen = saves.look(now + 2)
    assert seen and seen.source == "def f(:\n"


def test_an_empty_a_missing_and_an_unreadable_file_are_faults(file: Path) -> None:
    saves = Saves(file, "toy")
    now = settled(saves, 0.0)
    for spoil, words in ((lambda: file.write_text("\n"), "is empty"), (file.unlink, "does not exist"),
                         (lambda: file.write_bytes(b"\xff\xfe\x00"), "UTF-16"), (file.unlink, "does not exist"),
                         (file.mkdir, "is a folder")):
        spoil()
        saves.look(now + 1)
        seen = saves.look(now := now + 2)
        assert seen and words in seen.fault and not seen.source


def test_a_save_of_the_same_text_is_told_too(file: Path) -> None:
    saves = Saves(file, "toy")
    now = settled(saves, 0.0)
    copy = file.with_name("copy")
    copy.write_text(RIGHT)
    copy.replace(file)
    saves.look(now + 1)
    seen = saves.look(now + 2)
    assert seen and seen.source == RIGHT


def test_a_change_that_time_and_size_hide_is_found_all_the_same(file: Path) -> None:
    """A clock that ticks every two seconds, an rsync that keeps times, a network file system that caches both."""
    for saves, later in ((Saves(file, "toy"), REREAD_S), (Saves(file, "toy", poll_s=0.5), 0.001)):
        file.write_text(RIGHT)
        now = settled(saves, 0.0)
        before = file.stat()
        file.write_text(RIGHT.replace("2", "3"))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        saves.look(now + later)
        seen = saves.look(now + later + 2 * SETTLE_S)
        assert seen and "3 * x" in seen.source


def test_again_and_overtaken(file: Path) -> None:
    saves = Saves(file, "toy")
    now = settled(saves, 0.0)
    assert not saves.overtaken()
    saves.again()
    assert saves.look(now + 0.1) is not None
    file.write_text(WRONG + "#\n")
    assert saves.overtaken()
    saves.look(now + 0.2)
    assert not saves.overtaken()


# What changed


def verdict(*cases: tuple[str, str], status: Status = Status.WRONG_ANSWER, tier: str = "") -> Verdict:
    return Verdict("toy", status, cases=tuple(Case(name, how, 0.0, 1.0, message="it does not") for name, how in cases),
                   speed=Speed(tier, 1.0, 1.0, 1.0) if tier else None)


FAILED = str(Status.WRONG_ANSWER)
BEFORE = verdict(("a", PASSED), ("b", FAILED), ("c", NOT_RUN), ("d", PASSED))


@pytest.mark.parametrize(("after", "expected"), [
    (BEFORE, Changes()),
    (verdict(("a", PASSED), ("b", PASSED), ("c", PASSED), ("d", PASSED)), Changes(passing=("b", "c"))),
    (verdict(("a", FAILED), ("b", FAILED), ("c", FAILED), ("d", PASSED)), Changes(failing=("a", "c"))),
    (verdict(("a", str(Status.TIME_LIMIT)), ("b", NOT_RUN), ("c", NOT_RUN), ("d", NOT_RUN)),
     Changes(failing=("a",), unreached=1)),
    (verdict(), Changes(nothing_ran=2)),
])
def test_changes(after: Verdict, expected: Changes) -> None:
    assert changes(BEFORE, after) == expected


def test_a_tier_changes_only_between_two_that_were_measured() -> None:
    fast = verdict(("a", PASSED), status=Status.ACCEPTED, tier="fast")
    untimed = verdict(("a", PASSED), status=Status.ACCEPTED)
    assert changes(fast, fast, "correct").tier == ("correct", "fast")
    assert not changes(fast, untimed, "correct")
    assert not changes(untimed, fast, None) and not changes(fast, fast, "fast")


# Pages


@pytest.fixture
def toy(make_problem: MakeProblem) -> Problem:
    return make_problem("toy", suite=SUITE, solution=RIGHT)


def shown_text(problem: Problem, found: Verdict, changed: Changes | None, keys: bool = True) -> str:
    page = verdict_page(Shown(found, changed, WHEN), problem, record=Summary(), file=Path("attempt.py"),
                        in_workspace=True, keys=keys)
    return page.text()


def test_the_verdict_comes_first_then_what_changed_then_why(toy: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = tuple(f"test_{i}" for i in range(9))
    text = shown_text(toy, BEFORE, Changes(passing=("test_x",), failing=names, unreached=3, tier=("correct", "fast")))
    lines = text.splitlines()
    assert lines[0].startswith("WRONG ANSWER")
    order = [text.index(words) for words in ("Since the last run", "now passing 1  test_x", "now failing 9",
                                             "and 5 more", "not reached    3 that", "correct -> fast",
                                             "FAILED  b")]
    assert order == sorted(order) and max(map(len, lines)) <= 80


def test_the_first_run_has_nothing_to_compare_with(toy: Problem) -> None:
    assert "last run" not in shown_text(toy, BEFORE, None)
    assert "Since the last run: nothing changed" in shown_text(toy, BEFORE, Changes())
    assert "nothing ran  7 passed before" in shown_text(toy, BEFORE, Changes(nothing_ran=7))


def test_keys_take_the_place_of_commands(toy: Problem) -> None:
    found = Verdict("toy", Status.NOT_STARTED, "still the starter", fix="Edit it, then:  prep grade toy")
    assert "Next\n" in shown_text(toy, found, None, keys=False)
    text = shown_text(toy, found, None)
    assert "Next\n" not in text and "Edit it, then save it." in text and not text.endswith("\n\n")
    assert "prep doctor" in shown_text(toy, Verdict("toy", Status.JUDGE_ERROR), None)


def test_keys_are_those_that_do_something() -> None:
    assert keys_page(solution=False, verdict=False).text() == "h hint   n next   r again   q quit\n"
    everything = keys_page(solution=True, verdict=True).text()
    assert everything == "h hint   s solution   n next   r again   v verdict   q quit\n" and len(everything) < 80


def test_suggestions(toy: Problem) -> None:
    step = Step(toy, "it builds on conv2d")
    text = suggestion(step, here="conv2d", ready=True)
    assert text == "Next: toy (easy, 5 minutes): it builds on conv2d. n goes there."
    assert suggestion(step, here="conv2d", ready=False).endswith("n goes there once conv2d is accepted.")
    assert suggestion(None, here="conv2d", ready=True) == "Next: every other problem is solved."


def test_earlier_runs() -> None:
    text = earlier_page([(WHEN, BEFORE), (WHEN, Verdict("toy", Status.RUNTIME_ERROR, "SyntaxError\nmore"))]).text()
    assert re.search(r"\d\d:04:05  wrong answer   2 of 4 cases\n  \d\d:04:05  runtime error  SyntaxError\n", text)
    assert earlier_page([]).text() == "\n"


def test_a_page_is_cut_from_below_and_says_so() -> None:
    body, foot = Page(80), Page(80)
    body.line("WRONG ANSWER")
    body.line("x" * 200)  # three rows of a terminal
    for i in range(20):
        body.line(f"line {i}")
    foot.line("keys")
    page, hidden = fitted(body, foot, height=10)
    assert sum(rows(part, 80) for part in page.parts) <= 10
    assert page.text().splitlines()[-2:] == [f"... {hidden} more lines: v shows them", "keys"]
    assert hidden == 16 and page.text().startswith("WRONG ANSWER")
    assert fitted(body, foot, height=25)[1] == 0
    tiny, _ = fitted(body, foot, height=1)
    assert tiny.text().startswith("WRONG ANSWER")


def test_rows_of_wide_characters() -> None:
    assert [rows(((text, ""),), 40) for text in ("", "a" * 40, "a" * 41, "卷" * 20, "卷" * 21, "e\u0301" * 40)] == [
        1, 1, 2, 1, 2, 1]
    assert rows(report.Markdown("a\n\n" + "b" * 50), 40) == 4


def test_only_the_last_block_of_commands_is_left_out() -> None:
    page = Page(80)
    page.line(("Next", "title"), " to nothing")
    page.next(("prep list", "another problem"))
    assert without_next(page).text() == "Next to nothing\n"
    assert without_next(Page(80)).parts == []


# The command, on a terminal


TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A program on a pseudo-terminal of its own, as a person sees it."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path, size: tuple[int, int] = (40, 80), *,
                 controlling: bool = True) -> None:
        self._master, self._slave = pty.openpty()
        self.resize(*size)
        self.settings = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *command] if controlling else command, stdin=self._slave,
            stdout=self._slave, stderr=self._slave, start_new_session=True, env=env, cwd=cwd)
        self._read = bytearray()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(self._master, 1 << 16):
                self._read += chunk

    @property
    def everything(self) -> str:
        return self._read.decode("utf-8", "replace").replace("\r\n", "\n")

    @property
    def screen(self) -> str:
        """What was written since the screen was last cleared, without colours."""
        return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", self.everything.rpartition("\x1b[2J\x1b[H")[2])

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def await_(self, *words: str, timeout_s: float = 30.0) -> str:
        """The screen, once all of `words` are on it."""
        return eventually(lambda: self.screen if all(word in self.screen for word in words) else None,
                          lambda: f"{words} not on the screen:\n{self.screen}", timeout_s)

    def ended(self, timeout_s: float = 20.0) -> int:
        return self.process.wait(timeout=timeout_s)

    def restored(self) -> bool:
        return termios.tcgetattr(self._slave) == self.settings

    def close(self) -> None:
        if self.process.poll() is None:
            for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self.process.wait()
        os.close(self._slave)
        os.close(self._master)


def eventually(found: Callable[[], str | None], complaint: Callable[[], str], timeout_s: float = 30.0) -> str:
    deadline = time.monotonic() + timeout_s
    while (value := found()) is None:
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.01)
    return value


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(("PREP_", "_PREP", "PYTEST", "NO_COLOR", "COLUMNS", "LINES", "COV"))}
    return kept | {"PYTHONPATH": str(ROOT), "PREP_BANK": str(tmp_path / "bank"), "TERM": "xterm-256color",
                   "PREP_STATE_DIR": str(tmp_path / "state")}


@pytest.fixture
def attempt(toy: Problem, make_problem: MakeProblem, tmp_path: Path) -> Path:
    """The answer to toy, which is wrong; `harder` builds on toy."""
    toy.notes.write_text("# Notes on toy\n")
    harder = make_problem("harder", suite=SUITE, solution=RIGHT, extra='prerequisites = ["toy"]')
    harder.examples.write_text("")
    path = tmp_path / "attempts" / "toy" / "attempt.py"
    path.parent.mkdir(parents=True)
    path.write_text(WRONG)
    return path


Watching = Callable[..., Terminal]


@pytest.fixture
def watching(attempt: Path, env: dict[str, str], tmp_path: Path) -> Iterator[Watching]:
    """watching("toy", NO_COLOR="1") -> the terminal with `prep watch toy` on it."""
    opened: list[Terminal] = []

    def start(*args: str, size: tuple[int, int] = (40, 80), **extra: str) -> Terminal:
        opened.append(Terminal([sys.executable, "-m", "grader", "watch", *args], env | extra, tmp_path, size))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


@pytest.fixture
def graded(tmp_path: Path) -> Callable[[], list[str]]:
    """The statuses on record, in order."""

    def read() -> list[str]:
        try:
            uri = f"file:{tmp_path / 'state' / 'history.sqlite3'}?mode=ro"
            with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
                return [status for (status,) in db.execute("SELECT status FROM attempts ORDER BY id")]
        except sqlite3.OperationalError:  # it is not there yet, or it is being made
            return []

    return read


def await_rows(graded: Callable[[], list[str]], *expected: str) -> None:
    eventually(lambda: "yes" if len(graded()) >= len(expected) else None, lambda: f"on record: {graded()}")
    assert graded() == list(expected)


def children(terminal: Terminal) -> list[psutil.Process]:
    return psutil.Process(terminal.process.pid).children(recursive=True)


def all_gone(processes: list[psutil.Process]) -> bool:
    _, left = psutil.wait_procs(processes, timeout=3)
    return not [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def in_place(path: Path, text: str) -> None:
    """nano: truncate, write."""
    path.write_text(text)


def renamed(path: Path, text: str) -> None:
    """VS Code's atomic save, vim with backupcopy=no: another file takes the name."""
    temporary = path.with_name("4913~")
    temporary.write_text(text)
    temporary.replace(path)


def moved_away(path: Path, text: str) -> None:
    """emacs: the old file becomes the backup, and for a moment there is none."""
    path.replace(path.with_name("attempt.py~"))
    time.sleep(0.03)
    path.write_text(text)


def in_two_parts(path: Path, text: str) -> None:
    """A slow network, a large file: the first half lies there for a while."""
    half = len(text) // 2
    with path.open("w") as file:
        file.flush()
        time.sleep(0.1)
        file.write(text[:half])
        file.flush()
        time.sleep(0.15)
        file.write(text[half:])


def test_saves_as_editors_make_them(watching: Watching, attempt: Path, graded: Callable[[], list[str]]) -> None:
    terminal = watching("toy")
    terminal.await_("WRONG ANSWER", "FAILED  test_three", "h hint   n next   r again   q quit")
    expected = ["wrong-answer"]
    for n, save in enumerate((in_place, renamed, moved_away, in_two_parts)):
        save(attempt, RIGHT + f"# {n}\n")
        expected.append("accepted")
        terminal.await_("ACCEPTED", "now passing 1  test_three", "s solution")
        await_rows(graded, *expected)
        save(attempt, WRONG + f"# {n}\n")
        expected.append("wrong-answer")
        terminal.await_("WRONG ANSWER", "now failing 1  test_three")
        await_rows(graded, *expected)
    assert "NOT GRADED" not in terminal.everything  # not even while there was no file, or an empty one
    terminal.press("q")
    assert terminal.ended() == 0 and terminal.restored()
    assert "Stopped. 9 verdicts recorded." in terminal.screen and "prep watch toy" in terminal.screen


def test_the_same_text_is_graded_again_only_when_told(watching: Watching, attempt: Path,
                                                      graded: Callable[[], list[str]]) -> None:
    terminal = watching("toy")
    terminal.await_("WRONG ANSWER", "q quit")
    renamed(attempt, WRONG)
    terminal.await_("Saved again, the same text")
    await_rows(graded, "wrong-answer")
    terminal.press("r")
    terminal.await_("Since the last run: nothing changed")
    terminal.press("r")
    time.sleep(0.5)
    await_rows(graded, "wrong-answer")  # the same outcome of the same text is one attempt
    in_place(attempt, RIGHT)
    terminal.await_("ACCEPTED")
    await_rows(graded, "wrong-answer", "accepted")


def test_keys(watching: Watching, attempt: Path, graded: Callable[[], list[str]], tmp_path: Path) -> None:
    terminal = watching("toy")
    terminal.await_("WRONG ANSWER", "q quit")
    terminal.press("h")
    screen = terminal.await_("Hint 1 of 3", "WRONG ANSWER")
    assert screen.index("Hint 1") < screen.index("WRONG ANSWER") and "prep hint" not in screen
    terminal.press("\x1b[Az")  # an arrow, and a key that is none
    terminal.press("s")
    terminal.await_("The solution comes after a pass")
    terminal.press("n")
    terminal.await_("Next: harder (easy, 5 minutes): it builds on toy. n goes there once toy is\naccepted.")
    in_place(attempt, RIGHT)
    screen = terminal.await_("ACCEPTED", "it builds on toy. n goes there.")
    assert "Hint 1" not in screen and "Earlier" in screen
    terminal.press("s")
    terminal.await_("The reference for toy", "Notes on toy", "v verdict")
    terminal.press("v")
    terminal.await_("ACCEPTED", "All 2 cases pass.")
    assert not (tmp_path / "attempts" / "harder").exists()  # it moves on only when told
    terminal.press("n")
    terminal.await_("Rules and limits", "harder/attempt.py, graded")
    next_one = tmp_path / "attempts" / "harder" / "attempt.py"
    in_place(next_one, RIGHT)
    screen = terminal.await_("ACCEPTED  harder", "Next: every other problem is solved.")
    await_rows(graded, "wrong-answer", "accepted", "not-started", "accepted")
    assert attempt.read_text() == RIGHT
    terminal.press("q")
    assert terminal.ended() == 0 and "prep watch harder" in terminal.screen


def test_a_file_that_cannot_be_graded_is_shown_and_watched_on(watching: Watching, attempt: Path,
                                                              graded: Callable[[], list[str]]) -> None:
    terminal = watching("toy")
    terminal.await_("WRONG ANSWER", "q quit")
    for spoil, words in ((lambda: in_place(attempt, "def f(:\n"), "SyntaxError"),
                         (lambda: in_place(attempt, ""), "is empty"), (attempt.unlink, "does not exist"),
                         (lambda: attempt.write_bytes(b"# caf\xe9\n"), "is not UTF-8 text"),
                         (lambda: shutil.rmtree(attempt.parent), "does not exist")):
        spoil()
        terminal.await_(words, "q quit")
    terminal.press("r")
    terminal.await_("There is nothing to grade yet.")
    attempt.parent.mkdir()
    in_place(attempt, RIGHT)
    terminal.await_("ACCEPTED")
    await_rows(graded, "wrong-answer", "runtime-error", "accepted")


@pytest.mark.parametrize(("source", "how"), [(WRONG, "Ctrl-C"), (WRONG, "SIGTERM"), (WRONG, "SIGHUP"),
                                             (HANGS, "Ctrl-C"), (HANGS, "q"), (HANGS, "SIGTERM")],
                         ids=lambda value: {WRONG: "idle", HANGS: "while-it-grades"}.get(value, value))
def test_it_ends_at_once_and_leaves_nothing_behind(watching: Watching, attempt: Path, how: str, source: str,
                                                   graded: Callable[[], list[str]], tmp_path: Path) -> None:
    in_place(attempt, source)
    terminal = watching("toy")
    if source == WRONG:
        terminal.await_("WRONG ANSWER", "q quit")
        await_rows(graded, "wrong-answer")
    else:
        terminal.await_("Grading toy")
        eventually(lambda: "yes" if any(p.cpu_times().user > 0.2 for p in children(terminal) if p.is_running())
                   else None, lambda: "the answer does not hang")
    family = children(terminal)
    assert family
    begin = time.monotonic()
    if how in ("Ctrl-C", "q"):
        terminal.press({"Ctrl-C": "\x03", "q": "q"}[how])
    else:
        terminal.process.send_signal(getattr(signal, how))
    code = terminal.ended()
    assert time.monotonic() - begin < 3.0  # and not when the time limit says so
    assert code == {"Ctrl-C": 130, "q": 0, "SIGTERM": 143, "SIGHUP": 129}[how]
    assert terminal.restored() and all_gone(family)
    assert graded() == (["wrong-answer"] if source == WRONG else [])
    assert "Traceback" not in terminal.everything


def test_a_newer_save_overtakes_a_grade_that_takes_long(watching: Watching, attempt: Path,
                                                        graded: Callable[[], list[str]]) -> None:
    terminal = watching("toy")
    terminal.await_("WRONG ANSWER", "q quit")
    in_place(attempt, HANGS)
    eventually(lambda: "yes" if any(p.cpu_times().user > 0.2 for p in children(terminal) if p.is_running()) else None,
               lambda: "the answer does not hang")
    family = children(terminal)
    begin = time.monotonic()
    renamed(attempt, RIGHT)
    terminal.await_("ACCEPTED")
    assert time.monotonic() - begin < 4.0  # the time limit of a call alone is 5 s
    await_rows(graded, "wrong-answer", "accepted")
    assert all_gone(family)


def test_a_terminal_that_no_shell_controls(attempt: Path, env: dict[str, str], tmp_path: Path) -> None:
    """As a container's, or that of a program that runs another."""
    terminal = Terminal([sys.executable, "-m", "grader", "watch", "toy"], env, tmp_path, controlling=False)
    try:
        terminal.await_("WRONG ANSWER", "q quit")
        terminal.press("q")
        assert terminal.ended() == 0 and terminal.restored()
    finally:
        terminal.close()


def test_our_own_fault_restores_the_terminal(attempt: Path, env: dict[str, str], tmp_path: Path) -> None:
    code = ("from pathlib import Path\nfrom grader import watch\nfrom grader.bank import Bank\n"
            "class Broken:\n    def grade(self, *args, **kwargs): raise RuntimeError('ours')\n"
            "    def prepare(self, problem): pass\n    def close(self): pass\n"
            f"bank = Bank()\nwatch.Watch(bank.get('toy'), Path({str(attempt)!r}), bank=bank, make_judge=Broken).run()")
    terminal = Terminal([sys.executable, "-c", code], env, tmp_path)
    try:
        assert terminal.ended() == 1 and terminal.restored() and "RuntimeError: ours" in terminal.everything
    finally:
        terminal.close()


SHELL = """
import os, signal, subprocess, sys
job = subprocess.Popen(sys.argv[1:], process_group=0)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
os.tcsetpgrp(0, job.pid)
os.waitpid(job.pid, os.WUNTRACED)
print("stopped", flush=True)
signal.sigwait({signal.SIGUSR1})
os.kill(job.pid, signal.SIGCONT)
sys.exit(job.wait())
"""
"""a shell that runs one job, and brings it back when told"""


def test_ctrl_z_and_back(attempt: Path, env: dict[str, str], tmp_path: Path, graded: Callable[[], list[str]]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs a shell with job control")
    terminal = Terminal([bash, "--norc", "--noprofile", "-i"], env | {"PS1": "$ "}, tmp_path)
    try:
        terminal.press(f"{sys.executable} -m grader watch toy\r")
        terminal.await_("WRONG ANSWER", "q quit")
        terminal.press("\x1a")
        terminal.await_("Stopped")
        terminal.press("stty -a\r")
        terminal.await_(" icanon", " echo ")
        in_place(attempt, RIGHT)
        terminal.press("fg\r")
        terminal.await_("ACCEPTED", "q quit")
        terminal.press("h")
        terminal.await_("Hint 1 of 3")
        terminal.press("q")
        terminal.await_("Stopped. 2 verdicts recorded.")
        await_rows(graded, "wrong-answer", "accepted")
        terminal.press("exit\r")
        assert terminal.ended() == 0
    finally:
        terminal.close()


def test_time_spent_asleep_is_not_the_answers(attempt: Path, env: dict[str, str], tmp_path: Path, toy: Problem,
                                              make_problem: MakeProblem, graded: Callable[[], list[str]]) -> None:
    make_problem("toy", suite=SUITE, solution=RIGHT, limits={"call_s": 1.2})
    in_place(attempt, "import time\n\n\ndef f(x):\n    time.sleep(0.6)\n    return 2 * x\n")
    terminal = Terminal([sys.executable, "-c", SHELL, sys.executable, "-m", "grader", "watch", "toy"], env, tmp_path)
    try:
        terminal.await_("Grading toy: 1 passed")
        terminal.press("\x1a")
        terminal.await_("stopped")
        time.sleep(1.5)
        terminal.process.send_signal(signal.SIGUSR1)
        terminal.await_("ACCEPTED", "q quit")
        await_rows(graded, "accepted")
        terminal.press("q")
        assert terminal.ended() == 0
    finally:
        terminal.close()


def test_a_terminal_of_another_size(watching: Watching, attempt: Path) -> None:
    terminal = watching("toy", size=(14, 80))
    screen = terminal.await_("WRONG ANSWER", "more lines: v shows them", "q quit")
    assert len(screen.rstrip("\n").splitlines()) <= 13
    terminal.press("v")
    terminal.await_("See it yourself", "q quit")
    terminal.press("v")
    terminal.await_("more lines: v shows them", "q quit")
    terminal.resize(60, 60)
    screen = terminal.await_("See it yourself", "q quit")
    assert max(map(len, screen.splitlines())) <= 60
    in_place(attempt, RIGHT)
    terminal.await_("ACCEPTED", "q quit")


@pytest.mark.parametrize("extra", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["colour", "no-colour", "dumb"])
def test_colour_only_where_it_is_wanted(watching: Watching, attempt: Path, extra: dict[str, str]) -> None:
    terminal = watching("toy", **extra)
    screen = terminal.await_("WRONG ANSWER", "q quit")
    assert ("\x1b[1;31m" in terminal.everything) == (not extra)
    if "TERM" in extra:
        assert "\x1b" not in terminal.everything
    assert max(map(len, screen.splitlines())) <= 80 and not set(screen) & set("│─╭╰")


def test_without_a_terminal_verdicts_are_printed(attempt: Path, env: dict[str, str], tmp_path: Path,
                                                 graded: Callable[[], list[str]]) -> None:
    output = (tmp_path / "output").open("w+")
    with output, subprocess.Popen([sys.executable, "-m", "grader", "watch", "toy", "--poll", "0.1"], cwd=tmp_path,
                                  env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as process:
        try:
            await_rows(graded, "wrong-answer")
            family = psutil.Process(process.pid).children(recursive=True)
            renamed(attempt, WRONG)  # says nothing: there is nothing new
            time.sleep(0.5)
            renamed(attempt, RIGHT)
            await_rows(graded, "wrong-answer", "accepted")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 143 and all_gone(family)
        finally:
            process.kill()
    text = (tmp_path / "output").read_text()
    assert text.index("WRONG ANSWER") < text.index("ACCEPTED") < text.index("now passing 1  test_three")
    assert "\x1b" not in text and "q quit" not in text and "Grading" not in text and text.count("WRONG ANSWER") == 1
    assert text.rstrip().endswith("your record") and "Stopped. 2 verdicts recorded." in text


def test_what_is_not_there_cannot_be_watched(attempt: Path, env: dict[str, str], tmp_path: Path) -> None:
    attempt.unlink()
    for args, words in ((["toy"], "prep start toy"), (["toy", "nowhere.py"], "nowhere.py does not exist"),
                        (["toi"], "Did you mean toy?"), (["toy", "--poll", "0"], "--poll")):
        done = subprocess.run([sys.executable, "-m", "grader", "watch", *args], cwd=tmp_path, env=env, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        assert done.returncode == 2 and words in done.stderr
