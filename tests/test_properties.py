"""Properties: the same examples cold and warm, one failure, shrunk where it is the one that is shown."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator

import pytest

from grader import judge
from grader.problem import Problem
from grader.verdict import Status, Verdict
from grader.warm import WarmJudge

SUITE = """
    from grader import check
    from grader.properties import assume, given, st

    seen = []

    def test_first(attempt):
        check.close(attempt.f(1), 2)

    @given(n=st.integers(0, 1000), values=st.lists(st.integers(0, 9), max_size=3))
    def test_doubles(attempt, rng, n, values):
        assume(n != 7)
        seen.append((n, tuple(values), float(rng.random())))
        values.append(1)
        check.close(attempt.f(n), 2 * n)
"""
RIGHT = "def f(x):\n    return 2 * x\n"
FROM_100 = "def f(x):\n    return 2 * x if x < 100 else 0\n"


@pytest.fixture
def toy(make_problem: Callable[..., Problem]) -> Problem:
    return make_problem(suite=SUITE, solution=RIGHT)


@pytest.fixture
def warm() -> Iterator[WarmJudge]:
    with WarmJudge("process") as judge_:
        yield judge_


def seen(warm: WarmJudge) -> list[object]:
    """What the suite was run with since the last time."""
    [(_, loaded)] = warm._suites.values()
    module = loaded.plugin.module
    assert module is not None
    found = list(module.seen)
    module.seen.clear()
    return found


def told(verdict: Verdict) -> list[tuple[object, ...]]:
    return [(case.name, case.status, case.message, case.counterexample, case.expected) for case in verdict.cases]


def test_a_warm_judge_runs_the_same_examples_again(toy: Problem, warm: WarmJudge) -> None:
    assert warm.grade(toy, RIGHT).status is Status.ACCEPTED
    first = seen(warm)
    assert warm.grade(toy, RIGHT).status is Status.ACCEPTED
    assert seen(warm) == first and len(set(first)) > 20


def test_a_failure_is_shrunk_the_same_cold_and_warm(toy: Problem, warm: WarmJudge) -> None:
    cold = judge.grade(toy, FROM_100, isolation="process")
    assert cold.first_failure is not None and "f(100)" in (cold.first_failure.counterexample or "")
    assert told(warm.grade(toy, FROM_100)) == told(cold), "before anything has passed"
    warm.grade(toy, RIGHT)
    assert told(warm.grade(toy, FROM_100)) == told(cold), "when the examples are known"


def test_only_the_first_failure_is_shrunk(toy: Problem, warm: WarmJudge) -> None:
    bad = "def f(x):\n    return 3 if x == 1 else 2 * x if x < 100 else 0\n"
    for verdict in (judge.grade(toy, bad, isolation="process"), warm.grade(toy, bad), warm.grade(toy, RIGHT),
                    warm.grade(toy, bad)):
        assert [case.status for case in verdict.cases] in (["wrong-answer"] * 2, ["passed"] * 2)
    runs = seen(warm)
    assert 0 < len(runs) < 60, "shrinking would have taken hundreds"


def test_an_answer_that_fails_once_and_then_no_more_is_not_accepted(toy: Problem, warm: WarmJudge) -> None:
    assert warm.grade(toy, RIGHT).accepted
    fickle = textwrap.dedent("""
        calls = 0

        def f(x):
            global calls
            calls += 1
            return 2 * x + (calls == 5)
    """)
    verdict = warm.grade(toy, fickle)
    assert verdict.status is Status.WRONG_ANSWER
    assert verdict.first_failure is not None and verdict.first_failure.name == "test_doubles"


@pytest.mark.parametrize("hook", ["execute_example(run): return None", "setup_example(): raise SystemExit",
                                  "teardown_example(example): raise SystemExit",
                                  "hypothesis_internal_is_this_a_mock_check(): return True"])
def test_the_answer_does_not_run_the_examples(toy: Problem, warm: WarmJudge, hook: str) -> None:
    for judged in (judge.grade(toy, f"{FROM_100}\n\ndef {hook}\n", isolation="process"),
                   warm.grade(toy, f"{FROM_100}\n\ndef {hook}\n")):
        assert judged.first_failure is not None and judged.first_failure.name == "test_doubles"
        assert "f(100)" in (judged.first_failure.counterexample or "")
    assert judge.grade(toy, f"{RIGHT}\n\ndef {hook}\n", isolation="process").accepted


def test_an_explicit_example_is_run_too(make_problem: Callable[..., Problem]) -> None:
    suite = SUITE.replace("assume, given", "assume, example, given").replace(
        "    def test_doubles", "    @example(n=123456, values=[])\n    def test_doubles")
    answer = "def f(x):\n    return 0 if x == 123456 else 2 * x\n"
    assert judge.grade(make_problem(suite=SUITE, solution=RIGHT), answer, isolation="process").accepted
    verdict = judge.grade(make_problem("other", suite=suite, solution=RIGHT), answer, isolation="process")
    assert verdict.first_failure is not None and "f(123456)" in (verdict.first_failure.counterexample or "")
