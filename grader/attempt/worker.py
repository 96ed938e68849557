"""The attempt's side: loads the answer from text, serves calls on it, and reports what it broke. Holds no test, no
expected value and no secret.

Started by launch.py as a fresh interpreter that can import nothing of grader but wire, rules and gradients.
"""

from __future__ import annotations

import builtins
import contextlib
import inspect
import linecache
import operator
import os
import random
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from grader.attempt import landlock, rules, syscalls, wire

FILENAME = "attempt.py"
MAX_TEXT = 4000
"""characters of an exception's message and of its traceback that are sent"""

_write, _exit = os.write, os._exit


class Callback:
    """A function of the suite's, as the answer sees it. Tensors that pass through it carry no gradient."""

    def __init__(self, worker: Worker, number: int) -> None:
        self._worker, self._number = worker, number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._worker.call_back(self._number, args, kwargs)


class Worker:
    """Serves one attempt over one connection."""

    def __init__(self, sock: socket.socket, max_bytes: int, forbidden: rules.Forbidden | None = None) -> None:
        """forbidden: what the answer may not use, where that has been looked for already."""
        self.sock, self.reader, self.forbidden = sock, wire.Reader(sock, max_bytes), forbidden
        self.objects: dict[int, Any] = {}
        self.numbers: dict[int, int] = {}
        self.counts: dict[int, int] = {}
        self.tapes: dict[int, Any] = {}
        self.leaves: dict[int, Any] = {}
        self.next_number = 0
        self.earlier: Any = None
        """what the case's latest observed call returned: kept, so that its memory is nobody else's"""
        self.lock = threading.RLock()
        self.module, self.kit = ModuleType("attempt"), ModuleType("kit")
        self.watch: Any = contextlib.nullcontext()
        self.new_tape: Callable[[], Any] = lambda: None
        self.tape: Any = None
        self.nn_module: type | None = None
        """torch.nn.Module, kept from before the answer came"""

    # -- frames

    def receive(self) -> Any:
        """The next request that can be read; the judge is told of those that cannot."""
        while True:
            body, buffers = self.reader.receive(lambda: None)
            self.tape = None
            try:
                return wire.Decoder(buffers, self._resolve, self._tensor_in).decode(body)
            except wire.WireError as error:
                self.refuse(f"what was given to the answer cannot be read: {_reason(error)}")

    def frame(self, kind: str, *content: Any) -> list[bytes | memoryview]:
        encoder = wire.Encoder(self._reference)
        return wire.frame(encoder.encode([kind, *content]), encoder.buffers)

    def send(self, kind: str, *content: Any) -> None:
        wire.send(self.sock, self.frame(kind, *content), lambda: None)

    def refuse(self, why: str) -> None:
        """In place of a reply: an exception, though not one that a suite could ask for."""
        self.send("raised", {"type": "TypeError", "message": why, "bases": [], "traceback": "", "line": None})

    def _resolve(self, reference: Any) -> Any:
        kind, number = reference
        return Callback(self, number) if kind == "callback" else self.objects[number]

    def _reference(self, value: Any) -> Any:
        """A number for what cannot be copied, and enough for the judge to say what it is."""
        if isinstance(value, Callback):
            return ["callback", value._number]
        number = self.numbers.get(id(value))
        if number is None or self.objects.get(number) is not value:
            number = self.next_number = self.next_number + 1
            self.objects[number], self.numbers[id(value)] = value, number
        self.counts[number] = self.counts.get(number, 0) + 1
        kind = type(value)
        return ["handle", number, _safe(lambda: kind.__name__, "object"),
                callable(value), self.nn_module is not None and issubclass(kind, self.nn_module)]

    def _tensor_in(self, value: Any, extra: Any) -> Any:
        if not extra:
            return value
        if self.tape is None:
            self.tape = self.new_tape()
        index, kind = extra
        return self.tape.receive(value, index, kind)

    # -- serving

    def serve(self) -> None:
        """Answer requests until the judge hangs up."""
        while True:
            try:
                request = self.receive()
            except EOFError:
                return
            self.answer(request)

    def answer(self, request: Any) -> None:
        kind, content = request[0], request[1:]
        try:
            result, tape = self.run(kind, content)
        except wire.WireError:
            raise
        except BaseException as error:
            _flush()
            with self.lock:
                self.send("raised", describe(error))
            return
        _flush()
        with self.lock:
            self._reply(result, tape)

    def _reply(self, result: Any, tape: Any) -> None:
        tape_number = 0
        outputs: list[Any] = []

        def tensor_out(value: Any) -> Any:
            if not value.requires_grad:
                return None
            if value.is_leaf and not (tape and any(value is leaf for leaf in tape.leaves.values())):
                number = id(value)
                self.leaves[number] = value
                grad = value.grad
                return ["leaf", number, None if grad is None else grad.detach()]
            outputs.append(value)
            return ["out", len(outputs) - 1]

        try:
            encoder = wire.Encoder(self._reference, tensor_out if "torch" in sys.modules else None)
            value = encoder.encode(result)
        except BaseException as error:  # an object of the answer's may raise anything when it is looked at
            self.refuse(f"the result cannot be sent: {_reason(error)}")
            return
        if outputs:
            tape = tape or self.new_tape()
            tape.outputs = outputs
            tape_number = self.next_number = self.next_number + 1
            self.tapes[tape_number] = tape
        # the value is a message within the message, so that the judge knows the tape before it meets the tensors
        head = wire.Encoder(self._reference)
        body = head.encode(["value", tape_number, len(outputs), value])
        wire.send(self.sock, wire.frame(body, encoder.buffers), lambda: None)

    def run(self, kind: str, content: list[Any]) -> tuple[Any, Any]:
        tape = self.tape
        if kind == "do":
            name, target, args, kwargs, options = content
            if options.get("release"):
                self.release(options["release"])
            if options.get("seed") is not None:
                reseed(options["seed"])
                self.earlier = None
            if options.get("place"):
                args, kwargs = _placed(args, options["place"]), _placed(kwargs, options["place"])
            with self._context(options), self.watch:
                return self._do(name, target, args, kwargs, options.get("observe", False)), tape
        if kind == "load":
            return self.load(**content[0]), None
        if kind == "vjp":
            number, grads, parameters = content
            return self.tapes[number].vjp(grads, [self.leaves[p] for p in parameters]), None
        if kind == "ping":
            return None, None
        raise wire.WireError(f"unknown request {kind!r}")

    def _context(self, options: dict[str, Any]) -> Any:
        torch = sys.modules.get("torch")
        if torch is None:
            return contextlib.nullcontext()
        return torch.set_grad_enabled(bool(options.get("grad", True)))

    def _do(self, name: str, target: Any, args: Any, kwargs: Any, observe: bool) -> Any:
        if target is None:
            target = self.module
        if name == "kit":
            function, *args = args
            return getattr(self.kit, function)(*args, **kwargs)
        if name == "call":
            result = target(*args, **kwargs)
            return self._observed(result, args, kwargs) if observe else result
        if name == "method":
            method, *args = args
            function = getattr(target, method)
            result = function(*args, **kwargs)
            return self._observed(result, args, kwargs) if observe else result
        if name == "listed":
            method, *args = args
            return list(getattr(target, method)(*args, **kwargs))
        if name == "made":
            factory, arguments, calls, last = args
            made = result = getattr(target, factory)(*arguments)
            for method, *arguments in calls:
                result = (getattr(made, method) if method else made)(*arguments)
            return result if last else made
        if name == "next":
            try:
                return [True, next(target)]
            except StopIteration:
                return [False, None]
        return _OPERATIONS[name](target, *args)

    def _observed(self, result: Any, args: Any, kwargs: Any) -> list[Any]:
        """The result, the arguments, and whether the result lies in their memory or in the result's before it."""
        earlier, self.earlier = self.earlier, result
        return [result, list(args), kwargs, [wire.overlap(result, [args, kwargs]), wire.overlap(result, earlier)]]

    def release(self, numbers: list[list[int]]) -> None:
        for number, count in numbers:
            if number in self.tapes:
                del self.tapes[number]
                continue
            self.counts[number] = self.counts.get(number, 0) - count
            if self.counts[number] <= 0 and number in self.objects:
                self.numbers.pop(id(self.objects[number]), None)
                del self.objects[number], self.counts[number]

    def call_back(self, number: int, args: Any, kwargs: Any) -> Any:
        """Call a function of the suite's, from within a call of the suite's."""
        with self.lock:
            tape, self.tape = getattr(self, "tape", None), None
            try:
                try:
                    parts = self.frame("callback", number, list(args), kwargs)
                except Exception as error:
                    raise TypeError(f"the arguments cannot be sent: {_reason(error)}") from None
                wire.send(self.sock, parts, lambda: None)
                while True:
                    reply = self.receive()
                    if reply[0] == "returned":
                        return reply[1]
                    if reply[0] == "failed":
                        kind = _BUILTIN_ERRORS.get(reply[1], RuntimeError)
                        raise kind(reply[2])
                    self.answer(reply)
            finally:
                self.tape = tape

    # -- the answer

    def load(self, source: str, kit: str | None, entries: list[str], seed: int, forbid: list[str],
             forbid_ops: list[str]) -> dict[str, Any]:
        """Run the answer's text as the module `attempt`; say what it defines."""
        reseed(seed)
        if kit is not None:
            self.kit = module = sys.modules["kit"] = ModuleType("kit")
            _execute(kit, module, "kit.py")
        if self.forbidden is None:
            self.forbidden = rules.Forbidden(forbid)
        elif kit is not None:
            self.forbidden.look_into(self.kit)
        self.forbidden.replace(FILENAME, self.violation)
        if forbid_ops:
            self.watch = rules.operator_watch(forbid_ops, FILENAME, self.violation)
        module = self.module
        module.__file__ = FILENAME
        sys.modules["attempt"] = module
        with self.watch:
            _execute(source, module, FILENAME)
        public = {name: callable(value) for name, value in vars(module).items() if not name.startswith("_")}
        return {"names": public, "signatures": {name: signature(getattr(module, name, None)) for name in entries}}

    def violation(self, found: rules.Violation) -> None:
        """Tell the judge that a rule was broken, and end: nothing the answer does may come in between."""
        body = wire.Encoder(lambda value: None).encode(["violation", found.what, found.line])
        message = b"".join(bytes(part) for part in wire.frame(body, []))
        with contextlib.suppress(OSError):
            while message:
                message = message[_write(self.sock.fileno(), message):]
        _exit(1)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "getattr": getattr, "setattr": setattr, "delattr": delattr, "getitem": operator.getitem,
    "setitem": operator.setitem, "delitem": operator.delitem, "len": len, "iter": iter, "contains": operator.contains,
    "enter": lambda target: type(target).__enter__(target),
    "exit": lambda target: type(target).__exit__(target, None, None, None),
    "repr": repr, "str": str, "bool": bool, "float": float, "int": int, "dir": dir, "eq": operator.eq,
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "matmul": operator.matmul,
    "truediv": operator.truediv, "neg": operator.neg, "lt": operator.lt, "le": operator.le, "gt": operator.gt,
    "ge": operator.ge,
}
_BUILTIN_ERRORS: dict[str, type[Exception]] = {
    error.__name__: error for error in (ValueError, TypeError, IndexError, KeyError, ZeroDivisionError, RuntimeError,
                                        StopIteration, AttributeError, AssertionError, NotImplementedError,
                                        TimeoutError)}


def _placed(value: Any, device: str) -> Any:
    """`value` with its tensors on `device`."""
    if type(value) is list:
        return [_placed(item, device) for item in value]
    if type(value) is dict:
        return {key: _placed(item, device) for key, item in value.items()}
    return value.to(device) if isinstance(value, sys.modules["torch"].Tensor) else value


def _start_up(device: str) -> None:
    """Make the GPU ready: its context, and the libraries that training will want, so that none counts as training."""
    torch = sys.modules["torch"]
    images = torch.randn(2, 3, 8, 8, device=device, requires_grad=True)
    kernel = torch.randn(4, 3, 3, 3, device=device)
    (torch.nn.functional.conv2d(images, kernel).flatten(1) @ torch.randn(144, 2, device=device)).sum().backward()
    torch.cuda.synchronize(device)


def _execute(source: str, module: ModuleType, filename: str) -> None:
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    exec(compile(source, filename, "exec", dont_inherit=True), vars(module))


_BUILTINS = {kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, BaseException)}


def _clean(text: object, most: int = MAX_TEXT) -> str:
    """Plain text that can be sent: no subclass of str, no half of a surrogate pair, not too long."""
    plain = str.__str__(text) if isinstance(text, str) else ""
    return plain[:most].encode("utf-8", "backslashreplace").decode()


def _reason(error: BaseException) -> str:
    """Why a value cannot be sent."""
    text = _clean(_safe(lambda: str(error), ""), 500)
    return text if isinstance(error, wire.WireError) else f"{_type_name(error)}: {text}"


def _type_name(error: BaseException) -> str:
    return _clean(_safe(lambda: type.__dict__["__name__"].__get__(type(error)), "Exception"), 200)


def _safe(question: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return question()
    except Exception:
        return otherwise


def _flush() -> None:
    """What was printed reaches the judge before the reply; an answer may have replaced or closed the streams."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()


def reseed(seed: int) -> None:
    """Set every global random state, so that a verdict does not depend on chance."""
    random.seed(seed)
    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        # torch.manual_seed also tells the devices that there are not, which takes seventy times as long
        (torch.manual_seed if torch.cuda.is_initialized() else torch.default_generator.manual_seed)(seed)


def signature(function: Any) -> list[list[Any]] | None:
    """Parameters as [name, kind, has a default], or None where Python cannot tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [[p.name, int(p.kind), p.default is not p.empty] for p in parameters]


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as data: its type, its message, the answer's own lines."""
    kind = type(error)
    message = _clean(_safe(lambda: str(error), ""))
    type_name = _type_name(error)
    frames = _safe(lambda: [frame for frame in traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), lookup_lines=False) if frame.filename in (FILENAME, "kit.py")], [])
    shown = frames if len(frames) <= 12 else [*frames[:6], *frames[-6:]]
    lines = ["Traceback (most recent call last):\n"] * bool(shown)
    for i, frame in enumerate(traceback.format_list(shown)):
        if i == 6 and len(frames) > 12:
            lines.append(f"  [{len(frames) - 12} more lines of the same recursion]\n")
        lines.append(frame)
    if isinstance(error, SyntaxError):
        lines = _safe(lambda: traceback.format_exception_only(kind, error), [])
    else:
        lines.append(f"{type_name}: {message}\n" if message else f"{type_name}\n")
    text = _clean("".join(lines), 4 * MAX_TEXT)
    return {"type": type_name, "message": message,
            "bases": _safe(lambda: [base.__name__ for base in type.mro(kind) if base in _BUILTINS], []),
            "traceback": text if len(text) <= MAX_TEXT else text[:MAX_TEXT // 2] + "...\n" + text[-MAX_TEXT // 2:],
            "line": frames[-1].lineno if frames else None}


def _limit(memory_bytes: int, disk_bytes: int, cpu_s: int, threads: int, own_uid: bool) -> None:
    """Resource limits of the operating system: a second line behind the judge's own watch."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    wanted = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, disk_bytes), (resource.RLIMIT_CPU, cpu_s),
              (resource.RLIMIT_NOFILE, 256)]
    if own_uid:  # counted per user: only meaningful where nobody else is that user
        wanted.append((resource.RLIMIT_NPROC, threads))
    if memory_bytes and sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError), open("/proc/self/statm") as statm:
            pages = int(statm.read().split()[0])
            wanted.append((resource.RLIMIT_AS, pages * resource.getpagesize() + memory_bytes))
    for name, value in wanted:
        with contextlib.suppress(OSError, ValueError):
            hard = resource.getrlimit(name)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(name, (value, value))


def _drop_to(uid: int) -> None:
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _die_with_the_judge() -> None:
    """An endless loop must not outlive a judge that was killed. Has to come after a change of user, which undoes it."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL


def main(options: dict[str, Any]) -> None:
    """Import the libraries, give up every right, and serve. `options` come from launch.py."""
    if options.get("zygote"):
        import tempfile

        # Torch asks where temporary files go, and makes a folder there; an attempt has a folder of its own for that
        tempfile.tempdir = os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.environ["TMPDIR"]
        # the others, each attempt would import for itself; NumPy leaves its random numbers to whoever asks first
        for name in ("resource", "numpy.random", *options["preload"]):
            __import__(name)
        tempfile.tempdir = None
        del os.environ["TORCHINDUCTOR_CACHE_DIR"]
        if "torch" in sys.modules:
            from grader.attempt import gradients
        _die_with_the_judge()
        zygote(socket.socket(fileno=options["fd"]))
    if "seal" in options and "hide" in options["seal"]:
        with contextlib.suppress(OSError):  # a help where there is no sandbox, no promise
            _enter_table(options["fd"])
            _seal(**options["seal"])
            os.chdir(options["folder"])
    sock = socket.socket(fileno=options["fd"])
    os.set_inheritable(options["fd"], False)
    sock.setblocking(True)
    worker = Worker(sock, options["frame_bytes"], options.get("forbidden"))
    for name in options["preload"]:
        with contextlib.suppress(ImportError):
            __import__(name)
    if "torch" in sys.modules:
        from grader.attempt import gradients

        worker.new_tape, worker.nn_module = gradients.Tape, sys.modules["torch"].nn.Module
        sys.modules["torch"].set_num_threads(options["threads"])
        if options["device"] != "cpu":
            _start_up(options["device"])
    reseed(0)
    serve(worker, options)


def zygote(control: socket.socket) -> None:
    """Fork one attempt's process for each message, until the judge hangs up. The libraries are imported already; no
    operator has run and no thread has been started, so that a fork is a fresh start."""
    import gc
    import json
    import signal

    ended: dict[int, int] = {}
    forbidden: dict[tuple[str, ...], rules.Forbidden] = {}

    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                ended[found[0]] = os.waitstatus_to_exitcode(found[1])

    def listen() -> tuple[bytes, list[int]]:
        try:
            message, fds, _, _ = socket.recv_fds(control, 1 << 18, 2)
        except ConnectionError:  # the judge left without taking its last answer
            message = b""
        return (message, fds) if message else _exit(0)

    def say(answer: object) -> None:
        try:
            control.send(str(answer).encode())
        except ConnectionError:
            _exit(0)

    signal.signal(signal.SIGCHLD, reap)
    while True:
        message, fds = listen()
        options = json.loads(message)
        if "wait" in options:
            reap()
            say(ended.pop(options["wait"], "running"))
            continue
        names = tuple(options["forbid"])
        if names not in forbidden:
            forbidden[names] = rules.Forbidden(names)
            gc.collect()
            gc.freeze()
        sandboxed = "seal" in options and "hide" not in options["seal"]
        # root may have the kernel make a process the first of a new table; others must make the table, and fork again
        apart = sandboxed and os.getuid() == 0
        pid = _fork_apart() if apart else os.fork()
        if pid:
            for fd in fds:
                os.close(fd)
            say(pid)
            continue
        control.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for standard in (1, 2):
            os.dup2(fds[1], standard)
        os.close(fds[1])
        if sandboxed:
            if not apart:
                _enter_table(fds[0])
            _seal(**options["seal"])
        os.chdir(options["folder"])
        os.environ.update(HOME=options["folder"], TMPDIR=options["folder"])
        options["fd"], options["forbidden"] = fds[0], forbidden.pop(names)
        forbidden.clear()  # they hold what other problems forbid
        main(options)


_MOUNTS, _UTS, _IPC, _USERS, _PROCESSES, _NETWORK = (
    0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)


def _call(name: str, *args: Any) -> None:
    """A function of the C library that returns 0. Raises OSError where it does not."""
    import ctypes

    if getattr(ctypes.CDLL(None, use_errno=True), name)(*args):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def _fork_apart() -> int:
    """As os.fork; the child is the first process of a table of its own."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    try:
        _call("unshare", _PROCESSES)
        pid = os.fork()
        if pid:
            _call("setns", own, _PROCESSES)  # a table can be asked for once, or it is that of all children to come
        return pid
    finally:
        os.close(own)


def _enter_table(connection: int) -> None:
    """Return in the first process of a new table; the one that called waits for it and ends as it ends."""
    root = os.getuid() == 0
    uid, gid = os.getuid(), os.getgid()
    _call("unshare", _PROCESSES | (0 if root else _USERS))
    if not root:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    if child := os.fork():
        os.close(connection)
        _die_with_the_judge()
        os.closerange(1, 3)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        _exit(code if code >= 0 else 128 - code)


def _seal(folder: str, tmp_mb: int, hide: list[str] | None = None) -> None:
    """Put this process, the first of its table, into namespaces of its own: network, memory segments, mounts.

    folder: the one the attempt may write to; with tmp_mb, a file system in memory is mounted there. hide: without a
    sandbox around it, folders to cover; everything but `folder` is then read-only.
    Raises OSError where the system refuses: an attempt that should be in a sandbox then does not start.
    """
    call = _call
    call("unshare", _MOUNTS | _UTS | _IPC | _NETWORK)
    private, recursive, nosuid_nodev_noexec = 1 << 18, 1 << 14, 2 | 4 | 8
    call("mount", None, b"/", None, private | recursive, None)
    if tmp_mb:
        call("mount", b"tmpfs", folder.encode(), b"tmpfs", 2 | 4, f"size={tmp_mb}m,mode=1777".encode())
    else:
        bind, remount, read_only = 1 << 12, 1 << 5, 1
        call("mount", folder.encode(), folder.encode(), None, bind, None)
        for path in hide or []:
            call("mount", b"tmpfs", path.encode(), b"tmpfs", nosuid_nodev_noexec, b"size=4k,mode=0555")
        call("mount", None, b"/", None, remount | bind | read_only, None)
    call("mount", b"tmpfs", b"/dev/shm", b"tmpfs", nosuid_nodev_noexec, b"size=1m,mode=0755")
    try:
        call("mount", b"proc", b"/proc", b"proc", nosuid_nodev_noexec, None)
    except OSError:  # not allowed to users other than root on some systems: then there is no /proc at all
        call("mount", b"tmpfs", b"/proc", b"tmpfs", nosuid_nodev_noexec, b"size=4k,mode=0555")


def _give_up_rights() -> None:
    """Drop every capability that is left."""
    if sys.platform == "linux":
        import ctypes

        header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        ctypes.CDLL(None).capset(header, nothing)
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS


def serve(worker: Worker, options: dict[str, Any]) -> None:
    """Give up every right, tell the judge, and serve the answer until the judge hangs up."""
    _limit(options["memory_bytes"], options["disk_bytes"], options["cpu_s"], options["processes"], bool(options["uid"]))
    _drop_to(options["uid"])
    if options["uid"] or "seal" in options:
        _give_up_rights()
    _die_with_the_judge()
    if "landlock" in options:
        landlock.restrict(options["folder"], **options["landlock"])
    syscalls.refuse(gpu=options["device"] != "cpu")
    worker.send("ready", os.getpid())
    for name in [name for name in sys.modules if name.partition(".")[0] == "grader" or name == "__main__"]:
        del sys.modules[name]
    sys.modules["__main__"] = ModuleType("__main__")
    rules.disarm()
    rules.Guard(FILENAME, options["libraries"], os.getcwd(), options["hidden"], worker.violation).install()
    try:
        worker.serve()
    except (OSError, EOFError):
        pass
    _exit(0)
