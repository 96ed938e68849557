"""Starts, watches, limits and kills the attempt's process. Knows nothing of what is said over the connection.

Three levels of isolation, chosen by a real launch, never by finding a program:

bubblewrap  own namespaces: no network, no home, no bank, read-only system, private /tmp, own process table; where the
            caller is root, an own user id as well
landlock    where namespaces are forbidden: the kernel lets it read the interpreter and its libraries, and write to its
            own temporary folder, no more
process     a separate process with a scrubbed environment, its own temporary folder, resource limits and an audit hook

On Linux all three also have a filter of system calls (syscalls.py).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from grader.attempt.outcomes import AttemptStopped
from grader.paths import bank_root
from grader.problem import Problem
from grader.verdict import Status

HERE = Path(__file__).resolve().parent
_ALONE = """
import sys, types, json
options = json.loads(sys.argv[1])
sys.path[:] = options["path"]
for name, where in (("grader", []), ("grader.attempt", [options["here"]])):
    sys.modules[name] = module = types.ModuleType(name)
    module.__path__ = where
"""
BOOT = _ALONE + """
from grader.attempt import worker
worker.main(options)
"""
_TRIAL = _ALONE + """
from grader.attempt import landlock, syscalls
landlock.trial()
if not syscalls.refuse():
    sys.exit("this system has no filter of system calls")
"""
_TORCH_COMPANIONS = ("nvidia", "triton", "cuda", "functorch", "torchgen", "sympy", "gmpy2", "yaml", "markupsafe",
                     "optree", "mpmath")
_LIBRARIES = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/opt/nvidia")
"""what the dynamic linker reads"""
_turns = itertools.count()
SWEPT_S = 3600.0
"""how old a folder is that a judge no longer alive has left, before another one removes it"""
TICK_S = 0.02
"""how often a call that takes longer is looked at"""
SHOWN_BYTES = 64 << 10
"""of what an attempt prints, this much is kept"""
TMP_MB = 64
INSIDE = "/attempt"
"""in a sandbox: the one folder an attempt can write to, in memory and gone with it"""


def site_packages() -> tuple[str, ...]:
    """The folders that third-party packages are imported from."""
    return _site_packages(tuple(sys.path))


@functools.lru_cache(maxsize=1)
def _site_packages(search: tuple[str, ...]) -> tuple[str, ...]:
    known = {sysconfig.get_paths()[key] for key in ("purelib", "platlib")}
    found = [path for path in search if path and os.path.isdir(path)
             and (path in known or os.path.basename(path) in ("site-packages", "dist-packages"))]
    return tuple(dict.fromkeys([*found, *(path for path in known if os.path.isdir(path))]))


def import_path() -> tuple[str, ...]:
    """sys.path of an attempt: the standard library and site-packages; never the checkout, never .pth files."""
    return _import_path(tuple(sys.path))


@functools.lru_cache(maxsize=1)
def _import_path(search: tuple[str, ...]) -> tuple[str, ...]:
    base = os.path.realpath(sys.base_prefix)
    standard = (path for path in search
                if path and os.path.realpath(path).startswith(base + os.sep) and "-packages" not in path)
    return tuple(dict.fromkeys((*standard, *_site_packages(search))))


def _shortcuts(problem: Problem) -> list[str]:
    """Installed packages that would do the work of an answer, and that this problem does not allow."""
    return [os.path.join(folder, name) for folder in site_packages()
            for name in ("torch", "scipy", "sklearn", "tensorflow", "jax", "keras", "numba", "cupy", "torchvision")
            if name not in problem.rules.libraries and os.path.isdir(os.path.join(folder, name))]


def hidden_folders() -> list[str]:
    """What no attempt may open, even where no namespace hides it: the problems, the solutions, the judge."""
    root = bank_root()
    return [str(root / "problems"), str(root / "solutions"), str(HERE.parent)]


class Process:
    """One attempt's process, with its connection, its limits and all that it prints.

    Raises AttemptStopped, and kills the process, when a limit is reached or the process is gone.
    """

    def __init__(self, problem: Problem, isolation: str, *, threads: int = 1, zygote: Zygote | None = None,
                 device: str = "cpu", hide: tuple[str, ...] = ()) -> None:
        self.limits, self.isolation = problem.limits, isolation
        _sweep()
        self.folder = tempfile.mkdtemp(prefix=f"prep-{os.getpid()}-")
        self.sock, theirs = socket.socketpair()
        for end in (self.sock, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._output, output = os.pipe()
        uid = _own_uid() if isolation == "bubblewrap" and os.geteuid() == 0 else 0
        self.terms = (problem.limits, _options(problem, threads, device), hide)
        options = self.terms[1] | {"fd": theirs.fileno(), "uid": uid, "folder": self.folder}
        if zygote is not None and isolation == "bubblewrap":
            options |= {"folder": INSIDE, "seal": {"folder": INSIDE, "tmp_mb": TMP_MB}}
        elif isolation != "bubblewrap" and sys.platform == "linux" and os.geteuid() == 0:
            covered = [*hidden_folders()[:2], *_shortcuts(problem), *(path for path in hide if self._coverable(path))]
            options["seal"] = {"folder": self.folder, "tmp_mb": 0, "hide": covered}
        options["hidden"] = [*options["hidden"], *hide]
        if isolation == "landlock":
            options["landlock"] = {
                "tops": [os.path.realpath(sys.base_prefix), *site_packages(), *_LIBRARIES],
                "covered": [*hidden_folders(), *_shortcuts(problem), *hide],
                "devices": _gpu_nodes() if device != "cpu" else []}
        try:
            if zygote is not None:
                self.popen: subprocess.Popen[bytes] | Forked = zygote.fork(options, [theirs.fileno(), output])
            else:
                gpu = device != "cpu"
                command = _bubblewrap(uid, _shortcuts(problem), gpu=gpu) if isolation == "bubblewrap" else []
                self.popen = subprocess.Popen(
                    [*command, *_python(options)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    cwd=self.folder, env=_environment(self.folder if isolation != "bubblewrap" else INSIDE, threads),
                    pass_fds=[theirs.fileno()], start_new_session=True)
        except BaseException:
            self.sock.close()
            os.close(self._output)
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        finally:
            theirs.close()
            os.close(output)
        os.set_blocking(self._output, False)
        self.sock.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self.sock, select.POLLIN)
        self._poll.register(self._output, select.POLLIN)
        self._text = bytearray()
        self._printed = 0
        self._baseline_mb: float | None = None
        self._own_processes = 1
        self.peak_mb = 0.0
        self._sealed = isolation == "bubblewrap" or "seal" in options
        self.closed = False
        self.begin("importing the libraries", self.limits.start_s)

    def _coverable(self, path: str) -> bool:
        """Whether a folder can be hidden without hiding what the attempt needs."""
        needed = (self.folder, str(HERE), os.path.realpath(sys.base_prefix), *site_packages())
        return os.path.isdir(path) and not any(f"{use}/".startswith(f"{os.path.realpath(path)}/") for use in needed)

    def begin(self, doing: str, limit_s: float, limit: str = "its limit is") -> None:
        """Start the clock for what comes next. doing: how a message will call it."""
        self.doing, self._limit, self._limit_s = doing, limit, limit_s
        self.deadline = time.monotonic() + limit_s

    @property
    def connected(self) -> bool:
        """Whether the attempt's side has not hung up."""
        return not dict(self._poll.poll(0)).get(self.sock.fileno(), 0) & select.POLLHUP

    # -- waiting

    def wait_to_read(self) -> None:
        """Until there is something to read. Meanwhile the limits are watched and what is printed is taken in."""
        self._wait(select.POLLIN)

    def wait_to_write(self) -> None:
        self._wait(select.POLLOUT)

    def _wait(self, wanted: int) -> None:
        if wanted != select.POLLIN:
            self._poll.modify(self.sock, wanted)
        try:
            while True:
                left = self.deadline - time.monotonic()
                if left <= 0:
                    self.stop(Status.TIME_LIMIT, f"{self.doing} did not end in time; {self._limit} {self._limit_s:g} s")
                ready = dict(self._poll.poll(min(left, TICK_S) * 1000 + 1))
                if self._output in ready:
                    self._drain()
                if self.sock.fileno() in ready:
                    return
                if not ready or time.monotonic() >= self._next_look:
                    self._look()
        finally:
            if wanted != select.POLLIN and not self.closed:
                self._poll.modify(self.sock, select.POLLIN)

    _next_look = 0.0

    def _look(self) -> None:
        """Memory, processes and files, against their limits."""
        self._next_look = time.monotonic() + TICK_S
        found = _usage(self.popen.pid)
        if found is None or self._baseline_mb is None:
            return  # it has ended: the socket will say so; or it is still importing
        resident, threads, processes = found
        self.peak_mb = max(self.peak_mb, resident - self._baseline_mb)
        if resident - self._baseline_mb > self.limits.memory_mb:
            self.stop(Status.MEMORY_LIMIT, f"{self.doing} took {resident - self._baseline_mb:,.0f} MB of memory; "
                                           f"the limit is {self.limits.memory_mb:,} MB")
        if processes > self._own_processes:  # before the threads, of which each has one
            self.stop(Status.RULE_VIOLATION, f"started {processes - self._own_processes} process(es) of its own")
        if threads > self.limits.processes + self._own_processes:
            self.stop(Status.RULE_VIOLATION, f"runs {threads} threads; {self.limits.processes} are allowed")
        self._weigh()

    def _weigh(self) -> None:
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size
        if total > self.limits.disk_mb << 20:
            self.stop(Status.OUTPUT_LIMIT, f"{self.doing} wrote {total >> 20:,} MB to files; "
                                           f"the limit is {self.limits.disk_mb:,} MB")

    def settled(self) -> None:
        """The libraries are imported: memory counts from here."""
        found = _usage(self.popen.pid)
        self._baseline_mb, _, self._own_processes = found or (0.0, 1, 1)

    def _drain(self) -> None:
        while True:
            try:
                chunk = os.read(self._output, 1 << 16)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                chunk = b""
            if not chunk:
                with contextlib.suppress(KeyError, OSError):
                    self._poll.unregister(self._output)
                return
            self._printed += len(chunk)
            if len(self._text) < SHOWN_BYTES:
                self._text += chunk[:SHOWN_BYTES - len(self._text)]
            if self._printed > self.limits.output_kb << 10:
                self.stop(Status.OUTPUT_LIMIT, f"{self.doing} printed more than {self.limits.output_kb:,} KiB")

    def take_output(self) -> str:
        """What was printed since the last time; the first 64 KiB of it."""
        if not self.closed:
            self._drain()
        text, self._text = self._text.decode("utf-8", "replace"), bytearray()
        return text

    # -- ending

    def stop(self, status: Status, message: str, traceback: str = "") -> NoReturn:
        """Kill it and say why."""
        self.close()
        raise AttemptStopped(status, message, traceback)

    def foreign_libraries(self, allowed: tuple[str, ...]) -> list[str]:
        """Third-party packages outside `allowed` whose compiled code the attempt has loaded (Linux only)."""
        known = {*allowed, "numpy", "msgpack", "psutil"} | ({*_TORCH_COMPANIONS} if "torch" in allowed else set())
        found = set()
        for pid in _tree(self.popen.pid):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
                    _, packages, rest = line.rpartition("-packages/")
                    package = rest.partition("/")[0].removesuffix(".libs")
                    if packages and "/" in rest and package not in known and ".so" in rest:
                        found.add(package)
        return sorted(found)

    def gone(self) -> NoReturn:
        """It closed the connection: find out how it ended."""
        if not self.closed:
            with contextlib.suppress(AttemptStopped):
                self._drain()
        try:
            code = self.popen.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.stop(Status.RUNTIME_ERROR, f"{self.doing} closed the connection to the judge")
        if 128 < code < 193 and self._sealed:  # what stands between passes a signal on as an exit code
            code = 128 - code
        if code == -signal.SIGXCPU:
            self.stop(Status.TIME_LIMIT, f"{self.doing} used up its CPU time")
        if code == -signal.SIGKILL and self.peak_mb > self.limits.memory_mb / 2:
            self.stop(Status.MEMORY_LIMIT, f"{self.doing} was killed by the system, "
                                           "which does that when memory runs out")
        if code < 0:
            self.stop(Status.RUNTIME_ERROR, f"{self.doing} crashed the interpreter ({_signal_name(-code)})")
        self.stop(Status.RUNTIME_ERROR, f"{self.doing} ended the process (exit code {code}) instead of returning")

    def close(self) -> None:
        """Kill the whole tree and forget the folder. May be called twice."""
        if self.closed:
            return
        self.closed = True
        victims = _tree(self.popen.pid)[1:]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self.popen.kill()
        for victim in victims:
            with contextlib.suppress(OSError):
                os.kill(victim, signal.SIGKILL)
        self.sock.close()
        self.popen.wait()
        with contextlib.suppress(OSError):
            while chunk := os.read(self._output, 1 << 16):
                if len(self._text) < SHOWN_BYTES:
                    self._text += chunk[:SHOWN_BYTES - len(self._text)]
        os.close(self._output)
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def _sweep() -> None:
    """Remove what attempts of judges that were killed have left, files and processes, once in a judge's life."""
    for folder in Path(tempfile.gettempdir()).glob("prep-[0-9]*-*"):
        pid = folder.name.split("-")[1]
        with contextlib.suppress(OSError):
            old = time.time() - folder.stat().st_mtime > SWEPT_S  # another container may share this folder
            if old and pid.isdigit() and sys.platform == "linux" and not os.path.exists(f"/proc/{pid}"):
                shutil.rmtree(folder, ignore_errors=True)
    for stray in _strays():
        with contextlib.suppress(OSError):
            os.kill(stray, signal.SIGKILL)


def _strays() -> list[int]:
    """Halves of bwrap that wait for ever for the other half: where it is killed as it starts, its child is not told.
    The other half leads the group of processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if os.path.basename(words[0]) == b"bwrap" and os.fsencode(HERE) in words:
                group = int((folder / "stat").read_text().rpartition(")")[2].split()[2])
                if group != int(folder.name) and not os.path.exists(f"/proc/{group}"):
                    found.append(int(folder.name))
    return found


def can_fork() -> bool:
    """Whether this system can run zygotes."""
    return sys.platform == "linux"


class Zygote:
    """A process that has imported an answer's libraries and forks a fresh attempt in milliseconds (Linux only).

    isolation: "bubblewrap" puts the zygote into a sandbox, and each attempt it forks into namespaces, a temporary
    folder and a user of its own within; "process" forks plain processes.
    """

    def __init__(self, problem: Problem, *, isolation: str = "process", threads: int = 1) -> None:
        self.isolation = isolation
        self._standby: Process | None = None
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(problem.limits.start_s)
        options = _options(problem, threads) | {"fd": theirs.fileno(), "zygote": True}
        uid = 65534 if os.geteuid() == 0 else 0
        command = _bubblewrap(uid, _shortcuts(problem), zygote=True) if isolation == "bubblewrap" else []
        home = INSIDE if isolation == "bubblewrap" else tempfile.gettempdir()
        self._errors = os.memfd_create("errors")
        with theirs:
            self._popen = subprocess.Popen(
                [*command, *_python(options)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._errors,
                start_new_session=True, env=_environment(home, threads), pass_fds=[theirs.fileno()])

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def fork(self, options: dict[str, Any], fds: list[int]) -> Forked:
        """A new process that serves one attempt over fds[0] and prints to fds[1]. Raises OSError where it is gone, with
        its last words."""
        try:
            socket.send_fds(self._control, [json.dumps(options).encode()], fds)
            return Forked(int(self._control.recv(64)), self)
        except (OSError, ValueError) as error:
            self._end()
            raise OSError(f"the process that forks attempts is gone: {self.last_words or error}") from None

    @property
    def last_words(self) -> str:
        """The end of what it wrote to its standard error."""
        size = os.fstat(self._errors).st_size
        return os.pread(self._errors, 4000, max(0, size - 4000)).decode(errors="replace").strip()

    def exit_code(self, pid: int) -> int | None:
        """How a forked process ended, or None where it has not."""
        self._control.send(json.dumps({"wait": pid}).encode())
        reply = self._control.recv(64)
        return None if reply == b"running" else int(reply)

    def prepare(self, problem: Problem) -> None:
        """Fork the process of the next attempt at `problem` now, so that `start` finds it sealed and waiting."""
        if self._standby is None:
            self._standby = Process(problem, self.isolation, zygote=self)

    def take(self, terms: Callable[[], tuple[Any, ...]]) -> Process | None:
        """The process that was prepared, where it is alive and one on these terms is wanted."""
        found, self._standby = self._standby, None
        if found is not None and (found.terms != terms() or not found.connected):
            found.close()
            return None
        return found

    def close(self) -> None:
        """End it, with the process it may have prepared. May be called twice."""
        if self._standby is not None:
            self._standby.close()
            self._standby = None
        self._control.close()
        self._end()
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # bwrap's child, where bwrap died before it
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.kill()
        self._popen.wait()


class Forked:
    """A zygote's child: as much of Popen as an attempt needs."""

    def __init__(self, pid: int, zygote: Zygote) -> None:
        self.pid, self._zygote = pid, zygote
        self._code: int | None = None

    def wait(self, timeout: float = 1.0) -> int:
        deadline = time.monotonic() + timeout
        with contextlib.suppress(OSError):  # it has been waited for already, or the kernel is older than 5.3
            descriptor = os.pidfd_open(self.pid)
            try:
                ended = select.poll()
                ended.register(descriptor, select.POLLIN)
                ended.poll(timeout * 1000 if self._code is None else 0)
            finally:
                os.close(descriptor)
        while self._code is None:
            try:
                self._code = self._zygote.exit_code(self.pid)
            except (OSError, ValueError):
                self._code = -signal.SIGKILL  # the zygote is gone, and its children with it
            if self._code is None:
                if time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired("attempt", timeout)
                time.sleep(0.002)
        return self._code

    def kill(self) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)


def preload(problem: Problem) -> list[str]:
    """What is imported before an answer's clock runs. Torch imports the second one, for seconds, when an optimizer is
    first made."""
    wanted = ["torch", "torch._dynamo"] if problem.kind == "training" else ["torch"]
    return wanted if problem.uses_torch else []


def zygote_key(problem: Problem) -> tuple[str, ...]:
    """Problems with the same key can share a zygote."""
    return *problem.rules.libraries, *preload(problem)


def _options(problem: Problem, threads: int, device: str = "cpu") -> dict[str, Any]:
    limits = problem.limits
    return {
        "path": list(import_path()), "here": str(HERE), "threads": threads, "uid": 0,
        "preload": preload(problem), "libraries": list(problem.rules.libraries),
        "forbid": list(problem.rules.forbid), "hidden": hidden_folders(), "frame_bytes": limits.frame_mb << 20,
        "device": device,
        # CUDA reserves address space by the terabyte
        "memory_bytes": 0 if device != "cpu" else (limits.memory_mb << 20) * 5 // 4, "disk_bytes": limits.disk_mb << 20,
        "cpu_s": int(limits.start_s + limits.load_s + limits.total_s) * max(2, threads) + 5,
        "processes": limits.processes,
    }


def _python(options: dict[str, Any], code: str | None = None) -> list[str]:
    return [os.path.realpath(sys.executable), "-s", "-P", "-S", "-B", "-X", "utf8", "-c", code or BOOT,
            json.dumps(options)]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _tree(pid: int) -> list[int]:
    """`pid` and its descendants, as far as they can be found."""
    found = [pid]
    if sys.platform == "linux":
        for process in found:
            with contextlib.suppress(OSError, ValueError):
                children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
                found += [child for child in map(int, children) if child not in found]
        return found
    import psutil

    with contextlib.suppress(psutil.Error):
        found += [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return found


def _usage(pid: int) -> tuple[float, int, int] | None:
    """(resident MB, threads, processes) of a tree of processes; None where it has ended."""
    if sys.platform == "linux":  # psutil would do it too, but costs 25 ms to import
        resident = threads = processes = 0
        for process in _tree(pid):
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                threads, resident, processes = threads + int(fields[17]), resident + int(fields[21]), processes + 1
        return (resident * os.sysconf("SC_PAGE_SIZE") / 2**20, threads, processes) if processes else None
    import psutil

    try:
        tree = [psutil.Process(process) for process in _tree(pid)]
        return (sum(p.memory_info().rss for p in tree) / 2**20, sum(p.num_threads() for p in tree), len(tree))
    except psutil.Error:
        return None


def _environment(home: str, threads: int) -> dict[str, str]:
    count = str(threads)
    kept = {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES") if key in os.environ}
    return kept | {"PATH": "/usr/bin:/bin", "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0",
                   "PYTHONUNBUFFERED": "", "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count,
                   "MKL_NUM_THREADS": count,
                   # threads that spin for each other on busy cores were seen to make training twelve times slower
                   "OMP_WAIT_POLICY": "PASSIVE", "TORCHINDUCTOR_COMPILE_THREADS": "1", "USER": "attempt"}


def _own_uid() -> int:
    """A user id that nobody else on this machine is likely to have: eight for each judge, in turns."""
    return 200_000 + os.getpid() % 100_000 * 8 + next(_turns) % 8


_GPU = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset", "/dev/dxg")
_GPU_READ = ("/sys/module/nvidia", "/sys/module/nvidia_uvm", "/sys/bus/pci", "/sys/devices",
             "/run/nvidia-persistenced")


def _gpu_nodes() -> list[str]:
    return [*_GPU, *(str(path) for path in sorted(Path("/dev").glob("nvidia[0-9]*")))]


def _gpu_files() -> list[str]:
    """What CUDA opens, where it is there: device nodes, and what the driver says of itself."""
    options = []
    for node in _gpu_nodes():
        options += ["--dev-bind-try", node, node]
    for path in _GPU_READ:
        options += ["--ro-bind-try", path, path]
    return options


def _bubblewrap(uid: int, hide: list[str], *, zygote: bool = False, gpu: bool = False) -> list[str]:
    """The command that puts what follows it into namespaces of its own.

    uid: what a root caller's attempt will change to, 0 for other callers. hide: folders to leave empty. zygote: keep
    the right to make namespaces and mounts, and stay in this process table, for a process that seals each attempt it
    forks (worker.py). gpu: show the graphics devices.
    """
    command = ["bwrap", "--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-net", "--unshare-uts",
               "--unshare-cgroup-try", "--hostname", "prep", "--cap-drop", "ALL"]
    if not zygote:
        command += ["--unshare-pid"]
    if uid:
        for right in ("CAP_SETUID", "CAP_SETGID", *(("CAP_SYS_ADMIN", "CAP_KILL") if zygote else ())):
            command += ["--cap-add", right]
    else:
        command += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    command += ["--ro-bind", "/usr", "/usr"]
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(name):
            command += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            command += ["--ro-bind", name, name]
    command += ["--perms", "0755", "--dir", "/etc"]
    for name in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"):
        command += ["--ro-bind-try", name, name]
    command += ["--proc", "/proc", "--dev", "/dev", "--perms", "0755", "--tmpfs", "/tmp"]
    if gpu:
        command += _gpu_files()
    shown = [os.path.realpath(sys.base_prefix), *site_packages()]
    shown = list(dict.fromkeys(path for path in shown if path != "/usr" and not path.startswith("/usr/lib")))
    made = {"/", "/tmp", "/usr"}
    for path in (*shown, str(HERE)):
        for parent in reversed(Path(path).parents):
            if str(parent) not in made:  # left to itself, bwrap makes parents that only root may enter
                command += ["--perms", "0755", "--dir", str(parent)]
                made.add(str(parent))
    for path in shown:
        command += ["--ro-bind", path, path]
    covers = [path for path in (*hidden_folders(), *hide)
              if any(path.startswith(top + os.sep) for top in ("/usr", *shown)) and os.path.isdir(path)]
    for path in covers:
        command += ["--tmpfs", path]
    command += ["--ro-bind", str(HERE), str(HERE), "--remount-ro", "/tmp"]
    if zygote:
        command += ["--perms", "0755", "--dir", INSIDE, "--perms", "0755", "--dir", "/dev/shm"]
    else:
        command += ["--perms", "1777", "--size", str(TMP_MB << 20), "--tmpfs", INSIDE,
                    "--perms", "0755", "--size", "1048576", "--tmpfs", "/dev/shm"]
    for path in ("/dev", *covers):
        command += ["--remount-ro", path]
    return [*command, "--chdir", INSIDE, "--remount-ro", "/", "--"]


@functools.cache
def probe() -> tuple[str, str]:
    """(level, reason): the isolation that a launch on this machine really gives, and why it is not more."""
    wanted = os.environ.get("PREP_ISOLATION")
    if wanted in ("process", "landlock", "bubblewrap"):
        return wanted, "PREP_ISOLATION says so"
    if sys.platform != "linux":
        return "process", "namespaces need Linux"
    reason = _bubblewrap_fails()
    if not reason:
        return "bubblewrap", ""
    without = _landlock_fails()
    return ("process", f"{reason}; {without}") if without else ("landlock", reason)


def _bubblewrap_fails() -> str:
    """Why a trial launch does not give a sandbox; "" where it does."""
    if shutil.which("bwrap") is None:
        return "bwrap is not installed: apt-get install bubblewrap (or dnf, pacman)"
    uid = 65534 if os.geteuid() == 0 else 0
    command = [*_bubblewrap(uid, []), os.path.realpath(sys.executable), "-S", "-c",
               "import os; os.listdir('/proc')"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, env={"PATH": "/usr/bin:/bin"})
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a trial launch of bwrap failed: {error}"
    if done.returncode:
        return f"a trial launch of bwrap failed: {done.stderr.strip()[:300] or done.returncode}"
    return ""


def _landlock_fails() -> str:
    """Why a trial process is not confined by Landlock; "" where it is."""
    command = _python({"path": import_path(), "here": str(HERE)}, _TRIAL)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, env={"PATH": "/usr/bin:/bin"})
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a trial of Landlock failed: {error}"
    if done.returncode:
        return f"a trial of Landlock failed: {(done.stderr.strip().splitlines() or ['it crashed'])[-1][:300]}"
    return ""


def start(problem: Problem, *, isolation: str | None = None, threads: int = 1, zygote: Zygote | None = None,
          device: str = "cpu", hide: tuple[str, ...] = ()) -> Process:
    """Start a process for one attempt at `problem`; it imports its libraries while the judge does other things.

    zygote: fork it from there instead, with the isolation that it gives; never for a GPU, which does not outlive a
    fork. device: of the attempt; a GPU is started up with the imports, and is visible only where it is asked for.
    hide: folders that no attempt may open, besides the bank.
    """
    level = zygote.isolation if zygote else isolation or probe()[0]
    if device != "cpu" and zygote is not None:
        level, zygote = zygote.isolation, None
    waiting = zygote and zygote.take(lambda: (problem.limits, _options(problem, threads, device), hide))
    if waiting:
        waiting.begin("importing the libraries", problem.limits.start_s)
        return waiting
    return Process(problem, level, threads=threads, zygote=zygote, device=device, hide=hide)
