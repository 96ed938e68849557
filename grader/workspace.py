"""The learner's own files: start, read, reset. Never overwrites one without a backup; judges nothing."""

from __future__ import annotations

import codecs
import contextlib
import difflib
import io
import os
import stat
import tempfile
import tokenize
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from grader.errors import PrepError
from grader.paths import workspace_root
from grader.problem import Problem

ATTEMPT = "attempt.py"
MAX_BYTES = 1024 * 1024
"""the largest answer that is read: a thousand times a long one"""


@dataclass(frozen=True)
class Started:
    """What `start` did: the names of the files it made, and of those that were there and were left alone."""

    folder: Path
    created: tuple[str, ...]
    kept: tuple[str, ...]


def folder_of(slug: str) -> Path:
    """Where a learner's files for this problem are, or will be."""
    return workspace_root() / slug


def attempt_path(slug: str) -> Path:
    """The answer that `prep grade SLUG` grades."""
    return folder_of(slug) / ATTEMPT


def start(problem: Problem) -> Started:
    """Copy the prompt, the starter, the examples and the kit into the workspace. Files that exist are kept.

    Raises PrepError where the folder cannot be written.
    """
    folder = folder_of(problem.slug)
    sources = {"prompt.md": problem.prompt, ATTEMPT: problem.starter, "test_examples.py": problem.examples}
    if problem.kit:
        sources["kit.py"] = problem.kit
    created: list[str] = []
    kept: list[str] = []
    try:
        texts = {name: source.read_bytes() for name, source in sources.items()}
    except OSError as error:
        raise PrepError(f"The problem '{problem.slug}' is incomplete: {error}", f"prep verify {problem.slug}") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (created if _create(folder / name, text) else kept).append(name)
    except OSError as error:
        raise PrepError(f"{folder} cannot be written: {error.strerror or error}",
                        f"Choose another folder:  PREP_WORKSPACE=~/prep prep start {problem.slug}") from None
    return Started(folder, tuple(created), tuple(kept))


def reset(problem: Problem, *, now: datetime) -> Path | None:
    """Put the starter back in place of the answer, after a backup. Returns the backup, None where there was no need.

    now: UTC-aware; names the backup. A backup that exists is never overwritten.
    Raises PrepError where there is no answer, or where either file cannot be written (the answer is then untouched).
    """
    path = attempt_path(problem.slug)
    try:
        held, starter = path.read_bytes(), problem.starter.read_bytes()
        if held == starter:
            return None
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        names = (f"{path.stem}.{stamp}{extra}.bak.py" for extra in ("", *(f"-{n}" for n in range(2, 1000))))
        backup = next(path.with_name(name) for name in names if _create(path.with_name(name), held))
        _replace(path, starter)
    except FileNotFoundError:
        raise PrepError(f"{path} does not exist: there is nothing to reset.", f"prep start {problem.slug}") from None
    except OSError as error:
        raise PrepError(f"{path} cannot be reset: {error.strerror or error}",
                        f"Your answer is as it was. Mend that, then:  prep reset {problem.slug}") from None
    return backup


def read_attempt(path: Path, slug: str = "SLUG", command: str = "grade") -> str:
    """The source text of the answer at `path`, decoded as Python itself would (PEP 263; a byte-order mark is fine).

    slug, command: for what to type in the errors. Lines end in a newline only, as Python reads them.
    Raises PrepError for anything that cannot be a Python file, saying how to mend it.
    """
    again = f"prep {command} {slug} FILE"
    if path == attempt_path(slug):
        again = f"prep {command} {slug}"
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path, slug, command) from None
    except (OSError, ValueError) as error:
        raise PrepError(f"{path} cannot be read: {error}", f"Mend that, then:  {again}") from None
    if stat.S_ISDIR(mode):
        inside = sorted(path.glob("*.py"))
        best = next((file for file in inside if file.name == ATTEMPT), inside[0] if len(inside) == 1 else None)
        raise PrepError(f"{path} is a folder, not a file.",
                        f"Did you mean this?  prep {command} {slug} {best or path / ATTEMPT}")
    if not stat.S_ISREG(mode):
        raise PrepError(f"{path} is not a regular file.", f"Save the answer to a file, then:  {again}")
    if path.suffix == ".ipynb":
        raise PrepError(f"{path} is a notebook; a Python file is graded.",
                        f"Save the answer's cells as a .py file, then:  prep {command} {slug} "
                        f"{path.with_suffix('.py')}")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PrepError(f"{path} cannot be read: {error.strerror or error}", f"Mend that, then:  {again}") from None
    if len(data) > MAX_BYTES:
        raise PrepError(f"{path} is larger than 1 MiB: this is not the answer, or it carries data.",
                        f"Keep only the code, then:  {again}")
    if not data.strip():
        raise PrepError(f"{path} is empty.", f"Did your editor save it? Then:  {again}\n"
                                             f"Or put the starter back:  prep reset {slug}")
    return _decode(data, path, again)


def _decode(data: bytes, path: Path, again: str) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise PrepError(f"{path} is saved as UTF-16, which Python does not read.", f"Save it as UTF-8, then:  {again}")
    if (zero := data.find(b"\0")) >= 0:
        raise PrepError(f"{path} is a binary file: there is a zero byte at offset {zero}.",
                        f"Grade the Python source:  {again}")
    marked = data.startswith(codecs.BOM_UTF8)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as error:  # an unknown coding cookie, or (as Python sees it) a first line that is not UTF-8
        encoding, complaint = "utf-8", str(error)
    else:
        complaint = ""
    skip = len(codecs.BOM_UTF8) if marked else 0
    if encoding == "utf-8-sig":
        encoding = "utf-8"
    try:
        if codecs.lookup(encoding).name in ("punycode", "idna"):  # of host names; minutes over a megabyte
            raise LookupError(f"{encoding} is no encoding of files")
        text = data[skip:].decode(encoding)
    except UnicodeDecodeError as error:
        at = error.start + skip
        line = data[:at].count(b"\n") + 1
        raise PrepError(f"{path} is not {encoding.upper()} text: byte 0x{data[at]:02x} at offset {at}, line {line}.",
                        f"Save it as UTF-8, then:  {again}") from None
    except (LookupError, UnicodeError, ValueError) as error:  # a codec that is no text encoding, such as rot13
        complaint = str(error)
    if complaint:
        raise PrepError(f"{path}: the coding comment in its first lines cannot be used: {complaint}",
                        f"Save it as UTF-8 and remove that comment, then:  {again}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PrepError(f"{path} holds a character that no text can hold (a lone surrogate), at {error.start}.",
                        f"Save it as UTF-8, then:  {again}") from None
    if "\0" in text:
        raise PrepError(f"{path} is not Python source: it decodes to a zero character.", f"Mend that, then:  {again}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _missing(path: Path, slug: str, command: str) -> PrepError:
    if path == attempt_path(slug):
        return PrepError(f"{path} does not exist: you have not started '{slug}' here.", f"prep start {slug}")
    try:
        names = [entry.name for entry in path.parent.iterdir() if os.path.isfile(entry)]
    except OSError:
        return PrepError(f"{path} does not exist, nor does its folder.",
                         f"To grade your answer in the workspace:  prep {command} {slug}")
    near = difflib.get_close_matches(path.name, names, n=1)
    if near:
        return PrepError(f"{path} does not exist.",
                         f"Did you mean this?  prep {command} {slug} {path.with_name(near[0])}")
    return PrepError(f"{path} does not exist.", f"To grade your answer in the workspace:  prep {command} {slug}")


def _create(path: Path, data: bytes) -> bool:
    """Write a new file; False where there is one already, even one made a moment ago."""
    try:
        file = path.open("xb")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # half a file would later be taken for the learner's own
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    return True


def _replace(path: Path, data: bytes) -> None:
    """Put `data` in place of the file in one step, so that a kill leaves the old file or the new one."""
    mode = stat.S_IMODE(path.stat().st_mode)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
