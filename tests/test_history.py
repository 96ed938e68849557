"""The record survives what happens to files: other processes, kills, damage, disks that are full."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from grader import history
from grader.errors import PrepError
from grader.history import History, HistoryUnavailable, Summary
from grader.verdict import Speed, Status, Verdict

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ROOT = Path(history.__file__).resolve().parent.parent

RECORD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from grader.history import History
from grader.verdict import Status, Verdict
record = History(Path(sys.argv[1]), warn=lambda text: print("WARNED", text, flush=True))
print("ready", flush=True)
sys.stdin.readline()
for i in range(int(sys.argv[2])):
    verdict = Verdict("toy", Status.WRONG_ANSWER, message="m" * 5000)
    print(record.record(verdict, f"x = {i}", now=datetime.now(UTC)), flush=True)
"""


@pytest.fixture
def record(tmp_path: Path) -> History:
    return History(tmp_path / "state" / "history.sqlite3", clock=lambda: NOW)


def verdict(status: Status = Status.WRONG_ANSWER, slug: str = "toy", duration_s: float = 1.0,
            tier: str | None = None) -> Verdict:
    speed = Speed(tier, 1.0, 0.1, 0.1) if tier else None
    return Verdict(slug, status, score=1.0, max_score=2.0, duration_s=duration_s, speed=speed)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def recorder(path: Path, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", RECORD, str(path), str(count)], cwd=ROOT, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == "ready\n"
    return process


def test_an_attempt_is_kept_whole(record: History) -> None:
    now = datetime(2026, 11, 22, 11, 30, tzinfo=timezone(timedelta(hours=2)))
    assert record.record(verdict(tier="fast"), "x = 1\n", now=now) == 1
    [(at, slug, status, score, most, duration, tier, sha, text)] = rows(
        record.path, "SELECT at, slug, status, score, max_score, duration_s, tier, source_sha256, verdict_json "
                     "FROM attempts")
    assert at == "2026-11-22T09:30:00.000000+00:00"
    assert (slug, status, score, most, duration, tier) == ("toy", "wrong-answer", 1.0, 2.0, 1.0, "fast")
    assert sha == hashlib.sha256(b"x = 1\n").hexdigest()
    assert json.loads(str(text))["status"] == "wrong-answer"


def test_a_time_without_a_zone_is_refused(record: History) -> None:
    with pytest.raises(ValueError, match="zone"):
        record.record(verdict(), "", now=datetime(2026, 11, 22))


def test_nothing_is_made_by_looking(record: History) -> None:
    assert record.summaries() == {} and record.summary("toy") == Summary()
    assert not record.path.parent.exists()


def test_summary(record: History) -> None:
    for i, (status, duration, tier) in enumerate([
            (Status.NOT_STARTED, 0.1, None), (Status.WRONG_ANSWER, 0.2, None), (Status.JUDGE_ERROR, 0.1, None),
            (Status.ACCEPTED, 3.0, "vectorised"), (Status.ACCEPTED, 2.0, "correct"), (Status.TIME_LIMIT, 0.3, None)]):
        record.record(verdict(status, duration_s=duration, tier=tier), "", now=NOW + timedelta(minutes=i))
    summary = record.summary("toy")
    assert (summary.attempts, summary.attempts_to_pass) == (4, 2)
    assert summary.first_pass_at == NOW + timedelta(minutes=3)
    assert (summary.best_duration_s, summary.best_tier) == (2.0, "vectorised")
    assert summary.solved and summary.state == "solved"
    assert len(rows(record.path, "SELECT * FROM attempts")) == 6


def test_states(record: History) -> None:
    record.record(verdict(slug="tried"), "", now=NOW)
    record.give_up("gave-up", now=NOW)
    record.record(verdict(slug="gave-up"), "", now=NOW)
    record.take_hint("hinted", rungs=3, now=NOW)
    record.give_up("late", now=NOW)
    record.record(verdict(Status.ACCEPTED, "late"), "", now=NOW)
    assert {slug: s.state for slug, s in record.summaries().items()} == {
        "tried": "tried", "gave-up": "gave up", "hinted": "", "late": "solved"}


def test_hints_climb_one_rung_at_a_time(record: History) -> None:
    assert [record.take_hint("toy", rungs=3, now=NOW) for _ in range(5)] == [1, 2, 3, 0, 0]
    assert record.take_hint("other", rungs=3, now=NOW) == 1
    assert record.summary("toy").hints == 3


def test_the_first_giving_up_counts(record: History) -> None:
    record.give_up("toy", now=NOW)
    record.give_up("toy", now=NOW + timedelta(days=1))
    assert record.summary("toy").gave_up_at == NOW


def test_two_grades_at_once(record: History) -> None:
    """All begin with no file at all, so they also race to make it."""
    processes = [recorder(record.path, 10) for _ in range(5)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    numbers = []
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        numbers += [int(line) for line in out.split()]
    assert sorted(numbers) == list(range(1, 51))
    assert record.summary("toy").attempts == 50


def test_kill_at_any_moment(record: History) -> None:
    told: list[int] = []
    for after in (1, 3, 7, 2):
        process = recorder(record.path, 100_000)
        assert process.stdin and process.stdout
        process.stdin.write("go\n")
        process.stdin.flush()
        told += [int(process.stdout.readline()) for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=60)
        told += [int(line) for line in rest.splitlines() if line]
    assert rows(record.path, "PRAGMA integrity_check") == [("ok",)]
    kept = [row[0] for row in rows(record.path, "SELECT id FROM attempts ORDER BY id")]
    assert set(told) <= set(kept) == set(range(1, len(kept) + 1))
    assert record.record(verdict(), "", now=NOW) == len(kept) + 1


@pytest.mark.parametrize("damage", ["no database", "torn"])
def test_a_damaged_file_is_set_aside_and_said_so(tmp_path: Path, damage: str) -> None:
    said: list[str] = []
    record = History(tmp_path / "history.sqlite3", warn=said.append, clock=lambda: NOW)
    if damage == "no database":
        record.path.write_bytes(b"this is not a database" * 100)
    else:
        for _ in range(20):
            record.record(verdict(), "", now=NOW)
        data = bytearray(record.path.read_bytes())
        data[100:4096] = b"\xff" * 3996  # the page that says which tables there are
        record.path.write_bytes(data)
    before = record.path.read_bytes()
    assert record.record(verdict(), "", now=NOW) == 1
    aside = tmp_path / "history.sqlite3.corrupt-20261122T093000Z"
    assert aside.read_bytes() == before
    assert len(said) == 1 and str(aside) in said[0]
    assert record.summary("toy").attempts == 1 and len(said) == 1


def test_damage_found_by_looking(tmp_path: Path) -> None:
    said: list[str] = []
    record = History(tmp_path / "history.sqlite3", warn=said.append, clock=lambda: NOW)
    for i in range(2):
        record.path.write_bytes(b"garbage " * 200)
        assert record.summaries() == {} and len(said) == i + 1
    assert {f.name for f in tmp_path.glob("*.corrupt-*")} == {
        "history.sqlite3.corrupt-20261122T093000Z", "history.sqlite3.corrupt-20261122T093000Z-2"}


def test_many_notice_the_damage_and_one_moves_it(record: History) -> None:
    record.path.parent.mkdir()
    record.path.write_bytes(b"garbage " * 200)
    processes = [recorder(record.path, 5) for _ in range(4)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    outs = [process.communicate(timeout=60)[0] for process in processes]
    assert sum(out.count("WARNED") for out in outs) == 1
    assert len(list(record.path.parent.glob("*.corrupt-*"))) == 1
    assert record.summary("toy").attempts == 20


def test_a_newer_file_is_refused_and_left_alone(record: History) -> None:
    record.record(verdict(), "", now=NOW)
    with closing(sqlite3.connect(record.path)) as db:
        db.execute(f"PRAGMA user_version = {len(history.MIGRATIONS) + 1}")
    before = record.path.read_bytes()
    for use in (lambda: record.record(verdict(), "", now=NOW), record.summaries):
        with pytest.raises(PrepError, match="newer prep") as caught:
            use()
        assert "prep stats" in caught.value.fix
    assert record.path.read_bytes() == before


def test_an_older_file_is_brought_forward(record: History, monkeypatch: pytest.MonkeyPatch) -> None:
    record.record(verdict(), "", now=NOW)
    later = (*history.MIGRATIONS, ("ALTER TABLE attempts ADD COLUMN note TEXT", "CREATE TABLE extra (a)"))
    monkeypatch.setattr(history, "MIGRATIONS", later)
    assert record.summary("toy").attempts == 1
    assert rows(record.path, "PRAGMA user_version") == [(len(later),)]
    assert rows(record.path, "SELECT note FROM attempts") == [(None,)]


def test_a_migration_that_fails_changes_nothing(record: History, monkeypatch: pytest.MonkeyPatch) -> None:
    record.record(verdict(), "", now=NOW)
    with monkeypatch.context() as patch:
        patch.setattr(history, "MIGRATIONS", (*history.MIGRATIONS, ("CREATE TABLE extra (a)", "NOT SQL")))
        with pytest.raises(HistoryUnavailable, match="syntax error"):
            record.record(verdict(), "", now=NOW)
    assert rows(record.path, "PRAGMA user_version") == [(len(history.MIGRATIONS),)]
    assert rows(record.path, "SELECT name FROM sqlite_master WHERE name = 'extra'") == []
    assert record.record(verdict(), "", now=NOW) == 2


def test_a_database_of_another_program_is_left_alone(record: History) -> None:
    record.path.parent.mkdir()
    with closing(sqlite3.connect(record.path)) as db:
        db.execute("CREATE TABLE attempts (other TEXT)")
    with pytest.raises(HistoryUnavailable, match="already exists"):
        record.record(verdict(), "", now=NOW)
    assert rows(record.path, "SELECT * FROM attempts") == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    record = History(tmp_path / "file" / "state" / "history.sqlite3")
    with pytest.raises(HistoryUnavailable) as caught:
        record.record(verdict(), "", now=NOW)
    assert "PREP_STATE_DIR" in caught.value.fix
    assert record.summaries() == {}


def test_a_full_disk(record: History) -> None:
    """A real limit on the size of files, which SQLite sees as a disk that takes no more."""
    record.record(verdict(), "", now=NOW)
    script = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from datetime import UTC, datetime
from pathlib import Path
from grader.history import History, HistoryUnavailable
from grader.verdict import Status, Verdict
record = History(Path(sys.argv[1]))
try:
    record.record(Verdict("toy", Status.ACCEPTED, message="m" * 100_000), "", now=datetime.now(UTC))
except HistoryUnavailable as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script, str(record.path)], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    assert "cannot be used" in done.stdout and "PREP_STATE_DIR" in done.stdout
    assert record.summary("toy") == Summary(attempts=1)
    assert not list(record.path.parent.glob("*.corrupt-*"))


def test_another_prep_holds_it_too_long(record: History, monkeypatch: pytest.MonkeyPatch) -> None:
    record.record(verdict(), "", now=NOW)
    monkeypatch.setattr(history, "BUSY_S", 0.05)
    with closing(sqlite3.connect(record.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryUnavailable, match="another prep is writing"):
            record.record(verdict(), "", now=NOW)
        assert record.summary("toy").attempts == 1  # reading does not wait
    assert record.record(verdict(), "", now=NOW) == 2


def test_it_can_be_read_where_nothing_can_be_written(record: History) -> None:
    """As in a read-only folder, where the shared memory of WAL mode cannot be made."""
    record.record(verdict(), "", now=NOW)
    record.path.with_name("history.sqlite3-shm").mkdir()
    with pytest.raises(HistoryUnavailable, match="cannot be used"):
        record.record(verdict(), "", now=NOW)
    assert record.summary("toy").attempts == 1
