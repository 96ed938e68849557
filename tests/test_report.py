"""What a learner sees, and what other programs read."""

from __future__ import annotations

import copy
import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from grader import report
from grader.author import Progress
from grader.doctor import Finding
from grader.errors import PrepError
from grader.history import Summary
from grader.problem import Problem
from grader.verdict import NOT_RUN, PASSED, Case, Speed, Status, Verdict
from grader.workspace import Started

MakeProblem = Callable[..., Problem]
ROOT = Path(report.__file__).resolve().parent.parent
SCHEMA = json.loads((ROOT / "docs" / "verdict.schema.json").read_text(encoding="utf-8"))
FILE = Path("attempts/toy/attempt.py")
CODE = "import numpy as np\nfrom attempt import f\nf(np.array([[1., 2.], [3., 4.]]))"

FAILED = Case(
    "test_stride_on_both_axes", "wrong-answer", 0.0, 2.0, rationale="A stride moves the window along both axes.",
    message="the result is wrong in 3 of 4 elements; worst at [0, 1]: expected 3, got 4",
    expected="[[1. 3.]\n [5. 7.]]", actual="[[1. 4.]\n [5. 6.]]",
    first_bad_index=(0, 1), max_error=1.0, counterexample=CODE, output="shape (2, 2)\n",
    duration_s=0.01)
RAISED = Case("test_bias", "runtime-error", 0.0, 1.0, message="IndexError: out of range",
              traceback='  File "attempt.py", line 3, in f\n    return x[9]\n', duration_s=0.01)
GOOD = Case("test_ones", PASSED, 1.0, 1.0, rationale="Easy.", visible=True, duration_s=0.01)
NOT_REACHED = Case("test_large", NOT_RUN, 0.0, 1.0)
WRONG = Verdict("toy", Status.WRONG_ANSWER, f"test_stride_on_both_axes: {FAILED.message}", score=1.0, max_score=5.0,
                isolation="bubblewrap", duration_s=0.312, cases=(GOOD, FAILED, RAISED, NOT_REACHED),
                versions={"python": "3.11.7"})
ACCEPTED = Verdict("toy", Status.ACCEPTED, "All 1 cases pass.", score=1.0, max_score=1.0, isolation="process",
                   duration_s=0.2, cases=(GOOD,), speed=Speed("vectorised", 3.14159, 0.0031, 0.00099))
RULE = Verdict("toy", Status.RULE_VIOLATION, "numpy.convolve may not be used (line 3)", fix="Writing it is the point.",
               traceback='  File "attempt.py", line 3\n    np.convolve(x, w)\n')
OURS = Verdict("toy", Status.JUDGE_ERROR, "The judge failed, not your answer.", traceback="Traceback ...\nKeyError: 1")
BUILT = {"wrong": WRONG, "accepted": ACCEPTED, "rule": RULE, "ours": OURS}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def problem(make_problem: MakeProblem) -> Problem:
    return make_problem("toy")


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


def screen(verdict: Verdict, problem: Problem, *, width: int = 80, record: Summary | None = None) -> str:
    return report.verdict_page(verdict, problem, record=record or Summary(), file=FILE, in_workspace=True,
                               width=width).text()


# The screen


def test_a_wrong_answer_is_shown_whole(problem: Problem) -> None:
    assert screen(WRONG, problem) == """\
WRONG ANSWER  toy
1 of 5 points;  1 passed, 2 failed, 1 not run;  isolation: bubblewrap;  312 ms

FAILED  test_stride_on_both_axes
  Why it matters: A stride moves the window along both axes.

  the result is wrong in 3 of 4 elements; worst at [0, 1]: expected 3, got 4
  Expected
    [[1. 3.]
     [5. 7.]]
  Got
    [[1. 4.]
     [5. 6.]]
  First wrong at [0, 1]; largest error 1

  See it yourself
  Paste this into python, started in attempts/toy

import numpy as np
from attempt import f
f(np.array([[1., 2.], [3., 4.]]))

  It printed
    shape (2, 2)

Also failed
  test_bias: IndexError: out of range

Next
  prep hint toy   hint 1 of 3
  prep grade toy  after editing attempts/toy/attempt.py
"""


def test_an_accepted_answer_gets_the_next_question(problem: Problem) -> None:
    assert screen(ACCEPTED, problem) == """\
ACCEPTED  toy
1 of 1 points;  isolation: process;  200 ms
Speed: vectorised; 3.14 times the reference's time (3.1 ms against 0.99 ms)

All 1 cases pass.

An interviewer would ask next
  why?

Next
  prep solution toy  the reference, and answers to the follow-ups
  prep list          another problem
"""


def test_a_broken_rule_shows_the_line_and_the_reason(problem: Problem) -> None:
    text = screen(RULE, problem)
    assert text.startswith("RULE VIOLATION  toy\nnothing was run;")
    assert "numpy.convolve may not be used (line 3)\nWriting it is the point.\n" in text
    assert '      File "attempt.py", line 3\n        np.convolve(x, w)\n' in text


def test_our_own_fault_is_not_the_learners(problem: Problem) -> None:
    text = screen(OURS, problem)
    assert text.startswith("JUDGE ERROR") and "KeyError: 1" in text and "prep doctor" in text
    assert "prep hint" not in text


def test_the_headline_is_said_where_it_is_not_the_first_failure(problem: Problem) -> None:
    slow = Case("test_large", "time-limit", 0.0, 1.0, message="no answer within 5 s")
    verdict = Verdict("toy", Status.TIME_LIMIT, "test_large: no answer within 5 s", cases=(FAILED, slow))
    text = screen(verdict, problem)
    assert text.index("TIME LIMIT") < text.index("\ntest_large: no answer") < text.index("FAILED  test_stride")


def test_a_runtime_error_shows_the_answers_own_lines(problem: Problem) -> None:
    text = screen(Verdict("toy", Status.RUNTIME_ERROR, "test_bias: IndexError: out of range", cases=(RAISED,),
                          traceback=RAISED.traceback), problem)
    assert "FAILED  test_bias  runtime error\n" in text
    assert text.count("return x[9]") == 1


@pytest.mark.parametrize(("record", "command"), [
    (Summary(hints=0), "prep hint toy   hint 1 of 3"),
    (Summary(hints=2), "prep hint toy   hint 3 of 3"),
    (Summary(hints=3), "prep solution toy --give-up"),
    (Summary(hints=3, gave_up_at=datetime(2026, 1, 1, tzinfo=UTC)), "prep solution toy  the reference"),
])
def test_the_next_step_follows_the_record(problem: Problem, record: Summary, command: str) -> None:
    assert command in screen(WRONG, problem, record=record).partition("\nNext\n")[2]


def test_another_file_is_named_in_the_next_command(problem: Problem) -> None:
    page = report.verdict_page(WRONG, problem, record=Summary(), file=Path("my answer.py"), in_workspace=False)
    assert "prep grade toy 'my answer.py'" in page.text()
    assert "the folder of your answer, saved as attempt.py" in " ".join(page.text().split())


def test_a_long_path_leaves_no_line_too_long_but_its_own(problem: Problem) -> None:
    page = report.verdict_page(WRONG, problem, record=Summary(), file=Path("folder/" * 12 + "a.py"), in_workspace=False)
    long = [line for line in page.text().splitlines() if len(line) > 80]
    assert long == [f"  prep grade toy {'folder/' * 12}a.py"]
    assert page.text().endswith("a.py\n      after editing it\n")


def test_all_that_was_expected_is_shown(problem: Problem) -> None:
    rows = "\n".join(f"[{i:3d}. {i + 1:3d}.]" for i in range(200))
    case = Case("test_big", "wrong-answer", 0.0, 1.0, expected=rows, actual=rows)
    text = screen(Verdict("toy", Status.WRONG_ANSWER, cases=(case,)), problem)
    assert all(text.count(f"    [{i:3d}. {i + 1:3d}.]\n") == 2 for i in range(200))


def test_much_printing_is_cut_and_says_so(problem: Problem) -> None:
    case = Case("test_big", "wrong-answer", 0.0, 1.0, output="".join(f"line {i}\n" for i in range(100)))
    text = screen(Verdict("toy", Status.WRONG_ANSWER, cases=(case,)), problem)
    assert "line 39\n" in text and "line 40\n" not in text
    assert "... 60 more lines; all of them:  prep grade toy --json" in text


@pytest.mark.parametrize("width", [40, 80, 132])
def test_prose_keeps_within_the_width_and_code_keeps_its_lines(problem: Problem, width: int) -> None:
    code = "f(" + "1, " * 60 + ")"
    case = Case("test_it", "wrong-answer", 0.0, 1.0, rationale="word " * 60, message="longer " * 60,
                counterexample=code)
    lines = screen(Verdict("toy", Status.WRONG_ANSWER, "said " * 60, cases=(case,)), problem, width=width).splitlines()
    assert code in lines
    prose = [line for line in lines if line != code and "prep " not in line and "attempt" not in line]
    assert max(map(len, prose)) <= width


# What an answer may not do to a terminal


@pytest.mark.parametrize(("said", "shown"), [
    ("plain λ 漢字 🙂\ttab\nline", "plain λ 漢字 🙂\ttab\nline"),
    ("\x1b[31mred\x1b[0m", "red"),
    ("\x1b[2J\x1b[H\x1b[?25lgone", "gone"),
    ("\x9b31mred", "red"),
    ("\x1b]0;title\x07text", "text"),
    ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
    ("\x1bP1$q\x1b\\text", "text"),
    ("\x1b]0;never ended\nnext line", "0;never ended\nnext line"),
    ("\x1b", r"\x1b"),
    ("\x1bc", ""),
    ("a\rb\r\nc", "a\nb\nc"),
    ("\x07\x08\x00\x7f", r"\x07\x08\x00\x7f"),
    ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
    ("\ud800", r"\ud800"),
    ("\x85\u2028", r"\x85\u2028"),
    ("\x1b\x1b[31m[31m", "\\x1b[31m"),
])
def test_clean(said: str, shown: str) -> None:
    assert report.clean(said) == shown
    assert report.clean(shown) == shown
    shown.encode()


HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold red]ACCEPTED[/] :fire: \x1b[8mhidden\rover\x9b1m\ud800\u202e"


@pytest.mark.parametrize("colour", [True, False])
def test_nothing_an_answer_says_controls_the_terminal(problem: Problem, colour: bool) -> None:
    case = Case("test_it", "runtime-error", 0.0, 1.0, HOSTILE, HOSTILE, HOSTILE, HOSTILE, (0,), 1.0, HOSTILE, HOSTILE,
                HOSTILE)
    verdict = Verdict("toy", Status.RUNTIME_ERROR, "x" + HOSTILE, HOSTILE, cases=(case, case), traceback=HOSTILE + "y",
                      output=HOSTILE)
    stream = Terminal()
    page = report.verdict_page(verdict, problem, record=Summary(), file=FILE, in_workspace=True)
    report.show(page, plain=not colour, stream=stream)
    text = stream.getvalue()
    text.encode()
    ours = re.sub(r"\x1b\[[0-9;]*m", "", text)  # colours of report's own; the answer's "hide" is not among them
    assert "\x1b[8m" not in text and ("\x1b" in text) is colour
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", ours)
    assert "[bold red]ACCEPTED[/] :fire:" in ours


def test_colour_adds_no_words(problem: Problem) -> None:
    page = report.verdict_page(WRONG, problem, record=Summary(), file=FILE, in_workspace=True)
    stream = Terminal()
    report.show(page, stream=stream)
    uncoloured = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert "\x1b[" in stream.getvalue()
    assert [line.rstrip() for line in uncoloured.splitlines()] == page.text().splitlines()


@pytest.mark.parametrize("why", ["NO_COLOR", "TERM", "plain", "pipe"])
def test_plain_when_asked(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    stream = io.StringIO() if why == "pipe" else Terminal()
    if why == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    if why == "TERM":
        monkeypatch.setenv("TERM", "dumb")
    page = report.Page()
    page.line(("title", "title"))
    report.show(page, plain=why == "plain", stream=stream)
    assert stream.getvalue() == "title\n"


def test_plain_does_not_import_rich() -> None:
    done = subprocess.run([sys.executable, "-c", "import sys; from grader import report; page = report.Page();"
                           "page.prose('words'); report.show(page); print([m for m in sys.modules if m == 'rich'])"],
                          cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "words\n[]\n"


def test_markdown_is_rendered_in_colour_and_raw_in_plain() -> None:
    page = report.Page()
    page.parts.append(report.Markdown("# Title\n\nSome `code`.\n"))
    stream = Terminal()
    report.show(page, stream=stream)
    assert "# Title" not in stream.getvalue() and "Title" in stream.getvalue()
    assert page.text() == "# Title\n\nSome `code`.\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    script = ("from grader import report; page = report.Page()\nfor i in range(20000): page.line('words')\n"
              "report.show(page); report.emit('more'); raise SystemExit(7)")
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 7


def test_a_terminal_that_lacks_characters(problem: Problem) -> None:
    script = "from grader import report; report.prepare_streams(); report.emit('é λ')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True,
                          env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.stdout == b"\\xe9 \\u03bb\n"


# Progress


def test_progress_counts_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with report.progress("toy") as on_case:
        for case in (GOOD, GOOD, FAILED, NOT_REACHED):
            on_case(case)
    frames = stream.getvalue().split("\r")
    assert "Grading toy: 2 passed, 1 failed" in frames
    assert frames[-1] == "" and frames[-2].strip() == "" and len(frames[-2]) >= len("Grading toy: 2 passed, 1 failed")
    assert "\n" not in stream.getvalue()


def test_progress_draws_failures_at_once_and_passes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, now = Terminal(), [100.0]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(report.time, "monotonic", lambda: now[0])
    with report.progress("toy") as on_case:
        for case in (GOOD, GOOD, GOOD, FAILED, GOOD):
            on_case(case)
        now[0] += 2 * report.BLINK_S
        on_case(GOOD)
    drawn = [frame.strip() for frame in stream.getvalue().split("\r") if "passed" in frame]
    assert drawn == [f"Grading toy: {count}" for count in ("1 passed", "3 passed, 1 failed", "5 passed, 1 failed")]


def test_verifying_shows_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with report.verifying("toy") as on_event:
        on_event(Progress("mutants", 100, 200))
        on_event(Progress("mutants", 9, 200))
    frames = stream.getvalue().split("\r")
    assert frames[1] == "Verifying toy: mutants, 100 of 200"
    assert frames[2] == "Verifying toy: mutants, 9 of 200  "  # what was longer is written over
    assert frames[-2].strip() == frames[-1] == ""


@pytest.mark.parametrize("why", ["pipe", "quiet", "dumb"])
def test_no_progress_where_nobody_watches(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    stream = io.StringIO() if why == "pipe" else Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    if why == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    with report.progress("toy", quiet=why == "quiet") as on_case:
        on_case(GOOD)
    assert stream.getvalue() == ""


def test_progress_is_erased_by_an_interrupt_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(KeyboardInterrupt), report.progress("toy"):
        raise KeyboardInterrupt
    assert stream.getvalue().endswith(" \r")


# Documents


def conforms(document: Any) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", BUILT)
def test_json_conforms_to_the_schema(name: str) -> None:
    document = json.loads(report.as_json(BUILT[name]))
    conforms(document)
    assert document["schema_version"] == 1 and document["status"] == BUILT[name].status
    assert [case["name"] for case in document["cases"]] == [case.name for case in BUILT[name].cases]


def test_a_real_verdict_conforms_to_the_schema(make_problem: MakeProblem) -> None:
    from grader import judge

    problem = make_problem("real", suite="""
        import numpy as np
        from grader import check
        def test_first(attempt):
            '''One is one.'''
            check.close(attempt.f(np.ones(2)), np.ones(2))
        def test_second(attempt):
            check.close(attempt.f(np.array([np.inf, 1.0])), np.array([1.0, 1.0]))
        def test_third(attempt):
            check.close(attempt.f(1), 1)
    """, solution="def f(x): return x\n")
    verdict = judge.grade(problem, "def f(x):\n    print('hi')\n    return x\n")
    document = json.loads(report.as_json(verdict))
    conforms(document)
    assert [case["status"] for case in document["cases"]] == ["passed", "wrong-answer", "passed"]
    assert document["cases"][1]["max_error"] == "inf"
    assert document["isolation"] in ("bubblewrap", "landlock", "process")
    for source in ("def f(x):\n    raise NotImplementedError\n", "import socket\ndef f(x): return x\n", "def f(x:\n"):
        conforms(json.loads(report.as_json(judge.grade(problem, source))))


@pytest.mark.parametrize("path", [
    ["schema_version"], ["problem"], ["status"], ["score"], ["max_score"], ["isolation"], ["profile"], ["device"],
    ["duration_s"], ["cases"], ["cases", 1, "name"], ["cases", 1, "status"], ["cases", 1, "points"],
    ["cases", 1, "message"], ["cases", 1, "counterexample"]])
def test_the_schema_requires_what_programs_rely_on(path: list[Any]) -> None:
    document = json.loads(report.as_json(WRONG))
    place = document
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    with pytest.raises(jsonschema.ValidationError, match="is a required property"):
        conforms(document)


@pytest.mark.parametrize(("path", "value"), [
    (["extra"], 1), (["cases", 0, "extra"], 1), (["status"], "passed"), (["cases", 0, "status"], "accepted"),
    (["schema_version"], 2), (["cases", 0, "max_error"], "big"), (["isolation"], "docker")])
def test_the_schema_allows_nothing_else(path: list[Any], value: Any) -> None:
    document = copy.deepcopy(json.loads(report.as_json(WRONG)))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        conforms(document)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_json_holds_no_infinity(number: float) -> None:
    case = Case("test_it", "wrong-answer", 0.0, 1.0, message="\x1b[31m\ud800", max_error=number)
    text = report.as_json(Verdict("toy", Status.WRONG_ANSWER, cases=(case,), speed=Speed("correct", number, 1.0, 1.0)))
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    conforms(document)
    assert text.isascii() and "\x1b" not in text


def test_junit() -> None:
    root = ElementTree.fromstring(report.as_junit(WRONG))
    suite = root[0]
    assert suite.attrib == {"name": "toy", "tests": "4", "failures": "1", "errors": "1", "skipped": "1",
                            "time": "0.312000"}
    by_name = {case.get("name"): case for case in suite.iter("testcase")}
    failure = by_name["test_stride_on_both_axes"].find("failure")
    assert failure is not None and failure.get("type") == "wrong-answer"
    assert "worst at [0, 1]" in str(failure.get("message")) and "f(np.array" in str(failure.text)
    assert by_name["test_bias"].find("error") is not None
    assert by_name["test_large"].find("skipped") is not None
    assert list(by_name["test_ones"]) == []
    assert by_name["test_stride_on_both_axes"].findtext("system-out") == "shape (2, 2)\n"


@pytest.mark.parametrize("name", ["rule", "ours"])
def test_junit_is_never_green_without_a_pass(name: str) -> None:
    suite = ElementTree.fromstring(report.as_junit(BUILT[name]))[0]
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert suite.find("testcase/error") is not None


def test_junit_survives_what_xml_cannot_hold() -> None:
    case = Case("test_it", "wrong-answer", 0.0, 1.0, message=HOSTILE + "]]>&<\ufffe\uffff", output="\x00\x1b[1m")
    text = report.as_junit(Verdict("toy", Status.WRONG_ANSWER, cases=(case,)))
    ElementTree.fromstring(text.encode())
    assert "]]&gt;&amp;&lt;" in text


def test_gradescope() -> None:
    document = json.loads(report.as_gradescope(WRONG))
    assert (document["score"], document["execution_time"], document["visibility"]) == (1.0, 0.312, "visible")
    assert document["output"].startswith("WRONG ANSWER\ntest_stride_on_both_axes")
    tests = document["tests"]
    assert [(t["name"], t["score"], t["max_score"], t["status"], t["visibility"]) for t in tests] == [
        ("test_ones", 1.0, 1.0, "passed", "visible"),
        ("test_stride_on_both_axes", 0.0, 2.0, "failed", "after_published"),
        ("test_bias", 0.0, 1.0, "failed", "after_published"),
        ("test_large", 0.0, 1.0, "failed", "after_published")]
    assert "Expected: [[1. 3.]" in tests[1]["output"] and tests[0]["output"] == ""
    assert tests[3]["output"].startswith("Not run")
    assert document["score"] == sum(t["score"] for t in tests)


def test_documents_are_refused_before_the_grading(tmp_path: Path) -> None:
    report.check_target(tmp_path / "new.xml")
    with pytest.raises(PrepError, match="does not exist"):
        report.check_target(tmp_path / "no" / "new.xml")
    with pytest.raises(PrepError, match="is a folder"):
        report.check_target(tmp_path)
    with pytest.raises(PrepError, match="cannot be written"):
        report.save(tmp_path, "text")


# The other screens


def test_list(problem: Problem, make_problem: MakeProblem) -> None:
    other = make_problem("other")
    record = {"toy": Summary(attempts=2, first_pass_at=datetime(2026, 1, 1, tzinfo=UTC))}
    text = report.list_page([problem, other], record).text()
    assert "solved  toy      easy   5 min  toy\n-       other    easy   5 min  other\n" in text
    assert "1 of 2 solved. Topics: toys." in text and "prep start other" in text
    assert [row["state"] for row in json.loads(report.list_json([problem, other], record))] == ["solved", "new"]


def test_list_of_nothing() -> None:
    assert "prep list" in report.list_page([], {}).text()


def test_stats(problem: Problem, make_problem: MakeProblem) -> None:
    other = make_problem("other")
    record = {"toy": Summary(3, 2, datetime(2026, 1, 1, 12, tzinfo=UTC), 0.25, "fast", 1), "other": Summary(1)}
    text = report.stats_page([problem, other], record).text()
    assert text.startswith("1 of 2 solved in 4 attempts\n")
    assert "toy      3         2026-01-01  2    250 ms     fast  1/3\n" in text
    assert "other    1         -           -    -          -     0/3\n" in text
    assert "toys   1 of 2  4\n" in text and "prep grade other" in text


def test_stats_of_nothing_teach_the_next_command(problem: Problem) -> None:
    text = report.stats_page([problem], {}).text()
    assert "Nothing is recorded yet" in text and "prep start toy" in text and "prep list" in text


def test_problem_page_says_the_rules(make_problem: MakeProblem) -> None:
    problem = make_problem("toy", rules={"libraries": ["torch", "numpy"], "forbid": ["torch.nn.Conv2d"],
                                         "forbid_ops": ["aten.convolution"], "why": "It is the point."},
                           limits={"call_s": 2.5})
    text = " ".join(report.problem_page(problem, "# Ask\n", started=False).text().split())
    assert "# Ask" in text and "You may import torch and numpy" in text and "may take 2.5 s" in text
    assert "Not allowed: torch.nn.Conv2d, aten.convolution. It is the point." in text and "prep start toy" in text


def test_started_page_says_what_was_kept(problem: Problem) -> None:
    text = report.started_page(problem, Started(Path("w/toy"), ("prompt.md",), ("attempt.py",))).text()
    assert "Started toy in w/toy: prompt.md" in text
    assert "Kept as they are, because they were there: attempt.py" in text and "prep reset toy" in text


def test_hints(problem: Problem) -> None:
    assert report.hint_page(problem, 2, record=Summary(hints=2)).text().startswith("Hint 2 of 3\n  b\n")
    spent = report.hint_page(problem, 0, record=Summary(hints=3)).text()
    assert "Hint 1 of 3" in spent and "Hint 3 of 3" in spent and "all the hints there are" in spent
    assert "prep solution toy --give-up" in spent


def test_doctor_page_gives_each_problem_its_remedy() -> None:
    text = report.doctor_page([Finding("Python", "ok", "3.11"), Finding("data", "problem", "no folder", "mkdir -p x"),
                               Finding("isolation", "warning", "process", "apt install bubblewrap")]).text()
    assert "ok       Python       3.11\n" in text
    assert "problem  data         no folder\n                      -> mkdir -p x\n" in text
    assert "1 problem to mend" in text and "1 warning:" in text


@pytest.mark.parametrize(("value", "shown"), [
    (0.0, "0 ms"), (0.00042, "0.42 ms"), (0.0031, "3.1 ms"), (0.0312, "31 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"),
    (3.14, "3.1 s"), (59.97, "1 min 0 s"), (125.2, "2 min 5 s")])
def test_seconds(value: float, shown: str) -> None:
    assert report.seconds(value) == shown
