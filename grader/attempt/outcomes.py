"""What can come back from the attempt's process instead of a value. Exceptions only; decides nothing.

`AttemptRaised` is the answer's own exception and may be expected by a test; `AttemptStopped` ends the attempt for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from grader.verdict import Status


@dataclass(frozen=True)
class RemoteError:
    """An exception in the answer, as data."""

    type_name: str
    message: str
    bases: tuple[str, ...]
    """names of the built-in exception classes it inherits from, nearest first"""
    traceback: str
    """the answer's own lines only, as Python prints them"""
    line: int | None = None


class AttemptRaised(Exception):
    """The answer raised. Also an instance of the built-in class it raised (see `raised`), so that a suite can write
    `pytest.raises(ValueError)` as if nothing stood between."""

    error: RemoteError

    @property
    def attempt_error(self) -> str:
        return self.error.type_name

    def __str__(self) -> str:
        return f"{self.error.type_name}: {self.error.message}" if self.error.message else self.error.type_name


class AttemptStopped(BaseException):
    """The attempt is over: a limit, a broken rule, a crash, a broken protocol. Not an Exception, so that neither a
    suite nor Hypothesis can swallow it."""

    def __init__(self, status: Status, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.traceback = status, message, traceback


_KNOWN: dict[str, type[Exception]] = {
    error.__name__: error
    for error in (ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, FloatingPointError,
                  IndexError, KeyError, LookupError, MemoryError, NameError, NotImplementedError, OverflowError,
                  RecursionError, ReferenceError, RuntimeError, StopIteration, TypeError, ValueError,
                  ZeroDivisionError)
}


@cache
def _class(base: str) -> type[AttemptRaised]:
    known = _KNOWN.get(base)
    return type(f"Attempt{base}", (AttemptRaised, known), {}) if known else AttemptRaised


def raised(error: RemoteError) -> AttemptRaised:
    """The exception to raise in the judge for an exception in the answer."""
    exception = _class(next((base for base in error.bases if base in _KNOWN), ""))()
    exception.error = error
    return exception
