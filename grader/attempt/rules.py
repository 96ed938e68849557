"""What an answer may not use: names and imports found by reading it (in the judge), and everything else while it runs
(in the attempt's process). Judges no result.

None of this keeps the hidden tests secret: they are in another process. It keeps answers honest about how they got
their result, and names what they tried.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import os
import pathlib
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

DENIED_STDLIB = frozenset("""
    _ctypes _curses _dbm _gdbm _imp _multiprocessing _posixshmem _posixsubprocess _socket _sqlite3
    _thread_interpreters _tkinter _xxsubinterpreters antigravity asyncio asyncore bdb builtins cProfile code codeop
    ctypes curses dbm distutils ensurepip faulthandler fcntl ftplib grp http idlelib imaplib imp importlib lib2to3
    mmap multiprocessing nis nntplib nt pdb pipes pkgutil poplib posix profile pty pwd pydoc readline resource runpy
    sched select selectors shelve smtplib socket socketserver spwd sqlite3 ssl subprocess syslog telnetlib termios
    test tkinter trace tracemalloc tty turtle urllib venv webbrowser wsgiref xmlrpc zipapp zipimport
""".split())
"""standard modules that reach files, the network, processes or the interpreter itself"""

DENIED_CALLS = frozenset({"eval", "exec", "compile", "__import__", "open", "input", "breakpoint"})
DENIED_ATTRIBUTES = frozenset("""
    __subclasses__ __globals__ __builtins__ __code__ __closure__ __loader__ __spec__ f_back f_globals f_locals
    f_builtins f_code gi_frame cr_frame ag_frame tb_frame _getframe _current_frames get_objects get_referrers
    get_referents settrace setprofile addaudithook meta_path path_hooks _ctypes ctypeslib _disable_current_modes
    _DisableTorchDispatch _posixsubprocess _unsafe_set_version_counter
""".split())


@dataclass(frozen=True)
class Violation:
    """A broken rule: what was used, and in which line of the answer."""

    what: str
    line: int | None = None
    of_all: bool = False
    """no answer to any problem may use it; the others are rules of this problem, which says why"""


def is_standard(package: str) -> bool:
    return package in sys.stdlib_module_names or package.startswith("_sysconfigdata")


def import_problem(module: str, libraries: Sequence[str]) -> str | None:
    """Why `module` may not be imported by an answer, or None where it may."""
    package = module.partition(".")[0]
    if package in libraries or package in ("kit", "__future__"):
        return None
    if is_standard(package):
        if package in DENIED_STDLIB:
            return f"imports {module}, which reaches beyond the answer"
        return None
    allowed = f"{', '.join(libraries)} and the standard library" if libraries else "only the standard library"
    return f"imports {module}; what may be imported here: {allowed}"


def find_in_source(tree: ast.Module, libraries: Sequence[str], forbid: Sequence[str]) -> Violation | None:
    """The first rule that the text of an answer breaks."""
    reader = _Reader(libraries, forbid)
    reader.bound = _bound_names(tree)
    reader.visit(tree)
    return min(reader.found, key=lambda violation: violation.line or 0, default=None)


def _bound_names(tree: ast.Module) -> set[str]:
    bound = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
    return bound


class _Reader(ast.NodeVisitor):
    def __init__(self, libraries: Sequence[str], forbid: Sequence[str]) -> None:
        self.libraries, self.forbid = libraries, frozenset(forbid)
        self.aliases: dict[str, str] = {}
        self.bound: set[str] = set()
        self.found: list[Violation] = []

    def report(self, what: str, node: ast.AST, *, of_all: bool = True) -> None:
        self.found.append(Violation(what, getattr(node, "lineno", None), of_all))

    def imported(self, module: str, node: ast.AST) -> None:
        if problem := import_problem(module, self.libraries):
            self.report(problem, node, of_all=is_standard(module.partition(".")[0]))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imported(alias.name, node)
            self.dotted(alias.name, node)
            self.aliases[alias.asname or alias.name.partition(".")[0]] = (
                alias.name if alias.asname else alias.name.partition(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level:
            return  # fails when it runs: an answer is one file, not a package
        module = node.module or ""
        self.imported(module, node)
        for alias in node.names:
            name = f"{module}.{alias.name}"
            self.dotted(name, node)
            if name == "sys.modules":
                self.report("uses sys.modules", node)
            if alias.name in DENIED_ATTRIBUTES:
                self.report(f"uses {name}", node)
            self.aliases[alias.asname or alias.name] = name

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in DENIED_ATTRIBUTES:
            self.report(f"uses {node.attr}, which inspects the interpreter", node)
        elif name := self.resolve(node):
            self.dotted(name, node)
            if name == "sys.modules":
                self.report("uses sys.modules", node)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            if node.id in DENIED_CALLS and node.id not in self.bound and node.id not in self.aliases:
                self.report(f"uses {node.id}()", node)
            elif node.id in ("__builtins__", "__loader__", "__spec__"):
                self.report(f"uses {node.id}", node)

    def resolve(self, node: ast.expr) -> str | None:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.aliases:
            return None
        return ".".join([self.aliases[node.id], *reversed(parts)])

    def dotted(self, name: str, node: ast.AST) -> None:
        if name in self.forbid:
            self.report(f"uses {name}, which this problem is about", node, of_all=False)


# What follows runs in the attempt's process.

Report = Callable[[Violation], None]
"""Tells the judge and does not return."""

_PROCESS_EVENTS = frozenset("""
    os.fork os.forkpty os.exec os.posix_spawn os.spawn os.system os.startfile os.kill os.killpg subprocess.Popen
    pty.spawn signal.pthread_kill _posixsubprocess.fork_exec
""".split())
_PATH_EVENTS = frozenset("""
    os.listdir os.scandir os.chdir os.remove os.rename os.rmdir os.mkdir os.chmod os.chown os.lchown os.link
    os.symlink os.truncate os.utime shutil.rmtree shutil.move shutil.copyfile shutil.copytree sqlite3.connect
    os.chroot os.mount os.walk os.fwalk
""".split())
_INTERPRETER_EVENTS = frozenset("""
    gc.get_objects gc.get_referrers gc.get_referents sys._getframe sys._current_frames sys._current_exceptions
    sys._getframemodulename sys.settrace sys.setprofile sys.addaudithook object.__getattr__ object.__setattr__
    object.__delattr__ code.__new__ function.__new__ exec compile marshal.loads marshal.load resource.setrlimit
    resource.prlimit cpython.run_command
""".split())
_READABLE = ("/usr/", "/lib/", "/lib64/", "/etc/localtime", "/etc/ld.so", "/sys/", "/opt/nvidia", "/proc/cpuinfo",
             "/proc/meminfo", "/proc/stat", "/proc/sys/", "/proc/driver/nvidia")
_DEVICES = frozenset({"/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"})
_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """Watches the interpreter of an attempt's process through an audit hook, which cannot be taken out again.

    filename: the answer's name in tracebacks. own: folder it may write to. hidden: folders nobody may open.
    """

    def __init__(self, filename: str, libraries: Sequence[str], own: str, hidden: Sequence[str],
                 report: Report) -> None:
        self._filename, self._libraries, self._report = filename, tuple(libraries), report
        self._own = os.path.realpath(own) + os.sep
        mine = (f"/proc/{os.getpid()}/{name}" for name in ("status", "stat", "maps", "cgroup"))
        self._hidden = tuple(os.path.realpath(folder) + os.sep for folder in hidden)
        standard = {os.path.realpath(os.path.dirname(path)) + os.sep for path in (os.__file__,) if path}
        self._standard = tuple(standard)
        folders = {os.path.realpath(path) + os.sep for path in sys.path if path}
        folders |= {os.path.realpath(prefix) + os.sep for prefix in (sys.base_prefix, sys.prefix) if prefix != "/"}
        self._readable = (*_READABLE, *mine, *folders)
        self._trusted = set(self._libraries).union(*(_COMPANIONS.get(name, ()) for name in self._libraries))
        self._busy = threading.local()

    def install(self) -> None:
        """Start watching. From here on the process serves the answer only."""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in _WATCHED and not event.startswith(("socket.", "ctypes.", "urllib.", "ftplib.", "http.")):
            return
        if event in ("sys._getframe", "object.__getattr__") and getattr(self._busy, "now", False):
            return  # this hook's own, which calls no method of the answer's
        before, self._busy.now = getattr(self._busy, "now", False), True
        try:
            found = self._judge(event, args)
        finally:
            self._busy.now = before
        if found:
            self._report(Violation(found, _line(sys._getframe(1), self._filename)))

    def _judge(self, event: str, args: tuple[Any, ...]) -> str | None:
        if event == "import":
            return self._imported(str.__str__(args[0]) if isinstance(args[0], str) else "?")
        if event == "open":
            return self._opened(args)
        if event == "prep.refused":
            return f"uses {args[0]}, which reaches beyond the answer"
        if event in _PROCESS_EVENTS:
            return f"starts or signals a process ({event})"
        if event in _PATH_EVENTS:
            return self._touched(event, args)
        if event == "socket.sendmsg" and sys._getframe(2).f_code.co_filename == _WIRE:
            return None
        if event.startswith(("socket.", "urllib.", "ftplib.", "http.")):
            return f"uses the network ({event})"
        if event.startswith("ctypes."):  # whoever calls it for the answer
            return f"calls native code ({event})" if _line(sys._getframe(2), self._filename) else None
        frame = sys._getframe(2)
        if event in _INTERPRETER_EVENTS and self._is_suspicious(event, frame):
            attribute = str.__str__(args[1]) if len(args) > 1 and isinstance(args[1], str) else ""
            if event in ("object.__setattr__", "object.__delattr__") and not attribute.startswith("__"):
                return None
            detail = f" {attribute}" if event.startswith("object.") else ""
            return f"inspects or changes the interpreter ({event}{detail})"
        return None

    def _is_suspicious(self, event: str, frame: FrameType) -> bool:
        """Whether the answer looks at the interpreter: itself, or by handing such a function to NumPy to call."""
        name = frame.f_code.co_filename
        if name in (self._filename, "<string>", "kit.py"):
            return True
        return event.startswith(_LOOKING) and _package_of(frame) == "numpy"

    def _imported(self, module: str) -> str | None:
        """A rule is broken where the answer itself imports what it may not. A library that looks for an optional
        companion is only told that there is none."""
        problem = import_problem(module, self._libraries)
        if problem is None:
            return None
        if is_standard(module.partition(".")[0]):
            return problem if self._is_answer(self._caller(skip_standard=False)) else None
        caller = self._caller()
        importer = _package_of(caller)
        if importer is None or importer not in self._trusted:
            return problem  # the answer, or a library that it got hold of in some other way
        if module.partition(".")[0] not in self._trusted:
            raise ModuleNotFoundError(problem, name=module)
        return None

    def _opened(self, args: tuple[Any, ...]) -> str | None:
        path, mode, flags = (*args, None, None, None)[:3]
        if isinstance(path, int) or path is None:
            return None
        real = self._real(path)
        writes = bool((flags or 0) & _WRITE) if isinstance(flags, int) else bool(set(str(mode or "r")) & set("wax+"))
        if real in _DEVICES or real.startswith((self._own, "/dev/nvidia")):
            return None
        if f"{real}{os.sep}".startswith(self._hidden):
            return f"opens {real}"
        if not writes and real.startswith(self._readable):
            return None
        return f"{'writes to' if writes else 'opens'} {real}"

    def _touched(self, event: str, args: tuple[Any, ...]) -> str | None:
        reads = event in ("os.listdir", "os.scandir", "os.walk", "os.fwalk")
        for path in args[:2] if event in ("os.rename", "os.link", "os.symlink", "shutil.move") else args[:1]:
            if isinstance(path, int):
                continue
            if event == "sqlite3.connect" and path in (":memory:", b":memory:"):
                continue
            real = self._real("." if path is None else path) + os.sep
            if real.startswith(self._own):
                continue
            if reads and real.startswith(self._readable) and not real.startswith(self._hidden):
                continue
            return f"touches {real.rstrip(os.sep)} ({event})"
        return None

    def _real(self, path: Any) -> str:
        """The path that the system will see. Runs no method of the answer's: a subclass is reduced to its contents."""
        if isinstance(path, str):
            plain = str.__str__(path)
        elif isinstance(path, bytes):
            plain = os.fsdecode(bytes(memoryview(path)))
        elif type(path) in _PATHS:
            plain = _fspath(path)
        else:
            return "a path of a type of its own"
        try:
            return _realpath(plain)
        except (ValueError, OSError):
            return "?"

    def _caller(self, skip_standard: bool = True) -> FrameType | None:
        """The nearest frame outside this module and the import system, and (unless told) the standard library."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            name = frame.f_code.co_filename
            standard = self._in_standard(name) if skip_standard else f"{os.sep}importlib{os.sep}" in name
            if name != __file__ and not name.startswith("<frozen") and not standard:
                return frame
            frame = frame.f_back
        return None

    def _in_standard(self, name: str) -> bool:
        return name.startswith(self._standard) and "-packages" not in name

    def _is_answer(self, frame: FrameType | None) -> bool:
        return frame is not None and frame.f_code.co_filename in (self._filename, "<string>", "kit.py")


_LOOKING = ("gc.", "sys.")
_PATHS = frozenset({pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath})
_fspath, _realpath = os.fspath, os.path.realpath
_WATCHED = _PROCESS_EVENTS | _PATH_EVENTS | _INTERPRETER_EVENTS | {"open", "import", "prep.refused"}
_WIRE = os.path.join(os.path.dirname(__file__), "wire.py")
_COMPANIONS = {"torch": frozenset("""
    numpy sympy mpmath networkx jinja2 markupsafe fsspec filelock typing_extensions packaging triton nvidia cuda
    setuptools _distutils_hack pkg_resources jaraco more_itertools torchgen functorch optree yaml
""".split())}
"""what a library imports for itself"""


def _package_of(frame: FrameType | None) -> str | None:
    """The third-party package that a frame's code belongs to."""
    if frame is None:
        return None
    _, found, rest = frame.f_code.co_filename.rpartition("-packages" + os.sep)
    return rest.partition(os.sep)[0].removesuffix(".py") if found else None


def _line(frame: FrameType | None, filename: str) -> int | None:
    while frame is not None:
        if frame.f_code.co_filename == filename:
            return frame.f_lineno
        frame = frame.f_back
    return None


class Forbidden:
    """Objects that an answer may not use, and every name in a loaded module that stands for one.

    To find those names takes a look at all that is loaded, which copies most of the memory of a process just forked:
    a zygote looks before it forks.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """names: dotted; those that are not loaded are left out."""
        self._objects: dict[int, tuple[str, Any]] = {}
        self._holders: list[tuple[ModuleType, str, str]] = []
        for dotted in names:
            module, _, attribute = dotted.rpartition(".")
            # by what is loaded, not by getattr: that would import NumPy's old names
            found = vars(sys.modules[module]).get(attribute) if module in sys.modules else None
            if found is not None:
                self._objects.setdefault(id(found), (dotted, found))
        for loaded in list(sys.modules.values()) if self._objects else ():
            self.look_into(loaded)

    def look_into(self, module: ModuleType) -> None:
        """Note the names that `module` has for what is forbidden."""
        if isinstance(module, ModuleType):
            for name, value in list(vars(module).items()):
                if id(value) in self._objects:
                    self._holders.append((module, name, self._objects[id(value)][0]))

    def replace(self, filename: str, report: Report) -> None:
        """From here on, those names stand for functions that report their use; the objects themselves are forgotten."""
        stand_ins = {dotted: _reporter(dotted, filename, report) for dotted, _ in self._objects.values()}
        for module, name, dotted in self._holders:
            setattr(module, name, stand_ins[dotted])
        overrides: Any = sys.modules.get("numpy._core.overrides")
        for _, found in self._objects.values():
            getattr(overrides, "ARRAY_FUNCTIONS", set()).discard(found)  # NumPy's own list of the originals
        self._objects.clear()
        self._holders.clear()


def _reporter(dotted: str, filename: str, report: Report) -> Callable[..., Any]:
    def forbidden(*args: Any, **kwargs: Any) -> None:
        report(Violation(f"uses {dotted}, which this problem is about", _line(sys._getframe(1), filename)))
    forbidden.__name__ = dotted.rpartition(".")[2]
    return forbidden


def _refused(name: str) -> Callable[..., Any]:
    def refused(*args: Any, **kwargs: Any) -> None:
        sys.audit("prep.refused", name)
    return refused


def operator_watch(operators: Sequence[str], filename: str, report: Report) -> Any:
    """A context in which none of these Torch operators ("aten.convolution") may run, whatever it is called by."""
    from torch.utils._python_dispatch import TorchDispatchMode

    banned = frozenset(operators)

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = f"{func.namespace}.{func._schema.name.partition('::')[2]}"
            if name in banned:
                report(Violation(f"runs the operator {name}, which this problem is about",
                                 _line(sys._getframe(1), filename)))
            return func(*args, **(kwargs or {}))

    return Watch()  # type: ignore[no-untyped-call]


_NATIVE_READERS = ("from_file", "UntypedStorage.from_file", "_C.StorageBase.from_file", "ops.aten.from_file",
                   "_C._VariableFunctions.from_file", "_C._VariableFunctionsClass.from_file",
                   "_C._distributed_c10d.FileStore", "_C._distributed_c10d.TCPStore",
                   "UntypedStorage._new_shared_filename_cpu",
                   "_C.PyTorchFileReader", "_C.PyTorchFileWriter", "_C.import_ir_module", "ops.load_library",
                   "classes.load_library", "_C._jit_to_backend")
"""of Torch: they open files in C++, where Python's audit hooks are not asked"""


_NATIVE_CALLS = """
    mkfifo mknod symlink memfd_create pidfd_open sched_setaffinity sched_setscheduler sched_setparam setpriority nice
    setns unshare chroot pivot_root setxattr mount umount
""".split()
"""of os: reach beyond the answer, without an audit event that names it"""


def disarm() -> None:
    """Take out of reach what an audit hook does not see."""
    posix_module: Any = sys.modules.get("posix")
    real_open = os.open

    def open_here(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is not None:  # the audit event would not say where
            sys.audit("prep.refused", "os.open with dir_fd")
        return real_open(path, flags, mode)

    for module in (os, posix_module):
        for name in _NATIVE_CALLS:
            if hasattr(module, name):
                setattr(module, name, _refused(f"os.{name}"))
        if module is not None:
            vars(module)["open"] = open_here
    signals = sys.modules.get("_signal")
    for module in (signals, sys.modules.get("signal")):
        if hasattr(module, "pidfd_send_signal"):
            vars(module)["pidfd_send_signal"] = _refused("signal.pidfd_send_signal")
    torch = sys.modules.get("torch")
    for path in _NATIVE_READERS if torch is not None else ():
        *parents, name = path.split(".")
        holder: Any = torch
        for parent in parents:
            holder = getattr(holder, parent, None)
        if hasattr(holder, name):
            with contextlib.suppress(TypeError, AttributeError):
                setattr(holder, name, _refused(f"torch.{path}"))
    posix = sys.modules.get("_posixsubprocess")
    if posix is not None:
        def fork_exec(*args: Any) -> None:
            sys.audit("_posixsubprocess.fork_exec")
            raise PermissionError("an answer may not start processes")
        vars(posix)["fork_exec"] = fork_exec

    def no_keyboard(*args: object) -> str:
        raise EOFError("an answer has no keyboard")
    builtins.input = no_keyboard
