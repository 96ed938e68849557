"""Assertions for hidden suites. A failure says shape, dtype, where, expected, actual, by how much, and why it matters.

Refuses to decide anything by truthiness of what the attempt returned: a value is looked at only once it is known to be
plain data (array, tensor, number, list ...) that arrived over the boundary.
"""

from __future__ import annotations

import itertools
import numbers
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

MAX_SHOWN = 400
"""array elements shown in full; beyond, only the neighbourhood of the worst one"""
FLOAT32_RTOL = 1e-5


@dataclass(frozen=True)
class Observed:
    """A call's result, its arguments as they were after the call, and whose memory the result's arrays lie in."""

    result: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shares_argument: bool = False
    """some of it is that of an argument"""
    shares_earlier: bool = False
    """some of it is that of the result of the case's observed call before this one"""


class CheckFailure(AssertionError):
    """A check that did not hold: what the learner will read."""

    def __init__(self, message: str, *, why: str = "", expected: str | None = None, actual: str | None = None,
                 index: tuple[int, ...] | None = None, max_error: float | None = None, calls: int = 1) -> None:
        super().__init__(message)
        self.message, self.why, self.expected, self.actual = message, why, expected, actual
        self.index, self.max_error, self.calls = index, max_error, calls


class BelowThreshold(CheckFailure):
    """A trained model that is not good enough, though nothing in it was found to be wrong."""


def made(factory: Callable[..., Any], args: tuple[Any, ...], *calls: tuple[Any, ...]) -> Any:
    """`factory(*args)`, after methods of the object were called one after the other: made(attempt.Net, (3, 5),
    ("double",), ("load_state_dict", state), ("eval",)). Each is (name, *arguments). All go in one message, which is
    why."""
    return _make(factory, args, calls, last=False)


def outcome(factory: Callable[..., Any], args: tuple[Any, ...], *calls: tuple[Any, ...]) -> Any:
    """As `made`, but what the last of the calls returns; ("", x) calls the object itself."""
    return _make(factory, args, calls, last=True)


def _make(factory: Callable[..., Any], args: tuple[Any, ...], calls: Sequence[tuple[Any, ...]], *, last: bool) -> Any:
    remote = getattr(type(factory), "_prep_made", None)
    if remote is not None:
        return remote(factory, args, calls, last)
    target = found = factory(*args)
    for name, *rest in calls:
        found = (getattr(target, name) if name else target)(*rest)
    return found if last else target


def is_tensor(value: object) -> bool:
    """Whether `value` is a Torch tensor, without importing Torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def describe(value: object) -> str:
    """What a learner would call it: "ndarray float64 (2, 3)", "list of 3", "None"."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"ndarray {value.dtype} {value.shape}"
    if is_tensor(value):
        return f"Tensor {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"  # type: ignore[attr-defined]
    if isinstance(value, bool | numbers.Number | np.generic | str):
        return f"{type(value).__name__} {_clip(value)}"
    if isinstance(value, dict):
        return f"dict with keys {_keys(value)}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    remote = getattr(type(value), "_prep_type_name", None)
    return f"an object of type {remote(value)}" if remote else f"an object of type {type(value).__name__}"


def show(value: object) -> str:
    """`value` in full where it is small, else its shape and its corner."""
    if isinstance(value, np.ndarray) or is_tensor(value):
        array = _array(value)
        if array.size <= MAX_SHOWN:
            return np.array2string(array, precision=6, suppress_small=False, threshold=MAX_SHOWN + 1, max_line_width=76)
        return f"{describe(value)}, too large to print whole"
    if isinstance(value, str | bytes) and len(value) > 2000:
        return f"{value[:1900]!r} ... ({len(value)} characters)"
    text = _repr(value)
    return text if len(text) <= 2000 else f"{text[:2000]} ... ({len(text)} characters)"


def fail(message: str, *, why: str = "", calls: int = 1) -> NoReturn:
    """Fail with a message of the suite's own."""
    raise CheckFailure(message, why=why, calls=calls)


def true(condition: bool, message: str, *, why: str = "", calls: int = 1) -> None:
    """`condition` holds. The condition must be the judge's own bool, never a value the attempt returned."""
    if condition is not True and not (isinstance(condition, np.bool_) and bool(condition)):
        raise CheckFailure(message, why=why, calls=calls)


def is_array(actual: object, *, name: str = "the result", why: str = "", calls: int = 1) -> None:
    """`actual` is a NumPy array (or NumPy scalar)."""
    if not isinstance(actual, np.ndarray | np.generic):
        raise CheckFailure(f"{name} is {describe(actual)}; a NumPy array is asked for", why=why, calls=calls,
                           expected="a NumPy array", actual=describe(actual))


def is_float_tensor(actual: object, *, name: str = "the result", why: str = "", calls: int = 1) -> None:
    """`actual` is a Torch tensor of a floating dtype."""
    if not is_tensor(actual) or not actual.dtype.is_floating_point:  # type: ignore[attr-defined]
        raise CheckFailure(f"{name} is {describe(actual)}; a floating-point tensor is asked for", why=why, calls=calls,
                           expected="a floating-point tensor", actual=describe(actual))


def shape(actual: object, expected: Sequence[int], *, name: str = "the result", why: str = "", calls: int = 1) -> None:
    """`actual` is an array or tensor of this shape."""
    if not (isinstance(actual, np.ndarray | np.generic) or is_tensor(actual)):
        raise CheckFailure(f"{name} is {describe(actual)}; an array of shape {tuple(expected)} is asked for", why=why,
                           expected=f"shape {tuple(expected)}", actual=describe(actual), calls=calls)
    got = tuple(actual.shape)  # type: ignore[attr-defined]
    if got != tuple(expected):
        raise CheckFailure(f"{name} has the wrong shape", why=why, expected=f"shape {tuple(expected)}", calls=calls,
                           actual=f"shape {got}")


def dtype(actual: object, expected: object, *, name: str = "the result", why: str = "", calls: int = 1) -> None:
    """`actual` is an array or tensor of this dtype."""
    got = getattr(actual, "dtype", None) if isinstance(actual, np.ndarray | np.generic) or is_tensor(actual) else None
    want = expected if is_tensor(actual) else np.dtype(expected)  # type: ignore[call-overload]
    if got is None or got != want:
        raise CheckFailure(f"{name} has the wrong dtype", why=why, calls=calls, expected=f"dtype {want}",
                           actual=describe(actual) if got is None else f"dtype {got}")


def finite(actual: object, *, name: str = "the result", why: str = "", calls: int = 1) -> None:
    """Every element of `actual` is neither nan nor infinite."""
    array = _numeric(actual, name, why, calls)
    bad = ~np.isfinite(array)
    if bad.any():
        index = _place(bad)
        raise CheckFailure(f"{name} holds {array[index]} {_at(index)}", why=why, index=index, calls=calls,
                           expected="finite numbers", actual=show(actual))


def equal(actual: object, expected: object, *, name: str = "the result", why: str = "", calls: int = 1) -> None:
    """Exactly equal: type of container, shape, dtype and every value (nan equals nan)."""
    _compare(actual, expected, 0.0, 0.0, name, why, calls, strict_dtype=True)


def close(actual: object, expected: object, *, rtol: float | None = None, atol: float | None = None,
          same_dtype: bool = True, name: str = "the result", why: str = "", calls: int = 1) -> None:
    """Equal within |actual - expected| <= atol + rtol * |expected|; shape and (unless told otherwise) dtype the same.

    The default tolerances follow the coarser dtype of the two: float64 1e-9, float32 1e-5, float16 2e-3,
    bfloat16 2e-2; but a result coarser than float32 is granted float32's, unless such a dtype is expected. atol is
    scaled by the largest expected magnitude. Containers (dict, list, tuple) are compared item
    by item; a Python float, a NumPy scalar and a 0-d array are the same thing here.
    calls: how many of the latest calls make up the counterexample.
    """
    _compare(actual, expected, rtol, atol, name, why, calls, strict_dtype=same_dtype)


def agrees(function: Callable[..., Any], reference: Callable[..., Any], *args: Any, rtol: float | None = None,
           atol: float | None = None, same_dtype: bool = True, why: str = "", **kwargs: Any) -> None:
    """`function(*args, **kwargs)` is close to `reference(*args, **kwargs)`; the reference sees copies of its own."""
    expected = reference(*_copies(args), **_copies(kwargs))
    close(function(*args, **kwargs), expected, rtol=rtol, atol=atol, same_dtype=same_dtype, why=why)


def raises(error: type[Exception], function: Callable[..., Any], *args: Any, why: str = "", **kwargs: Any) -> None:
    """`function(*args, **kwargs)` raises `error` (or a subclass of it)."""
    try:
        result = function(*args, **kwargs)
    except error:
        return
    except Exception as other:
        if isinstance(other, NotImplementedError) or (
                getattr(other, "attempt_error", None) is None and not _in_process(function)):
            raise  # a starter, or the suite's own mistake
        raise CheckFailure(f"raised {_error_name(other)} where {error.__name__} is asked for", why=why,
                           expected=error.__name__, actual=f"{_error_name(other)}: {other}") from other
    raise CheckFailure(f"returned a value where {error.__name__} is asked for", why=why,
                       expected=error.__name__, actual=describe(result))


def unchanged(function: Callable[..., Any], *args: Any, why: str = "", **kwargs: Any) -> Any:
    """`function(*args, **kwargs)` leaves its arguments as they were. Returns the result."""
    observed = _observed(function, args, kwargs)
    named = [(f"argument {i + 1}", before, after) for i, (before, after) in enumerate(zip(args, observed.args))]
    named += [(f"argument {key}", before, observed.kwargs[key]) for key, before in kwargs.items()]
    for name, before, after in named:
        try:
            equal(after, before, name=name)
        except CheckFailure as found:
            raise CheckFailure(f"{name} was changed by the call", why=why,
                               expected=f"{name} as it was: {found.expected}", actual=found.actual,
                               index=found.index, max_error=found.max_error) from None
    return observed.result


def new_arrays(function: Callable[..., Any], *args: Any, why: str = "", **kwargs: Any) -> Any:
    """`function(*args, **kwargs)`, called twice, returns arrays whose memory is neither an argument's nor that of what
    it returned before. Returns the second result."""
    for calls in (1, 2):
        observed = _observed(function, args, kwargs)
        if observed.shares_argument:
            raise CheckFailure("the result is no new array: it shares memory with an argument", calls=calls,
                               why=why or "who writes to the one changes the other")
        if observed.shares_earlier and calls == 2:
            raise CheckFailure("the result is no new array: it shares memory with what the call before returned",
                               calls=calls, why=why or "the second call overwrites what the caller keeps of the first")
    return observed.result


def _compare(actual: object, expected: object, rtol: float | None, atol: float | None, name: str, why: str,
             calls: int, strict_dtype: bool) -> None:
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            raise CheckFailure(f"{name} is {describe(actual)}; a dict is asked for", why=why, calls=calls,
                               expected=describe(expected), actual=describe(actual))
        if set(actual) != set(expected):
            missing, extra = set(expected) - set(actual), set(actual) - set(expected)
            parts = [f"lacks {_keys(missing)}"] * bool(missing) + [f"has also {_keys(extra)}"] * bool(extra)
            raise CheckFailure(f"{name} {' and '.join(parts)}", why=why, calls=calls,
                               expected=describe(expected), actual=describe(actual))
        for key, value in expected.items():
            _compare(actual[key], value, rtol, atol, f"{name}[{key!r}]", why, calls, strict_dtype)
        return
    if isinstance(expected, list | tuple):
        if not isinstance(actual, list | tuple) or len(actual) != len(expected):
            raise CheckFailure(f"{name} is {describe(actual)}; {describe(expected)} is asked for", why=why, calls=calls,
                               expected=describe(expected), actual=describe(actual))
        for i, value in enumerate(expected):
            _compare(actual[i], value, rtol, atol, f"{name}[{i}]", why, calls, strict_dtype)
        return
    if expected is None or isinstance(expected, str | bytes | bool) or not _is_numeric(expected):
        if type(actual) is not type(expected) or actual != expected:
            raise CheckFailure(f"{name} is not as expected", why=why, calls=calls, expected=show(expected),
                               actual=show(actual) if _plain(actual) else describe(actual))
        return
    _compare_numbers(actual, expected, rtol, atol, name, why, calls, strict_dtype)


def _compare_numbers(actual: object, expected: object, rtol: float | None, atol: float | None, name: str, why: str,
                     calls: int, strict_dtype: bool) -> None:
    array = _numeric(actual, name, why, calls)
    wanted = _array(expected)
    scalar = wanted.ndim == 0 and not is_tensor(expected)
    if not scalar and is_tensor(expected) != is_tensor(actual):
        kind = "a Torch tensor" if is_tensor(expected) else "a NumPy array"
        raise CheckFailure(f"{name} is {describe(actual)}; {kind} is asked for", why=why, calls=calls,
                           expected=describe(expected), actual=describe(actual))
    if array.shape != wanted.shape:
        raise CheckFailure(f"{name} has the wrong shape", why=why, calls=calls,
                           expected=f"shape {wanted.shape}", actual=f"shape {array.shape}")
    if np.iscomplexobj(array) and not np.iscomplexobj(wanted):
        raise CheckFailure(f"{name} is complex; real numbers are asked for", why=why, calls=calls,
                           expected=describe(expected), actual=describe(actual))
    if strict_dtype and not scalar:
        want, got = expected.dtype, actual.dtype  # type: ignore[attr-defined]
        if want != got:
            raise CheckFailure(f"{name} has the wrong dtype", why=why, calls=calls,
                               expected=f"dtype {want}", actual=f"dtype {got}")
    if bool((array == wanted).all()):  # the common case, at a twentieth of the cost of what follows
        return
    # a scalar's dtype is not compared, so it must not choose its own tolerance either; where an array's is not, half
    # precision must not buy the right to be wrong
    granted = _tolerance(expected) if scalar else min(_tolerance(actual), FLOAT32_RTOL)
    default_rtol = max(_tolerance(expected), granted)
    rtol = default_rtol if rtol is None else rtol
    wide = np.complex128 if np.iscomplexobj(array) or np.iscomplexobj(wanted) else np.float64
    exact = array.dtype.kind in "biu" and wanted.dtype.kind in "biu"
    a, e = (array, wanted) if exact else (array.astype(wide), wanted.astype(wide))
    if atol is None:
        magnitude = np.abs(e[np.isfinite(e)]).max(initial=0.0) if e.size else 0.0
        atol = rtol * float(magnitude)
    with np.errstate(all="ignore"):
        same = (a == e) if exact else (a == e) | (np.isnan(a) & np.isnan(e))
        error = np.where(same, 0.0, np.abs(a.astype(wide) - e.astype(wide)))
        near = np.isfinite(e) & (error <= atol + rtol * np.abs(e.astype(wide)))
        bad = ~same & ~near if atol or rtol or not exact else ~same
    if not bad.any():
        return
    ranked = np.where(bad, np.where(np.isfinite(error), error, np.inf), -1.0)
    first, worst = _place(bad), _place(ranked)
    count, size = int(bad.sum()), max(array.size, 1)
    where = f" in {count} of {size} elements" if size > 1 else ""
    largest = float(ranked[worst])
    small = array.size <= MAX_SHOWN
    detail = f"; worst {_at(worst)}: expected {_number(wanted[worst])}, got {_number(array[worst])}" if size > 1 else ""
    raise CheckFailure(
        f"{name} is wrong{where}{detail}",
        why=why, calls=calls, index=first, max_error=largest,
        expected=show(expected) if small else f"{_number(wanted[worst])} {_at(worst)}, in {describe(expected)}",
        actual=show(actual) if small else f"{_number(array[worst])} {_at(worst)}, in {describe(actual)}")


def _keys(keys: Any) -> str:
    """At most twelve of them, each cut where it is long: an answer may return anything."""
    shown = sorted(_clip(key) for key in itertools.islice(keys, 12))
    return ", ".join(shown) + (f" and {len(keys) - 12} more" if len(keys) > 12 else "")


def _clip(value: object) -> str:
    if isinstance(value, str | bytes):
        value = value[:100]
    text = _repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _repr(value: object) -> str:
    try:
        return repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return "too long to be shown"


def _number(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, np.floating | float) else str(value)


def _place(array: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """The index of the largest element, the first of these. np.argwhere would take 8 bytes an axis for each of them."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(array)), array.shape))


def _at(index: tuple[int, ...]) -> str:
    return f"at [{', '.join(map(str, index))}]" if index else ""


def _plain(value: object) -> bool:
    return value is None or isinstance(
        value, str | bytes | numbers.Number | np.generic | np.ndarray | list | tuple | dict)


def _is_numeric(value: object) -> bool:
    return isinstance(value, numbers.Number | np.generic | np.ndarray) or is_tensor(value)


def _array(value: Any) -> np.ndarray[Any, Any]:
    if is_tensor(value):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        return np.asarray(value.resolve_conj().resolve_neg().numpy())
    return np.asarray(value)


def _numeric(actual: object, name: str, why: str, calls: int) -> np.ndarray[Any, Any]:
    if not _is_numeric(actual) or (isinstance(actual, np.ndarray | np.generic) and actual.dtype.kind not in "biufc"):
        raise CheckFailure(f"{name} is {describe(actual)}; numbers are asked for", why=why, calls=calls,
                           expected="numbers", actual=describe(actual))
    return _array(actual)


def _tolerance(value: object) -> float:
    name = str(getattr(value, "dtype", "float64")).removeprefix("torch.")
    return {"float16": 2e-3, "bfloat16": 2e-2, "float32": FLOAT32_RTOL, "complex64": FLOAT32_RTOL}.get(name, 1e-9)


def _copies(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if is_tensor(value):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        return {key: _copies(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copies(item) for item in value)
    return value


def _observed(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Observed:
    observe = getattr(type(function), "observed", None) or getattr(type(function), "_prep_observed", None)
    if observe:
        found: Observed = observe(function, *args, **kwargs)
        return found
    args, kwargs = _copies(args), _copies(kwargs)
    return Observed(function(*args, **kwargs), args, kwargs)


def _error_name(error: BaseException) -> str:
    return getattr(error, "attempt_error", None) or type(error).__name__


def _in_process(function: object) -> bool:
    return bool(getattr(function, "in_process", False))
