"""A loaded suite runs most tests without pytest's own machinery. Nothing in a verdict may tell which."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from grader.attempt.proxy import launch
from grader.problem import Problem
from grader.suite import JudgeFault, LoadedSuite, SuitePlugin
from grader.verdict import Case

PLAIN = """
    import numpy as np
    import pytest
    from grader import check
    from grader.properties import given, st

    def test_passes(attempt, reference):
        check.equal(attempt.f(1), reference.f(1))

    @pytest.mark.visible
    @pytest.mark.points(3)
    def test_fails(attempt, rng):
        \"\"\"Because.

        Not shown.
        \"\"\"
        check.close(attempt.f(rng.normal(size=3)), np.zeros(3))

    @pytest.mark.parametrize("x", [1, 2], ids=["one", "two"])
    @pytest.mark.parametrize("y", [3])
    def test_parameters(attempt, reference, x, y):
        check.equal(attempt.f(x), x if x == 1 else y)

    @given(n=st.integers(0, 9))
    def test_property(attempt, n):
        check.true(attempt.f(n) < 5, "too large")

    def test_raises(attempt):
        attempt.f(-1)

    def test_without_the_answer():
        check.fail("of the suite's own")

    def test_fails_by_pytest():
        pytest.fail("in pytest's words")

    def test_skips():
        pytest.skip("not today")

    def test_ends_the_attempt(attempt):
        attempt.f("end")

    def test_comes_too_late(attempt):
        attempt.f(1)
"""
PECULIAR = """
    import pytest
    from grader import check

    @pytest.fixture
    def two():
        return 2

    @pytest.fixture
    def x(request):
        return request.param + 1

    def test_own_fixture(attempt, two):
        check.equal(attempt.f(two), 2)

    @pytest.mark.parametrize("x", [1], indirect=True)
    def test_indirect(attempt, x):
        check.equal(attempt.f(x), 2)

    def test_assert(attempt):
        assert attempt.f([1, 2]) == [1, 3]

    class TestInAClass:
        def test_method(self, attempt):
            check.equal(attempt.f(1), 2)

    @pytest.mark.usefixtures("two")
    def test_uses(attempt):
        check.equal(attempt.f(1), 1)
"""
SOLUTION = "def f(x): return x\n"
ANSWER = """
import os
def f(x):
    if isinstance(x, int) and x < 0:
        raise ValueError("negative")
    if isinstance(x, str):
        os._exit(3)
    return x
"""


def cases(problem: Problem, *, by_pytest: bool) -> tuple[list[Case], LoadedSuite]:
    attempt = launch(problem, ANSWER, isolation="process")
    try:
        loaded = LoadedSuite(SuitePlugin(problem, attempt))
        if by_pytest:
            loaded._needs = [None] * len(loaded.items)
        loaded.run()
        return [dataclasses.replace(case, duration_s=0.0) for case in loaded.plugin.cases.values()], loaded
    finally:
        attempt.close()


@pytest.mark.parametrize(("suite", "direct"), [(PLAIN, True), (PECULIAR, False)], ids=["plain", "peculiar"])
def test_the_verdict_is_that_of_pytest(make_problem: Callable[..., Problem], suite: str, direct: bool) -> None:
    problem = make_problem(entry=["f(x)"], suite=suite, solution=SOLUTION)
    expected, _ = cases(problem, by_pytest=True)
    found, loaded = cases(problem, by_pytest=False)
    assert [needs is not None for needs in loaded._needs] == [direct] * len(loaded.items)
    assert found == expected
    assert {case.status for case in found} >= ({"passed", "wrong-answer", "runtime-error", "not-run"} if direct else
                                               {"passed", "wrong-answer"})


@pytest.mark.parametrize("extra", [
    "def setup_module(module): module.N = 1\n",
    "def setup_function(function): function.__globals__['N'] = 1\n",
    "@pytest.fixture(autouse=True)\ndef prepared(): globals()['N'] = 1\n",
], ids=["setup_module", "setup_function", "autouse"])
def test_what_pytest_sets_up_is_set_up(make_problem: Callable[..., Problem], extra: str) -> None:
    problem = make_problem(entry=["f(x)"], solution=SOLUTION, suite=(
        f"import pytest\nfrom grader import check\nN = 0\n{extra}\n"
        "def test_f(attempt):\n    check.equal(attempt.f(N), 1)\n"))
    [case], _ = cases(problem, by_pytest=False)
    assert case.status == "passed"


def test_a_skipped_test_is_no_pass(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(entry=["f(x)"], solution=SOLUTION, suite=(
        "import pytest\n@pytest.mark.skip\ndef test_f(attempt): attempt.f(1)\n"))
    with pytest.raises(JudgeFault, match="test_f ended without a verdict"):
        cases(problem, by_pytest=False)


def test_a_reference_that_does_not_load_is_our_fault(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(entry=["f(x)"], solution="1 / 0\n",
                           suite="def test_f(attempt, reference): attempt.f(1)\n")
    with pytest.raises(JudgeFault, match="ZeroDivisionError"):
        cases(problem, by_pytest=False)


def test_ctrl_c_is_not_a_case(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(entry=["f(x)"], solution=SOLUTION,
                           suite="def test_f(attempt): raise KeyboardInterrupt\n")
    seen: list[Any] = []
    attempt = launch(problem, ANSWER, isolation="process")
    try:
        loaded = LoadedSuite(SuitePlugin(problem, attempt, on_case=seen.append))
        with pytest.raises(KeyboardInterrupt):
            loaded.run()
    finally:
        attempt.close()
    assert not seen
