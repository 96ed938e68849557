"""What a learner did, in one SQLite file: attempts, hints taken, solutions looked at. Prints nothing, judges nothing.

Every record is one transaction in WAL mode, so two grades at once, or a kill at any moment, leave whole records only.
A file that cannot be trusted is moved aside under a name that says so, never deleted and never written over.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from grader.errors import PrepError
from grader.paths import state_dir
from grader.verdict import Status, Verdict

T = TypeVar("T")

BUSY_S = 5.0
"""how long one prep waits for another's transaction"""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE attempts (
            id INTEGER PRIMARY KEY,
            at TEXT NOT NULL,              -- ISO 8601, UTC, microseconds: sorts as text
            slug TEXT NOT NULL,
            status TEXT NOT NULL,
            score REAL NOT NULL,
            max_score REAL NOT NULL,
            duration_s REAL NOT NULL,
            tier TEXT,
            source_sha256 TEXT NOT NULL,
            verdict_json TEXT NOT NULL
        )""",
        "CREATE INDEX attempts_by_slug ON attempts (slug, at)",
        "CREATE TABLE hints (slug TEXT NOT NULL, rung INTEGER NOT NULL, at TEXT NOT NULL, PRIMARY KEY (slug, rung))",
        "CREATE TABLE given_up (slug TEXT PRIMARY KEY, at TEXT NOT NULL)",
    ),
)
"""entry n holds the statements that bring a file of schema n to n + 1 (PRAGMA user_version); entries are only added"""

_CORRUPT = {11, 26}  # SQLITE_CORRUPT, SQLITE_NOTADB
_BUSY = {5, 6}  # SQLITE_BUSY, SQLITE_LOCKED
_UNWRITABLE = {3, 8, 14, 23}  # SQLITE_PERM, SQLITE_READONLY, SQLITE_CANTOPEN, SQLITE_AUTH
_NOT_ATTEMPTS = (Status.NOT_STARTED, Status.JUDGE_ERROR)  # the starter graded as it is, and faults of ours

_TIERS = ("correct", "vectorised", "fast")


class HistoryUnavailable(PrepError):
    """The record can be neither read nor written just now. A verdict is still a verdict."""


@dataclass(frozen=True)
class Summary:
    """One problem's record. Times are UTC-aware."""

    attempts: int = 0
    """graded answers; a starter graded as it is, and a fault of the judge, are none"""
    attempts_to_pass: int | None = None
    first_pass_at: datetime | None = None
    best_duration_s: float | None = None
    """the shortest time in which an accepted answer was graded"""
    best_tier: str | None = None
    hints: int = 0
    gave_up_at: datetime | None = None

    @property
    def solved(self) -> bool:
        return self.first_pass_at is not None

    @property
    def state(self) -> str:
        """solved, gave up, tried, or nothing."""
        if self.solved:
            return "solved"
        return "gave up" if self.gave_up_at else "tried" if self.attempts else ""


def utc_now() -> datetime:
    """The time, for those at the edge who may ask; everyone else is told."""
    return datetime.now(UTC)


class History:
    """The record in one file; made when something is first recorded.

    warn: called with one sentence where something had to be set aside. clock: names what is set aside.
    Every method raises HistoryUnavailable where the file cannot be used (read-only, full, locked, of another kind) and
    PrepError where a newer prep wrote it.
    """

    def __init__(self, path: Path | None = None, *, warn: Callable[[str], None] = lambda text: None,
                 clock: Callable[[], datetime] = utc_now) -> None:
        self.path = path or state_dir() / "history.sqlite3"
        self._warn, self._clock = warn, clock

    def record(self, verdict: Verdict, source: str, *, now: datetime) -> int:
        """Keep a verdict on an answer. Returns the attempt's number."""
        row = (_stamp(now), verdict.problem, str(verdict.status), verdict.score, verdict.max_score, verdict.duration_s,
               verdict.speed.tier if verdict.speed else None, hashlib.sha256(source.encode()).hexdigest(),
               json.dumps(verdict.to_json()))
        return self._write(lambda db: int(db.execute(
            "INSERT INTO attempts (at, slug, status, score, max_score, duration_s, tier, source_sha256, verdict_json)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row).lastrowid or 0))

    def last_training(self, slug: str | None = None,
                      number: int | None = None) -> tuple[int, str, dict[str, Any]] | None:
        """The latest attempt with a training run, as (number, time, verdict's JSON): of a problem, or the one with that
        number; None where there is none."""
        def read(db: sqlite3.Connection) -> tuple[int, str, dict[str, Any]] | None:
            rows = db.execute(  # a curve may hold NaN, which SQLite's own JSON functions do not read
                """SELECT id, at, verdict_json FROM attempts WHERE verdict_json LIKE '%"training": {%'"""
                " AND (?1 IS NULL OR slug = ?1) AND (?2 IS NULL OR id = ?2) ORDER BY id DESC", (slug, number))
            found = ((int(row[0]), str(row[1]), json.loads(row[2])) for row in rows)
            return next((row for row in found if row[2].get("training")), None)

        return self._read(read, None)

    def take_hint(self, slug: str, *, rungs: int, now: datetime) -> int:
        """The next rung of the ladder, counted from 1 and kept; 0 where all `rungs` were taken before."""
        stamp = _stamp(now)

        def take(db: sqlite3.Connection) -> int:
            db.execute("BEGIN IMMEDIATE")
            (last,) = db.execute("SELECT COALESCE(MAX(rung), 0) FROM hints WHERE slug = ?", (slug,)).fetchone()
            rung = 0 if last >= rungs else int(last) + 1
            if rung:
                db.execute("INSERT INTO hints (slug, rung, at) VALUES (?, ?, ?)", (slug, rung, stamp))
            db.execute("COMMIT")
            return rung

        return self._write(take)

    def give_up(self, slug: str, *, now: datetime) -> None:
        """Keep that the solution was looked at before a pass. The first time counts."""
        row = (slug, _stamp(now))
        self._write(lambda db: db.execute("INSERT OR IGNORE INTO given_up (slug, at) VALUES (?, ?)", row))

    def summary(self, slug: str) -> Summary:
        """What is on record of this problem."""
        return self.summaries().get(slug, Summary())

    def summaries(self) -> dict[str, Summary]:
        """What is on record, by problem."""

        def read(db: sqlite3.Connection) -> dict[str, Summary]:
            hints = dict(db.execute("SELECT slug, MAX(rung) FROM hints GROUP BY slug"))
            gave_up = dict(db.execute("SELECT slug, at FROM given_up"))
            tries: dict[str, list[tuple[str, str, float, str | None]]] = {}
            marks = ", ".join("?" * len(_NOT_ATTEMPTS))
            for slug, *row in db.execute("SELECT slug, status, at, duration_s, tier FROM attempts"
                                         f" WHERE status NOT IN ({marks}) ORDER BY at, id", _NOT_ATTEMPTS):
                tries.setdefault(slug, []).append((row[0], row[1], row[2], row[3]))
            return {slug: _summary(tries.get(slug, []), hints.get(slug, 0), gave_up.get(slug))
                    for slug in sorted({*tries, *hints, *gave_up})}

        return self._read(read, {})

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return self._use(lambda: self._open(create=True), work)

    def _read(self, work: Callable[[sqlite3.Connection], T], empty: T) -> T:
        """`work` on the file as it is; `empty` where there is none, or where nothing was ever recorded."""
        def checked(db: sqlite3.Connection) -> T:
            return work(db) if _version(db) else empty

        try:
            if not self.path.exists():
                return empty
            return self._use(lambda: self._open(create=False), checked)
        except FileNotFoundError:  # it was set aside a moment ago, by this process or another
            return empty
        except OSError as error:
            raise self._unavailable(error) from error
        except HistoryUnavailable as error:
            if getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF not in _UNWRITABLE:
                raise
        # WAL needs a shared-memory file beside the database, which a read-only folder does not allow
        return self._use(lambda: sqlite3.connect(f"{self.path.absolute().as_uri()}?immutable=1", uri=True), checked)

    def _use(self, connect: Callable[[], sqlite3.Connection], work: Callable[[sqlite3.Connection], T]) -> T:
        for last in (False, True):
            try:
                with closing(connect()) as db:
                    return work(db)
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _CORRUPT or last:
                    raise self._unavailable(error) from error
                self._set_aside()
            except FileNotFoundError:
                raise
            except OSError as error:
                raise self._unavailable(error) from error
        raise AssertionError("unreachable")

    def _open(self, *, create: bool) -> sqlite3.Connection:
        if create:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._unavailable(error) from error
        elif not self.path.exists():
            raise FileNotFoundError(self.path)
        db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        try:
            version = _version(db)
            if version > len(MIGRATIONS):
                raise PrepError(f"{self.path} was written by a newer prep (schema {version}; this one knows "
                                f"{len(MIGRATIONS)}).",
                                "Upgrade prep, or keep another record:  PREP_STATE_DIR=~/prep-state prep stats")
            if version < len(MIGRATIONS) and (create or version):
                _migrate(db)
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self) -> None:
        """Move a corrupt file out of the way, once, however many processes notice it."""
        try:
            # A SQLite file serves as a lock that works everywhere and that a kill releases.
            with closing(sqlite3.connect(self.path.with_suffix(".lock"), timeout=BUSY_S, isolation_level=None)) as lock:
                lock.execute("BEGIN EXCLUSIVE")
                if not self._is_corrupt():
                    return
                name = f"{self.path.name}.corrupt-{self._clock().astimezone(UTC):%Y%m%dT%H%M%SZ}"
                target = self.path.with_name(name)
                count = 1
                while target.exists():
                    count += 1
                    target = self.path.with_name(f"{name}-{count}")
                # The log goes first: beside a new database, an old one could be replayed into it.
                for suffix in ("-wal", "-shm", ""):
                    part = self.path.with_name(self.path.name + suffix)
                    if part.exists():
                        part.rename(target.with_name(target.name + suffix))
        except (OSError, sqlite3.Error) as error:
            raise self._unavailable(error) from error
        self._warn(f"The record of your attempts was damaged. It is kept as {target}, and a new one is begun.")

    def _is_corrupt(self) -> bool:
        if not self.path.exists():
            return False
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_S)) as db:
                return bool(db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok")
        except sqlite3.DatabaseError as error:
            return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT

    def _unavailable(self, error: Exception) -> HistoryUnavailable:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        why = "another prep is writing to it" if code in _BUSY else (getattr(error, "strerror", None) or str(error))
        return HistoryUnavailable(f"The record of your attempts, {self.path}, cannot be used: {why}.",
                                  "Set PREP_STATE_DIR to a folder that can be written.  prep doctor")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _migrate(db: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_S
    while True:
        try:  # this one statement does not wait for others by itself
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    db.execute("BEGIN IMMEDIATE")
    for number in range(_version(db), len(MIGRATIONS)):  # asked again: another process may have done it meanwhile
        for statement in MIGRATIONS[number]:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number + 1}")
    db.execute("COMMIT")


def _summary(tries: list[tuple[str, str, float, str | None]], hints: int, gave_up: str | None) -> Summary:
    passes = [i for i, (status, *_) in enumerate(tries) if status == Status.ACCEPTED]
    tiers = [tier for i in passes if (tier := tries[i][3]) in _TIERS]
    return Summary(
        attempts=len(tries), attempts_to_pass=passes[0] + 1 if passes else None,
        first_pass_at=datetime.fromisoformat(tries[passes[0]][1]) if passes else None,
        best_duration_s=min((tries[i][2] for i in passes), default=None),
        best_tier=max(tiers, key=_TIERS.index, default=None), hints=hints,
        gave_up_at=datetime.fromisoformat(gave_up) if gave_up else None)


def _stamp(now: datetime) -> str:
    if now.tzinfo is None:
        raise ValueError("the time must say its zone: datetime.now(UTC)")
    return now.astimezone(UTC).isoformat(timespec="microseconds")
