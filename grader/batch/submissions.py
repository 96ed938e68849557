"""Which files are to be graded, and whose they are. Reads names and manifests; grades nothing.

A submission that cannot be read is still a submission: it gets a verdict, and never ends the run.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.bank import Bank
from grader.errors import PrepError
from grader.problem import Problem
from grader.workspace import ATTEMPT, read_attempt

PACKAGE = "__init__.py"
WRITTEN_OUT = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4})")
"""what a byte that is no text looks like in a student's name"""
MANIFEST_FORM = '[[problem]]\nslug = "conv2d"\nsubmissions = ["conv2d/*.py"]'


@dataclass(frozen=True)
class Submission:
    """One student's file. Links are followed within `root` only."""

    student: str
    path: Path
    root: Path

    def read(self, slug: str) -> str:
        """The source text. Raises PrepError, in words that name only the file, where there is none to be had."""
        try:
            real = Path(os.path.realpath(self.path, strict=True))
            if not real.is_relative_to(os.path.realpath(self.root)):
                raise PrepError(f"{self.path.name} is a link that leads out of the folder of submissions.",
                                "Put a copy of the file in its place.")
            return read_attempt(real, slug)
        except OSError as error:  # removed meanwhile, a link to nothing, a loop of links
            raise PrepError(f"{self.path.name} cannot be read: {error.strerror or error}", "") from None
        except PrepError as error:
            raise PrepError(error.what.replace(str(real), self.path.name), error.fix.partition(", then:")[0]) from None


@dataclass(frozen=True)
class Assignment:
    """A problem and what was handed in for it, sorted by student."""

    problem: Problem
    submissions: tuple[Submission, ...]
    skipped: tuple[str, ...] = ()
    """what lies among the submissions but is none, and why"""


def command(slug: str | None, manifest: Path | None) -> str:
    """What to type for a batch."""
    return f"prep batch --manifest {shlex.quote(str(manifest))}" if manifest else f"prep batch {slug or 'SLUG'} FOLDER"


def inputs(assignments: Sequence[Assignment], manifest: Path | None) -> list[Path]:
    """The files that a batch reads."""
    return [*([manifest] if manifest else []), *(s.path for a in assignments for s in a.submissions)]


def find(bank: Bank, slug: str, patterns: Sequence[str], *, manifest: Path | None = None) -> Assignment:
    """The submissions that `patterns` (folders, files, globs; relative to the manifest's folder, if any) name.

    A folder holds `student.py` files or `student/attempt.py`; a folder with an attempt.py is itself one submission.
    Raises PrepError where a pattern matches nothing, nothing is left to grade, or two files have the same student.
    """
    problem = bank.get(slug)
    if not patterns:
        raise PrepError("No submissions were named.", command(slug, None))
    again = f"Mend that line, then:  {command(slug, manifest)}" if manifest else command(slug, None)
    found: dict[Path, Submission] = {}
    skipped: list[str] = []
    for pattern in patterns:
        for submission in _expand(pattern, manifest.parent if manifest else Path(), again, skipped):
            found.setdefault(submission.path.absolute(), submission)
    if not found:
        raise PrepError(f"There are no submissions in {', '.join(patterns)}.",
                        f"A folder holds student.py files, or student/{ATTEMPT}.  {again}")
    by_student: dict[str, Submission] = {}
    for submission in found.values():
        other = by_student.setdefault(submission.student, submission)
        if other is not submission:
            raise PrepError(f"Two submissions for {slug} are called '{submission.student}': {other.path} and "
                            f"{submission.path}.", f"Rename or remove one, then:  {command(slug, manifest)}")
    return Assignment(problem, tuple(by_student[name] for name in sorted(by_student)), tuple(skipped))


def read_manifest(bank: Bank, path: Path) -> tuple[Assignment, ...]:
    """The assignments of a manifest, in its order; its patterns are relative to its folder.

    Raises PrepError with the entry and what was expected.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except (OSError, UnicodeDecodeError) as error:
        raise PrepError(f"The manifest {path} cannot be read: {error}", "prep batch --manifest FILE.toml") from None
    except tomllib.TOMLDecodeError as error:
        raise PrepError(f"{path}: not valid TOML: {error}", f"Mend that line. A manifest reads:\n{MANIFEST_FORM}"
                        ) from None
    entries = table.get("problem")
    if set(table) - {"problem"} or not isinstance(entries, list) or not entries:
        raise _malformed(path, "tables [[problem]] and nothing else")
    slugs: set[str] = set()
    assignments = []
    for number, entry in enumerate(entries, 1):
        slug, patterns = _entry(path, number, entry)
        if slug in slugs:
            raise PrepError(f"{path}: problem {number}: '{slug}' stands there twice.",
                            "Name all of its submissions in one [[problem]].")
        slugs.add(slug)
        assignments.append(find(bank, slug, patterns, manifest=path))
    return tuple(assignments)


def _entry(path: Path, number: int, entry: Any) -> tuple[str, list[str]]:
    where = f"problem {number}: "
    if not isinstance(entry, dict) or set(entry) != {"slug", "submissions"}:
        raise _malformed(path, where + "the keys slug and submissions")
    slug, patterns = entry["slug"], entry["submissions"]
    if not isinstance(slug, str):
        raise _malformed(path, where + "slug: a problem's name")
    if isinstance(patterns, str):
        patterns = [patterns]
    if not isinstance(patterns, list) or not patterns or not all(isinstance(p, str) and p for p in patterns):
        raise _malformed(path, where + "submissions: a list of folders, files or globs")
    return slug, patterns


def _malformed(path: Path, expected: str) -> PrepError:
    return PrepError(f"{path}: expected {expected}.", f"A manifest reads:\n{MANIFEST_FORM}")


def _expand(pattern: str, base: Path, again: str, skipped: list[str]) -> Iterator[Submission]:
    path = base / os.path.expanduser(pattern)
    if os.path.lexists(path):  # also a file whose name holds brackets
        matches = [path]
    else:
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        if not matches:
            raise PrepError(f"Nothing matches {pattern}.", again)
    for match in matches:
        if match.name == PACKAGE:
            skipped.append(_package(match))
        elif not os.path.isdir(match):  # unlike Path.is_dir, it raises nothing: a link may lead anywhere
            yield _file(match)
        elif os.path.lexists(match / ATTEMPT):
            yield _file(match / ATTEMPT)
        else:
            yield from _folder(match, skipped)


def _file(path: Path) -> Submission:
    if path.name == ATTEMPT:
        folder = path.absolute().parent
        return Submission(_shown(folder.name), path, folder.parent)
    return Submission(_shown(path.stem), path, path.parent)


def _folder(folder: Path, skipped: list[str]) -> Iterator[Submission]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise PrepError(f"{folder} cannot be read: {error.strerror or error}", "Mend that, then again.") from None
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if os.path.isdir(entry):
            try:
                os.lstat(entry / ATTEMPT)
            except FileNotFoundError:
                skipped.append(f"{_shown(str(entry))}: the folder holds no {ATTEMPT}")
            except OSError as error:
                skipped.append(f"{_shown(str(entry))}: the folder cannot be read: {error.strerror or error}")
            else:
                yield Submission(_shown(entry.name), entry / ATTEMPT, folder)
        elif entry.name == PACKAGE:
            skipped.append(_package(entry))
        elif entry.suffix == ".py":
            yield Submission(_shown(entry.stem), entry, folder)
        else:
            skipped.append(f"{_shown(str(entry))}: not a .py file")


def _package(path: Path) -> str:
    return f"{_shown(str(path))}: it makes a package of its folder, and is no answer"


def _shown(name: str) -> str:
    """A file's name as text: what is not UTF-8 in it is written out. No two names give the same text."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    if not WRITTEN_OUT.search(text):
        return text
    # such as the byte \xff and the four characters "\xff": the latter's own backslash is written out, too
    return os.fsencode(name.replace("\\", r"\\")).decode("utf-8", "backslashreplace")
