"""The judge's side of an attempt: what a suite calls. Trusts nothing that comes back.

`Attempt` is the answer's module. Its functions take and return data; what is not data comes back as a `Handle`, which
stands for the object beyond the boundary. `attempt.f.observed(...)` also brings back the arguments as the call left
them.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from grader.attempt import wire
from grader.attempt.launch import Process, start
from grader.attempt.outcomes import AttemptRaised, AttemptStopped, RemoteError, raised
from grader.check import CheckFailure, Observed
from grader.counterexample import Call, CallLog
from grader.problem import Problem
from grader.verdict import Status

MAX_MESSAGES = 200_000
"""replies to the calls of one test"""
MAX_NESTING = 32
"""calls within callbacks within calls"""


class Attempt:
    """The answer, beyond the boundary. Attributes are its functions, classes and values."""

    def __init__(self, process: Process, problem: Problem) -> None:
        self._connection = Connection(process, problem)
        self.log = self._connection.log
        self._names: dict[str, bool] = {}
        self._seed = 0

    @property
    def isolation(self) -> str:
        return self._connection.process.isolation

    def load(self, source: str) -> dict[str, Any]:
        """Run the answer's text beyond the boundary. Returns the parameters of the entry points, or None each.

        Raises AttemptRaised or AttemptStopped.
        """
        problem, connection = self._connection.problem, self._connection
        connection.ready()
        connection.begin("loading the answer", problem.limits.load_s)
        kit = problem.kit.read_text(encoding="utf-8") if problem.kit else None
        described = connection.request(["load", {
            "source": source, "kit": kit, "entries": [entry.name for entry in problem.entries], "seed": 0,
            "forbid": list(problem.rules.forbid), "forbid_ops": list(problem.rules.forbid_ops)}])
        try:
            self._names = {str(name): bool(value) for name, value in described["names"].items()}
            return dict(described["signatures"])
        except (TypeError, KeyError, AttributeError, ValueError):
            connection.broken("its description is not one")

    def defines(self, name: str) -> bool:
        """Whether the answer has something callable of this name."""
        return self._names.get(name, False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._names.get(name):
            return Function(self._connection, name)
        return self._connection.do("getattr", None, [name])

    def look_for(self, libraries: tuple[str, ...]) -> None:
        """Raise AttemptStopped where the answer has loaded the compiled code of another library than these."""
        if self._connection.stopped is None and (found := self._connection.process.foreign_libraries(libraries)):
            self._connection.process.stop(Status.RULE_VIOLATION, f"loaded {', '.join(found)}, by whatever way")

    def from_kit(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function or class of the problem's kit.py beyond the boundary, as an answer could."""
        return self._connection.do("kit", None, [name, *args], kwargs)

    @contextlib.contextmanager
    def allowing(self, limit_s: float, doing: str, limit: str) -> Iterator[None]:
        """In here each call may take `limit_s`. doing, limit: how a message says what took too long, and its limit."""
        before, self._connection.allowed = self._connection.allowed, (limit_s, doing, limit)
        try:
            yield
        finally:
            self._connection.allowed = before

    @contextlib.contextmanager
    def placing(self, device: str) -> Iterator[None]:
        """In here the tensors among the arguments of a call are put on `device` before the answer gets them."""
        self._connection.place = device
        try:
            yield
        finally:
            self._connection.place = None

    def stop(self, status: Status, message: str) -> NoReturn:
        """End the attempt for good."""
        try:
            self._connection.process.stop(status, message)
        except AttemptStopped as stopped:
            self._connection.stopped = stopped
            raise

    @property
    def peak_mb(self) -> float:
        """The most resident memory seen, beyond what the imports took."""
        return self._connection.process.peak_mb

    def begin_case(self, seed: int) -> None:
        """A new test: its random state, its calls and its output start afresh."""
        self._seed = seed
        self._connection.begin_case(seed)

    def begin_case_again(self) -> None:
        """The same test from its beginning."""
        self._connection.begin_case(self._seed)

    def end_case(self) -> str:
        """What the answer printed during the test."""
        return self._connection.process.take_output()

    def close(self) -> None:
        self._connection.process.close()


class Function:
    """A function or class of the answer's."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self.__name__ = connection, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = self._connection.log.add(Call(self.__name__, args, kwargs))
        return self._connection.do("method", None, [self.__name__, *args], kwargs, origin=call)

    def observed(self, *args: Any, **kwargs: Any) -> Observed:
        """Call it; return the result and the arguments as they were after the call."""
        call = self._connection.log.add(Call(self.__name__, args, kwargs))
        return self._connection.observe("method", None, [self.__name__], args, kwargs, call)

    def _prep_made(self, args: tuple[Any, ...], calls: Sequence[tuple[Any, ...]], last: bool) -> Any:
        """Call it, and then methods of what it returns, in one message (see check.made and check.outcome)."""
        log = self._connection.log
        origin = made = log.add(Call(self.__name__, args, {}))
        for name, *rest in calls:
            origin = log.add(Call(made, tuple(rest), {}, name))
        return self._connection.do("made", None, [self.__name__, args, calls, last], origin=origin if last else made)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._connection.do("getattr", self._connection.do("getattr", None, [self.__name__]), [name])

    def __repr__(self) -> str:
        return f"<attempt.{self.__name__}>"


class Handle:
    """Stands for an object beyond the boundary. Truth, equality and hash are the handle's own, never the object's."""

    def __init__(self, connection: Connection, number: int, type_name: str, is_callable: bool,
                 is_module: bool) -> None:
        self._prep = (connection, number)
        self._prep_type = type_name
        self._prep_callable = is_callable
        self._prep_module = is_module  # of torch.nn
        self._prep_origin: Call | None = None
        weakref.finalize(self, connection.released.append, number)

    def _prep_type_name(self) -> str:
        return self._prep_type

    def _prep_do(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._prep[0].do(name, self, list(args), kwargs)

    def _prep_logged(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        connection, origin = self._prep[0], self._prep_origin
        call = connection.log.add(Call(origin, args, kwargs, method)) if origin else None
        if method:
            return connection.do("method", self, [method, *args], kwargs, origin=call)
        return connection.do("call", self, list(args), kwargs, origin=call)

    def _prep_observed(self, *args: Any, **kwargs: Any) -> Observed:
        """Call the object; its result, and the arguments as they were after the call (see check.unchanged)."""
        connection, origin = self._prep[0], self._prep_origin
        call = connection.log.add(Call(origin, args, kwargs)) if origin else None
        return connection.observe("call", self, [], args, kwargs, call)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_prep") or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        if name in _MODULE_METHODS and self._prep_module:
            return Method(self, name)  # known without asking: half of a suite's messages would ask just that
        value = self._prep_do("getattr", name)
        if isinstance(value, Handle) and value._prep_callable and value._prep_type in _METHODS:
            return Method(self, name)
        if isinstance(value, Handle) and value._prep_origin is None:
            value._prep_origin = self._prep_origin and Call(self._prep_origin, attribute=name)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_prep"):
            object.__setattr__(self, name, value)
        else:
            self._prep_do("setattr", name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._prep_logged("", args, kwargs)

    def __getitem__(self, key: Any) -> Any:
        return self._prep_do("getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._prep_do("setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        self._prep_do("delitem", key)

    def __len__(self) -> int:
        return self._prep_number("len")

    def __contains__(self, item: Any) -> bool:
        return self._prep_do("contains", item) is True

    def __iter__(self) -> Iterator[Any]:
        iterator = self._prep_do("iter")
        if isinstance(iterator, Handle):
            return iterator
        if not isinstance(iterator, list | tuple | dict | str):
            self._prep[0].broken("iter() did not give an iterator")
        return iter(iterator)

    def __next__(self) -> Any:
        more, value = _pair(self._prep_do("next"))
        if more is not True:
            raise StopIteration
        return value

    def __enter__(self) -> Any:
        return self._prep_do("enter")

    def __exit__(self, *error: object) -> None:
        self._prep_do("exit")

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{self._prep_type} of the answer's>"

    def _prep_number(self, name: str) -> int:
        value = self._prep_do(name)
        if type(value) is not int or value < 0:
            self._prep[0].broken(f"{name}() is no number")
        return int(value)


class Method:
    """A bound method of a handle's object: one message a call."""

    def __init__(self, handle: Handle, name: str) -> None:
        self._handle, self.__name__ = handle, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.__name__ in _LISTED and self._handle._prep_module:
            found = self._handle._prep_do("listed", self.__name__, *args, **kwargs)
            if type(found) is not list:
                self._handle._prep[0].broken("a list was asked for")
            return iter(found)
        return self._handle._prep_logged(self.__name__, args, kwargs)

    def __repr__(self) -> str:
        return f"<method {self.__name__} of {self._handle!r}>"


_MODULE_METHODS = frozenset("""
    apply buffers children double eval float forward load_state_dict modules named_buffers named_children named_modules
    named_parameters parameters requires_grad_ state_dict to train zero_grad
""".split())
"""of torch.nn.Module"""
_LISTED = frozenset({"buffers", "children", "modules", "named_buffers", "named_children", "named_modules",
                     "named_parameters", "parameters"})
"""of these, those that iterate: all they yield comes in one message"""
_METHODS = frozenset({"method", "builtin_function_or_method", "function", "method-wrapper", "partial"})


def _is_number(value: Any) -> bool:
    """Whether this can be the number of something beyond the boundary: it is sent back some day."""
    return type(value) is int and 0 <= value < 1 << 64


def _pair(value: Any) -> tuple[Any, Any]:
    return (value[0], value[1]) if type(value) is list and len(value) == 2 else (None, None)


class Connection:
    """Requests and replies, callbacks in between, and the clock."""

    def __init__(self, process: Process, problem: Problem) -> None:
        self.process, self.problem = process, problem
        self.log = CallLog()
        self.released: list[int] = []
        self.callbacks: dict[int, Callable[..., Any]] = {}
        self.next_callback = 0
        self.mirrors: list[tuple[int, weakref.ref[Any]]] = []
        self.spent_s = 0.0
        self.nesting = 0
        self.seed: int | None = None
        self.stopped: AttemptStopped | None = None
        self.pending_failure: BaseException | None = None
        self.max_bytes = problem.limits.frame_mb << 20
        self.reader = wire.Reader(process.sock, self.max_bytes)
        self.received = self.messages = 0
        self.allowed: tuple[float, str, str] | None = None
        self.place: str | None = None

    # -- the clock

    def begin(self, doing: str, limit_s: float) -> None:
        total_s = self.problem.limits.total_s
        left_s = max(total_s - self.spent_s, 0.001)
        if left_s < limit_s:
            self.process.begin(doing, left_s, f"of the {total_s:g} s for all calls together there were left")
        else:
            self.process.begin(doing, limit_s)

    def begin_case(self, seed: int) -> None:
        self.log.clear()
        self.callbacks.clear()
        self.seed = seed
        self.received = self.messages = 0

    def ready(self) -> None:
        """Wait until the libraries are imported. Raises RuntimeError where they break: the answer has no part in it."""
        try:
            kind, _, _ = self.receive()
        except AttemptStopped as stopped:
            self.stopped = stopped
            if stopped.status is Status.RUNTIME_ERROR:
                raise RuntimeError(f"{stopped.message}\n{self.process.take_output()}") from None
            raise
        if kind != "ready":
            self.broken("it did not begin as it should")
        self.process.settled()

    # -- requests

    def do(self, name: str, target: Any, args: list[Any], kwargs: dict[str, Any] | None = None, *,
           origin: Call | None = None, observe: bool = False) -> Any:
        """One operation beyond the boundary; its result as data, handles and tensors with gradients."""
        limits = self.problem.limits
        if self.nesting == 0:
            shown = args[0] if name in ("method", "made") else getattr(target, "_prep_type", "a value")
            what = f"{shown}()" if name in ("method", "made", "call") else f"{name} on {shown}"
            if self.allowed:
                self.process.begin(self.allowed[1], self.allowed[0], self.allowed[2])
            else:
                self.begin(f"the call of {what}", limits.call_s)
        options: dict[str, Any] = {}
        if observe:
            options["observe"] = True
        if self.place is not None:
            options["place"] = self.place
        if self.seed is not None:
            options["seed"], self.seed = self.seed, None
        if self.released:
            options["release"] = [[number, 1] for number in self.released]
            self.released.clear()
        torch = sys.modules.get("torch")
        if torch is not None and not torch.is_grad_enabled():
            options["grad"] = False
        inputs: list[Any] = []
        result = self.request(["do", name, target, args, kwargs or {}, options], inputs)
        if origin is not None and isinstance(result, Handle) and result._prep_origin is None:
            result._prep_origin = origin
        return result

    def observe(self, name: str, target: Any, head: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any],
                call: Call | None) -> Observed:
        """A call that also brings back its arguments as they were afterwards, and what it says of its memory."""
        found = self.do(name, target, [*head, *args], kwargs, origin=call, observe=True)
        if type(found) is list and len(found) == 4:
            result, after, named, shares = found
            if type(after) is list and type(named) is dict and len(after) == len(args) and (
                    named.keys() == kwargs.keys()) and type(shares) is list and (
                    [type(share) for share in shares] == [bool, bool]):
                return Observed(result, tuple(after), named, *shares)
        return self.broken("a call did not return its arguments")

    def request(self, message: list[Any], inputs: list[Any] | None = None) -> Any:
        """Send, serve callbacks, and return the reply's value. Raises AttemptRaised or AttemptStopped."""
        if self.stopped is not None:
            raise self.stopped
        if self.nesting >= MAX_NESTING:
            self.broken(f"callbacks nested more than {MAX_NESTING} deep")
        begin = time.monotonic()
        self.nesting += 1
        try:
            self.send(message, inputs)
            while True:
                kind, content, buffers = self.receive()
                if kind == "value":
                    return self._value(content, buffers, inputs or [])
                if kind == "raised":
                    self._raise(content)
                if kind == "callback":
                    self._call_back(content)
                else:
                    self.broken(f"a {kind!r} that nobody asked for")
        except AttemptStopped as stopped:
            self.stopped = stopped
            raise
        finally:
            self.nesting -= 1
            if self.nesting == 0:
                self.spent_s += time.monotonic() - begin
                failure, self.pending_failure = self.pending_failure, None
                if failure is not None and not isinstance(sys.exc_info()[1], AttemptStopped):
                    raise failure

    def send(self, message: list[Any], inputs: list[Any] | None = None) -> None:
        tensor = None if inputs is None else functools.partial(self._tensor_out, inputs=inputs)
        encoder = wire.Encoder(self._reference, tensor)
        try:
            body = encoder.encode(message)
            size = len(body) + sum(map(len, encoder.buffers))
            if size > self.max_bytes:
                raise wire.WireError(f"a message of {size:,} bytes; {self.max_bytes:,} are allowed")
        except wire.WireError as error:
            # it was the answer that returned it, or verify finds the suite's mistake with the reference
            raise CheckFailure(f"what is to be given to the answer cannot be sent: {error}",
                               why="what an answer returns may be handed back to it") from None
        try:
            wire.send(self.process.sock, wire.frame(body, encoder.buffers), self.process.wait_to_write)
        except (BrokenPipeError, ConnectionResetError):
            # it may have said why before it went: read that first
            pass

    def receive(self) -> tuple[str, list[Any], list[Any]]:
        try:
            body, buffers = self.reader.receive(self.process.wait_to_read)
            message = wire.Decoder(buffers, self._resolve).decode(body)
            if type(message) is not list or not message or type(message[0]) is not str:
                raise wire.WireError("not a message")
        except EOFError:
            self.process.gone()
        except wire.WireError as error:
            self.broken(str(error))
        except MemoryError:
            self.broken("a message too large for the judge's memory")
        self.received += len(body) + sum(map(len, buffers))
        self.messages += 1
        if self.received > 4 * self.max_bytes or self.messages > MAX_MESSAGES:
            self.broken(f"{self.messages:,} messages of {self.received >> 20:,} MB in one test")
        if message[0] == "violation":
            self._violation(message[1:])
        return message[0], message[1:], buffers

    def broken(self, detail: str) -> NoReturn:
        """The attempt does not keep to the protocol: it is over."""
        self.process.close()
        self.stopped = AttemptStopped(Status.RUNTIME_ERROR, f"the attempt broke the protocol: {detail}")
        raise self.stopped

    def _violation(self, content: list[Any]) -> None:
        what, line = (*content, None, None)[:2]
        where = f" (line {line})" if type(line) is int and 0 < line < 10**7 else ""
        text = what[:500] if type(what) is str else "broke a rule that it did not name"
        self.process.stop(Status.RULE_VIOLATION, f"{text}{where}")

    # -- values

    def _value(self, content: list[Any], buffers: list[Any], inputs: list[Any]) -> Any:
        try:
            tape, count, body = content
            if not _is_number(tape) or type(count) is not int or type(body) is not bytes or not 0 <= count <= 4096:
                raise wire.WireError("a reply of the wrong form")
            outputs: dict[int, list[Any]] = {}
            decoder = wire.Decoder(buffers, self._resolve, lambda value, extra: self._tensor_in(value, extra, outputs))
            value = decoder.decode(body)
            if not count:
                return value
            if sorted(outputs) != list(range(count)) or not all(
                    tensor[0].dtype.is_floating_point or tensor[0].dtype.is_complex for tensor in outputs.values()):
                raise wire.WireError("gradients for tensors that it did not send")
            return self._attach(value, tape, [outputs[i][0] for i in range(count)], inputs)
        except (wire.WireError, ValueError) as error:
            self.broken(str(error))

    def _attach(self, value: Any, tape: int, outputs: list[Any], inputs: list[Any]) -> Any:
        """Put the received tensors into the judge's autograd graph, and into `value` where they stand."""
        from grader.attempt import gradients

        alive = [(number, mirror) for number, ref in self.mirrors if (mirror := ref()) is not None]
        self.mirrors = [(number, weakref.ref(mirror)) for number, mirror in alive]
        guard = _Tape(self, tape, [tuple(i.shape) for i in inputs], alive)
        attached = gradients.attach(outputs, inputs, [mirror for _, mirror in alive], guard.vjp)
        return _replace(value, {id(old): new for old, new in zip(outputs, attached)})

    def _tensor_out(self, value: Any, inputs: list[Any]) -> Any:
        torch = sys.modules["torch"]
        if not value.requires_grad or not torch.is_grad_enabled():
            return None
        from grader.attempt import gradients

        index = next((i for i, known in enumerate(inputs) if known is value), None)
        if index is None:
            index = len(inputs)
            inputs.append(value)
        return [index, gradients.role(value)]

    def _tensor_in(self, value: Any, extra: Any, outputs: dict[int, list[Any]]) -> Any:
        if extra is None:
            return value
        if type(extra) is not list or not extra:
            raise wire.WireError("a tensor of the wrong form")
        if extra[0] == "out" and len(extra) == 2 and type(extra[1]) is int and extra[1] not in outputs:
            outputs[extra[1]] = [value]
            return value
        if extra[0] == "leaf" and len(extra) == 3 and _is_number(extra[1]) and value.dtype.is_floating_point:
            value.requires_grad_()
            grad = extra[2]
            if grad is not None:
                if not isinstance(grad, sys.modules["torch"].Tensor) or grad.shape != value.shape or (
                        grad.dtype != value.dtype):
                    raise wire.WireError("a gradient of another shape than its parameter")
                value.grad = grad
            self.mirrors.append((extra[1], weakref.ref(value)))
            return value
        raise wire.WireError("a tensor of the wrong form")

    def _reference(self, value: Any) -> Any:
        if isinstance(value, Handle):
            return ["handle", value._prep[1]]
        if isinstance(value, Function):
            return self._reference(self.do("getattr", None, [value.__name__]))
        if isinstance(value, Method):
            return self._reference(value._handle._prep_do("getattr", value.__name__))
        if callable(value):
            self.next_callback += 1
            self.callbacks[self.next_callback] = value
            return ["callback", self.next_callback]
        raise TypeError(f"{type(value).__name__} cannot cross the boundary: "
                        "a suite may pass data, handles and functions")

    def _resolve(self, reference: Any) -> Any:
        if type(reference) is list and len(reference) == 5 and reference[0] == "handle":
            _, number, name, is_callable, is_module = reference
            if _is_number(number) and type(name) is str:
                return Handle(self, number, name[:100], is_callable is True, is_module is True)
        if type(reference) is list and len(reference) == 2 and reference[0] == "callback":
            number = reference[1]
            if type(number) is int and number in self.callbacks:
                return self.callbacks[number]
        raise wire.WireError("a reference to nothing")

    # -- what comes back instead of a value

    def _raise(self, content: list[Any]) -> None:
        found = content[0] if len(content) == 1 and type(content[0]) is dict else {}
        name, message, text, bases, line = (found.get(k) for k in ("type", "message", "traceback", "bases", "line"))
        if not (type(name) is type(message) is type(text) is str and type(bases) is list
                and all(type(base) is str for base in bases[:32]) and (line is None or type(line) is int)):
            self.broken("an exception of the wrong form")
        raise raised(RemoteError(type_name=name[:200], message=message[:4000], bases=tuple(bases[:32]),
                                 traceback=text[:20_000], line=line))

    def _call_back(self, content: list[Any]) -> None:
        """The answer calls a function of the suite's."""
        if len(content) != 3 or type(content[0]) is not int or (
                type(content[1]) is not list or type(content[2]) is not dict):
            self.broken("a callback of the wrong form")
        number, args, kwargs = content
        try:
            if not all(type(key) is str for key in kwargs):
                raise TypeError("keywords must be strings")
            if number not in self.callbacks:
                raise RuntimeError("this function belonged to an earlier test")
            result = self.callbacks[number](*args, **kwargs)
        except (AttemptRaised, AttemptStopped):
            raise
        except Exception as error:
            if isinstance(error, AssertionError) and self.pending_failure is None:
                self.pending_failure = error  # a check that failed in there counts, whatever the answer makes of it
            reply: list[Any] = ["failed", type(error).__name__, str(error)[:1000]]
        else:
            reply = ["returned", result]
        try:
            self.send(reply)
        except CheckFailure as failure:  # the answer waits for a reply all the same
            self.pending_failure = self.pending_failure or failure
            self.send(["failed", "TypeError", failure.message])


class _Tape:
    """Asks for one call's vector-Jacobian products, and lets the other side forget it in the end."""

    def __init__(self, connection: Connection, number: int, shapes: list[tuple[int, ...]],
                 mirrors: list[tuple[int, Any]]) -> None:
        self.connection, self.number, self.shapes = connection, number, shapes
        self.mirrors = [number for number, _ in mirrors]
        self.mirror_shapes = [tuple(mirror.shape) for _, mirror in mirrors]
        weakref.finalize(self, connection.released.append, number)

    def vjp(self, grads: list[Any]) -> tuple[list[Any], list[Any]]:
        connection = self.connection
        if connection.nesting == 0:
            connection.begin("the backward pass", connection.problem.limits.call_s)
        plain = [None if grad is None else grad.detach() for grad in grads]
        found = connection.request(["vjp", self.number, plain, self.mirrors])
        inputs, parameters = _pair(list(found) if isinstance(found, tuple) else found)
        self._check(inputs, self.shapes)
        self._check(parameters, self.mirror_shapes)
        return inputs, parameters

    def _check(self, values: Any, shapes: list[tuple[int, ...]]) -> None:
        torch = sys.modules["torch"]
        if type(values) is not list or len(values) != len(shapes) or not all(
                value is None or (isinstance(value, torch.Tensor) and tuple(value.shape) == shape)
                for value, shape in zip(values, shapes)):
            self.connection.broken("gradients of the wrong form")


def _replace(value: Any, new: dict[int, Any]) -> Any:
    if id(value) in new:
        return new[id(value)]
    if type(value) is list:
        return [_replace(item, new) for item in value]
    if type(value) is tuple:
        return tuple(_replace(item, new) for item in value)
    if type(value) is dict:
        return {key: _replace(item, new) for key, item in value.items()}
    return value


def launch(problem: Problem, source: str, *, isolation: str | None = None) -> Attempt:
    """Start a process, load the answer into it, and hand out the judge's side of it."""
    attempt = Attempt(start(problem, isolation=isolation), problem)
    attempt.load(source)
    return attempt
