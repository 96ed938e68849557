"""Hypothesis, set up for hidden suites: import it from here. Judges nothing.

Every run draws the same examples, stores nothing, times nothing, and reports one failure, shrunk. Since the examples
are the same, a judge that stays warm draws them once: later runs go through those at a fraction of the cost, and
Hypothesis is asked again only to shrink a failure. Importing this costs about 100 ms, so a suite that needs no property
should not.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, currently_in_test_context, example, settings
from hypothesis import assume as hypothesis_assume
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption

EXAMPLES = 25
"""examples per property: enough to find every planted fault, few enough for a verdict within a second"""

settings.register_profile(
    "prep", derandomize=True, database=None, deadline=None, max_examples=EXAMPLES, print_blob=False,
    report_multiple_bugs=False, suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink))
settings.load_profile("prep")

__all__ = ["assume", "example", "given", "settings", "st"]

shrinking = True
"""whether a failure is shrunk: the suite's plugin says no once an earlier test has failed, the one shown in full"""


def assume(condition: bool) -> None:
    """As Hypothesis's own: these values are of no use to the test."""
    if currently_in_test_context():
        hypothesis_assume(condition)
    elif not condition:
        raise UnsatisfiedAssumption


def given(**strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As Hypothesis's own `given`, with strategies by keyword. An @example stands below it."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        property_ = _Property(test, strategies)

        @functools.wraps(property_.checked)
        def run(**fixtures: Any) -> None:
            property_(**fixtures)

        given_here = inspect.signature(test).parameters
        vars(run)["__signature__"] = inspect.Signature([given_here[name] for name in given_here
                                                        if name not in strategies])
        return run

    return decorate


class _Property:
    """A test over drawn values, and the values that it was run with when it last passed."""

    def __init__(self, test: Callable[..., None], strategies: dict[str, Any]) -> None:
        self._test, self._names = test, tuple(strategies)
        self._examples: list[dict[str, Any]] | None = None
        self._drawn: list[dict[str, Any]] = []
        self._fixtures: dict[str, Any] = {}

        # The attempt is not handed to Hypothesis, which asks a test's first argument how examples are to be run: an
        # answer that defines execute_example would run them, or would not.
        @functools.wraps(test)
        def recorded(**values: Any) -> None:
            self._drawn.append({name: copy.deepcopy(values[name]) for name in self._names})
            test(**self._fixtures, **values)

        vars(recorded)["__signature__"] = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in self._names])
        self.checked = hypothesis_given(**strategies)(recorded)
        self._quick = settings(phases=(Phase.explicit, Phase.generate))(hypothesis_given(**strategies)(recorded))

    def __call__(self, **fixtures: Any) -> None:
        self._fixtures = fixtures
        try:
            self._run(fixtures)
        finally:
            self._fixtures = {}

    def _run(self, fixtures: dict[str, Any]) -> None:
        states = {name: value.bit_generator.state for name, value in fixtures.items()
                  if isinstance(value, np.random.Generator)}
        failure: Exception | None = None
        if self._examples is not None:
            try:
                self._again(self._examples, fixtures)
                return
            except Exception as error:
                failure = error
                if not shrinking:
                    raise
            for name, state in states.items():
                fixtures[name].bit_generator.state = state
            if restart := getattr(fixtures.get("attempt"), "begin_case_again", None):
                restart()
        self._drawn = []
        (self.checked if shrinking else self._quick)()
        if failure is not None:  # failed, and now it does not
            raise failure
        self._examples = self._drawn

    def _again(self, examples: list[dict[str, Any]], fixtures: dict[str, Any]) -> None:
        for values in examples:
            try:
                self._test(**fixtures, **copy.deepcopy(values))
            except UnsatisfiedAssumption:
                continue
