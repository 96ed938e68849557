"""The results of a batch in one SQLite file, written as they come, so that an interrupted run goes on. Judges nothing.

An *answer* is a source text under fixed conditions (problem, judge, isolation); it is graded once, whenever and by
however many students it was handed in. A *submission* says which student's answer it is, in the latest run.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from grader.errors import PrepError
from grader.verdict import Case, Speed, Status, Verdict

T = TypeVar("T")

FILE, LOCK = "results.sqlite", "results.lock"
SCHEMA = 1
BUSY_S = 10.0
TABLES = """
CREATE TABLE answers (
    key TEXT PRIMARY KEY,           -- SHA-256 of all that decides the verdict
    problem TEXT NOT NULL,
    source_sha256 TEXT NOT NULL,
    source TEXT NOT NULL,           -- '' where the file could not be read
    status TEXT,                    -- NULL until it is graded
    score REAL, max_score REAL, duration_s REAL,
    graded_at TEXT,                 -- ISO 8601, UTC
    verdict_json TEXT               -- docs/verdict.schema.json
);
CREATE TABLE submissions (
    position INTEGER PRIMARY KEY,   -- the order of every output
    problem TEXT NOT NULL,
    student TEXT NOT NULL,
    path TEXT NOT NULL,
    key TEXT NOT NULL REFERENCES answers (key),
    UNIQUE (problem, student)
);
CREATE INDEX submissions_by_key ON submissions (key);
"""


@dataclass(frozen=True)
class Entry:
    """A submission as it is enlisted. `verdict` is there already where its file cannot be read."""

    problem: str
    student: str
    path: str
    key: str
    source: str
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Result:
    """A submission with its verdict."""

    problem: str
    student: str
    path: str
    source_sha256: str
    verdict: Verdict


class Store:
    """The file OUT/results.sqlite; one batch at a time may hold it. Raises PrepError where it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PrepError(f"The folder {folder} cannot be made: {error.strerror or error}",
                            "Choose another:  prep batch ... --out DIR") from None
        self._lock = self._guard(lambda: _locked(folder / LOCK))
        try:
            self._db = self._guard(lambda: _opened(self.path))
        except BaseException:
            self._lock.close()
            raise

    def enlist(self, entries: Iterable[Entry]) -> None:
        """Make these the submissions of the batch. What was graded before stays; our own faults are tried again, and
        so is what can no longer be read.
        """

        def write() -> None:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.execute("DELETE FROM submissions")
                for position, entry in enumerate(entries):
                    self._db.execute(
                        "INSERT OR IGNORE INTO answers (key, problem, source_sha256, source) VALUES (?, ?, ?, ?)",
                        (entry.key, entry.problem, hashlib.sha256(entry.source.encode()).hexdigest(), entry.source))
                    self._db.execute("INSERT INTO submissions VALUES (?, ?, ?, ?, ?)",
                                     (position, entry.problem, entry.student, entry.path, entry.key))
                    if entry.verdict:
                        self._write(entry.key, entry.verdict, None)
                self._db.execute("UPDATE answers SET status = NULL, verdict_json = NULL WHERE status = ? "
                                 "AND key IN (SELECT key FROM submissions)", (Status.JUDGE_ERROR,))
                for key in self._damaged():
                    self._db.execute("UPDATE answers SET status = NULL, verdict_json = NULL WHERE key = ?", (key,))
                self._db.execute("COMMIT")
            except BaseException:
                self._db.rollback()
                raise

        self._guard(write)

    def pending(self) -> list[str]:
        """Keys of the answers that are still to be graded, in the order of the submissions."""
        return self._guard(lambda: [key for (key,) in self._db.execute(
            "SELECT key FROM submissions JOIN answers USING (key) WHERE status IS NULL "
            "GROUP BY key ORDER BY MIN(position)")])

    def task(self, key: str) -> tuple[str, str]:
        """(problem, source) of an answer."""
        problem, source = self._guard(lambda: self._db.execute(
            "SELECT problem, source FROM answers WHERE key = ?", (key,)).fetchone())
        return str(problem), str(source)

    def record(self, key: str, verdict: Verdict, *, now: datetime) -> int:
        """Keep a verdict, for good once this returns. Returns how many submissions have this answer."""

        def write() -> int:
            self._write(key, verdict, now)
            return int(self._db.execute("SELECT COUNT(*) FROM submissions WHERE key = ?", (key,)).fetchone()[0])

        return self._guard(write)

    def count(self) -> tuple[int, int]:
        """(submissions, those of them that are graded)."""
        total, graded = self._guard(lambda: self._db.execute(
            "SELECT COUNT(*), COUNT(status) FROM submissions JOIN answers USING (key)").fetchone())
        return int(total), int(graded)

    def statuses(self) -> dict[str, int]:
        """How many submissions have each status."""
        return self._guard(lambda: dict(self._db.execute(
            "SELECT status, COUNT(*) FROM submissions JOIN answers USING (key) WHERE status IS NOT NULL "
            "GROUP BY status ORDER BY status")))

    def problems(self) -> list[str]:
        """Slugs, in the order of the submissions."""
        return self._guard(lambda: [slug for (slug,) in self._db.execute(
            "SELECT problem FROM submissions GROUP BY problem ORDER BY MIN(position)")])

    def results(self, problem: str | None = None) -> Iterator[Result]:
        """The graded submissions in order, one at a time."""
        rows = self._guard(lambda: self._db.execute(
            "SELECT submissions.problem, student, path, source_sha256, verdict_json FROM submissions "
            "JOIN answers USING (key) WHERE status IS NOT NULL AND ? IN ('', submissions.problem) ORDER BY position",
            (problem or "",)))
        for slug, student, path, sha256, text in rows:
            yield Result(slug, student, path, sha256, verdict_from_json(json.loads(text)))

    def close(self) -> None:
        self._db.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _damaged(self) -> list[str]:
        """Keys of the graded answers whose verdict cannot be read, by another's hand or a broken disk."""
        found = []
        for key, text in self._db.execute("SELECT key, CAST(verdict_json AS BLOB) FROM answers "
                                          "WHERE status IS NOT NULL AND key IN (SELECT key FROM submissions)"):
            try:
                verdict_from_json(json.loads(text))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                found.append(key)
        return found

    def _write(self, key: str, verdict: Verdict, now: datetime | None) -> None:
        text = json.dumps(_finite(verdict.to_json()), allow_nan=False, separators=(",", ":"))
        stamp = now.astimezone(UTC).isoformat(timespec="milliseconds") if now else None
        self._db.execute("UPDATE answers SET status = ?, score = ?, max_score = ?, duration_s = ?, graded_at = ?, "
                         "verdict_json = ? WHERE key = ?",
                         (str(verdict.status), verdict.score, verdict.max_score, verdict.duration_s, stamp, text, key))

    def _guard(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (5, 6):  # SQLITE_BUSY, SQLITE_LOCKED
                raise PrepError(f"Another prep batch is writing to {self.path.parent}.",
                                "Wait for it, or choose another folder:  prep batch ... --out DIR") from None
            fix = ("Move it away to grade everything anew" if code in (11, 26)  # SQLITE_CORRUPT, SQLITE_NOTADB
                   else "Make room or mend its permissions, or choose another folder with --out")
            raise PrepError(f"{self.path} cannot be used: {error}.", f"{fix}, then again:  prep batch ...") from None


def files(folder: Path) -> list[Path]:
    """What a batch keeps in `folder`."""
    return [folder / name for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", LOCK)]


def read(folder: Path) -> Store:
    """The results in `folder`. Raises PrepError where there are none."""
    if not (folder / FILE).exists():
        raise PrepError(f"There are no results in {folder}.", "prep batch SLUG FOLDER")
    return Store(folder)


def verdict_from_json(document: dict[str, Any]) -> Verdict:
    """The inverse of Verdict.to_json, where infinite numbers may stand as strings ("inf")."""
    fields = {name: value for name, value in document.items() if name != "schema_version"}
    fields["status"] = Status(fields["status"])
    fields["cases"] = tuple(_case(case) for case in fields["cases"])
    if fields["speed"]:
        speed = fields["speed"]
        fields["speed"] = Speed(speed["tier"], *(float(speed[name]) for name in ("ratio", "attempt_s", "reference_s")))
    return Verdict(**fields)


def _case(fields: dict[str, Any]) -> Case:
    index, error = fields["first_bad_index"], fields["max_error"]
    return Case(**fields | {"first_bad_index": None if index is None else tuple(index),
                            "max_error": None if error is None else float(error)})


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, str):  # a lone surrogate can be escaped in JSON, but is no text for SQLite or a page
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _locked(path: Path) -> sqlite3.Connection:
    """An SQLite file serves as a lock that works everywhere and that a kill releases."""
    lock = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except BaseException:
        lock.close()
        raise
    return lock


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        # NORMAL: a kill loses nothing; a power cut may lose the last verdicts, which are then graded again
        with closing(db.execute("PRAGMA journal_mode = WAL")), closing(db.execute("PRAGMA synchronous = NORMAL")):
            pass
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA:
            raise PrepError(f"{path} was written by a newer prep.",
                            "Upgrade prep, or choose another folder:  prep batch ... --out DIR")
        if version < SCHEMA:
            db.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
    except BaseException:
        db.close()
        raise
    return db
