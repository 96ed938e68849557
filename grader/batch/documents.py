"""Results -> a table's rows, CSV, JSON lines, JUnit XML, Gradescope's results.json. One verdict in memory at a time."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from grader import report
from grader.batch.store import Result, Store
from grader.errors import PrepError
from grader.verdict import NOT_RUN, PASSED

NAME_BYTES = 200
"""of a folder's name: file systems allow 255, some archives less"""
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""what a spreadsheet's formula begins with; the last four are the full-width forms"""
COLUMNS = ("problem", "student", "status", "score", "max_score", "passed", "failed", "not_run", "first_failure",
           "message", "duration_s", "isolation", "tier", "path", "source_sha256")


@dataclass(frozen=True)
class Row:
    """A submission in a line."""

    problem: str
    student: str
    status: str
    score: float
    max_score: float
    passed: int
    failed: int
    not_run: int
    first_failure: str
    message: str
    duration_s: float
    isolation: str
    tier: str
    path: str
    source_sha256: str


def rows(store: Store) -> Iterator[Row]:
    """The submissions, in order."""
    for result in store.results():
        verdict, failure = result.verdict, result.verdict.first_failure
        passed = sum(case.status == PASSED for case in verdict.cases)
        not_run = sum(case.status == NOT_RUN for case in verdict.cases)
        yield Row(result.problem, result.student, str(verdict.status), verdict.score, verdict.max_score, passed,
                  len(verdict.cases) - passed - not_run, not_run, failure.name if failure else "",
                  verdict.message.split("\n")[0], verdict.duration_s, verdict.isolation,
                  verdict.speed.tier if verdict.speed else "", result.path, result.source_sha256)


def csv_lines(store: Store) -> Iterator[str]:
    """RFC 4180, with a header."""
    yield ",".join(COLUMNS) + "\r\n"
    for row in rows(store):
        line = io.StringIO()
        csv.writer(line).writerow([_cell(getattr(row, name)) for name in COLUMNS])
        yield line.getvalue()


def _cell(value: str | float) -> str | float:
    """A spreadsheet runs a text that begins like a formula, blanks or not; an apostrophe keeps it text."""
    if not isinstance(value, str):
        return value
    text = report.clean(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) or text.startswith(("\t", "\n")) else text


def json_lines(store: Store) -> Iterator[str]:
    """One object per line: who, which file, and the verdict in the shape of docs/verdict.schema.json."""
    for result in store.results():
        yield json.dumps({"problem": result.problem, "student": result.student, "path": result.path,
                          "source_sha256": result.source_sha256, "verdict": json.loads(report.as_json(result.verdict))
                          }, separators=(",", ":")) + "\n"


def junit_lines(store: Store) -> Iterator[str]:
    """One test suite per submission. Two passes: the totals come first."""
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for result in store.results():
        suite = _suite(result)
        for name in totals:
            totals[name] += int(suite.get(name, 0))
    counts = " ".join(f'{name}="{count}"' for name, count in totals.items())
    yield f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="prep batch" {counts}>\n'
    for result in store.results():
        yield ElementTree.tostring(_suite(result), encoding="unicode").rstrip() + "\n"
    yield "</testsuites>\n"


def _suite(result: Result) -> ElementTree.Element:
    suite = ElementTree.fromstring(report.as_junit(result.verdict).partition("\n")[2])[0]
    name = f"{result.problem}.{report.clean(result.student)}"
    suite.set("name", name)
    for case in suite.iter("testcase"):
        case.set("classname", name)
    return suite


def save(path: Path, pieces: Iterable[str]) -> None:
    """Write a document, all of it or nothing. Raises PrepError where that fails."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # /dev/stdout: there is nothing to replace
            with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.writelines(pieces)
            return
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            os.fchmod(descriptor, 0o666 & ~_umask())
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.writelines(pieces)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise PrepError(f"{path} cannot be written: {error.strerror or error}", "Choose another.  prep batch --help"
                        ) from None


def save_gradescope(folder: Path, store: Store) -> int:
    """FOLDER/STUDENT/results.json (FOLDER/PROBLEM/STUDENT/ where there are several problems). Returns how many.

    Raises PrepError where some cannot be written, after all the others are.
    """
    several, count, failures = len(store.problems()) > 1, 0, list[str]()
    taken: set[tuple[str, str]] = set()
    for result in store.results():
        name = _folder_name(result.student)
        while (result.problem, name) in taken:
            name = _folder_name(name, changed=True)
        taken.add((result.problem, name))
        place = folder / result.problem / name if several else folder / name
        try:
            place.mkdir(parents=True, exist_ok=True)
            save(place / "results.json", [report.as_gradescope(result.verdict)])
            count += 1
        except OSError as error:
            failures.append(f"{place} cannot be made: {error.strerror or error}")
        except PrepError as error:
            failures.append(error.what)
    if failures:
        raise PrepError(f"{len(failures):,} of {count + len(failures):,} students have no results.json: {failures[0]}",
                        "Choose another folder, with the same command: nothing is graded again.  prep batch --help")
    return count


def _folder_name(student: str, *, changed: bool = False) -> str:
    """The name of a student's folder: the student's own, where it is one name of NAME_BYTES at most.

    Otherwise (or where changed) what it can be cut to, and some digits of a hash.
    """
    short = student.encode("utf-8", "backslashreplace")[:NAME_BYTES].decode("utf-8", "ignore")
    name = re.sub(r"[/\0]", "_", short)
    if name == student and name not in ("", ".", "..") and not changed:
        return name
    digits = hashlib.sha256(student.encode("utf-8", "backslashreplace")).hexdigest()[:12]
    stem = name.encode()[:NAME_BYTES - len(digits) - 1].decode("utf-8", "ignore")
    return f"{'student' if stem.strip('.') == '' else stem}-{digits}"


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
