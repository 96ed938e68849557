"""Verdicts and records -> a terminal, plain text, JSON, JUnit XML, Gradescope results. The only module that prints.

Words first, colour second: both forms come from the same lines. Nothing an answer said reaches the terminal unless it
went through `clean`, so an answer cannot move the cursor, recolour the screen or hide text.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from grader.errors import PrepError
from grader.verdict import NOT_RUN, PASSED, Case, Status, Training, Verdict

if TYPE_CHECKING:
    from grader.author import Progress
    from grader.batch.documents import Row
    from grader.batch.run import Outcome
    from grader.batch.run import Progress as BatchProgress
    from grader.datasets import Dataset, FileStatus, Transfer
    from grader.doctor import Finding
    from grader.history import Summary
    from grader.problem import Problem, Profile
    from grader.site.build import Report as Built
    from grader.workspace import Started

PROSE_WIDTH = 100
"""columns beyond which a line of prose is hard to follow, however wide the terminal"""
OUTPUT_LINES = 40
"""lines of an attempt's own printing shown on a terminal; JSON has them all"""

STYLES = {"good": "bold green", "bad": "bold red", "warn": "bold yellow", "title": "bold", "dim": "dim",
          "command": "bold cyan"}

Span = tuple[str, str]
"""text, and a key of STYLES or nothing"""

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"                                              # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS: titles, links
    r"|\x1b[ -/]*[0-~]")
_NOT_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
                       "\ud800-\udfff\ufeff\ufffe\uffff]")


def clean(text: str) -> str:
    """`text` without escape sequences; other control, direction and half characters are written out as \\x07, \\u202e.

    What is left can be printed anywhere and is legal in XML.
    """
    text = _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _NOT_TEXT.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


@dataclass(frozen=True)
class Markdown:
    """The bank's own Markdown: rendered where there is colour, raw where there is none."""

    text: str


class Page:
    """Lines laid out for a width; what is plain on them and what is coloured are the same words."""

    def __init__(self, width: int | None = None) -> None:
        self.width = max(40, width or shutil.get_terminal_size((80, 24)).columns)
        self.parts: list[tuple[Span, ...] | Markdown] = []

    def line(self, *spans: Span | str) -> None:
        """One line, not wrapped."""
        pairs = (span if isinstance(span, tuple) else (span, "") for span in spans)
        self.parts.append(tuple((clean(text).replace("\n", " "), style) for text, style in pairs))

    def gap(self) -> None:
        """An empty line, unless the last one is."""
        if self.parts and self.parts[-1]:
            self.parts.append(())

    def prose(self, text: str, style: str = "", indent: int = 0, hang: int = 0) -> None:
        """Wrapped paragraphs. Words (paths, commands) are never broken; indented lines are taken as laid out."""
        width = min(self.width, PROSE_WIDTH)
        for line in clean(text).splitlines():
            if line.startswith((" ", "\t")):
                self.parts.append(((" " * indent + line, style),))
                continue
            for row in textwrap.wrap(line, width, initial_indent=" " * indent, subsequent_indent=" " * (indent + hang),
                                     break_long_words=False, break_on_hyphens=False) or [""]:
                self.parts.append(((row, style),))

    def verbatim(self, text: str, indent: int = 4, style: str = "") -> None:
        """Lines kept as they are: arrays, tracebacks, code."""
        for line in clean(text).rstrip("\n").split("\n"):
            self.parts.append((((" " * indent + line).rstrip(), style),))

    def table(self, rows: Sequence[Sequence[Span | str]], indent: int = 0) -> None:
        """Columns as wide as their widest cell; the last one may wrap."""
        cells = [[cell if isinstance(cell, tuple) else (cell, "") for cell in row] for row in rows]
        widths = [max(len(row[i][0]) for row in cells) for i in range(len(cells[0]) - 1)] if cells else []
        start = indent + sum(widths) + 2 * len(widths)
        for row in cells:
            head: list[Span] = [(" " * indent, "")]
            for (text, style), column in zip(row, widths):
                head += [(text, style), (" " * (column - len(text) + 2), "")]
            last, style = row[-1]
            room = max(20, self.width - start)
            wrapped = textwrap.wrap(last, room, break_long_words=False, break_on_hyphens=False) or [""]
            self.line(*head, (wrapped[0], style))
            for extra in wrapped[1:]:
                self.line(" " * start, (extra, style))

    def next(self, *commands: tuple[str, str]) -> None:
        """What to type now, and what for."""
        self.gap()
        self.line(("Next", "title"))
        if max(len(command) for command, _ in commands) <= self.width - 30:
            self.table([((command, "command"), (why, "dim")) for command, why in commands], indent=2)
            return
        for command, why in commands:  # a long path leaves no room beside it
            self.line("  ", (command, "command"))
            self.prose(why, "dim", indent=6)

    def text(self) -> str:
        """The page with no colour: words and spaces only."""
        rows = [part.text.rstrip("\n") if isinstance(part, Markdown) else "".join(text for text, _ in part).rstrip()
                for part in self.parts]
        return "\n".join(rows) + "\n"


def colourful(stream: TextIO, plain: bool = False) -> bool:
    """Whether colour may be used: a terminal, NO_COLOR unset (no-color.org), not asked to be plain."""
    return not (plain or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb") and stream.isatty()


def show(page: Page, *, plain: bool = False, stream: TextIO | None = None) -> None:
    """Print a page; a reader that has gone away (`prep list | head`) is no error."""
    stream = stream or sys.stdout
    with _reader_may_leave(stream):
        if not colourful(stream, plain):
            stream.write(page.text())  # rich, 40 ms to import, is not needed
            stream.flush()
            return
        from rich.console import Console
        from rich.text import Text

        console = Console(file=stream, width=page.width, markup=False, highlight=False, emoji=False)
        for part in page.parts:
            if isinstance(part, Markdown):
                from rich.markdown import Markdown as Rendering  # as slow to import as all the rest: only for prompts

                console.print(Rendering(part.text))
            else:
                console.print(Text.assemble(*((text, STYLES.get(style, "")) for text, style in part)), soft_wrap=True)
        stream.flush()


@contextlib.contextmanager
def _reader_may_leave(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # what is still in the buffer would fail again at exit, and change the exit code
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def prepare_streams() -> None:
    """Let a terminal that lacks a character show its code instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def emit(text: str) -> None:
    """Print a document (JSON, or lines another module laid out) as it is."""
    with _reader_may_leave(sys.stdout):
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()


def warn(text: str) -> None:
    """One line on stderr, for what went wrong beside the matter itself."""
    _complain(f"Warning: {clean(text)}")


def error(problem: PrepError) -> None:
    """What went wrong, then what to type."""
    _complain(clean(f"{problem.what}\n{problem.fix}".rstrip()))


def interrupted(outcome: str, command: Sequence[str]) -> None:
    """Ctrl-C: what became of the work, and how to start it again."""
    import shlex

    _complain(clean(f"\nInterrupted. {outcome}\nAgain:  {shlex.join(command)}"))


def fault() -> None:
    """The exception being handled is prep's own."""
    import traceback

    _complain(f"{clean(traceback.format_exc())}\nThis is a fault of prep, not of your answer. Nothing of yours was "
              "changed.\nPlease report it with the lines above and what this prints:  prep doctor")


def _complain(text: str) -> None:
    with _reader_may_leave(sys.stderr):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


BLINK_S = 0.05
"""between two counts on the screen: drawing each of them would cost a quick grade a tenth of its time"""


@contextlib.contextmanager
def progress(slug: str, *, quiet: bool = False) -> Iterator[Callable[[Case], None]]:
    """Counts the cases while a terminal waits. Yields what to call with each case."""
    passed = failed = 0
    written_at = float("-inf")

    def count(case: Case) -> None:
        nonlocal passed, failed, written_at
        passed += case.status == PASSED
        failed += case.status not in (PASSED, NOT_RUN)
        if (now := time.monotonic()) < written_at + BLINK_S and case.status in (PASSED, NOT_RUN):
            return
        written_at = now
        write(f"Grading {slug}: {passed} passed" + (f", {failed} failed" if failed else ""))

    with status_line(quiet=quiet) as write:
        write(f"Grading {slug} ...")
        yield count


@contextlib.contextmanager
def training_progress(slug: str, *, quiet: bool = False) -> Iterator[tuple[Callable[[Case], None],
                                                                           Callable[[dict[str, Any]], None]]]:
    """As `progress`, for training problems: yields what to call with each case, and with what the answer logs."""
    passed = failed = 0
    head = f"Grading {slug}"

    def count(case: Case) -> None:
        nonlocal passed, failed, head
        passed += case.status == PASSED
        failed += case.status not in (PASSED, NOT_RUN)
        head = f"{slug}: {passed} passed" + (f", {failed} failed" if failed else "")
        write(head)

    def log(entry: dict[str, Any]) -> None:
        write(f"{head};  {log_line(entry)}")

    with status_line(quiet=quiet) as write:
        write(f"{head} ...")
        yield count, log


def log_line(entry: Mapping[str, Any]) -> str:
    """What is going on in a training run, in one short line: step, loss, accuracy, time left."""
    parts = [str(entry.get("run", "training"))]
    if "step" in entry:
        total = f"/{entry['total']:.0f}" if "total" in entry else ""
        parts.append(f"step {entry['step']:.0f}{total}")
    if "loss" in entry:
        parts.append(f"loss {entry['loss']:.3f}")
    if "accuracy" in entry:
        parts.append(f"accuracy {entry['accuracy']:.1%}")
    if "left_s" in entry:
        parts.append(f"{max(0.0, entry['left_s']):.0f} s left")
    return ", ".join(parts)


@contextlib.contextmanager
def verifying(slug: str) -> Iterator[Callable[[Progress], None]]:
    """As `progress`, for the stages of `prep verify`."""
    with status_line() as write:
        yield lambda event: write(f"Verifying {slug}: {event.stage}, {event.done} of {event.total}")


@contextlib.contextmanager
def batching() -> Iterator[Callable[[BatchProgress], None]]:
    """As `progress`, for a batch."""
    with status_line() as write:
        yield lambda event: write(event.line())


@contextlib.contextmanager
def downloading() -> Iterator[Callable[[Transfer], None]]:
    """How far a download is, how fast, and how long it will take, while a terminal waits."""
    if not colourful(sys.stderr):
        with status_line() as write:
            yield _download_line(write)
        return
    from rich import progress as bars
    from rich.console import Console

    tasks: dict[str, bars.TaskID] = {}
    with bars.Progress(bars.TextColumn("{task.description}"), bars.BarColumn(bar_width=None), bars.DownloadColumn(),
                       bars.TransferSpeedColumn(), bars.TimeRemainingColumn(), transient=True, expand=True,
                       console=Console(file=sys.stderr)) as bar:

        def show(transfer: Transfer) -> None:
            if transfer.file not in tasks:
                tasks[transfer.file] = bar.add_task(transfer.file, total=transfer.size, completed=transfer.done)
            bar.update(tasks[transfer.file], completed=transfer.done)

        yield show


def _download_line(write: Callable[[str], None]) -> Callable[[Transfer], None]:
    from grader.datasets import amount

    file, began_at, had = "", 0.0, 0

    def show(transfer: Transfer) -> None:
        nonlocal file, began_at, had
        if transfer.file != file or transfer.done < had:
            file, began_at, had = transfer.file, time.monotonic(), transfer.done
        rate = (transfer.done - had) / max(time.monotonic() - began_at, 1e-6)
        left = f", {amount(int(rate))}/s, {_countdown((transfer.size - transfer.done) / rate)} left" if rate else ""
        write(f"{file}: {amount(transfer.done)} of {amount(transfer.size)}{left}")

    return show


def _countdown(left_s: float) -> str:
    return f"{math.ceil(left_s)} s" if left_s < 60 else seconds(left_s)


def fetched(dataset: Dataset, folder: Path) -> str:
    """One line for a data set that is complete."""
    return f"{dataset.title} is complete: {dataset.train_size:,} + {dataset.test_size:,} images in {folder}"


def data_page(folder: Path, files: Sequence[FileStatus]) -> Page:
    """Each data set, and each of its files: what state it is in."""
    from grader.datasets import REAL, State, amount, root

    page = Page()
    page.line(("Data in ", "dim"), str(folder))
    lacking = []
    for dataset in REAL.values():
        mine = [file for file in files if file.dataset == dataset.name]
        ready = all(file.state is State.PRESENT for file in mine)
        if not ready:
            lacking.append(dataset)
        page.gap()
        page.line((dataset.title, "title"), "  ", ("ready", "good") if ready else ("not ready", "warn"))
        rows: list[Sequence[Span | str]] = []
        for file in mine:
            colour = {State.PRESENT: "good", State.ABSENT: "dim"}.get(file.state, "bad")
            where = file.path.relative_to(folder) if file.path.is_relative_to(folder) else file.path
            rows.append([(file.state, colour), str(where), file.detail or (amount(file.size) if file.size else "")])
        page.table(rows, indent=2)
    if lacking:
        option = "" if folder == root() else f" --data-dir {_quoted(folder)}"
        page.next(*((f"prep data fetch {d.name}{option}", f"download {d.title} ({amount(d.download_size)})")
                    for d in lacking))
    else:
        page.next(("prep list --kind training", "what to use them for"))
    return page


def data_json(folder: Path, files: Sequence[FileStatus]) -> str:
    """The same as JSON. size: bytes on disk."""
    from grader.datasets import REAL, State

    return _json({"data_dir": str(folder), "datasets": [{
        "name": dataset.name, "title": dataset.title,
        "ready": all(file.state is State.PRESENT for file in files if file.dataset == dataset.name),
        "files": [{"path": str(file.path), "state": file.state, "size": file.size, "detail": file.detail}
                  for file in files if file.dataset == dataset.name]} for dataset in REAL.values()]})


BATCH_ROWS = 40
"""submissions listed one by one on a terminal; the documents have them all"""


NAME_WIDTH = 40
"""columns of a student's name on a terminal; the documents have it all"""


def batch_page(outcome: Outcome, rows: Iterable[Row], *, several: bool = False, html: Path | None = None) -> Page:
    """How the class did: counts, the submissions (the first BATCH_ROWS), where the results are.

    several: whether there are several problems. html: the report, where one is saved.
    """
    page = Page()
    page.line((f"{outcome.total:,} submissions", "title"), f" in {seconds(outcome.duration_s)};  "
              f"{outcome.reused:,} graded before;  isolation: {outcome.isolation}")
    page.table([[str(count).rjust(6), (words(status), "good" if status == Status.ACCEPTED else "bad")]
                for status, count in outcome.statuses.items()], indent=2)
    page.gap()
    heads = [*(["problem"] if several else []), "student", "verdict", "score", "first failure"]
    table: list[Sequence[Span | str]] = [[(name, "dim") for name in heads]]
    for number, row in enumerate(rows):
        if number == BATCH_ROWS:
            break
        colour = "good" if row.status == Status.ACCEPTED else "bad"
        failure = row.first_failure or ("" if row.status == Status.ACCEPTED else clean(row.message))
        table.append([*([row.problem] if several else []), _name(row.student), (words(row.status), colour),
                      f"{row.score:g}/{row.max_score:g}", failure])
    page.table(table)
    if outcome.total > BATCH_ROWS:
        page.line((f"... {outcome.total - BATCH_ROWS:,} more", "dim"))
    if html is None:
        page.next(("the same command with --html class.html", "a report to read; nothing is graded again"))
    else:
        page.gap()
        page.line(("Report:  ", "dim"), str(html))
    page.line(("Results: ", "dim"), str(outcome.folder / "results.sqlite"))
    return page


def _name(student: str) -> str:
    """A student's name as a cell of a table: one line, not too long; of a long name, both ends."""
    text = clean(student).replace("\t", r"\t").replace("\n", r"\n")
    if len(text) <= NAME_WIDTH:
        return text
    return f"{text[:NAME_WIDTH - 15]}...{text[-12:]}"


@contextlib.contextmanager
def status_line(*, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """One line on stderr that is written over and over, and gone at the end; nothing where no terminal reads it."""
    stream = sys.stderr
    if quiet or os.environ.get("TERM") == "dumb" or not stream.isatty():
        yield lambda text: None
        return
    shown = 0

    def write(text: str) -> None:
        nonlocal shown
        text = text[:shutil.get_terminal_size((80, 24)).columns - 1]
        stream.write("\r" + text + " " * (shown - len(text)))
        stream.flush()
        shown = len(text)

    try:
        yield write
    finally:
        write("")
        stream.write("\r")
        stream.flush()


# Verdicts


def verdict_page(verdict: Verdict, problem: Problem, *, record: Summary, file: Path, in_workspace: bool,
                 width: int | None = None) -> Page:
    """The screen after a grade: headline, cases, the first failure in full, the others in a line each, what next.

    record: what history holds, this attempt included. file: what was graded.
    """
    page = Page(width)
    colour = "good" if verdict.accepted else "warn" if verdict.status is Status.NOT_STARTED else "bad"
    page.line((words(verdict.status), colour), "  ", (problem.title, "title"))
    _facts(page, verdict)
    if verdict.training:
        _training(page, verdict.training, problem.slug)
    failure = verdict.first_failure
    if verdict.message and not (failure and verdict.message in (failure.message, f"{failure.name}: {failure.message}")):
        page.gap()
        page.prose(verdict.message)
    if verdict.fix:
        page.prose(verdict.fix)
    if failure:
        page.gap()
        _failure(page, failure, problem.slug, file, in_workspace)
    if verdict.traceback and (failure is None or verdict.traceback != failure.traceback):
        page.gap()
        page.line(("Traceback", "title"))
        page.verbatim(verdict.traceback)
    if verdict.output.strip():
        page.gap()
        _printed(page, "It printed, outside the cases", verdict.output, problem.slug)
    others = [c for c in verdict.cases if c is not failure and c.status not in (PASSED, NOT_RUN)]
    if others:
        page.gap()
        page.line(("Also failed", "title"))
        for case in others:
            first = case.message.strip().split("\n")[0]
            page.prose(f"{case.name}: {first or words(case.status).lower()}", indent=2, hang=4)
    _next(page, verdict, problem, record, file, in_workspace)
    return page


def words(status: str) -> str:
    """WRONG ANSWER for "wrong-answer"."""
    return str(status).replace("-", " ").upper()


def _facts(page: Page, verdict: Verdict) -> None:
    facts = []
    if verdict.max_score:
        facts.append(f"{verdict.score:g} of {verdict.max_score:g} points")
    if verdict.cases and not (verdict.accepted and verdict.message):
        counts = {"passed": sum(c.status == PASSED for c in verdict.cases),
                  "failed": sum(c.status not in (PASSED, NOT_RUN) for c in verdict.cases),
                  "not run": sum(c.status == NOT_RUN for c in verdict.cases)}
        facts.append(", ".join(f"{n} {word}" for word, n in counts.items() if n))
    if verdict.profile != "default" or verdict.device != "cpu":
        facts.append(f"profile {verdict.profile} on {verdict.device}")
    facts.append("nothing was run" if verdict.isolation == "none" else f"isolation: {verdict.isolation}")
    facts.append(seconds(verdict.duration_s))
    page.prose(";  ".join(facts), "dim")
    if verdict.speed:
        speed = verdict.speed
        ratio = f"{speed.ratio:.3g} times the reference's time" if math.isfinite(speed.ratio) else "over the time limit"
        page.prose(f"Speed: {speed.tier}; {ratio} ({seconds(speed.attempt_s)} against {seconds(speed.reference_s)})")


def _training(page: Page, training: Training, slug: str) -> None:
    """What the trained model did on held-out data."""
    page.gap()
    rows: list[Sequence[Span | str]] = []
    if training.accuracy is not None and training.interval is not None:
        low, high = training.interval
        bar = "" if training.control else f"; asked for: {training.threshold:.1%}"
        colour = "" if training.control else "good" if training.accuracy >= training.threshold else "bad"
        rows.append([("Held out", "title"), (f"{training.accuracy:.2%} of {training.held_out:,} right "
                                             f"(95 % interval {low:.1%} to {high:.1%}){bar}", colour)])
    if training.control:
        rows.append([("Control", "title"), control_line(training.control)])
    again = [f"seed {run.seed}: {run.accuracy:.2%}" for run in training.runs
             if run.accuracy is not None and run.seed != training.seed]
    if again:
        rows.append([("Once more", "title"), ", ".join(again)])
    took = f"{seconds(training.train_s)} of {training.budget_s:g} s" if training.train_s is not None else (
        f"not ended; its budget was {training.budget_s:g} s")
    facts = [f"{training.train:,} images of {data_set(training.dataset)}", took]
    if training.parameters:
        facts.append(f"{training.parameters:,} parameters")
    if training.peak_memory_mb:
        facts.append(f"{training.peak_memory_mb:,.0f} MB")
    rows.append([("Trained on", "title"), "; ".join(facts)])
    if training.worst:
        rows.append([("Confused", "title"), ", ".join(f"{true} for {taken} ({count}x)"
                                                      for true, taken, count in training.worst)])
    if training.curve:
        rows.append([("Curve", "title"), (f"prep show-run {slug}", "command")])
    page.table(rows)
    if training.generated:
        page.prose("These images were drawn by prep, so this is not the real bar." + (
            f" That is {training.real_bar}." if training.real_bar else ""), "warn")
    if not training.measured:
        page.prose("This threshold was not measured on such a machine.", "warn")


def data_set(name: str) -> str:
    """A data set's name as people write it."""
    return {"mnist": "MNIST", "cifar10": "CIFAR-10", "cifar10-target": "CIFAR-10 (five classes)",
            "synth-digits": "SynthDigits", "synth-shapes": "SynthShapes"}.get(name, name)


def control_line(control: Mapping[str, float]) -> str:
    """The comparison with the judge's own run, in one line."""
    return (f"{control['accuracy']:.1%} against {control['control']:.1%}: {control['gain_points']:+.1f} points; "
            f"asked for: {control['asked_points']:+g}")


def run_page(number: int, at: str, verdict: Mapping[str, Any], width: int | None = None) -> Page:
    """One training run on record: its numbers, its curves, its confusion matrix."""
    from grader import curves

    page, training = Page(width), verdict["training"]
    page.line((words(verdict["status"]), "good" if verdict["status"] == Status.ACCEPTED else "bad"), "  ",
              (str(verdict["problem"]), "title"), f"  attempt {number}, {at[:16].replace('T', ' ')} UTC")
    page.prose(f"Profile {verdict['profile']} on {verdict['device']}; {data_set(training['dataset'])}; "
               f"seed {training['seed']}", "dim")
    if training["accuracy"] is not None:
        low, high = training["interval"]
        page.prose(f"{training['accuracy']:.2%} of {training['held_out']:,} held-out images right "
                   f"(95 % interval {low:.1%} to {high:.1%})")
    if training["control"]:
        page.prose(control_line(training["control"]))
    for name in curves.names(training["curve"]):
        points = curves.series(training["curve"], name)
        page.gap()
        page.line((name, "title"), f"  last: {points[-1][1]:.4g}" if points else "")
        page.verbatim("\n".join(curves.draw(points, width=min(page.width, 80) - 2)), indent=0)
    if not training["curve"]:
        page.gap()
        page.prose("It logged nothing. In train(), log(step=..., total=..., loss=..., accuracy=...) draws a curve.")
    if training["confusion"]:
        page.gap()
        page.line(("Confusion", "title"), "  rows: what it is; columns: what it was taken for")
        _matrix(page, training["classes"], training["confusion"])
    page.next((f"prep grade {verdict['problem']}", "to train again"),
              (f"prep show-run {verdict['problem']} --json", "the numbers"))
    return page


def run_json(number: int, at: str, verdict: Mapping[str, Any]) -> str:
    """The same as JSON: the attempt's number, its time, and the verdict."""
    return _json(_finite({"attempt": number, "at": at, "verdict": verdict}))


def _matrix(page: Page, classes: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
    wide = max(4, len(str(max(max(row) for row in counts))) + 1)
    names = max(map(len, classes))
    page.verbatim(" " * (names + 1) + "".join(f"{name[:wide - 1]:>{wide}}" for name in classes), indent=2, style="dim")
    for name, row in zip(classes, counts):
        page.verbatim(f"{name:>{names}} " + "".join(f"{count or '.':>{wide}}" for count in row), indent=2)


def _failure(page: Page, case: Case, slug: str, file: Path, in_workspace: bool) -> None:
    kind = "" if case.status == Status.WRONG_ANSWER else f"  {words(case.status).lower()}"
    page.line(("FAILED", "bad"), "  ", (case.name, "title"), kind)
    if case.rationale:
        page.prose(f"Why it matters: {case.rationale}", indent=2)
    if case.message:
        page.gap()
        page.prose(case.message, indent=2)
    for name, value in (("Expected", case.expected), ("Got", case.actual)):
        if value is None:
            continue
        if "\n" in value or len(value) > page.width - 14:
            page.line("  ", (name, "title"))
            page.verbatim(value)
        else:
            page.line("  ", (name, "title"), " " * (10 - len(name)), value)
    where = []
    if case.first_bad_index is not None and case.first_bad_index != ():
        where.append(f"first wrong at [{', '.join(map(str, case.first_bad_index))}]")
    if case.max_error is not None:
        where.append(f"largest error {case.max_error:.4g}")
    if where:
        sentence = "; ".join(where)
        page.prose(sentence[0].upper() + sentence[1:], indent=2)
    if case.counterexample:
        page.gap()
        page.line("  ", ("See it yourself", "title"))
        place = str(file.parent) if in_workspace else "the folder of your answer, saved as attempt.py"
        page.prose(f"Paste this into python, started in {place}", indent=2)
        page.gap()
        page.verbatim(case.counterexample, indent=0)  # indented code cannot be pasted
    if case.traceback:
        page.gap()
        page.line("  ", ("Traceback", "title"), " (lines of your answer)")
        page.verbatim(case.traceback)
    if case.output.strip():
        page.gap()
        _printed(page, "  It printed", case.output, slug)


def _printed(page: Page, title: str, output: str, slug: str) -> None:
    lines = clean(output).rstrip().split("\n")
    page.line((title, "title"))
    page.verbatim("\n".join(lines[:OUTPUT_LINES]))
    if len(lines) > OUTPUT_LINES:
        page.line(f"    ... {len(lines) - OUTPUT_LINES} more lines; all of them:  prep grade {slug} --json")


def _next(page: Page, verdict: Verdict, problem: Problem, record: Summary, file: Path, in_workspace: bool) -> None:
    slug = problem.slug
    grade = grade_command(slug, None if in_workspace else file)
    if verdict.status is Status.JUDGE_ERROR:
        page.gap()
        page.prose("This is a fault of prep, not of your answer. Please report it with the lines above and what "
                   "prep doctor prints.")
        page.next(("prep doctor", "what to attach"), (grade, "to try again"))
        return
    if verdict.accepted:
        page.gap()
        page.line(("An interviewer would ask next", "title"))
        page.prose(problem.follow_ups[0], indent=2)
        page.next((f"prep solution {slug}", "the reference, and answers to the follow-ups"),
                  ("prep list", "another problem"))
        return
    commands = []
    if verdict.status is Status.NOT_STARTED:
        commands.append((f"prep show {slug}", "the question"))
    left = len(problem.hints) - record.hints
    if left > 0:
        commands.append((f"prep hint {slug}", f"hint {record.hints + 1} of {len(problem.hints)}"))
    elif record.gave_up_at:
        commands.append((f"prep solution {slug}", "the reference"))
    else:
        commands.append((f"prep solution {slug} --give-up", "the reference; you have had every hint"))
    commands.append((grade, f"after editing {file}" if in_workspace else "after editing it"))
    page.next(*commands)


def grade_command(slug: str, file: Path | None) -> str:
    """What to type to have an answer judged. file: None for the one in the workspace."""
    return f"prep grade {slug} {_quoted(file)}" if file else f"prep grade {slug}"


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))


def seconds(value: float) -> str:
    """A duration a person reads: "0.42 ms", "312 ms", "3.1 s", "2 min 5 s"."""
    if value < 0.01:
        return f"{value * 1000:.2g} ms"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"


# Documents for other programs


def as_json(verdict: Verdict) -> str:
    """The verdict in the shape of docs/verdict.schema.json, ASCII only. An infinite number is the string "inf"."""
    return _json(_finite(verdict.to_json()))


def _json(document: Any) -> str:
    import json  # 3 ms that `prep --help` need not pay

    return json.dumps(document, indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def as_junit(verdict: Verdict) -> str:
    """JUnit XML: a failure for a wrong value, an error for anything else, skipped for what did not run.

    A verdict that no case explains (a rule broken, a file that does not load) is a case of its own, so that a suite of
    no tests is never read as a pass.
    """
    from xml.etree import ElementTree

    cases = list(verdict.cases)
    if not verdict.accepted and verdict.first_failure is None:
        cases.insert(0, Case("the answer as a whole", verdict.status, 0.0, 0.0, message=verdict.message,
                             traceback=verdict.traceback))
    failures = [c for c in cases if c.status in (Status.WRONG_ANSWER, Status.BELOW_THRESHOLD)]
    skipped = [c for c in cases if c.status == NOT_RUN]
    errors = [c for c in cases if c.status != PASSED and c not in failures and c not in skipped]
    counts = {"tests": str(len(cases)), "failures": str(len(failures)), "errors": str(len(errors)),
              "skipped": str(len(skipped)), "time": f"{verdict.duration_s:.6f}"}
    root = ElementTree.Element("testsuites", {"name": "prep", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": verdict.problem, **counts})
    for case in cases:
        item = ElementTree.SubElement(suite, "testcase", {
            "classname": f"prep.{verdict.problem}", "name": clean(case.name), "time": f"{case.duration_s:.6f}"})
        if case.status == NOT_RUN:
            ElementTree.SubElement(item, "skipped", {"message": "not run: the attempt had ended"})
        elif case.status != PASSED:
            node = ElementTree.SubElement(item, "failure" if case in failures else "error", {
                "type": case.status, "message": clean(case.message).split("\n")[0]})
            node.text = clean(_explanation(case))
        if case.output:
            ElementTree.SubElement(item, "system-out").text = clean(case.output)
    if verdict.output:
        ElementTree.SubElement(suite, "system-out").text = clean(verdict.output)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def as_gradescope(verdict: Verdict) -> str:
    """Gradescope's results.json. Cases that the learner has seen are visible at once, the others when grades are."""
    tests = [{
        "name": case.name, "score": case.points, "max_score": case.max_points,
        "status": "passed" if case.status == PASSED else "failed",
        "output": "" if case.status == PASSED else
                  "Not run: the attempt had ended." if case.status == NOT_RUN else clean(_explanation(case)),
        "visibility": "visible" if case.visible else "after_published",
    } for case in verdict.cases]
    message = "\n".join(filter(None, (words(verdict.status), verdict.message, verdict.fix)))
    return _json({"score": verdict.score, "execution_time": round(verdict.duration_s, 3), "output": clean(message),
                  "output_format": "text", "visibility": "visible", "stdout_visibility": "hidden", "tests": tests})


def _explanation(case: Case) -> str:
    parts = [words(case.status), case.rationale and f"Why it matters: {case.rationale}", case.message,
             case.expected is not None and f"Expected: {case.expected}",
             case.actual is not None and f"Got: {case.actual}",
             case.counterexample and f"To see it:\n{case.counterexample}",
             case.traceback and f"Traceback:\n{case.traceback}"]
    return "\n".join(str(part) for part in parts if part)


EXAMPLES = {"--csv": "class.csv", "--jsonl": "class.jsonl", "--junit": "junit.xml", "--html": "class.html",
            "--gradescope": "results.json"}
"""a name for each document, to be typed instead of one that cannot be"""


def check_targets(targets: Mapping[str, Path], command: str, *, inputs: Iterable[Path],
                  folders: Mapping[str, Path]) -> None:
    """Raise PrepError now, and not after the grading, where a document cannot be saved, or would be saved over another
    or over an answer.

    targets: files to be saved, folders: those to be saved in; each by the option that names it. inputs: what the
    command reads or keeps. command: what was typed, without these options.
    """
    held = {_place(path) for path in inputs}
    taken = {_place(path): option for option, path in folders.items()}
    for option, path in folders.items():
        found = next((place for place in (path, *path.parents) if os.path.lexists(place)), None)
        if found and not os.path.isdir(found):
            raise PrepError(f"{option} {path}: {found} is a file; a folder is needed.", f"{command} {option} DIR")
    for option, path in targets.items():
        fix = f"Name another file:  {command} {option} {EXAMPLES[option]}"
        if path.suffix.lower() == ".py":
            raise PrepError(f"{option} {path}: this is a Python file, and the document would take its place.", fix)
        if _place(path) in held:
            raise PrepError(f"{option} {path}: this file is needed here, and the document would take its place.", fix)
        if (other := taken.setdefault(_place(path), option)) != option:
            raise PrepError(f"{other} and {option} both name {path}.", fix)
        check_target(path, command)


def _place(path: Path) -> object:
    """The same for two names of one file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def check_target(path: Path, command: str = "prep grade") -> None:
    """Raise PrepError where a document cannot be saved at `path`."""
    if os.path.isdir(path):
        raise PrepError(f"{path} is a folder; a file's name is needed.", " ".join([*command.split()[:2], "--help"]))
    if not os.path.isdir(path.parent):
        raise PrepError(f"The folder {path.parent} does not exist.", f"mkdir -p {_quoted(path.parent)}")


def save(path: Path, text: str) -> None:
    """Write a document. Raises PrepError where that fails."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PrepError(f"{path} cannot be written: {error.strerror or error}", "Choose another.  prep grade --help"
                        ) from None


# The other screens


def list_page(problems: Sequence[Problem], record: Mapping[str, Summary]) -> Page:
    """The problems, easiest first, each with what became of it."""
    page = Page()
    if not problems:
        page.prose("No problem matches all of these filters.")
        page.next(("prep list", "every problem"))
        return page
    rows: list[Sequence[Span | str]] = [[(name, "dim") for name in ("state", "problem", "level", "time", "title")]]
    for p in problems:
        state = record[p.slug].state if p.slug in record else ""
        colour = {"solved": "good", "tried": "warn"}.get(state, "dim")
        rows.append([(state or "-", colour), (p.slug, "title"), p.difficulty, f"{p.minutes} min", p.title])
    page.table(rows)
    page.gap()
    solved = sum(p.slug in record and record[p.slug].solved for p in problems)
    topics = sorted({topic for p in problems for topic in p.topics})
    page.prose(f"{solved} of {len(problems)} solved. Topics: {', '.join(topics)}.", "dim")
    first = next((p for p in problems if p.slug not in record or not record[p.slug].solved), problems[0])
    page.next((f"prep start {first.slug}", "begin it"), (f"prep show {first.slug}", "read it first"))
    return page


def list_json(problems: Sequence[Problem], record: Mapping[str, Summary]) -> str:
    """The problems as a JSON array."""
    rows = []
    for p in problems:
        state = record[p.slug].state if p.slug in record else ""
        rows.append({"slug": p.slug, "title": p.title, "kind": p.kind, "difficulty": p.difficulty,
                     "minutes": p.minutes, "topics": p.topics, "prerequisites": p.prerequisites,
                     "state": state.replace(" ", "-") or "new"})
    return _json(rows)


def problem_page(problem: Problem, prompt: str, *, started: bool) -> Page:
    """The question as an interviewer puts it, and what may be used."""
    page = Page()
    page.line((problem.title, "title"))
    page.prose(f"{problem.difficulty}; {problem.minutes} minutes; {', '.join(problem.topics)}", "dim")
    if problem.prerequisites:
        page.prose(f"Builds on: {', '.join(problem.prerequisites)}", "dim")
    page.gap()
    page.parts.append(Markdown(prompt))
    page.gap()
    rules, limits = problem.rules, problem.limits
    page.line(("Rules and limits", "title"))
    page.prose(f"You may import {' and '.join(rules.libraries) or 'no package'}, and the standard library except for "
               "files, network, processes and introspection.", indent=2)
    if forbidden := (*rules.forbid, *rules.forbid_ops):
        page.prose(f"Not allowed: {', '.join(forbidden)}." + (f" {rules.why}" if rules.why else ""), indent=2)
    if not problem.profiles:
        page.prose(f"Each call may take {limits.call_s:g} s, all of them {limits.total_s:g} s, and "
                   f"{limits.memory_mb} MB beyond what the imports take.", indent=2)
    else:
        page.gap()
        page.line(("Profiles", "title"), "  (--profile; prep takes the one for this machine unless told)")
        page.table([[(name, "command"), profile_line(profile)] for name, profile in problem.profiles.items()], indent=2)
    slug = problem.slug
    if started:
        page.next((f"prep grade {slug}", "judge your answer"), (f"prep hint {slug}", "if you are stuck"))
    else:
        page.next((f"prep start {slug}", "copy the starter and the examples here"))
    return page


def profile_line(profile: Profile) -> str:
    """One profile in a sentence: what is trained on, for how long, and the bar."""
    unmeasured = "" if profile.measured else ", not measured on such a machine"
    without = f"; without those files: {data_set(profile.surrogate.dataset)}" if profile.surrogate else ""
    return (f"{profile.train:,} images of {data_set(profile.dataset)} in {profile.budget_s:g} s; "
            f"{profile.threshold:.1%} of {profile.test:,} held-out ones right{unmeasured}{without}")


def started_page(problem: Problem, started: Started) -> Page:
    """Which files were made, which were there, and how to go on."""
    page = Page()
    if started.created:
        page.line((f"Started {problem.slug}", "title"), f" in {started.folder}: {', '.join(started.created)}")
    if started.kept:
        page.prose(f"Kept as they are, because they were there: {', '.join(started.kept)}")
    page.prose(f"An interview would give you {problem.minutes} minutes.")
    commands = [(f"prep show {problem.slug}", "the question"),
                (f"prep grade {problem.slug}", f"after editing {started.folder / 'attempt.py'}")]
    if "attempt.py" in started.kept:
        commands.append((f"prep reset {problem.slug}", "start over; your answer is backed up first"))
    page.next(*commands)
    return page


def reset_page(problem: Problem, path: Path, backup: Path | None) -> Page:
    """What became of the old answer."""
    page = Page()
    if backup:
        page.prose(f"{path} is the starter again. Your answer is kept as {backup}")
    else:
        page.prose(f"{path} is the starter already: nothing was changed.")
    page.next((f"prep grade {problem.slug}", "after editing it"), (f"prep hint {problem.slug}", "if you are stuck"))
    return page


def hint_page(problem: Problem, rung: int, *, record: Summary) -> Page:
    """One rung of the ladder; all of them again where the last was taken before (rung 0)."""
    page = Page()
    total = len(problem.hints)
    for number in [rung] if rung else range(1, total + 1):
        page.line((f"Hint {number} of {total}", "title"))
        page.prose(problem.hints[number - 1], indent=2)
        page.gap()
    if not rung:
        page.prose("These are all the hints there are.")
    commands = [(f"prep grade {problem.slug}", "judge your answer")]
    if rung and rung < total:
        commands.append((f"prep hint {problem.slug}", f"hint {rung + 1} of {total}"))
    elif record.solved or record.gave_up_at:
        commands.append((f"prep solution {problem.slug}", "the reference"))
    else:
        commands.append((f"prep solution {problem.slug} --give-up", "the reference"))
    page.next(*commands)
    return page


def solution_page(problem: Problem, code: str, notes: str, *, record: Summary) -> Page:
    """The reference, and what its author has to say of it."""
    page = Page()
    page.line((f"The reference for {problem.slug}", "title"))
    page.gap()
    page.verbatim(code, indent=0)
    if notes:
        page.gap()
        page.parts.append(Markdown(notes))
    if record.solved:
        page.next(("prep list", "another problem"))
    else:
        page.next((f"prep grade {problem.slug}", "close this, then write it from memory"))
    return page


def stats_page(problems: Sequence[Problem], record: Mapping[str, Summary]) -> Page:
    """What was tried, what it took, and how each topic stands."""
    page = Page()
    tried = [p for p in problems if p.slug in record]
    if not tried:
        page.prose("Nothing is recorded yet: your attempts will be counted here.")
        page.next(*([(f"prep start {problems[0].slug}", "begin with this one")] if problems else []),
                  ("prep list", "every problem"))
        return page
    solved = [p for p in tried if record[p.slug].solved]
    attempts = sum(record[p.slug].attempts for p in tried)
    page.line((f"{len(solved)} of {len(problems)} solved", "title"), f" in {attempts} attempt{'s' * (attempts != 1)}")
    page.gap()
    names = ("problem", "attempts", "first pass", "try", "best time", "tier", "hints")
    rows: list[Sequence[Span | str]] = [[(name, "dim") for name in names]]
    for p in tried:
        s = record[p.slug]
        when = f"{s.first_pass_at.astimezone():%Y-%m-%d}" if s.first_pass_at else "gave up" if s.gave_up_at else "-"
        rows.append([(p.slug, "title"), str(s.attempts), (when, "good" if s.solved else "dim"),
                     str(s.attempts_to_pass or "-"), "-" if s.best_duration_s is None else seconds(s.best_duration_s),
                     s.best_tier or "-", f"{s.hints}/{len(p.hints)}"])
    page.table(rows)
    page.gap()
    rows = [[(name, "dim") for name in ("topic", "solved", "attempts")]]
    for topic in sorted({t for p in problems for t in p.topics}):
        about = [p for p in problems if topic in p.topics]
        rows.append([topic, f"{sum(p in solved for p in about)} of {len(about)}",
                     str(sum(record[p.slug].attempts for p in about if p in tried))])
    page.table(rows)
    left = next((p for p in tried if p not in solved), None) or next((p for p in problems if p not in solved), None)
    if left:
        page.next((f"prep grade {left.slug}" if left in tried else f"prep start {left.slug}", "the next to solve"))
    else:
        page.next(("prep list", "you have solved them all"))
    return page


def site_page(built: Built) -> Page:
    """What a build of the study site did, and how to look at it."""
    page = Page()
    page.line((f"Built {built.pages} pages in {seconds(built.seconds)}", "title"), f", {built.written} of them new")
    for warning in built.warnings:
        page.prose(f"warning: {warning}", hang=2)
    page.next((f"open {built.out / 'index.html'}", "in a browser; no server is needed"),
              ("prep site serve", "with a rebuild at every change"))
    return page


def rebuilt(outcome: Built | PrepError) -> None:
    """One line for each build while the site is served."""
    if isinstance(outcome, PrepError):
        warn(f"{outcome.what}  {outcome.fix}")
    else:
        emit(f"{outcome.written} files written in {seconds(outcome.seconds)}"
             + (f"; {len(outcome.warnings)} warnings" if outcome.warnings else ""))


def new_page(slug: str, files: Iterable[Path]) -> Page:
    """The files of a new problem."""
    page = Page()
    page.line((f"Made {slug}", "title"))
    for file in files:
        page.verbatim(str(file), indent=2)
    page.next((f"prep verify {slug}", "says what is left to write"))
    return page


def doctor_page(findings: Iterable[Finding]) -> Page:
    """Each thing looked at; each that is not in order with its remedy."""
    page = Page()
    found = list(findings)
    for finding in found:
        colour = {"ok": "good", "warning": "warn", "problem": "bad"}[finding.level]
        page.table([[(finding.level.ljust(7), colour), (finding.name.ljust(11), "title"), finding.detail]])
        if finding.fix:
            page.prose(f"-> {finding.fix}", indent=22, hang=3)
    page.gap()
    problems = sum(f.level == "problem" for f in found)
    warnings = sum(f.level == "warning" for f in found)
    page.prose("Everything that is needed works." if not problems else
               f"{problems} problem{'s' * (problems != 1)} to mend before prep works as it should.")
    if warnings:
        page.prose(f"{warnings} warning{'s' * (warnings != 1)}: prep works without, with less.")
    page.next(("prep doctor", "look again, once that is mended") if problems else ("prep list", "choose a problem"))
    return page
