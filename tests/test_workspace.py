"""The learner's files: nothing is ever lost, and everything that is no Python file is refused with a remedy."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from grader import workspace
from grader.errors import PrepError
from grader.problem import Problem

MakeProblem = Callable[..., Problem]
NOW = datetime(2026, 11, 22, 9, 30, 5, tzinfo=timezone(timedelta(hours=2)))
SOURCE = "def f(x):\n    return x\n"


@pytest.fixture
def problem(make_problem: MakeProblem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    monkeypatch.setenv("PREP_WORKSPACE", str(tmp_path / "work"))
    problem = make_problem("toy", kit="SIZE = 3\n")
    problem.examples.write_text("from attempt import f\n")
    return problem


def refusal(path: Path, slug: str = "toy") -> PrepError:
    with pytest.raises(PrepError) as caught:
        workspace.read_attempt(path, slug)
    assert "prep " in caught.value.fix
    return caught.value


# start


def test_start_copies_what_a_learner_needs_and_nothing_else(problem: Problem, tmp_path: Path) -> None:
    started = workspace.start(problem)
    assert started.folder == tmp_path / "work" / "toy"
    assert sorted(started.created) == ["attempt.py", "kit.py", "prompt.md", "test_examples.py"]
    assert sorted(f.name for f in started.folder.iterdir()) == sorted(started.created)
    assert workspace.attempt_path("toy").read_text() == problem.starter.read_text()


def test_start_twice_keeps_the_answer(problem: Problem) -> None:
    workspace.start(problem)
    workspace.attempt_path("toy").write_text(SOURCE)
    (workspace.folder_of("toy") / "kit.py").unlink()
    again = workspace.start(problem)
    assert again.created == ("kit.py",)
    assert "attempt.py" in again.kept
    assert workspace.attempt_path("toy").read_text() == SOURCE


def test_start_does_not_follow_a_dangling_link(problem: Problem, tmp_path: Path) -> None:
    workspace.folder_of("toy").mkdir(parents=True)
    workspace.attempt_path("toy").symlink_to(tmp_path / "elsewhere.py")
    assert "attempt.py" in workspace.start(problem).kept
    assert not (tmp_path / "elsewhere.py").exists()


def test_start_where_a_file_is_in_the_way(problem: Problem, tmp_path: Path) -> None:
    (tmp_path / "work").write_text("not a folder")
    with pytest.raises(PrepError, match="PREP_WORKSPACE"):
        workspace.start(problem)


def test_start_of_an_unfinished_problem(problem: Problem) -> None:
    problem.prompt.unlink()
    with pytest.raises(PrepError, match="prep verify toy"):
        workspace.start(problem)
    assert not workspace.folder_of("toy").exists()


# reset


def test_reset_keeps_the_answer_under_a_name_that_says_when(problem: Problem) -> None:
    workspace.start(problem)
    path = workspace.attempt_path("toy")
    path.write_bytes(b"\xff any bytes at all")
    backup = workspace.reset(problem, now=NOW)
    assert backup == path.with_name("attempt.20261122T073005Z.bak.py")
    assert backup.read_bytes() == b"\xff any bytes at all"
    assert path.read_text() == problem.starter.read_text()


def test_reset_never_overwrites_a_backup(problem: Problem) -> None:
    workspace.start(problem)
    path = workspace.attempt_path("toy")
    backups = []
    for text in ("one", "two", "three"):
        path.write_text(text)
        backups.append(workspace.reset(problem, now=NOW))
    assert [backup.read_text() for backup in backups if backup] == ["one", "two", "three"]
    assert len(set(backups)) == 3


def test_reset_of_the_starter_changes_nothing(problem: Problem) -> None:
    workspace.start(problem)
    before = sorted(workspace.folder_of("toy").iterdir())
    assert workspace.reset(problem, now=NOW) is None
    assert sorted(workspace.folder_of("toy").iterdir()) == before


def test_reset_before_start(problem: Problem) -> None:
    with pytest.raises(PrepError, match="prep start toy"):
        workspace.reset(problem, now=NOW)


def test_reset_that_fails_leaves_the_answer(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.start(problem)
    workspace.attempt_path("toy").write_text(SOURCE)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PrepError, match="No space left"):
        workspace.reset(problem, now=NOW)
    assert workspace.attempt_path("toy").read_text() == SOURCE
    assert not list(workspace.folder_of("toy").glob("*.bak.py"))  # half a backup is none


# read_attempt


@pytest.mark.parametrize(("data", "text"), [
    (b"x = 1\n", "x = 1\n"),
    (b"x = 1\r\ny = 2\r", "x = 1\ny = 2\n"),
    (codecs.BOM_UTF8 + b"x = 1\n", "x = 1\n"),
    ("s = 'é λ'\n".encode(), "s = 'é λ'\n"),
    (b"# -*- coding: latin-1 -*-\ns = '\xe9'\n", "# -*- coding: latin-1 -*-\ns = 'é'\n"),
    (b"#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\ns = '\x80'\n",
     "#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\ns = '€'\n"),
])
def test_decoded_as_python_would(tmp_path: Path, data: bytes, text: str) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    assert workspace.read_attempt(path) == text


@pytest.mark.parametrize(("data", "says"), [
    (b"", "is empty"),
    (b" \n\t\n", "is empty"),
    (b"x = 1\ny = '\xe9'\n", "not UTF-8 text: byte 0xe9 at offset 11, line 2"),
    (b"'\xe9'\n", "not UTF-8 text: byte 0xe9 at offset 1, line 1"),
    (codecs.BOM_UTF8 + b"'\xe9'\n", "byte 0xe9 at offset 4, line 1"),
    (b"# coding: ascii\n'\xe9'\n", "not ASCII text: byte 0xe9 at offset 17, line 2"),
    (b"# coding: utf-9\nx = 1\n", "coding comment in its first lines cannot be used: unknown encoding"),
    (b"# coding: rot13\nx = 1\n", "coding comment in its first lines cannot be used"),
    (b"# coding: punycode\nx=1-" + b"a" * 1_000_000, "punycode is no encoding of files"),
    (codecs.BOM_UTF8 + b"# coding: latin-1\nx = 1\n", "coding comment in its first lines cannot be used"),
    (b"\x7fELF\x02\x01\x01\x00\x00", "is a binary file: there is a zero byte at offset 7"),
    ("x = 1\n".encode("utf-16"), "saved as UTF-16"),
    (b"# coding: utf-7\ns = '+2AA-'\n", "lone surrogate"),
    (b"# coding: unicode_escape\ns = '\\x00'\n", "zero character"),
    (b"x = 1  # " + b"x" * workspace.MAX_BYTES, "larger than 1 MiB"),
])
def test_refused_with_the_reason(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    error = refusal(path)
    assert says in error.what and str(path) in error.what
    assert "prep grade toy" in error.fix


def test_exactly_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"#" * workspace.MAX_BYTES)
    assert len(workspace.read_attempt(path)) == workspace.MAX_BYTES


def test_missing_with_a_near_name(tmp_path: Path) -> None:
    (tmp_path / "atempt.py").write_text(SOURCE)
    assert f"Did you mean this?  prep grade toy {tmp_path / 'atempt.py'}" in refusal(tmp_path / "attempt.py").fix


def test_missing_altogether(tmp_path: Path) -> None:
    assert "prep grade toy" in refusal(tmp_path / "zzz.py").fix
    assert "nor does its folder" in refusal(tmp_path / "no" / "zzz.py").what


def test_not_started(problem: Problem) -> None:
    error = refusal(workspace.attempt_path("toy"))
    assert "you have not started 'toy'" in error.what and error.fix == "prep start toy"


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "attempt.py").write_text(SOURCE)
    error = refusal(tmp_path)
    assert "is a folder" in error.what and str(tmp_path / "attempt.py") in error.fix


def test_a_notebook(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("{}")
    error = refusal(tmp_path / "a.ipynb")
    assert "is a notebook" in error.what and "a.py" in error.fix


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert "not a regular file" in refusal(tmp_path / "pipe.py").what


def test_a_name_no_file_can_have(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(Path("a\0b.py")).what
    assert "cannot be read" in refusal(tmp_path / ("x" * 5000)).what


