"""From a problem and a source to a verdict: every status, for its reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader.judge import grade
from grader.paths import state_dir
from grader.problem import Problem
from grader.verdict import Status, Verdict

SUITE = """
    import numpy as np
    import pytest
    from grader import check
    from grader.properties import given, st

    @pytest.mark.visible
    @pytest.mark.points(2)
    def test_doubles(attempt, reference):
        \"\"\"Twice is twice.\"\"\"
        check.agrees(attempt.f, reference.f, np.arange(3.0))

    @given(n=st.integers(0, 9))
    def test_any_size(attempt, reference, n):
        \"\"\"Any length.\"\"\"
        check.agrees(attempt.f, reference.f, np.arange(float(n)))

    def test_pure(attempt):
        check.unchanged(attempt.f, np.ones(2))

    def test_negative_is_refused(attempt):
        check.raises(ValueError, attempt.f, -1)
"""
SOLUTION = """
    import numpy as np
    def f(x):
        if np.min(x, initial=0) < 0: raise ValueError("negative")
        return 2 * x
"""


@pytest.fixture
def toy(make_problem: Callable[..., Problem]) -> Problem:
    return make_problem(entry=["f(x)"], suite=SUITE, solution=SOLUTION, limits={"call_s": 1.0, "memory_mb": 128})


def judge(problem: Problem, source: str, **options: Any) -> Verdict:
    return grade(problem, textwrap.dedent(source), isolation="process", **options)


def test_a_right_answer(toy: Problem) -> None:
    seen: list[str] = []
    verdict = judge(toy, SOLUTION, on_case=lambda case: seen.append(case.name))
    assert verdict.status is Status.ACCEPTED and verdict.exit_code == 0
    assert verdict.score == verdict.max_score == 5 and len(verdict.cases) == 4
    assert seen == [case.name for case in verdict.cases]
    assert verdict.cases[0].visible and verdict.cases[0].rationale == "Twice is twice."
    assert verdict.isolation == "process" and verdict.versions["numpy"]


def test_the_smallest_failing_input_is_shown_as_code(toy: Problem) -> None:
    verdict = judge(toy, "import numpy as np\ndef f(x):\n    if np.size(x) > 3: return x\n    return 2 * x")
    assert verdict.status is Status.WRONG_ANSWER and verdict.exit_code == 1
    case = verdict.first_failure
    assert case is not None and case.name == "test_any_size"
    assert case.counterexample == ("import numpy as np\nfrom attempt import f\n"
                                   "f(np.array([0., 1., 2., 3.]))")
    assert case.first_bad_index == (1,) and case.max_error == 3.0
    assert case.expected == "[0. 2. 4. 6.]" and case.actual == "[0. 1. 2. 3.]"


def test_mutating_and_not_raising_are_named(toy: Problem) -> None:
    verdict = judge(toy, "def f(x):\n    x *= 2\n    return x")
    assert [case.name for case in verdict.cases if case.status != "passed"] == ["test_pure", "test_negative_is_refused"]
    assert "argument 1 was changed" in verdict.message


@pytest.mark.parametrize("source, status, message", [
    ("def f(x):\n    return 2 * * x", Status.RUNTIME_ERROR, "SyntaxError"),
    ("def f(x):\nreturn x", Status.RUNTIME_ERROR, "IndentationError"),
    ("x = 1", Status.RUNTIME_ERROR, "defines no function or class 'f'"),
    ("f = 3", Status.RUNTIME_ERROR, "defines no function or class 'f'"),
    ("def f(): return 1", Status.RUNTIME_ERROR, "too few arguments"),
    ("def f(y): return y", Status.RUNTIME_ERROR, "wrong signature"),
    ("def f(x, extra): return x", Status.RUNTIME_ERROR, "nobody will give (extra)"),
    ("def f(x):\n    raise NotImplementedError", Status.NOT_STARTED, "starter"),
    ("# mine\ndef f(x):\n\n    raise NotImplementedError()", Status.NOT_STARTED, "NotImplementedError"),
    ("raise NotImplementedError\ndef f(x): pass", Status.NOT_STARTED, "NotImplementedError"),
    ("def f(x):\n    return 1 / 0", Status.RUNTIME_ERROR, "ZeroDivisionError"),
    ("import missing_module_of_nobody\ndef f(x): return x", Status.RULE_VIOLATION, "missing_module_of_nobody"),
    ("x = 1 / 0\ndef f(x): return x", Status.RUNTIME_ERROR, "raised when it was run"),
    ("def f(x):\n    while True: pass", Status.TIME_LIMIT, "did not end in time; its limit is 1 s"),
    ("def f(x):\n    return [bytes([1]) * (1 << 20) for _ in range(4000)]", Status.MEMORY_LIMIT, ""),
    ("def f(x):\n    while True: print('x' * 10000)", Status.OUTPUT_LIMIT, "printed more than"),
    ("def f(x): return None", Status.WRONG_ANSWER, "None"),
    ("def f(x): return 'text'", Status.WRONG_ANSWER, "text"),
    ("def f(x): return object()", Status.WRONG_ANSWER, "object"),
    ("def f(x): return [float(v) * 2 for v in x]", Status.WRONG_ANSWER, "list"),
    ("import os\ndef f(x): os._exit(0)", Status.RUNTIME_ERROR, "ended the process (exit code 0)"),
    ("import os, signal\ndef f(x): os.abort()", Status.RUNTIME_ERROR, "crashed the interpreter (SIG"),
    ("\0", Status.RUNTIME_ERROR, ""),
    ("def f(x): return " + "(" * 300 + ")" * 300, Status.RUNTIME_ERROR, ""),
    ("def f(x): return " + "-" * 100_000 + "1", Status.RUNTIME_ERROR, ""),
])
def test_statuses(toy: Problem, source: str, status: Status, message: str) -> None:
    verdict = judge(toy, source)
    assert verdict.status is status, (verdict.message, verdict.traceback)
    assert message in verdict.message
    assert verdict.exit_code == 1


@pytest.mark.parametrize("source", [
    "f = lambda x: 2 * x if min([0, *map(float, __import_free(x))]) >= 0 else bad()\n",
    "class Double:\n    def __call__(self, x):\n        return g(x)\nf = Double()\n",
    "def f(*args, **kwargs):\n    return g(*args, **kwargs)\n",
    "def f(x, scale=2):\n    return g(x)\n",
    "def f(x, *rest, **named):\n    return g(x)\n",
    "import functools\n@functools.lru_cache\ndef cached(): return 2\ndef f(x):\n    return g(x)\n",
    "from dataclasses import dataclass\nfrom typing import NamedTuple\n"
    "import enum, logging, inspect, concurrent.futures\n@dataclass(frozen=True)\nclass A:\n    v: int = 2\n"
    "class P(NamedTuple):\n    v: int\nclass E(enum.Enum):\n    A = 1\n"
    "def f(x):\n    with concurrent.futures.ThreadPoolExecutor(2) as pool: return pool.submit(g, x).result()\n",
    "if __name__ == '__main__':\n    raise SystemExit('not when graded')\n"
    "def f(x):\n    print('debug', x)\n    return g(x)\n",
])
def test_unusual_right_answers(toy: Problem, source: str) -> None:
    helper = ("import numpy as np\ndef g(x):\n    if np.min(x, initial=0) < 0: raise ValueError\n    return 2 * x\n")
    if "__import_free" in source:
        helper = ("def __import_free(x): return getattr(x, 'ravel', lambda: [x])()\n"
                  "def bad(): raise ValueError\n")
    verdict = judge(toy, helper + source)
    assert verdict.status is Status.ACCEPTED, (verdict.message, verdict.traceback, verdict.first_failure)


@pytest.mark.parametrize(("line", "reason"), [
    ("import pdb", "No answer may: it gets arguments"),
    ("input()", "No answer may: it gets arguments"),
    ("import pandas", "the point of this one"),
    ("np.convolve([1], [1])", "the point of this one"),
])
def test_a_broken_rule_comes_with_its_own_reason(make_problem: Callable[..., Problem], line: str, reason: str) -> None:
    rules = {"libraries": ["numpy"], "forbid": ["numpy.convolve"], "why": "the point of this one"}
    problem = make_problem(entry=["f(x)"], suite=SUITE, solution=SOLUTION, rules=rules)
    verdict = judge(problem, SOLUTION + f"    if __name__ == '__main__':\n        {line}\n")
    assert verdict.status is Status.RULE_VIOLATION and verdict.fix.startswith(reason), verdict


@pytest.mark.parametrize("source", [
    "x" + "\u0300\u0316" * 250_000 + " = 1",
    "import " + "a." * 64_000 + "a",
    "x = f'" + "{a}" * 250_000 + "'",
], ids=["accents", "dots", "fields"])
def test_a_text_that_takes_the_parser_too_much_is_not_read(toy: Problem, source: str) -> None:
    verdict = judge(toy, source)
    assert verdict.status is Status.RUNTIME_ERROR, verdict
    assert verdict.message == "Python cannot read this file: parsing it takes more than 5 s or 600 MB"


@pytest.mark.parametrize(("source", "status"), [
    (SOLUTION + "    TABLE = [" + "1, " * 100_000 + "]\n", Status.ACCEPTED),
    (SOLUTION + "    # long\n" * 2_000 + "    def g(: pass\n", Status.RUNTIME_ERROR),
])
def test_long_answers_are_read(toy: Problem, source: str, status: Status) -> None:
    verdict = judge(toy, source)
    assert verdict.status is status and "cannot read" not in verdict.message, verdict


def test_warnings_of_the_parser_are_not_the_judges(toy: Problem, capfd: pytest.CaptureFixture[str]) -> None:
    assert judge(toy, SOLUTION + "    y = [] is 1, '\\d'\n").accepted
    assert capfd.readouterr().err == ""


def test_syntax_errors_show_line_and_caret(toy: Problem) -> None:
    verdict = judge(toy, "def f(x):\n    return 2 * * x\n", filename="mine.py")
    assert verdict.traceback is not None
    assert 'File "mine.py", line 2' in verdict.traceback and "^" in verdict.traceback


def test_what_is_printed_is_shown_with_its_case(toy: Problem) -> None:
    verdict = judge(toy, "def f(x):\n    print('saw', x)\n    return x")
    assert "saw [0. 1. 2.]" in verdict.cases[0].output and "saw [0. 1. 2.]" not in verdict.cases[2].output


def test_nothing_passes_after_the_attempt_is_over(toy: Problem) -> None:
    verdict = judge(toy, "import os\ndef f(x): os._exit(0)")
    assert [case.status for case in verdict.cases] == ["runtime-error"] + ["not-run"] * 3 and verdict.score == 0


def test_all_calls_together_have_a_limit(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(entry=["f(x)"], suite="def test_a(attempt):\n    for _ in range(100): attempt.f(1)\n",
                           solution="def f(x): return x", limits={"total_s": 1.0})
    verdict = judge(problem, "import time\ndef f(x): time.sleep(0.1)")
    assert verdict.status is Status.TIME_LIMIT and "all calls together" in verdict.message


def test_fail_fast_stops_at_the_first_failure(toy: Problem) -> None:
    verdict = judge(toy, "def f(x): return x", fail_fast=True)
    assert [case.status for case in verdict.cases] == ["wrong-answer"] + ["not-run"] * 3
    assert verdict.status is Status.WRONG_ANSWER and verdict.score == 0


@pytest.mark.parametrize("suite, message", [
    ("import nothing_like_this\n", "cannot be collected"),
    ("", "holds no tests"),
    ("def test_a(attempt, reference):\n    reference.missing(1)\n", "missing"),
    ("def test_a(attempt):\n    attempt.f(object())\n", "cannot cross"),
])
def test_faults_of_the_suite_are_the_judges(make_problem: Callable[..., Problem], suite: str, message: str) -> None:
    problem = make_problem(entry=["f(x)"], suite=suite, solution="def f(x): return x")
    verdict = judge(problem, "def f(x): return x")
    assert verdict.status in (Status.JUDGE_ERROR, Status.WRONG_ANSWER)
    if "missing(" not in suite:
        assert verdict.status is Status.JUDGE_ERROR and verdict.exit_code == 3
        assert message in (verdict.traceback or "")


def test_the_reference_breaking_is_the_judges_fault(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(entry=["f(x)"], suite="def test_a(attempt, reference):\n    reference.f(attempt.f(1))\n",
                           solution="def f(x): raise OSError('broken reference')")
    verdict = judge(problem, "def f(x): return x")
    assert verdict.status is Status.JUDGE_ERROR and "broken reference" in (verdict.traceback or "")


@pytest.mark.parametrize("suite", [
    "import pytest\ndef test_a(attempt):\n    pytest.skip('never')\n",
    "import pytest\n@pytest.mark.xfail\ndef test_a(attempt):\n    assert False\n",
])
def test_a_test_that_does_not_judge_is_not_a_pass(make_problem: Callable[..., Problem], suite: str) -> None:
    problem = make_problem(entry=["f(x)"], suite=suite, solution="def f(x): return x")
    assert judge(problem, "def f(x): return x").status is not Status.ACCEPTED


def test_configuration_lying_around_changes_nothing(toy: Problem, monkeypatch: pytest.MonkeyPatch,
                                                    tmp_path: Path) -> None:
    for folder in (toy.folder, toy.folder.parent, tmp_path):
        (folder / "conftest.py").write_text("raise SystemExit(0)")
        (folder / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    monkeypatch.setenv("PYTEST_PLUGINS", "nothing_like_this")
    monkeypatch.chdir(tmp_path)
    assert judge(toy, SOLUTION).status is Status.ACCEPTED
    assert judge(toy, "def f(x): return x").status is Status.WRONG_ANSWER
    assert os.environ["PYTEST_ADDOPTS"] == "--collect-only"


def test_runs_are_the_same_twice(toy: Problem) -> None:
    source = "import numpy as np\ndef f(x): return 2 * x + np.random.rand() * (np.size(x) > 2)"
    first, second = judge(toy, source), judge(toy, source)
    assert [(c.name, c.status, c.message, c.counterexample) for c in first.cases] == [
        (c.name, c.status, c.message, c.counterexample) for c in second.cases]


def test_an_answer_that_changes_its_mind(toy: Problem) -> None:
    source = "n = 0\ndef f(x):\n    global n\n    n += 1\n    return 2 * x + (n % 5 == 4)"
    verdict = judge(toy, source)
    assert verdict.status is Status.WRONG_ANSWER
    assert "another time" in next(case for case in verdict.cases if case.name == "test_any_size").message


def test_one_process_can_judge_many_problems(make_problem: Callable[..., Problem], toy: Problem) -> None:
    other = make_problem("other", entry=["f(x)"], suite="def test_other(attempt):\n    assert attempt.f(1) == 3\n",
                         solution="def f(x): return 3")
    assert [case.name for case in judge(other, "def f(x): return 3").cases] == ["test_other"]
    assert judge(toy, SOLUTION).accepted
    (other.folder / "test_hidden.py").write_text("def test_changed(attempt):\n    assert attempt.f(1) == 4\n")
    assert [case.name for case in judge(other, "def f(x): return 4").cases] == ["test_changed"]


def test_speed_tiers(make_problem: Callable[..., Problem]) -> None:
    suite = """
        import numpy as np
        from grader import check
        def speed_inputs(rng, size): return (rng.normal(size=100_000 * size),), {}
        def test_sum(attempt, reference):
            check.agrees(attempt.f, reference.f, np.arange(3.0))
    """
    problem = make_problem(entry=["f(x)"], suite=suite, solution="import numpy as np\ndef f(x): return np.sort(x)",
                           extra='[speed]\nfunction = "f"\nfast = 30.0\nvectorised = 31.0\n')
    fast = judge(problem, "import numpy as np\ndef f(x): return np.sort(x)")
    slow = judge(problem, "import numpy as np\nimport time\n"
                          "def f(x):\n    time.sleep(0.5 * (len(x) > 3))\n    return np.sort(x)")
    late = judge(problem, "import numpy as np\ndef f(x): return np.sort(x) if len(x) < 100 else x")
    assert fast.accepted and fast.speed and fast.speed.tier == "fast"
    assert slow.accepted and slow.speed and slow.speed.tier == "correct"
    assert late.status is Status.WRONG_ANSWER and late.first_failure and late.first_failure.name == "speed_inputs[1]"


def test_speed_is_measured_on_inputs_not_seen_before(make_problem: Callable[..., Problem]) -> None:
    """An answer that remembers results finds none; one that is wrong on any of the inputs is wrong."""
    suite = """
        import numpy as np
        from grader import check
        def speed_inputs(rng, size): return (rng.normal(size=1000 * size),), {}
        def test_sum(attempt, reference):
            check.agrees(attempt.f, reference.f, np.arange(3.0))
    """
    problem = make_problem(entry=["f(x)"], suite=suite, solution="import numpy as np\ndef f(x): return np.sort(x)",
                           extra='[speed]\nfunction = "f"\nfast = 1e9\nvectorised = 2e9\n')
    source = """
        import numpy as np
        seen = {}
        def f(x):
            key = x.tobytes()
            if key in seen: raise ValueError("seen before")
            if sum(len(k) == len(key) for k in seen) == LAST: return x
            seen[key] = np.sort(x)
            return seen[key]
    """
    assert judge(problem, source.replace("LAST", "99")).accepted
    for turn in "12":
        late = judge(problem, source.replace("LAST", turn)).first_failure
        assert late and late.status == "wrong-answer" and late.name.startswith("speed_inputs["), turn


def test_a_kit_is_there_to_import(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(entry=["f(x)"], suite="def test_a(attempt):\n    assert attempt.f(1) == 43\n",
                           solution="from kit import ANSWER\ndef f(x): return x + ANSWER", kit="ANSWER = 42\n")
    assert judge(problem, "from kit import ANSWER\ndef f(x): return x + ANSWER").accepted


HANG = "import time\ndef f(x):\n    while True: pass\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_a_judge_that_is_stopped(toy: Problem, how: signal.Signals, isolation: str) -> None:
    script = f"""
        import sys
        from pathlib import Path
        from grader import judge, problem
        from grader.attempt import launch
        real = launch.Process.settled
        def settled(self):
            real(self)
            import psutil
            print(*[p.pid for p in psutil.Process().children(recursive=True)], flush=True)
        launch.Process.settled = settled
        toy = problem.load(Path({str(toy.folder)!r}), Path({str(toy.solution_folder)!r}))
        import dataclasses
        toy = dataclasses.replace(toy, limits=dataclasses.replace(toy.limits, call_s=60.0))
        judge.grade(toy, {HANG!r}, isolation={isolation!r})
    """
    root = str(Path(__file__).resolve().parent.parent)
    judge_process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True,
                                     stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": root})
    assert judge_process.stdout is not None
    with judge_process.stdout:
        pids = [int(word) for word in judge_process.stdout.readline().split()]
    assert pids
    time.sleep(0.5)
    judge_process.send_signal(how)
    judge_process.wait(timeout=10)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(_alive(pid) for pid in pids):
        time.sleep(0.05)
    assert not [pid for pid in pids if _alive(pid)]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_nothing_is_left_in_the_temporary_folder(toy: Problem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    judge(toy, "import pathlib\npathlib.Path('left').write_text('x')\ndef f(x): return x")
    assert not list(tmp_path.glob("prep-*"))


def test_every_counterexample_keeps_its_own_inputs(make_problem: Callable[..., Problem]) -> None:
    """Inputs too large to print lie in files; those of a later case must not replace the ones of an earlier case."""
    problem = make_problem(entry=["f(x)"], solution="def f(x): return x\n", suite="""
        import numpy as np
        from grader import check

        def test_rising(attempt, reference):
            check.agrees(attempt.f, reference.f, np.arange(200.0))

        def test_falling(attempt, reference):
            check.agrees(attempt.f, reference.f, -np.arange(300.0))
    """)
    cases = judge(problem, "def f(x): return x + 1").cases
    for case, expected in zip(cases, [np.arange(200.0), -np.arange(300.0)], strict=True):
        assert case.counterexample
        found: dict[str, Any] = {"f": lambda x: x}
        call = [line for line in case.counterexample.splitlines() if not line.startswith("from attempt")]
        exec("\n".join([*call[:-1], f"shown = {call[-1]}"]), found)
        np.testing.assert_array_equal(found["shown"], expected)
        found["saved"].close()
    saved = [line for case in cases for line in (case.counterexample or "").splitlines() if "np.load" in line]
    assert len(saved) == len(set(saved)) == 2


def test_inputs_need_not_be_kept(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(entry=["f(x)"], solution="def f(x): return x\n", suite="""
        import numpy as np
        from grader import check

        def test_f(attempt, reference):
            check.agrees(attempt.f, reference.f, np.arange(200.0))
    """)
    [case] = judge(problem, "def f(x): return x + 1", keep_inputs=False).cases
    assert case.counterexample == ("import numpy as np\nfrom attempt import f\n"
                                   "saved = ...  # inputs too large to print\nf(saved['a0'])")
    assert not list(state_dir().glob("counterexamples/*"))


@pytest.mark.parametrize("source", [
    "# a comment\ndef f( x ):\n    raise NotImplementedError('write me')  # here\n",
])
def test_layout_does_not_start_an_answer(toy: Problem, source: str) -> None:
    toy.starter.write_text("def f(x):\n    raise NotImplementedError('write me')\n")
    assert judge(toy, source).message == "attempt.py is still the starter."
    assert judge(toy, source.replace("write me", "later")).message != "attempt.py is still the starter."


LONG = "a" * 1_000_000


@pytest.mark.parametrize("source, status, words", [
    (f"def f(x):\n    return {LONG} +\n", Status.RUNTIME_ERROR, "SyntaxError: invalid syntax"),
    (f"def f(x):\n    import os; os.system('{LONG}')\n", Status.RULE_VIOLATION, "os.system"),
    (f"import {LONG}\ndef f(x): return x\n", Status.RULE_VIOLATION, "aaa"),
    (f"raise ValueError('{LONG}')\ndef f(x): return x\n", Status.RUNTIME_ERROR, "ValueError: aaa"),
    ("import inspect\ndef f(x): return x\nf.__signature__ = inspect.Signature([inspect.Parameter('a' * 4_000_000, "
     "inspect.Parameter.POSITIONAL_OR_KEYWORD)])", Status.RUNTIME_ERROR, "wrong signature: f(aaa"),
], ids=["syntax", "call", "import", "raise", "signature"])
def test_a_long_line_makes_no_long_verdict(toy: Problem, source: str, status: Status, words: str) -> None:
    verdict = judge(toy, source)
    assert verdict.status is status and words in verdict.message + (verdict.traceback or ""), verdict.message[:300]
    assert len(str(verdict.to_json())) < 20_000
    if "SyntaxError" in words:
        assert verdict.traceback and words in verdict.traceback and "characters)" in verdict.traceback
