"""Counterexamples: what is printed does what was done."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.counterexample import Call, render, weight


def run(code: str, **answers: Any) -> None:
    """Run a counterexample as a learner would, with `answers` in place of attempt.py."""
    lines = [line for line in code.splitlines() if not line.startswith("from attempt import")]
    exec("\n".join(lines), dict(answers))


def test_a_generator_comes_in_the_state_it_had() -> None:
    rng = np.random.default_rng(7)
    rng.random(3)
    code = render([Call("f", (np.ones(2), rng), {"n": 4})], 1, None)
    assert code is not None
    expected, seen = np.random.default_rng(7).random(7)[3:], []
    run(code, f=lambda x, rng, n: seen.append(rng.random(n)))
    np.testing.assert_array_equal(seen[0], expected)


def test_an_attribute_is_not_called() -> None:
    made = Call("Outer", (1,))
    code = render([made, Call(Call(made, attribute="inner"), (2,), {}, "update")], 2, None)
    assert code is not None
    seen: list[int] = []
    inner = type("Inner", (), {"update": lambda self, x: seen.append(x)})()
    run(code, Outer=lambda x: type("Outer", (), {"inner": inner})())
    assert seen == [2]


def test_the_weight_of_calls_is_that_of_their_arrays() -> None:
    assert weight([Call("f", (np.ones((3, 4)), 5), {"y": np.ones(8)}), Call("g", ("text",))]) == 20
