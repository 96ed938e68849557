"""Calls to an answer, written as Python that a learner can paste. Runs none of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from grader.check import is_tensor

INLINE = 120
"""array elements written out in code; larger arrays go to a file"""
LEFT_OUT = "saved = ...  # inputs too large to print"
"""stands in code where larger arrays go nowhere"""


@dataclass(eq=False)
class Call:
    """One call a suite made. `target`: an entry point's name, or the Call on whose result `method` is called, or of
    whose result `attribute` is taken: no call then, but what later ones hang on."""

    target: str | Call
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    method: str = ""
    attribute: str = ""

    @property
    def root(self) -> Call:
        return self if isinstance(self.target, str) else self.target.root


class CallLog:
    """The latest calls of the running case. The judge's side writes it, the report reads it."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=64)

    def clear(self) -> None:
        self.calls.clear()

    def add(self, call: Call) -> Call:
        self.calls.append(call)
        return call


def weight(calls: Iterable[Call]) -> int:
    """How many array elements the calls were given."""
    values = [value for call in calls for value in (*call.args, *call.kwargs.values())]
    return sum(int(value.numel() if is_tensor(value) else value.size)
               for value in values if is_tensor(value) or isinstance(value, np.ndarray))


def render(calls: Iterable[Call], latest: int, store: Path | None) -> str | None:
    """The `latest` calls, and what they hang on, as code. Arrays over INLINE elements are saved to `store` (.npz), or
    left out where that is None.

    Returns None where there was no call.
    """
    log = list(calls)
    chosen = log[-latest:] if latest else []
    if not chosen:
        return None
    roots = {id(call.root) for call in chosen if not isinstance(call.target, str)}
    wanted = [call for call in log if call in chosen or id(call.root) in roots]
    return _Writer(store).code(wanted)


class _Writer:
    def __init__(self, store: Path | None) -> None:
        self.store, self.saved = store, dict[str, Any]()
        self.names: dict[int, str] = {}
        self.imports: set[str] = set()
        self.modules: set[str] = set()
        self.setup: list[str] = []

    def code(self, calls: list[Call]) -> str:
        lines: list[str] = []
        later = {id(call.target) for call in calls if isinstance(call.target, Call)}
        for call in calls:
            text = self.call(call)
            if id(call) in later:
                self.names[id(call)] = name = f"obj{len(self.names) + 1}" if self.names else "obj"
                text = f"{name} = {text}"
            lines.append(text)
        head = [f"import {module}" + (" as np" if module == "numpy" else "") for module in sorted(self.modules)]
        if self.imports:
            head.append(f"from attempt import {', '.join(sorted(self.imports))}")
        if self.saved and not self.store:
            head.append(LEFT_OUT)
        elif self.saved and self.store:
            head.append(f"saved = np.load({str(self.store)!r})")
            self.store.parent.mkdir(parents=True, exist_ok=True)
            np.savez(self.store, **self.saved)
        return "\n".join([*head, *self.setup, *lines])

    def generator(self, value: np.random.Generator) -> str:
        """A generator in the state that this one is in now: no expression makes one."""
        self.modules.add("numpy")
        name = "rng" if not self.setup else f"rng{len(self.setup) // 2 + 1}"
        kind = type(value.bit_generator).__name__
        self.setup += [f"{name} = np.random.Generator(np.random.{kind}())",
                       f"{name}.bit_generator.state = {value.bit_generator.state!r}"]
        return name

    def call(self, call: Call) -> str:
        parts = [self.value(arg) for arg in call.args]
        parts += [f"{key}={self.value(value)}" for key, value in call.kwargs.items()]
        if isinstance(call.target, str):
            self.imports.add(call.target)
            function = call.target
        else:
            function = self.names.get(id(call.target)) or f"({self.call(call.target)})"
        if call.attribute:
            return f"{function}.{call.attribute}"
        if call.method:
            function += f".{call.method}"
        inline = f"{function}({', '.join(parts)})"
        if len(inline) <= 100 and "\n" not in inline:
            return inline
        body = "".join(f"    {part.replace(chr(10), chr(10) + '    ')},\n" for part in parts)
        return f"{function}(\n{body})"

    def value(self, value: Any) -> str:
        if isinstance(value, np.ndarray):
            self.modules.add("numpy")
            return self.array(value)
        if is_tensor(value):
            self.modules.add("torch")
            return self.tensor(value)
        if isinstance(value, np.generic):
            self.modules.add("numpy")
            return f"np.{value.dtype.name}({value.item()!r})" if value.dtype.kind in "biufc" else repr(value)
        if isinstance(value, np.random.Generator):
            return self.generator(value)
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key!r}: {self.value(item)}" for key, item in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self.value, value)) + "]"
        if isinstance(value, tuple):
            return "(" + ", ".join(map(self.value, value)) + ("," if len(value) == 1 else "") + ")"
        origin = getattr(value, "_prep_origin", None)
        if isinstance(origin, Call):
            return self.names.get(id(origin)) or self.call(origin)
        if callable(value) and hasattr(value, "__name__"):
            return str(value.__name__)
        if type(value).__module__ == "torch":
            self.modules.add("torch")
        return repr(value)

    def array(self, value: np.ndarray[Any, Any]) -> str:
        if value.size == 0:
            return f"np.zeros({value.shape}, dtype=np.{value.dtype.name})"
        if value.size > INLINE:
            flat = value.ravel()
            if value.dtype.kind in "biuf" and (flat == flat[0]).all():
                return f"np.full({value.shape}, {flat[0].item()!r}, dtype=np.{value.dtype.name})"
            return self.save(value)
        default = {"float64", "int64", "bool", "complex128"}
        suffix = "" if value.dtype.name in default else f", dtype=np.{value.dtype.name}"
        body = _nested(value, "np")
        if value.dtype.name == "float64" and "." not in body and "e" not in body and "n" not in body:
            suffix = ", dtype=float"
        return f"np.array({body}{suffix})"

    def tensor(self, value: Any) -> str:
        dtype = str(value.dtype)
        grad = ".requires_grad_()" if value.requires_grad and value.is_leaf else ""
        data = value.detach().cpu()
        if data.numel() == 0:
            return f"torch.zeros({tuple(data.shape)}, dtype={dtype}){grad}"
        plain = data.float().numpy() if dtype == "torch.bfloat16" else data.numpy()
        if plain.size > INLINE:
            self.modules.add("numpy")
            if (plain == plain.ravel()[0]).all():
                return f"torch.full({tuple(data.shape)}, {plain.ravel()[0].item()!r}, dtype={dtype}){grad}"
            cast = ".bfloat16()" if dtype == "torch.bfloat16" else ""
            return f"torch.from_numpy({self.save(plain)}){cast}{grad}"
        suffix = "" if dtype in ("torch.float32", "torch.int64", "torch.bool") else f", dtype={dtype}"
        return f"torch.tensor({_nested(plain, 'torch')}{suffix}){grad}"

    def save(self, value: np.ndarray[Any, Any]) -> str:
        name = f"a{len(self.saved)}"
        self.saved[name] = value
        return f"saved[{name!r}]"


def _nested(value: np.ndarray[Any, Any], module: str) -> str:
    if value.ndim == 0:
        return _scalar(value.item(), module)
    if value.ndim == 1:
        return "[" + ", ".join(_scalar(item, module) for item in value.tolist()) + "]"
    rows = [_nested(row, module) for row in value]
    flat = "[" + ", ".join(rows) + "]"
    if len(flat) <= 88:
        return flat
    return "[" + ",\n ".join(row.replace("\n", "\n ") for row in rows) + "]"


def _scalar(value: Any, module: str) -> str:
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return {"nan": f"{module}.nan", "inf": f"{module}.inf", "-inf": f"-{module}.inf"}[repr(value)]
        return f"{value:.0f}." if value == int(value) and abs(value) < 1e15 else repr(value)
    return repr(value)
