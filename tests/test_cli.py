"""The commands, run as a learner runs them: in a process of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from typer.testing import CliRunner

import grader
from grader import doctor
from grader.__main__ import load_cli
from grader.attempt import launch
from grader.problem import Problem

MakeProblem = Callable[..., Problem]
Run = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(grader.__file__).resolve().parent.parent
COMMANDS = ["list", "show", "start", "grade", "show-run", "watch", "batch", "hint", "solution", "reset", "stats",
            "doctor", "verify", "new", "site", "export", "data"]
RIGHT = "def f(x):\n    return 2 * x\n"
WRONG = "def f(x):\n    print('seen', x)\n    return x * x\n"
SUITE = """
    import numpy as np
    import pytest
    from grader import check

    @pytest.mark.visible
    def test_two(attempt):
        '''The smallest case.'''
        check.close(attempt.f(2.0), 4.0)

    @pytest.mark.points(2)
    def test_three(attempt):
        '''A square is not a double, and at 2 they look the same.'''
        check.close(attempt.f(np.array([[2.0, 3.0]])), np.array([[4.0, 6.0]]))
"""


@pytest.fixture
def problem(make_problem: MakeProblem) -> Problem:
    problem = make_problem("toy", suite=SUITE, solution=RIGHT)
    problem.examples.write_text("from attempt import f\n\n\ndef test_two():\n    assert f(2) == 4\n")
    problem.notes.write_text("# Notes\n\n### why?\n\nBecause.\n")
    return problem


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(("PREP_", "_PREP", "PYTEST", "NO_COLOR", "COLUMNS", "COV"))}
    return kept | {"PYTHONPATH": str(ROOT), "PREP_BANK": str(tmp_path / "bank"),
                   "PREP_STATE_DIR": str(tmp_path / "state"), "PREP_WORKSPACE": str(tmp_path / "work")}


@pytest.fixture
def prep(problem: Problem, env: dict[str, str], tmp_path: Path) -> Run:
    """prep("grade", "toy", code=1) runs the command and checks its exit code."""

    def run(*args: str, code: int = 0, **extra: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([sys.executable, "-m", "grader", *args], cwd=tmp_path, env=env | extra, text=True,
                              capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "toy" / "attempt.py"
    path.parent.mkdir(parents=True)
    return path


def next_commands(text: str) -> list[str]:
    return re.findall(r"^  (prep .*?)(?:  .*)?$", text.partition("\nNext\n")[2], re.MULTILINE)


# The menu


def test_help_lists_every_command() -> None:
    done = subprocess.run([sys.executable, "-m", "grader", "--help"], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    listed = re.findall(r"^  ([a-z-]+) +[A-Z]", done.stdout.partition("Commands:")[2], re.MULTILINE)
    assert listed == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(load_cli().app, [command, "--help"])
    assert result.exit_code == 0 and "Usage:" in result.output and "--help" in result.output
    assert result.output.split("\n\n")[1].strip().endswith((".", "is missing."))


def test_help_and_completion_import_nothing_heavy(env: dict[str, str], problem: Problem) -> None:
    heavy = {"numpy", "torch", "pytest", "hypothesis", "jinja2", "rich.console", "sqlite3", "grader.judge"}
    completing = {"_PREP_COMPLETE": "complete_bash", "COMP_WORDS": "prep show t", "COMP_CWORD": "2"}
    for extra in ({}, completing):
        done = subprocess.run([sys.executable, "-X", "importtime", "-m", "grader", "--help"], env=env | extra,
                              capture_output=True, text=True, check=True)
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line}
        assert "typer" in imported and not imported & heavy


@pytest.mark.parametrize(("words", "offered"), [
    ("prep show t", ["toy"]), ("prep grade ", ["toy", "two"]), ("prep hint x", []), ("prep gr", ["grade"]),
    ("prep list --topic to", ["toys"]), ("prep list --difficulty e", ["easy"])])
def test_completion(env: dict[str, str], problem: Problem, make_problem: MakeProblem, words: str,
                    offered: list[str]) -> None:
    make_problem("two" if offered == ["toy", "two"] else "zebra")
    done = subprocess.run([sys.executable, "-m", "grader"], capture_output=True, text=True, check=False, env=env | {
        "_PREP_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))})
    assert done.stdout.split() == offered and done.stderr == ""


def test_completion_in_a_broken_bank_offers_nothing(env: dict[str, str], problem: Problem) -> None:
    (problem.folder / "problem.toml").write_text("oops =")
    done = subprocess.run([sys.executable, "-m", "grader"], capture_output=True, text=True, check=False, env=env | {
        "_PREP_COMPLETE": "complete_bash", "COMP_WORDS": "prep list --topic t", "COMP_CWORD": "3"})
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_version(prep: Run) -> None:
    assert prep("--version").stdout == f"prep {grader.__version__}\n"


@pytest.mark.parametrize(("args", "says"), [
    (["grad", "toy"], "No such command 'grad'"), (["grade"], "SLUG"), (["grade", "toy", "--loud"], "--loud"),
    (["grade", "tou"], "No problem 'tou'.\nDid you mean toy?  prep list\n"),
    (["list", "--topic", "toy"], "Did you mean toys?"), (["verify"], "prep verify --all"), (["show", ""], "prep list")])
def test_wrong_usage_is_exit_code_2(prep: Run, args: list[str], says: str) -> None:
    done = prep(*args, code=2)
    assert says in done.stderr and done.stdout == "" and "Traceback" not in done.stderr


# The learner's path


def test_from_the_list_to_the_solution(prep: Run, tmp_path: Path) -> None:
    attempt = tmp_path / "work" / "toy" / "attempt.py"
    assert next_commands(prep("list").stdout) == ["prep start toy", "prep show toy"]
    assert "# Toy" in prep("show", "toy").stdout
    assert next_commands(prep("start", "toy").stdout) == ["prep show toy", "prep grade toy"]
    assert "NOT STARTED" in prep("grade", "toy", code=1).stdout
    attempt.write_text(WRONG)
    wrong = prep("grade", "toy", code=1).stdout
    assert wrong.startswith("WRONG ANSWER  toy\n1 of 3 points;  1 passed, 1 failed;")
    assert "FAILED  test_three\n  Why it matters: A square is not a double" in wrong
    assert "from attempt import f\nf(np.array([[2., 3.]]))" in wrong and "seen [[2. 3.]]" in wrong
    assert next_commands(wrong) == ["prep hint toy", "prep grade toy"]
    assert "prep solution toy --give-up" in prep("solution", "toy", code=2).stderr
    assert prep("hint", "toy").stdout.startswith("Hint 1 of 3\n  a\n")
    assert prep("hint", "toy").stdout.startswith("Hint 2 of 3\n  b\n")
    attempt.write_text(RIGHT)
    right = prep("grade", "toy").stdout
    assert right.startswith("ACCEPTED  toy\n3 of 3 points;")
    assert "An interviewer would ask next\n  why?\n" in right
    assert next_commands(right) == ["prep solution toy", "prep list"]
    solution = prep("solution", "toy").stdout
    assert RIGHT in solution and "Because." in solution
    assert "solved  toy" in prep("list").stdout
    stats = prep("stats").stdout
    assert stats.startswith("1 of 1 solved in 2 attempts\n") and "2/3" in stats


def test_the_counterexample_can_be_pasted(prep: Run, attempt: Path) -> None:
    attempt.write_text(WRONG)
    screen = prep("grade", "toy", code=1).stdout
    code = screen.partition("See it yourself")[2].partition("\n\n")[2].partition("\n\n")[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=attempt.parent, capture_output=True, text=True, check=True)
    assert done.stdout == "seen [[2. 3.]]\n"


def test_start_never_overwrites(prep: Run, attempt: Path) -> None:
    attempt.write_text(WRONG)
    done = prep("start", "toy")
    assert "Kept as they are, because they were there: attempt.py" in done.stdout
    assert attempt.read_text() == WRONG


def test_reset_backs_up(prep: Run, attempt: Path, problem: Problem) -> None:
    attempt.write_text(WRONG)
    said = prep("reset", "toy").stdout
    [backup] = attempt.parent.glob("attempt.*.bak.py")
    assert backup.read_text() == WRONG and backup.name in said
    assert attempt.read_text() == problem.starter.read_text()


def test_giving_up_is_recorded_and_asked_once(prep: Run) -> None:
    prep("solution", "toy", code=2)
    assert RIGHT in prep("solution", "toy", "--give-up").stdout
    assert RIGHT in prep("solution", "toy").stdout
    assert "gave up  toy" in prep("list").stdout


def test_after_the_last_hint(prep: Run) -> None:
    last = [prep("hint", "toy").stdout for _ in range(4)][-1]
    assert "These are all the hints there are." in last and "Hint 1 of 3" in last
    assert next_commands(last) == ["prep grade toy", "prep solution toy --give-up"]


# Verdicts for people and for programs


def test_json_is_all_there_is_on_stdout(prep: Run, attempt: Path) -> None:
    schema = json.loads((ROOT / "docs" / "verdict.schema.json").read_text())
    for source, code, status in ((WRONG, 1, "wrong-answer"), (RIGHT, 0, "accepted"), ("def f(x", 1, "runtime-error")):
        attempt.write_text(source)
        done = prep("grade", "toy", "--json", code=code)
        document = json.loads(done.stdout)
        jsonschema.Draft202012Validator(schema).validate(document)
        assert document["status"] == status and done.stderr == ""


def test_documents_for_other_programs(prep: Run, attempt: Path, tmp_path: Path) -> None:
    attempt.write_text(WRONG)
    done = prep("grade", "toy", "--junit", "j.xml", "--gradescope", "g.json", code=1)
    assert done.stdout.startswith("WRONG ANSWER")
    assert ElementTree.parse(tmp_path / "j.xml").getroot()[0].get("failures") == "1"
    assert json.loads((tmp_path / "g.json").read_text())["score"] == 1.0


def test_a_document_that_cannot_be_saved_is_said_before_grading(prep: Run, attempt: Path, tmp_path: Path) -> None:
    attempt.write_text(RIGHT)
    done = prep("grade", "toy", "--junit", "no/such/j.xml", code=2)
    assert "no/such does not exist" in done.stderr and done.stdout == ""
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("options", "says"), [
    (["--junit", "mine.py"], "--junit mine.py: this is a Python file, and the document would take its place.\n"
                             "Name another file:  prep grade toy mine.txt --junit junit.xml"),
    (["--gradescope", "new.PY"], "--gradescope results.json"),
    (["--junit", "./mine.txt"], "this file is needed here"), (["--gradescope", "same.txt"], "this file is needed here"),
    (["--junit", "a", "--gradescope", "work/../a"], "--junit and --gradescope both name work/../a."),
    (["--junit", "."], ". is a folder; a file's name is needed.\nprep grade --help")])
def test_a_document_takes_the_place_of_no_answer(prep: Run, tmp_path: Path, options: list[str], says: str) -> None:
    (tmp_path / "work").mkdir()
    for name in ("mine.txt", "mine.py"):
        (tmp_path / name).write_text(RIGHT)
    os.link(tmp_path / "mine.txt", tmp_path / "same.txt")
    done = prep("grade", "toy", "mine.txt", *options, code=2)
    assert says in done.stderr and done.stdout == ""
    assert {path.read_text() for path in tmp_path.glob("*.*") if path.is_file()} == {RIGHT}
    assert not (tmp_path / "a").exists() and not (tmp_path / "state").exists()


def test_another_file_is_graded_where_it_lies(prep: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WRONG)
    said = prep("grade", "toy", "mine.py", code=1).stdout
    assert next_commands(said) == ["prep hint toy", "prep grade toy mine.py"]
    (tmp_path / "mine.py").write_bytes(b"# coding: latin-1\n" + RIGHT.encode() + b"# \xe9\r\n")
    assert prep("grade", "toy", "mine.py").stdout.startswith("ACCEPTED")


@pytest.mark.parametrize(("name", "says"), [
    ("mine.p", "mine.p does not exist.\nDid you mean this?  prep grade toy mine.py"), (".", "is a folder"),
    ("empty.py", "is empty"), ("latin.py", "byte 0xe9 at offset 3, line 1"), ("binary.py", "zero byte at offset 1")])
def test_what_is_no_answer_is_exit_code_2(prep: Run, tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "mine.py").write_text(RIGHT)
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "latin.py").write_bytes(b"# \xc3\xa9"[:2] + b" \xe9\n")
    (tmp_path / "binary.py").write_bytes(b"\x7f\0\0\0")
    done = prep("grade", "toy", name, code=2)
    assert says in done.stderr and "prep grade toy" in done.stderr and done.stdout == ""


def test_a_suite_that_breaks_is_exit_code_3(prep: Run, attempt: Path, problem: Problem) -> None:
    attempt.write_text(RIGHT)
    problem.suite.write_text("import nonexistent_module\n")
    done = prep("grade", "toy", code=3)
    assert done.stdout.startswith("JUDGE ERROR") and "nonexistent_module" in done.stdout
    assert "prep doctor" in done.stdout
    assert "Nothing is recorded yet" in prep("stats").stdout  # it was no attempt of the learner's


@pytest.mark.parametrize("extra", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_plain_without_a_terminal(prep: Run, attempt: Path, extra: dict[str, str]) -> None:
    attempt.write_text("def f(x):\n    print('\\x1b[31mé')\n    raise ValueError('\\x1b[2J[red]')\n")
    done = prep("grade", "toy", code=1, **extra)
    assert "\x1b" not in done.stdout and done.stderr == ""
    assert "ValueError: [red]" in done.stdout
    assert ("é" in done.stdout) is ("PYTHONIOENCODING" not in extra)


# What may go wrong around a verdict


def test_a_state_that_cannot_be_written_costs_no_verdict(prep: Run, attempt: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    state = {"PREP_STATE_DIR": str(tmp_path / "file" / "state")}
    attempt.write_text(RIGHT)
    done = prep("grade", "toy", code=0, **state)
    assert done.stdout.startswith("ACCEPTED")
    assert done.stderr.startswith("Warning: This verdict was not recorded.") and "prep doctor" in done.stderr
    attempt.write_text(WRONG)
    assert json.loads(prep("grade", "toy", "--json", code=1, **state).stdout)["status"] == "wrong-answer"
    assert prep("hint", "toy", **state).stdout.startswith("Hint 1 of 3")
    assert RIGHT in prep("solution", "toy", "--give-up", **state).stdout
    assert "toy" in prep("list", **state).stdout


def test_a_record_by_a_newer_prep_costs_no_verdict(prep: Run, attempt: Path, tmp_path: Path) -> None:
    import sqlite3

    attempt.write_text(RIGHT)
    prep("grade", "toy")
    with sqlite3.connect(tmp_path / "state" / "history.sqlite3") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    done = prep("grade", "toy")
    assert done.stdout.startswith("ACCEPTED") and "newer prep" in done.stderr
    assert "newer prep" in prep("stats", code=2).stderr


def test_a_damaged_record_is_set_aside(prep: Run, attempt: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "history.sqlite3").write_bytes(b"garbage " * 100)
    attempt.write_text(RIGHT)
    done = prep("grade", "toy")
    assert done.stdout.startswith("ACCEPTED") and done.stderr.startswith("Warning: The record of your attempts was")
    [aside] = (tmp_path / "state").glob("*.corrupt-*")
    assert aside.read_bytes() == b"garbage " * 100
    assert "1 of 1 solved in 1 attempt\n" in prep("stats").stdout


def test_ctrl_c_records_nothing_and_says_how_to_go_on(problem: Problem, env: dict[str, str], attempt: Path,
                                                      tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    problem.suite.write_text(f"def test_it(attempt):\n    open({str(begun)!r}, 'w').close()\n    attempt.f(1)\n")
    attempt.write_text("def f(x):\n    while True: pass\n")
    process = subprocess.Popen([sys.executable, "-m", "grader", "grade", "toy"], cwd=tmp_path, env=env, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert out == "" and err.strip() == "Interrupted. Nothing was recorded.\nAgain:  prep grade toy"
    assert not (tmp_path / "state" / "history.sqlite3").exists()


def test_a_fault_of_prep_is_exit_code_3(env: dict[str, str], problem: Problem, tmp_path: Path) -> None:
    script = ("import sys; from grader.__main__ import load_cli; cli = load_cli(); import grader.bank\n"
              "def broken(self): raise ZeroDivisionError('ours')\n"
              "grader.bank.Bank.all = broken; sys.argv = ['prep', 'list']; cli.main()")
    done = subprocess.run([sys.executable, "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3 and done.stdout == ""
    assert "ZeroDivisionError: ours" in done.stderr and "prep doctor" in done.stderr
    assert "fault of prep, not of your answer" in done.stderr


def test_a_pipe_that_closes_changes_no_exit_code(env: dict[str, str], problem: Problem, attempt: Path,
                                                 tmp_path: Path) -> None:
    attempt.write_text(WRONG)
    process = subprocess.Popen([sys.executable, "-m", "grader", "grade", "toy"], cwd=tmp_path, env=env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


ENDING = """
import atexit, sys, types
from grader import __main__ as start
class Slow:
    def __del__(self): print("taken apart")
sys.modules["torch"] = types.ModuleType("torch")
sys.modules["torch"].slow = Slow()
atexit.register(lambda: print("tidied up"))
def main():
    print("verdict", end="")
    sys.exit({code})
start.load_cli = lambda: types.SimpleNamespace(main=main)
start.main()
"""


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_end_is_quick_where_torch_was_used(code: int) -> None:
    """All that was printed arrives, what was registered for the end runs, and Torch is not taken apart."""
    done = subprocess.run([sys.executable, "-c", ENDING.format(code=code)], stdout=subprocess.PIPE, text=True, cwd=ROOT,
                          check=False)
    assert (done.returncode, done.stdout) == (code, "verdicttidied up\n")


# Many answers


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """A folder of two answers."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "ann.py").write_text(RIGHT)
    (folder / "bob.py").write_text(WRONG)
    return folder


@pytest.mark.parametrize(("options", "says"), [
    (["--csv", "in/ann.py", "in/bob.py"], "--csv in/ann.py: this is a Python file, and the document would take its "
                                          "place.\nName another file:  prep batch toy FOLDER --csv class.csv"),
    (["in", "--html", "in/bob.py"], "--html in/bob.py: this is a Python file"),
    (["in", "in/bob.py", "link.txt", "--jsonl", "link.txt"], "--jsonl link.txt: this file is needed here"),
    (["in", "--csv", "a", "--jsonl", "./a"], "--csv and --jsonl both name a."),
    (["in", "--out", "o", "--junit", "o"], "--out and --junit both name o."),
    (["in", "--out", ".", "--csv", "results.sqlite"], "--csv results.sqlite: this file is needed here"),
    (["in", "--csv", "in"], "in is a folder; a file's name is needed.\nprep batch --help"),
    (["in", "--csv", "no/a.csv"], "The folder no does not exist.\nmkdir -p no"),
    (["in", "--gradescope", "link.txt"], "--gradescope link.txt: link.txt is a file; a folder is needed.\n"
                                         "prep batch toy FOLDER --gradescope DIR"),
    (["in", "--gradescope", "link.txt/gs"], "--gradescope link.txt/gs: link.txt is a file; a folder is needed."),
])
def test_documents_of_a_batch_are_refused_before_the_grading(prep: Run, answers: Path, tmp_path: Path,
                                                             options: list[str], says: str) -> None:
    (tmp_path / "link.txt").write_text(RIGHT + "# other\n")
    done = prep("batch", "toy", "--trust-submissions", *options, code=2)
    assert says in done.stderr and done.stdout == ""
    assert (answers / "ann.py").read_text() == RIGHT and (answers / "bob.py").read_text() == WRONG
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank", "in", "link.txt"]


def test_the_manifest_is_no_document(prep: Run, answers: Path, tmp_path: Path) -> None:
    manifest = '[[problem]]\nslug = "toy"\nsubmissions = "in"\n'
    (tmp_path / "all.toml").write_text(manifest)
    done = prep("batch", "--manifest", "all.toml", "--csv", "all.toml", code=2)
    assert "needed here" in done.stderr and "prep batch --manifest all.toml --csv class.csv" in done.stderr
    assert (tmp_path / "all.toml").read_text() == manifest


def test_watch_suggests_watch(prep: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(RIGHT)
    done = prep("watch", "toy", "mine.p", code=2)
    assert done.stderr == "mine.p does not exist.\nDid you mean this?  prep watch toy mine.py\n"


# For the machine, and for authors


def test_doctor_finds_all_in_order(prep: Run) -> None:
    text = prep("doctor").stdout
    for name in ("Python", "packages", "Torch", "GPU", "isolation", "problems", "record", "workspace", "data"):
        assert re.search(rf"^(ok|warning) +{name} ", text, re.MULTILINE), name
    assert "1 of 1 load" in text and next_commands(text) == ["prep list"]


@pytest.mark.parametrize("level, word", [("bubblewrap", "ok"), ("landlock", "warning"), ("process", "warning")])
def test_doctor_says_what_a_level_is_worth(level: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "probe", lambda: (level, "namespaces are forbidden" if word != "ok" else ""))
    [finding] = doctor._isolation()
    assert finding.level == word and finding.detail.startswith(f"{level}: ")
    assert word == "ok" or ("namespaces are forbidden" in finding.detail and finding.fix)


def test_doctor_gives_each_fault_its_remedy(prep: Run, tmp_path: Path, problem: Problem) -> None:
    (tmp_path / "file").write_text("")
    (problem.folder / "problem.toml").write_text("oops =")
    text = prep("doctor", code=1, PREP_STATE_DIR=str(tmp_path / "file" / "s"), PREP_DATA_DIR=str(tmp_path / "none"),
                PREP_WORKSPACE=str(tmp_path / "file")).stdout
    found = re.findall(r"^problem +(\w+)", text, re.MULTILINE)
    assert found == ["problems", "record", "workspace", "data"]
    assert "Set PREP_STATE_DIR" in text and "Set PREP_WORKSPACE" in text and "mkdir -p" in text
    assert text.count("->") >= 4 and next_commands(text) == ["prep doctor"]


def test_verify_and_new_are_wired(prep: Run, tmp_path: Path) -> None:
    done = prep("verify", "toy", "--no-mutants", code=1)  # the toy has no rejected answers
    assert done.stdout.startswith("FAIL  toy") and "rejected" in done.stdout
    made = prep("new", "my-problem", "--kind", "module").stdout
    assert (tmp_path / "bank" / "problems" / "my-problem" / "problem.toml").is_file()
    assert "problem.toml" in made and next_commands(made) == ["prep verify my-problem"]
    assert "my-problem" in prep("list", "--kind", "module").stdout
    assert "prep " in prep("new", "Bad Slug", code=2).stderr


def test_list_json(prep: Run) -> None:
    [row] = json.loads(prep("list", "--json").stdout)
    assert (row["slug"], row["state"], row["topics"], row["minutes"]) == ("toy", "new", ["toys"], 5)
