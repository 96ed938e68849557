"""Escapes from the sandbox, cold and warm, by root and by an ordinary user. The rules of an answer and the watch on its
interpreter are switched off, for they are advice: what is tested is the wall. Where it does no harm, a probe also runs
without a wall and must succeed there, or else its failure within would mean nothing.

There are two walls, namespaces with limits and a filter of system calls. What the filter would refuse is tried without
it as well, so that each wall is seen to hold by itself."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import json
import os
import pty
import pwd
import re
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader import judge
from grader.attempt import landlock, launch, rules, syscalls
from grader.attempt.outcomes import AttemptRaised, AttemptStopped
from grader.attempt.proxy import Attempt
from grader.bank import Bank
from grader.problem import Problem
from grader.verdict import Status, Verdict

ROOT = Path(__file__).resolve().parent.parent
AS_ROOT = os.geteuid() == 0
SOMEBODY = 12_345
"""a user id without rights"""
LEVEL, REASON = launch.probe()
NO_SANDBOX = f"no sandbox on this machine: {REASON}"
in_a_sandbox = pytest.mark.skipif(LEVEL != "bubblewrap", reason=NO_SANDBOX)
SECRET = f"marker-{os.urandom(8).hex()}"
EPERM = errno.EPERM

UNGUARDED = launch.BOOT.replace("worker.main(options)", """\
from grader.attempt import rules, syscalls
rules.disarm = lambda: None
rules.Guard.install = lambda self: None
worker.main(options)""")
UNFILTERED = UNGUARDED.replace("worker.main(options)", """\
syscalls.refuse = lambda **options: False
worker.main(options)""")
assert len({launch.BOOT, UNGUARDED, UNFILTERED}) == 3

FILTERED = [pytest.param((start, True), id=start) for start in ("cold", "warm")]
both = pytest.mark.parametrize("sandbox", indirect=True, scope="module", argvalues=[
    *FILTERED, *(pytest.param((start, False), id=f"{start}-unfiltered") for start in ("cold", "warm"))])
"""with the filter of system calls, and without"""

PROBES = r'''
import ctypes, functools, mmap, os, resource, signal, socket, stat, struct, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
ADD_KEY, KEYCTL = {"aarch64": (217, 219)}.get(os.uname().machine, (248, 250))
PIDFD_SEND_SIGNAL, PIDFD_GETFD = 424, 438
kept = []

def succeeds(call, *args):
    try:
        return call(*args) != -1
    except OSError:
        return False

def tells_of_refusal(probe):
    """The probe returns "refused" where it is not permitted at all."""
    @functools.wraps(probe)
    def telling(*args):
        try:
            return probe(*args)
        except PermissionError:
            return "refused"
    return telling

def text(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""

# files

def opened(paths):
    found = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                file.read(1)
            found.append(path)
        except OSError:
            pass
    return found

def listing(folder):
    return sorted(os.listdir(folder))

def visible(skip, most):
    """Regular files outside the folders in skip."""
    found = []
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in skip]
        paths = [os.path.join(folder, name) for name in names]
        found += [path for path in paths if stat.S_ISREG(os.lstat(path).st_mode)]
        if len(found) > most:
            break
    return found

def put(path, content):
    with open(path, "w") as file:
        file.write(content)

def named(name, skip):
    """Files of that name, here and where other processes have their root."""
    found = [path for path in visible(skip, 10**6) if os.path.basename(path) == name]
    roots = [f"/proc/{pid}/root" for pid in processes()]
    return found + [root for root in roots if os.path.exists(f"{root}/attempt/{name}")
                    and not os.path.samefile(f"{root}/attempt", "/attempt")]

def open_mounts():
    """Every folder below a mount that is not read-only."""
    found = set()
    for line in text("/proc/self/mountinfo").splitlines():
        where, options = line.split()[4:6]
        if "rw" in options.split(",") and not (where + "/").startswith("/proc/") and os.path.isdir(where):
            found.update(folder for folder, _, _ in os.walk(where))
    return sorted(found)

def written(paths):
    """Folders that a file can be made in, and files that can be opened for writing."""
    found = []
    for path in paths:
        target = os.path.join(path, "made-by-an-attempt") if os.path.isdir(path) else path
        flags = os.O_WRONLY | (os.O_CREAT if os.path.isdir(path) else 0)
        try:
            os.close(os.open(target, flags))
            found.append(path)
            if target != path:
                os.unlink(target)
        except OSError:
            pass
    return found

def meddled(path):
    """What can be done to a file without opening it."""
    tries = {
        "mode": lambda: os.chmod(path, 0o777),
        "owner": lambda: os.chown(path, os.getuid(), os.getgid()),
        "times": lambda: os.utime(path, (1, 1)),
        "length": lambda: os.truncate(path, 0),
        "attributes": lambda: os.setxattr(path, "user.prep", b"1"),
        "name": lambda: os.rename(path, path + "-renamed") or os.rename(path + "-renamed", path),
        "link": lambda: os.link(path, path + "-linked"),
    }
    return [name for name, call in tries.items() if succeeds(call)]

def settings():
    return [os.path.join(folder, name) for folder, _, names in os.walk("/proc/sys") for name in names]

def changed(paths):
    """Settings of the kernel that take what they hold: that can be opened for writing says little of them."""
    found = []
    for path in paths:
        try:
            with open(path, "r+b", buffering=0) as file:
                file.write(file.read())
            found.append(path)
        except (OSError, ValueError):
            pass
    return found

def fill(folders, most):
    """How many bytes each folder takes."""
    taken = {}
    for folder in folders:
        taken[folder] = number = 0
        try:
            while taken[folder] < most:
                number += 1
                with open(f"{folder}/fill-{number}", "wb", buffering=0) as file:
                    for _ in range(32):
                        taken[folder] += file.write(bytes(1 << 20))
        except OSError:
            pass
    return taken

# the network

@tells_of_refusal
def talk(family, kind, address):
    with socket.socket(family, kind) as sock:
        sock.settimeout(1)
        try:
            sock.connect(tuple(address) if isinstance(address, list) else address)
            sock.send(b"escaped")
        except OSError:
            pass

@tells_of_refusal
def interfaces():
    return [name for _, name in socket.if_nameindex()]

def socket_kinds(families):
    found = []
    for family in families:
        try:
            socket.socket(family, socket.SOCK_STREAM).close()
            found.append(family)
        except OSError:
            pass
    return found

# processes

def processes():
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())

def reach(pid):
    """What can be done to a process; it is killed in the end."""
    seize = 0x4206
    tries = {
        "environ": lambda: os.close(os.open(f"/proc/{pid}/environ", os.O_RDONLY)),
        "memory": lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)),
        "files": lambda: os.listdir(f"/proc/{pid}/fd"),
        "root": lambda: os.listdir(f"/proc/{pid}/root"),
        "descriptor": lambda: os.close(os.pidfd_open(pid)),
        "limits": lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE),
        "ptrace": lambda: libc.ptrace(seize, pid, None, None),
        "kill": lambda: os.kill(pid, signal.SIGKILL),
    }
    return [name for name, call in tries.items() if succeeds(call)]

def signal_the_first(pid, numbers):
    return [number for number in numbers if succeeds(os.kill, pid, number)]

def kill_everything(namespace_of_the_judge):
    if os.readlink("/proc/self/ns/pid") == namespace_of_the_judge:
        raise RuntimeError("there is no wall: this would end the machine")
    succeeds(os.kill, -1, signal.SIGKILL)

def peer():
    """What can be done to whoever made the other end of a connection, by a descriptor of that process."""
    found = []
    for number, _ in descriptors():
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            with socket.socket(fileno=os.dup(number)) as sock:
                try:
                    process = sock.getsockopt(socket.SOL_SOCKET, 77)  # SO_PEERPIDFD
                except OSError:
                    continue
                found.append("named")
                if libc.syscall(PIDFD_SEND_SIGNAL, process, 0, None, 0) != -1:
                    found.append("signal")
                if any(libc.syscall(PIDFD_GETFD, process, i, 0) != -1 for i in range(8)):
                    found.append("files")
                if libc.setns(process, 0x20000) != -1:
                    found.append("mounts")
    return found

def forks(most):
    """How many processes can be made."""
    pids = []
    try:
        while len(pids) < most:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            pids.append(pid)
    except OSError:
        pass
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(pids)

def started():
    """The ways to start a process that work."""
    import subprocess

    def fork():
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    tries = {
        "fork": fork,
        "spawn": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
        "subprocess": lambda: subprocess.run(["/bin/true"], check=True),
        "shell": lambda: os.system("true") and -1,
    }
    return [name for name, call in tries.items() if succeeds(call)]

def threads(number):
    """How many threads there are at once, besides the first."""
    barrier = threading.Barrier(number + 1)
    for _ in range(number):
        threading.Thread(target=barrier.wait, args=[5]).start()
    found = len(os.listdir("/proc/self/task")) - 1
    barrier.wait(5)
    return found

def refuse_to_die(mark):
    """Live on in a thread that outlasts the first, whose parent's death was to be its own."""
    pr_set_pdeathsig, pr_set_name, exit_thread = 1, 15, {"aarch64": 93}.get(os.uname().machine, 60)

    def stay():
        libc.prctl(pr_set_pdeathsig, 0, 0, 0, 0)
        libc.prctl(pr_set_name, mark.encode(), 0, 0, 0)
        while True:
            time.sleep(1)

    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    libc.prctl(pr_set_pdeathsig, 0, 0, 0, 0)
    threading.Thread(target=stay).start()
    libc.syscall(exit_thread, 0)

# what is inherited

def places_of(secret):
    found = ["environ"] if any(secret in value for value in os.environ.values()) else []
    return found + [f"/proc/{pid}/{name}" for pid in processes() for name in ("environ", "cmdline")
                    if secret in text(f"/proc/{pid}/{name}")]

def environment():
    return sorted(os.environ)

def descriptors():
    """[number, what it is] above the standard three."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append([int(name), os.readlink(f"/proc/self/fd/{name}")])
        except FileNotFoundError:
            pass  # the one that listed the folder
    return [entry for entry in found if entry[0] > 2]

def read_inherited(secret):
    found = []
    for number, _ in descriptors():
        try:
            if secret.encode() in os.pread(number, 1000, 0):
                found.append(number)
        except OSError:
            pass
    return found

def shared_mappings(make=False):
    if make:
        kept.append(mmap.mmap(-1, 4096))
    return [line for line in text("/proc/self/maps").splitlines() if line.split()[1] == "rw-s"]

# keeping something for the next attempt

def queue(name, flags):
    return ctypes.CDLL("librt.so.1").mq_open(name.encode(), flags, 0o666, None)

def leave(name, folders):
    key = int.from_bytes(name.encode()[-3:], "little")
    create = 0o1666
    for folder in folders:
        succeeds(put, f"{folder}/{name}", "left")
    libc.shmget(key, 4096, create), libc.semget(key, 1, create), libc.msgget(key, create)
    queue(f"/{name}", os.O_CREAT | os.O_RDWR)

def left(name, folders):
    """The kinds of things that an earlier process left; they are removed."""
    key = int.from_bytes(name.encode()[-3:], "little")
    found = [folder for folder in folders if os.path.exists(f"{folder}/{name}")]
    for folder in found:
        succeeds(os.unlink, f"{folder}/{name}")
    for kind, number, remove in (("memory", libc.shmget(key, 0, 0), lambda n: libc.shmctl(n, 0, None)),
                                 ("semaphore", libc.semget(key, 0, 0), lambda n: libc.semctl(n, 0, 0)),
                                 ("messages", libc.msgget(key, 0), lambda n: libc.msgctl(n, 0, None))):
        if number != -1:
            found.append(kind)
            remove(number)
    if queue(f"/{name}", os.O_RDWR) != -1:
        found.append("queue")
        ctypes.CDLL("librt.so.1").mq_unlink(f"/{name}".encode())
    return found

def leave_key(name):
    session, timeout_s = -3, 60
    number = libc.syscall(ADD_KEY, b"user", name.encode(), b"left", 4, session)
    libc.syscall(KEYCTL, 15, number, timeout_s)
    return number != -1

def key(name):
    """What the kernel keeps under that name for whoever may search this process's keyrings."""
    number = libc.syscall(KEYCTL, 10, -3, b"user", name.encode(), 0)
    content = ctypes.create_string_buffer(100)
    size = libc.syscall(KEYCTL, 11, number, content, 100) if number != -1 else -1
    return content.raw[:size].decode() if size != -1 else None

# rights

def status():
    lines = (line.split(":", 1) for line in text("/proc/self/status").splitlines())
    return {name: value.strip() for name, value in lines}

def enter_user_namespace():
    new_mounts, new_hostname, new_user = 0x20000, 0x4000000, 0x10000000
    return libc.unshare(new_user | new_mounts | new_hostname) != -1

def privileged(folder, enter=False):
    """What only a process with rights over its system can do."""
    if enter:
        enter_user_namespace()
    bind, remount, read_only = 1 << 12, 1 << 5, 1
    tries = {
        "mount": lambda: libc.mount(b"none", folder.encode(), b"tmpfs", 0, None),
        "make writable": lambda: -1 if enter else libc.mount(None, b"/", None, remount | bind, None),
        "new mounts": lambda: libc.unshare(0x20000),
        "new network": lambda: libc.unshare(0x40000000),
        "other mounts": lambda: libc.setns(os.open("/proc/1/ns/mnt", os.O_RDONLY), 0),
        "device": lambda: os.mknod(f"{folder}/device", stat.S_IFCHR | 0o666, os.makedev(1, 1)),
        "host name": lambda: libc.sethostname(b"escaped", 7),
        "owner": lambda: os.chown(folder, 0, 0) if not enter else -1,
        "user": lambda: os.setuid(0) if not enter else -1,
        "kernel log": lambda: libc.klogctl(10, None, 0),
        "root": lambda: os.chroot(folder),
    }
    return [name for name, call in tries.items() if succeeds(call)]

def uncover():
    """With all rights in a namespace of its own: mounts that come off or become writable."""
    if not enter_user_namespace():
        return []
    detach, bind, remount = 2, 1 << 12, 1 << 5
    mounts = [line.split()[4] for line in text("/proc/self/mountinfo").splitlines()]
    found = [f"{path} off" for path in mounts if libc.umount2(path.encode(), detach) != -1]
    return found + [f"{path} writable" for path in mounts if path.startswith(("/usr", "/tmp", "/etc")) or path == "/"
                    if libc.mount(None, path.encode(), None, bind | remount, None) != -1]

@tells_of_refusal
def run_setuid(program):
    os.execve(program, [program, "--version"], {"LD_SHOW_AUXV": "1"})

def type_into_terminal():
    terminals = [0, 1, 2]
    try:
        terminals.append(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        pass
    import fcntl
    return [number for number in terminals if succeeds(fcntl.ioctl, number, 0x5412, b"x")]  # TIOCSTI

def limits():
    return {name: list(resource.getrlimit(getattr(resource, name)))
            for name in dir(resource) if name.startswith("RLIMIT_")}

def raised_limits(lower_first=False):
    if lower_first:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    found = []
    for name, (_, hard) in limits().items():
        try:
            resource.setrlimit(getattr(resource, name), (hard, hard + 1 if hard >= 0 else hard))
            if hard >= 0:
                found.append(name)
        except (OSError, ValueError):
            pass
    return found

# the filter

def errors(calls):
    """What each [number, *arguments] fails with; 0 where it succeeds."""
    found = []
    for number, *args in calls:
        result = libc.syscall(*map(ctypes.c_long, [number, *args]))
        found.append(ctypes.get_errno() if result == -1 else 0)
    return found

def getpid_of_i386():
    """The call of another architecture, where the numbers mean other things."""
    code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20; int 0x80; ret
    kept.append(code)
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()

def hoard(kind, megabytes):
    """Take memory: the process's own, or of a kind that is in no resident set."""
    for _ in range(megabytes // 16):
        if kind == "private":
            kept.append(b"x" * (16 << 20))
        elif kind == "shared":
            kept.append(mmap.mmap(-1, 16 << 20))
            kept[-1].write(b"x" * (16 << 20))
            kept[-1].madvise(mmap.MADV_DONTNEED)
        elif kind == "file in memory":
            kept.append(os.memfd_create("hoard"))
            for _ in range(16):
                os.write(kept[-1], bytes(1 << 20))
        else:
            libc.shmat.restype = ctypes.c_void_p
            segment = libc.shmget(0, 16 << 20, 0o1600)
            if segment == -1:
                raise OSError(ctypes.get_errno(), "shmget")
            address = libc.shmat(segment, None, 0)
            ctypes.memset(address, 1, 16 << 20)
            libc.shmdt(ctypes.c_void_p(address))
        time.sleep(0.01)
    time.sleep(0.2)
'''
RUN_PROBE = """
import json
name, args = json.loads(sys.stdin.read())
print(json.dumps(globals()[name](*args)))
"""


def outside(name: str, *args: Any, **options: Any) -> Any:
    """A probe's result in a plain process of the same user: what there is to get."""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", PROBES + RUN_PROBE], input=json.dumps([name, args]),
                          stdout=subprocess.PIPE, text=True, timeout=30, check=True, **options)
    return json.loads(done.stdout)


def control(holds: object, found: object = None) -> None:
    """That a probe gets what it is after where there is no wall. Never excused as a hole is."""
    if not holds:
        pytest.fail(f"a probe that proves nothing: without a wall it found {found}")


@contextlib.contextmanager
def without_rules(filtered: bool) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "BOOT", UNGUARDED if filtered else UNFILTERED)
        patch.setattr(rules, "find_in_source", lambda *args: None)
        yield


class Sandbox:
    """Starts attempts inside: cold, or forked from one zygote."""

    def __init__(self, start: str, *, filtered: bool = True, guarded: bool = False, level: str = "bubblewrap") -> None:
        if level == "bubblewrap" and level != LEVEL:
            pytest.skip(NO_SANDBOX)
        if level == "landlock" and (reason := launch._landlock_fails()):
            pytest.skip(f"NO LANDLOCK ON THIS MACHINE: {reason}")
        self.level = level
        known = Bank().get("conv2d")
        self.problem = dataclasses.replace(known, limits=dataclasses.replace(known.limits, memory_mb=256))
        self.filtered = filtered
        self._rules = contextlib.nullcontext if guarded else functools.partial(without_rules, filtered)
        with self._rules():
            self.zygote = launch.Zygote(self.problem, isolation=level) if start == "warm" else None

    @contextlib.contextmanager
    def attempt(self, **limits: Any) -> Iterator[Attempt]:
        problem = dataclasses.replace(self.problem, limits=dataclasses.replace(self.problem.limits, **limits))
        with self._rules():
            attempt = Attempt(launch.start(problem, isolation=self.level, zygote=self.zygote), problem)
        try:
            attempt.load(PROBES)
            yield attempt
        finally:
            attempt.close()

    def grade(self, problem: Problem, source: str) -> Verdict:
        with self._rules():
            return judge.grade(problem, source, isolation=self.level, zygote=self.zygote)

    def close(self) -> None:
        if self.zygote is not None:
            self.zygote.close()


@pytest.fixture(scope="module", autouse=True)
def surroundings() -> Iterator[None]:
    """A secret in the judge's environment; for an ordinary user also an end to what a fork bomb can do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREP_SECRET_MARKER", SECRET)
        if not AS_ROOT:
            mine = [path for path in Path("/proc").glob("[0-9]*") if _owner(path) == os.geteuid()]
            threads = sum(len(threads_of(path)) for path in mine)
            cap = threads + 600
            resource.setrlimit(resource.RLIMIT_NPROC, (cap if hard < 0 else min(cap, hard), hard))
        yield
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))


def _owner(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_uid
    return -1


@pytest.fixture(scope="module", params=FILTERED)
def sandbox(request: pytest.FixtureRequest, surroundings: None) -> Iterator[Sandbox]:
    start, filtered = request.param
    opened = Sandbox(start, filtered=filtered)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def inside(sandbox: Sandbox) -> Iterator[Callable[..., Any]]:
    """inside(name, *args): a probe's result in one attempt that all tests share."""
    with sandbox.attempt() as attempt:
        yield lambda name, *args: getattr(attempt, name)(*args)


@pytest.fixture
def toy(make_problem: Callable[..., Problem]) -> Problem:
    return make_problem(entry=["f(x)"], suite="def test_a(attempt):\n    assert attempt.f(1) == 1\n",
                        solution="def f(x): return x\n", limits={"call_s": 2.0})


def threads_of(process: Path) -> list[Path]:
    """The folders of its threads; none where it has ended, at which glob("task/*") would raise."""
    with contextlib.suppress(OSError):
        return list((process / "task").iterdir())
    return []


def marked(mark: str) -> list[int]:
    """Processes with a thread that runs under a name; not those that have ended and wait to be forgotten."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        for path in threads_of(process):
            with contextlib.suppress(OSError):
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX" and mark in (path / "comm").read_text() + (path / "cmdline").read_text("latin-1"):
                    found.add(int(path.parts[2]))
    return sorted(found)


def within(seconds: float, condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def mark() -> Iterator[str]:
    """A name for processes, of at most 15 characters; whatever bears it is killed after the test."""
    name = f"escape{os.urandom(4).hex()}"
    yield name
    for pid in marked(name):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


# Files


def files_of_the_judge(toy: Problem, tmp_path: Path) -> list[str]:
    conv2d = Bank().get("conv2d")
    home, state = tmp_path / "home", Path(os.environ["PREP_STATE_DIR"])
    for folder in (home, state):
        folder.mkdir(exist_ok=True)
        (folder / "secret.txt").write_text(SECRET)
    wanted = [conv2d.suite, conv2d.solution, toy.suite, toy.solution, ROOT / "pyproject.toml",
              ROOT / "grader" / "judge.py", Path(__file__), home / "secret.txt", state / "secret.txt",
              *(Path("/etc") / name for name in ("passwd", "shadow", "hostname", "hosts", "machine-id")),
              *(Path(f"/proc/{os.getpid()}") / name for name in ("environ", "maps", "cmdline"))]
    with contextlib.suppress(OSError, KeyError):  # wherever HOME points
        wanted += [path for path in Path(pwd.getpwuid(os.geteuid()).pw_dir).iterdir() if path.is_file()]
    paths = [str(path) for path in wanted if os.access(path, os.R_OK)]
    control(len(paths) >= 12 and outside("opened", paths) == paths, paths)
    return paths


def test_the_judges_files_cannot_be_opened(inside: Callable[..., Any], toy: Problem, tmp_path: Path) -> None:
    assert inside("opened", files_of_the_judge(toy, tmp_path)) == []


def test_only_the_interpreter_and_its_libraries_are_visible(inside: Callable[..., Any]) -> None:
    shown = ["/usr", "/proc", "/attempt", "/etc/alternatives", os.path.realpath(sys.base_prefix),
             *launch.site_packages(), str(launch.HERE)]
    assert set(inside("visible", shown, 1000)) <= {"/etc/ld.so.cache", "/etc/localtime"}
    control(len(outside("visible", ["/proc", "/sys", "/usr"], 100)) > 100)


def test_another_attempts_files_are_out_of_sight(sandbox: Sandbox, inside: Callable[..., Any]) -> None:
    skip = ["/usr", "/proc", os.path.realpath(sys.base_prefix), *launch.site_packages()]
    name = f"answer-{SECRET}"
    with sandbox.attempt() as other:
        other.put(f"/attempt/{name}", "42")
        assert inside("named", name, skip) == []
        control(other.named(name, skip) == [f"/attempt/{name}"])


SYSTEM = ["/", "/usr", "/usr/bin", "/usr/bin/env", "/usr/lib", "/bin", "/lib", "/etc", "/etc/localtime",
          "/etc/ld.so.cache", "/root", "/home", "/var", "/run", "/tmp", "/var/tmp", "/boot", "/proc/sysrq-trigger",
          "/proc/kcore", sys.base_prefix, os.__file__, str(ROOT), str(launch.HERE), str(launch.HERE / "worker.py"),
          *launch.site_packages()]

OWN_SETTINGS = re.compile("/proc/sys/(fs/mqueue/|kernel/(auto_msgmni|msg|sem|shm|pid_max))")
"""of the attempt's own namespaces, and gone with them"""


def test_no_path_of_the_system_can_be_written(inside: Callable[..., Any], tmp_path: Path) -> None:
    settings = inside("settings")
    changed = [path for path in inside("changed", settings) if not OWN_SETTINGS.match(path)]
    assert len(settings) > 100 and changed == []
    assert inside("written", SYSTEM) == []
    (tmp_path / "file").write_text("")
    paths = [str(tmp_path), str(tmp_path / "file")]
    control(outside("written", paths) == paths and outside("changed", paths[1:]) == paths[1:])


def test_one_folder_can_be_written(inside: Callable[..., Any]) -> None:
    folders = inside("written", inside("open_mounts"))
    control("/attempt" in folders, folders)
    assert set(folders) <= {"/attempt", "/dev/shm"}


def test_the_disk_has_an_end(sandbox: Sandbox, tmp_path: Path) -> None:
    most = 200 << 20
    with sandbox.attempt() as attempt:
        taken = attempt.fill(["/attempt", "/dev/shm", "/tmp", "/var/tmp", "/"], most)
        folder = Path(attempt._connection.process.folder)
        assert folder.is_dir() and not list(folder.iterdir())
    assert 32 << 20 < taken["/attempt"] <= launch.TMP_MB << 20 and sum(taken.values()) <= (launch.TMP_MB + 1) << 20
    more = (launch.TMP_MB + 16) << 20
    control(outside("fill", [str(tmp_path)], more)[str(tmp_path)] >= more)
    shutil.rmtree(tmp_path)


def test_no_device_but_the_plain_ones(inside: Callable[..., Any]) -> None:
    plain = {"core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
             "urandom", "zero"}
    assert "null" in inside("listing", "/dev") and set(inside("listing", "/dev")) <= plain
    assert "sys" not in inside("listing", "/")


# The network


@both
@pytest.mark.parametrize("kind", ["tcp", "udp", "socket file", "abstract socket"])
def test_no_socket_reaches_a_listener(kind: str, sandbox: Sandbox, inside: Callable[..., Any], tmp_path: Path) -> None:
    local, datagrams = kind.endswith(("file", "socket")), kind == "udp"
    family = socket.AF_UNIX if local else socket.AF_INET
    address: Any = {"abstract socket": f"\0{SECRET}", "socket file": str(tmp_path / "s")}.get(kind, ("127.0.0.1", 0))
    with socket.socket(family, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM) as listener:
        listener.bind(address)
        if not datagrams:
            listener.listen()
        listener.settimeout(0.1)

        def heard() -> bool:
            try:
                if datagrams:
                    return listener.recv(100) == b"escaped"
                with listener.accept()[0] as connection:
                    return connection.recv(100) == b"escaped"
            except TimeoutError:
                return False

        name = listener.getsockname()
        target = [family, listener.type, name.decode() if isinstance(name, bytes) else name]
        assert inside("talk", *target) == ("refused" if sandbox.filtered else None)
        assert not heard()
        outside("talk", *target)
        control(heard())


@both
def test_no_interface_leads_out(sandbox: Sandbox, inside: Callable[..., Any]) -> None:
    assert inside("interfaces") == ("refused" if sandbox.filtered else ["lo"])


def test_no_socket_of_any_family_can_be_made(inside: Callable[..., Any]) -> None:
    """Not even of those that no namespace confines: AF_VSOCK leads out of a virtual machine, AF_ALG into the kernel."""
    families = [int(family) for family in socket.AddressFamily]
    control({socket.AF_UNIX, socket.AF_INET} <= set(outside("socket_kinds", families)))
    assert inside("socket_kinds", families) == []


# Processes


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process like the judge: outside, and of the same user."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@both
def test_no_other_process_can_be_reached(inside: Callable[..., Any], victim: subprocess.Popen[bytes]) -> None:
    assert inside("reach", victim.pid) == []
    assert victim.poll() is None
    # ptrace and all that asks for its right may be refused by Yama, without a sandbox too
    plain = outside("reach", victim.pid)
    control({"environ", "descriptor", "limits", "kill"} <= set(plain) and victim.wait(5) == -signal.SIGKILL, plain)


def test_only_its_own_processes_are_listed(inside: Callable[..., Any]) -> None:
    assert set(inside("processes")) <= {1, 2}
    control(os.getpid() in outside("processes"))


def test_killing_everything_in_sight_kills_nobody(sandbox: Sandbox, inside: Callable[..., Any],
                                                  victim: subprocess.Popen[bytes]) -> None:
    # without a control, which would end the session
    with sandbox.attempt() as attempt, contextlib.suppress(AttemptStopped):
        attempt.kill_everything(os.readlink("/proc/self/ns/pid"))
    assert inside("processes") and victim.poll() is None
    with sandbox.attempt() as following:
        assert following.processes()


def test_signals_to_the_first_process(sandbox: Sandbox, inside: Callable[..., Any],
                                      victim: subprocess.Popen[bytes]) -> None:
    numbers = [int(signal.Signals[f"SIG{name}"]) for name in ("TERM", "INT", "STOP", "ABRT", "KILL")]
    with sandbox.attempt() as attempt, contextlib.suppress(AttemptStopped, AttemptRaised):
        attempt.signal_the_first(1, numbers)  # in a warm attempt that is itself
    assert inside("processes") and victim.poll() is None
    control(outside("signal_the_first", victim.pid, numbers) == numbers)


@both
def test_the_connection_leads_to_no_process(inside: Callable[..., Any]) -> None:
    one, other = socket.socketpair()
    with one, other:
        plain = outside("peer", pass_fds=[other.fileno()])
    if "named" not in plain:
        pytest.skip("this kernel has no SO_PEERPIDFD")
    control("signal" in plain, plain)
    assert set(inside("peer")) <= {"named"}


def test_no_process_can_be_started_but_threads_can(inside: Callable[..., Any]) -> None:
    assert inside("started") == []
    plain = outside("started")
    control(plain == ["fork", "spawn", "subprocess", "shell"], plain)
    assert inside("threads", 3) >= 3


# What is inherited


def test_no_secret_of_the_environment_is_in_sight(inside: Callable[..., Any]) -> None:
    control("environ" in outside("places_of", SECRET))
    assert inside("places_of", SECRET) == []
    names = {name for name in inside("environment") if not re.match("(OMP|OPENBLAS|MKL|TORCHINDUCTOR)_|PYTHON", name)}
    assert names <= {"PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "USER", "PWD", "LD_LIBRARY_PATH",
                     "CUDA_VISIBLE_DEVICES"}


@in_a_sandbox
@pytest.mark.parametrize("start", ["cold", "warm"])
def test_one_descriptor_is_inherited(start: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with open(tmp_path / "secret") as file, contextlib.closing(Sandbox(start)) as sandbox:
        os.set_inheritable(file.fileno(), True)
        control(outside("read_inherited", SECRET, close_fds=False) == [file.fileno()])
        with sandbox.attempt(), sandbox.attempt() as attempt:
            assert attempt.read_inherited(SECRET) == []
            (_, what), = attempt.descriptors()
            assert what.startswith("socket:")


def test_no_memory_is_shared_with_others(inside: Callable[..., Any]) -> None:
    assert inside("shared_mappings") == []
    control(outside("shared_mappings", True))


# What the next attempt finds


@both
def test_nothing_is_kept_for_the_next_attempt(sandbox: Sandbox, inside: Callable[..., Any], tmp_path: Path) -> None:
    name, folders = SECRET, ["/attempt", "/tmp", "/dev/shm", "/var/tmp", "/run", str(tmp_path)]
    everything = ["memory", "semaphore", "messages", "queue"]
    with sandbox.attempt() as attempt:
        attempt.leave(name, folders)
        assert inside("left", name, folders) == []
        made = attempt.left(name, folders)
        control("/attempt" in made, made)
        assert set(made) & set(everything) == (set() if sandbox.filtered else set(everything))
        attempt.leave(name, folders)
    with sandbox.attempt() as following:
        assert following.left(name, folders) == []
    assert outside("left", name, [str(tmp_path)]) == []
    outside("leave", name, [str(tmp_path)])
    control(outside("left", name, [str(tmp_path)]) == [str(tmp_path), *everything])


def test_no_file_is_kept_for_the_next_attempt(sandbox: Sandbox) -> None:
    with sandbox.attempt() as attempt:
        folders = attempt.open_mounts()
        attempt.leave(SECRET, folders)
        control("/attempt" in attempt.left(SECRET, folders))
        attempt.leave(SECRET, folders)
    with sandbox.attempt() as following:
        assert following.left(SECRET, folders) == []


def in_a_new_keyring(work: Callable[[], None]) -> None:
    """Call it in a thread with a session keyring of its own, so that the person's own is left alone."""
    errors: list[BaseException] = []

    def run() -> None:
        import ctypes

        number = 219 if os.uname().machine == "aarch64" else 250
        if ctypes.CDLL(None).syscall(number, 1, None) == -1:  # KEYCTL_JOIN_SESSION_KEYRING
            return
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in errors:
        raise error


@in_a_sandbox
@pytest.mark.parametrize("start", ["cold", "warm"])
def test_no_key_of_the_judges_can_be_read(start: str) -> None:
    def work() -> None:
        if not outside("leave_key", "prep-judge"):
            return
        control(outside("key", "prep-judge") == "left")
        with contextlib.closing(Sandbox(start)) as sandbox, sandbox.attempt() as attempt:
            found.append(attempt.key("prep-judge"))

    found: list[str | None] = []
    in_a_new_keyring(work)
    if not found:
        pytest.skip("no kernel keyrings here")
    assert found == [None]


@in_a_sandbox
@pytest.mark.parametrize("start", ["cold", "warm"])
def test_no_key_is_kept_for_the_next_attempt(start: str) -> None:
    def work() -> None:
        if not outside("leave_key", "prep-control"):
            return
        control(outside("key", "prep-control") == "left")
        with contextlib.closing(Sandbox(start)) as sandbox:
            with sandbox.attempt() as one:
                one.leave_key("prep-left")
            with sandbox.attempt() as following:
                found.append(following.key("prep-left"))

    found: list[str | None] = []
    in_a_new_keyring(work)
    if not found:
        pytest.skip("no kernel keyrings here")
    assert found == [None]


# Rights


def test_it_has_no_rights(inside: Callable[..., Any]) -> None:
    status = inside("status")
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert status["Groups"] == "" or not AS_ROOT  # nobody else may give up a group
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    assert not any(int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"))
    if AS_ROOT:
        plain = outside("status")
        control(int(plain["CapEff"], 16) and plain["Uid"].split()[0] == "0", plain)


@both
def test_nothing_that_needs_rights_succeeds(inside: Callable[..., Any], tmp_path: Path) -> None:
    assert inside("privileged", "/attempt") == []
    if user_namespaces():
        plain = outside("privileged", str(tmp_path), True)
        control({"mount", "host name", "root", "new mounts", "new network"} <= set(plain), plain)


def user_namespaces() -> bool:
    """Whether people without rights can make them on this machine."""
    return shutil.which("unshare") is not None and subprocess.run(
        ["unshare", "--user", "--mount", "true"], user=SOMEBODY if AS_ROOT else None,
        stderr=subprocess.DEVNULL).returncode == 0


@both
def test_no_mount_comes_off_in_a_namespace_of_its_own(sandbox: Sandbox) -> None:
    with sandbox.attempt() as attempt:
        assert attempt.uncover() == []
        assert attempt.opened([str(Bank().get("conv2d").suite)]) == []


def test_no_new_user_namespace(sandbox: Sandbox) -> None:
    """In one, a file system in memory of any size could be mounted."""
    if not user_namespaces():
        pytest.skip("nobody without rights can make user namespaces here")
    control(outside("enter_user_namespace"))
    with sandbox.attempt() as attempt:
        assert not attempt.enter_user_namespace()


@both
def test_setuid_programs_run_without_their_rights(sandbox: Sandbox) -> None:
    programs = [path for name in ("su", "mount", "passwd", "newgrp") if (path := Path("/usr/bin") / name).is_file()
                and path.stat().st_mode & stat.S_ISUID and path.stat().st_uid == 0]
    if not programs:
        pytest.skip("no setuid program in /usr/bin")
    program = str(programs[0])
    # the loader ignores this variable in a program that has gained rights
    plain = subprocess.run([program, "--version"], env={"LD_SHOW_AUXV": "1"}, capture_output=True, text=True,
                           user=SOMEBODY if AS_ROOT else None)
    control("AT_EUID" not in plain.stdout, plain.stdout)
    with sandbox.attempt() as attempt:
        if sandbox.filtered:
            assert attempt.run_setuid(program) == "refused"
            return
        user = attempt.status()["Uid"].split()[0]
        with pytest.raises(AttemptStopped):
            attempt.run_setuid(program)
        assert dict(line.split(":", 1) for line in attempt.end_case().splitlines() if line.startswith("AT_"))[
            "AT_EUID"].strip() == user != "0"


def test_limits_are_set_and_cannot_be_raised(inside: Callable[..., Any], sandbox: Sandbox) -> None:
    limits, most = inside("limits"), sandbox.problem.limits
    assert limits["RLIMIT_CORE"] == [0, 0] and limits["RLIMIT_NOFILE"][1] <= 256
    assert limits["RLIMIT_FSIZE"] == [most.disk_mb << 20] * 2
    assert 0 < limits["RLIMIT_CPU"][1] < 1000 and most.memory_mb << 20 < limits["RLIMIT_AS"][1] < 1 << 34
    assert inside("raised_limits") == []
    cap_sys_resource = 1 << 24
    if int(outside("status")["CapEff"], 16) & cap_sys_resource:
        control("RLIMIT_NOFILE" in outside("raised_limits", True))


@both
def test_the_kernel_caps_the_number_of_processes(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    if not sandbox.filtered and not AS_ROOT:
        pytest.skip("only an attempt with a user id of its own has its processes counted")
    control(outside("forks", 100) == 100)
    monkeypatch.setattr(launch.Process, "_look", lambda self: None)  # which would stop it at the first one
    with sandbox.attempt() as attempt:
        assert attempt.forks(100) <= (0 if sandbox.filtered else sandbox.problem.limits.processes)


HOARDS = {"private": "MemoryError", "shared": "OSError", "file in memory": "PermissionError",
          "segment": "PermissionError"}
"""kinds of memory, and how an attempt is told that there is no more. The last two are in no resident set and under no
limit: they are never to be had"""


@pytest.mark.parametrize("kind", HOARDS)
def test_memory_of_every_kind_counts(kind: str, sandbox: Sandbox) -> None:
    with sandbox.attempt(memory_mb=64) as attempt:
        try:
            attempt.hoard(kind, 256)
        except AttemptStopped as stopped:
            assert kind == "private" and stopped.status is Status.MEMORY_LIMIT
        except AttemptRaised as error:
            assert HOARDS[kind] in error.error.bases, error.error
        else:
            raise AssertionError("four times the limit, and nobody noticed")


# The filter of system calls

COLUMN = int(os.uname().machine == "aarch64")
CLONE_THREAD, CLONE_FS, CLONE_NEWNS, CLONE_SIGHAND = 0x10000, 0x200, 0x20000, 0x800
X32 = 0x40000000
CALLS: dict[str, list[int]] = {
    # -1 is no flag, file, address or process: nothing is done, even where nothing is refused
    **{name: [number, *[-1] * 6] for name, pair in syscalls._NUMBERS.items() if (number := pair[COLUMN]) is not None},
    "msgget": [syscalls._NUMBERS["msgget"][COLUMN] or 0, 0x7FFFFFFF, 0],
    # signal 0 to the judge, and its limits left as they are
    **{name: [pair[COLUMN], os.getpid(), os.getpid() if name in ("tgkill", "rt_tgsigqueueinfo") else 0, 0, 0]
       for name, pair in syscalls._ON_ITSELF.items()},
    # what no process may combine, thread or not
    "clone": [syscalls._CLONE[COLUMN], CLONE_FS | CLONE_NEWNS],
    "clone with CLONE_SIGHAND": [syscalls._CLONE[COLUMN], CLONE_SIGHAND],
    "clone3": [syscalls._CLONE3[COLUMN], 0, 0],
    "prctl(PR_SET_PDEATHSIG, 0)": [syscalls._PRCTL[COLUMN], 1, 0],
    "prctl(PR_SET_PDEATHSIG, 9)": [syscalls._PRCTL[COLUMN], 1, 9],
    **({"getpid of x32": [X32 + 39], "execve of x32": [X32 + 520, -1, -1, -1]} if COLUMN == 0 else {}),
}
MAKES_A_PROCESS = {"fork", "vfork"}
ASKS_FOR_RIGHTS_FIRST = {"syslog", "pivot_root", "move_mount", "fsopen", "fsmount", "bpf", "perf_event_open",
                         "userfaultfd"}


@pytest.fixture(scope="module")
def plain_errors(sandbox: Sandbox) -> dict[str, int]:
    """What the calls fail with in a plain process."""
    names = [name for name in CALLS if name not in MAKES_A_PROCESS]
    return dict(zip(names, outside("errors", [CALLS[name] for name in names]), strict=True))


@pytest.mark.parametrize("name", CALLS)
def test_a_system_call_is_refused(name: str, inside: Callable[..., Any], plain_errors: dict[str, int]) -> None:
    assert inside("errors", [CALLS[name]]) == [errno.ENOSYS if name == "clone3" else EPERM]
    told_apart = name not in MAKES_A_PROCESS and (AS_ROOT or name not in ASKS_FOR_RIGHTS_FIRST)
    if told_apart and name != "io_uring_setup":  # which a setting takes even from root
        control(plain_errors[name] != (errno.ENOSYS if name == "clone3" else EPERM), plain_errors[name])


def test_what_an_answer_needs_is_not_refused(inside: Callable[..., Any]) -> None:
    pr_get_pdeathsig, pr_get_dumpable = 2, 3
    calls = [[syscalls._CLONE[COLUMN], CLONE_THREAD], [syscalls._PRCTL[COLUMN], pr_get_dumpable],
             [syscalls._PRCTL[COLUMN], pr_get_pdeathsig, 0]]
    # a thread needs more flags than that one; there is nothing at address 0
    assert inside("errors", calls) == [errno.EINVAL, 0, errno.EFAULT]


def test_a_call_of_another_architecture_ends_the_attempt(sandbox: Sandbox) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("this machine has no second architecture")
    try:
        control(outside("getpid_of_i386") > 0)
    except subprocess.CalledProcessError:
        pytest.skip("this kernel has no calls of i386")
    with sandbox.attempt() as attempt, pytest.raises(AttemptStopped, match="SIGSYS"):
        attempt.getpid_of_i386()


EARLIER_THREAD = """
import threading
from grader.attempt import syscalls
go, found = threading.Event(), []
def late():
    go.wait()
    found.extend(errors(calls))
thread = threading.Thread(target=late)
thread.start()
assert syscalls.refuse()
go.set()
thread.join()
print(found)
"""


@in_a_sandbox
def test_the_filter_holds_for_the_threads_of_before() -> None:
    calls = f"calls = {[CALLS['socket'], CALLS['unshare']]}"
    done = subprocess.run([sys.executable, "-c", f"{PROBES}\n{calls}\n{EARLIER_THREAD}"], text=True, check=True,
                          stdout=subprocess.PIPE, timeout=30, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert json.loads(done.stdout) == [EPERM, EPERM]


ALLOWED, REFUSED, NOT_THERE, KILLED = 0x7FFF0000, 0x50000 | EPERM, 0x50000 | errno.ENOSYS, 0x80000000
MACHINES = {"x86-64": (0, syscalls._X86_64), "arm64": (1, syscalls._AARCH64)}


def decide(program: bytes, architecture: int, number: int, argument: int = 0) -> int:
    """What the filter returns for one system call: classic BPF over struct seccomp_data."""
    call = struct.pack("<IIQ6Q", number, architecture, 0, argument, *[0] * 5)
    lines: list[tuple[int, int, int, int]] = list(struct.iter_unpack("<HBBI", program))
    at = accumulator = 0
    while True:
        code, if_true, if_false, value = lines[at]
        at += 1
        if code == 0x06:
            return value
        if code == 0x20:
            accumulator, = struct.unpack_from("<I", call, value)
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: accumulator & value}[code]
            at += if_true if holds else if_false


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_refuses_what_it_names_and_nothing_else(machine: str, gpu: bool) -> None:
    column, architecture = MACHINES[machine]
    own = 4242
    program = syscalls._program(column, architecture, gpu, own)
    wanted = {pair[column]: REFUSED for name, pair in syscalls._NUMBERS.items()
              if not (gpu and name in {"memfd_create", "socket", "socketpair"})}
    wanted |= {syscalls._CLONE[column]: REFUSED, syscalls._CLONE3[column]: NOT_THERE}
    on_itself = {pair[column] for pair in syscalls._ON_ITSELF.values()}
    for number in range(600):
        if number not in on_itself:
            assert decide(program, architecture, number) == wanted.get(number, ALLOWED), number
    for number in {"x86-64": [0, 1, 9, 202, 231], "arm64": [63, 64, 222, 98, 94]}[machine]:
        assert decide(program, architecture, number) == ALLOWED  # read, write, mmap, futex, exit_group


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_looks_at_arguments(machine: str) -> None:
    column, architecture = MACHINES[machine]
    verdict = functools.partial(decide, syscalls._program(column, architecture, False, 4242), architecture)
    clone, prctl, sigchld, thread = syscalls._CLONE[column], syscalls._PRCTL[column], 17, 0x3D0F00
    assert verdict(clone, thread) == ALLOWED and thread & CLONE_THREAD  # as the C library makes them
    for flags in (0, sigchld, 0x4100 | sigchld, 0x10000000, 0x20000000, thread & ~CLONE_THREAD, CLONE_THREAD << 32):
        assert verdict(clone, flags) == REFUSED, hex(flags)
    # options are 32 bits wide: the kernel drops the others
    assert [verdict(prctl, option) for option in (1, 1 | 1 << 32, 2, 15, 38)] == [REFUSED] * 2 + [ALLOWED] * 3
    for name, pair in syscalls._ON_ITSELF.items():
        nobody, group, everybody = ALLOWED if name == "prlimit64" else REFUSED, 2**32 - 4242, 2**32 - 1
        assert [verdict(pair[column], process) for process in (4242, 1, 4241, 0, group, everybody)] == [
            ALLOWED, REFUSED, REFUSED, nobody, REFUSED, REFUSED], name


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_knows_one_architecture(machine: str) -> None:
    column, architecture = MACHINES[machine]
    program = syscalls._program(column, architecture, False, 4242)
    i386, arm, riscv = 0x40000003, 0x40000028, 0xC00000F3
    for foreign in {i386, arm, riscv, syscalls._X86_64, syscalls._AARCH64} - {architecture}:
        assert {decide(program, foreign, number) for number in (0, 1, 63, 64, 435)} == {KILLED}
    x32 = {decide(program, architecture, X32 + number) for number in (0, 39, 520, 2**30 - 1)}
    assert x32 == {REFUSED if column == 0 else ALLOWED}


HEADERS = {"x86-64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "arm64": "/usr/include/asm-generic/unistd.h"}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_the_kernels(machine: str) -> None:
    if not os.path.exists(HEADERS[machine]):
        pytest.skip(f"no {HEADERS[machine]}")
    known = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", Path(HEADERS[machine]).read_text()))
    named = {**syscalls._NUMBERS, **syscalls._ON_ITSELF, "clone": syscalls._CLONE, "clone3": syscalls._CLONE3,
             "prctl": syscalls._PRCTL, "seccomp": syscalls._SECCOMP}
    numbers = {name: pair[MACHINES[machine][0]] for name, pair in named.items()}
    # headers may be older than a call; what has no number here has none at all
    wrong = [name for name, number in numbers.items() if name in known and known[name] != str(number)]
    assert wrong == [] and len(known.keys() & numbers.keys()) > 30


# Processes that multiply, and that stay

BOMB = """
import os
def f(x):
    libc.prctl(15, {mark!r}, 0, 0, 0)
    while True:
        try: os.fork()
        except BlockingIOError: pass
"""
DAEMON = """
def daemon():
    import time
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 256)
    if os.fork():
        refuse_to_die({mark!r})
    os.execv("/bin/sleep", [{mark!r}, "60"])

def f(x):
    daemon()
    while len(processes()) < {enough}:
        time.sleep(0.001)
    return x
"""


@both
def test_a_fork_bomb_is_gone_with_its_verdict(sandbox: Sandbox, toy: Problem, mark: str) -> None:
    verdict = sandbox.grade(toy, PROBES + BOMB.format(mark=mark.encode()))
    if sandbox.filtered:
        assert verdict.status is Status.RUNTIME_ERROR and "PermissionError" in verdict.message, verdict
    else:
        assert verdict.status is Status.RULE_VIOLATION and "process(es) of its own" in verdict.message, verdict
    assert within(2, lambda: not marked(mark))
    assert sandbox.grade(toy, "def f(x): return x\n").accepted


@both
def test_a_daemon_does_not_outlive_the_verdict(sandbox: Sandbox, toy: Problem, mark: str) -> None:
    enough = 3 + (sandbox.zygote is None)
    verdict = sandbox.grade(toy, PROBES + DAEMON.format(mark=mark, enough=enough))
    if sandbox.filtered:
        assert verdict.status is Status.RUNTIME_ERROR and "PermissionError" in verdict.message, verdict
    else:
        assert verdict.status in (Status.RULE_VIOLATION, Status.ACCEPTED), verdict
    assert within(2, lambda: not marked(mark))
    if sandbox.zygote is None and not sandbox.filtered:  # once is enough
        outside_daemon = PROBES + DAEMON.format(mark=mark, enough=0) + "daemon()\n"
        subprocess.run([sys.executable, "-I", "-S", "-c", outside_daemon], check=True, timeout=10)
        control(within(2, lambda: len(marked(mark)) == 2), marked(mark))


JUDGE = """
import json, os
from grader.attempt import launch
from grader.attempt.proxy import Attempt
from grader.bank import Bank
launch.BOOT, probes, start, given = json.loads(os.environ["ARGUMENTS"])
if os.isatty(0):
    os.open(os.ttyname(0), os.O_RDWR)  # the first terminal that the leader of a session opens becomes its own
problem = Bank().get("conv2d")
zygote = launch.Zygote(problem, isolation="bubblewrap") if start == "warm" else None
attempt = Attempt(launch.start(problem, isolation="bubblewrap", zygote=zygote), problem)
attempt.load(probes)
"""


def run_judge(last: str, start: str, given: Any, folder: Path, *, boot: str = UNGUARDED,
              **options: Any) -> subprocess.Popen[str]:
    """A judge in a process of its own, with one attempt. last: what it does with that and with `given`."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *launch.site_packages()]),
                                "TMPDIR": str(folder), "ARGUMENTS": json.dumps([boot, PROBES, start, given])}
    return subprocess.Popen([sys.executable, "-c", JUDGE + last], text=True, env=environment, **options)


@in_a_sandbox
@pytest.mark.parametrize(("start", "boot"), [("cold", UNGUARDED), ("warm", UNGUARDED), ("cold", UNFILTERED)],
                         ids=["cold", "warm", "cold-unfiltered"])  # a warm one without the filter does outlive it
def test_a_daemon_does_not_outlive_a_judge_that_is_killed(start: str, boot: str, mark: str, tmp_path: Path) -> None:
    with run_judge("attempt.refuse_to_die(given)", start, mark, tmp_path, boot=boot,
                   stderr=subprocess.DEVNULL) as process:
        started = within(20, lambda: marked(mark))
        process.kill()
    control(started)
    assert within(1, lambda: not marked(mark))


def test_a_judge_removes_what_killed_ones_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("only /proc tells who is alive")
    with subprocess.Popen(["true"]) as ended:
        pass
    kept = [tmp_path / f"prep-{os.getpid()}-a", tmp_path / "prep-1-b", tmp_path / "prep-somebody-c"]
    left, young = tmp_path / f"prep-{ended.pid}-d", tmp_path / f"prep-{ended.pid}-e"
    for folder in (*kept, left, young):
        (folder / "within").mkdir(parents=True)
    for folder in (*kept, left):
        os.utime(folder, (0, 0))
    kept.append(young)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    launch._sweep.__wrapped__()
    assert sorted(tmp_path.iterdir()) == sorted(kept)


TERMINAL = """
import subprocess, sys
plain = subprocess.run([sys.executable, "-I", "-S", "-c", probes + "print(type_into_terminal())"],
                       stdout=subprocess.PIPE, text=True).stdout
os.write(given, json.dumps([attempt.type_into_terminal(), json.loads(plain)]).encode())
"""


@in_a_sandbox
@pytest.mark.parametrize("start", ["cold", "warm"])
def test_nothing_can_be_typed_into_the_judges_terminal(start: str, tmp_path: Path) -> None:
    keyboard, terminal = pty.openpty()
    read, write = os.pipe()
    try:
        with run_judge(TERMINAL, start, write, tmp_path, stdin=terminal, stdout=terminal, stderr=terminal,
                       start_new_session=True, pass_fds=[write]) as process:
            control(process.wait(timeout=20) == 0)
        sealed, plain = json.loads(os.read(read, 1000))
    finally:
        for number in (keyboard, terminal, read, write):
            os.close(number)
    assert sealed == []
    if not plain:
        pytest.skip("this kernel lets nobody type into a terminal: nothing is proved")


# By the front door: with the rules, the verdict names what was tried


@pytest.fixture(scope="module", params=["cold", "warm"])
def guarded(request: pytest.FixtureRequest, surroundings: None) -> Iterator[Sandbox]:
    opened = Sandbox(request.param, guarded=True)
    yield opened
    opened.close()


FRONT_DOOR = {
    "the suite": ("import pathlib\n{body}pathlib.Path({suite!r}).read_text()", "opens {suite}"),
    "the home": ("import os\n{body}os.listdir({home!r})", "touches {home} (os.listdir)"),
    "other attempts": ("import os\n{body}os.scandir('/tmp')", "touches /tmp (os.scandir)"),
    "the network": ("from logging import handlers\n{body}handlers.socket.create_connection(('127.0.0.1', 9))",
                    "uses the network (socket.getaddrinfo)"),
    "the judge's life": ("import os\n{body}os.kill(os.getppid(), 9)", "starts or signals a process (os.kill)"),
    "the judge's memory": ("import pathlib\n{body}pathlib.Path('/proc/{pid}/mem').read_bytes()",
                           "opens /proc/{pid}/mem"),
    "a child": ("import os\n{body}os.fork()", "starts or signals a process (os.fork)"),
    "another program": ("import os\n{body}os.posix_spawn('/bin/true', ['true'], {{}})",
                        "starts or signals a process (os.posix_spawn)"),
    "shared memory": ("import pathlib\n{body}pathlib.Path('/dev/shm/x').write_text('x')", "writes to /dev/shm/x"),
    "another root": ("import os\n{body}os.chroot('.')", "uses os.chroot, which reaches beyond the answer"),
    "the whole disk": ("from pathlib import Path\n{body}while True: Path(f'{{(x := x + 1)}}').write_text('x' * 10**6)",
                       "No space left on device"),
}


@pytest.mark.parametrize("name", FRONT_DOOR)
def test_the_verdict_names_what_was_tried(name: str, guarded: Sandbox, toy: Problem) -> None:
    source, what = FRONT_DOOR[name]
    words = {"body": "def f(x):\n    ", "suite": str(toy.suite), "home": os.path.realpath(Path.home()),
             "pid": os.getpid()}
    verdict = guarded.grade(toy, source.format(**words) + "\n    return x\n")
    assert not verdict.accepted and what.format(**words) in verdict.message, verdict
    assert verdict.status is (Status.RUNTIME_ERROR if name == "the whole disk" else Status.RULE_VIOLATION)
    assert verdict.isolation == "bubblewrap"


# Landlock, where namespaces are forbidden. What it does not cover, the filter does: they are tested together


@pytest.fixture(scope="module", params=["cold", "warm"])
def confined(request: pytest.FixtureRequest, surroundings: None) -> Iterator[Sandbox]:
    opened = Sandbox(request.param, level="landlock")
    yield opened
    opened.close()


def own_folder(attempt: Attempt) -> str:
    return attempt._connection.process.folder


def test_landlock_hides_the_judges_files(confined: Sandbox, toy: Problem, tmp_path: Path) -> None:
    paths = files_of_the_judge(toy, tmp_path)
    paths += [f"{folder}/torch/__init__.py" for folder in launch.site_packages()  # conv2d has no use for it
              if os.path.exists(f"{folder}/torch/__init__.py")]
    with confined.attempt() as attempt:
        assert attempt.opened(paths) == []
        known = [np.__file__, os.__file__, "/proc/self/status", "/dev/urandom"]
        assert attempt.opened(known) == known


def test_landlock_leaves_one_folder_to_write_to(confined: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    paths = [*SYSTEM, str(tmp_path), str(tmp_path / "file"), "/dev/shm", "/tmp", tempfile.gettempdir()]
    control({str(tmp_path), str(tmp_path / "file")} <= set(outside("written", paths)))
    with confined.attempt() as attempt:
        own = own_folder(attempt)
        assert attempt.written(paths) == [] and attempt.written([own]) == [own]
        assert attempt.meddled(str(tmp_path / "file")) == []
        attempt.put(f"{own}/mine", "1")
        assert attempt.opened([f"{own}/mine"]) == [f"{own}/mine"]
        # to become who one is takes no right: as root, that is root with none of its rights
        assert set(attempt.privileged(own)) <= ({"user"} if AS_ROOT else set())
    plain = outside("meddled", str(tmp_path / "file"))
    control({"mode", "times", "length", "name", "link"} <= set(plain), plain)
    assert not os.path.exists(own)


def test_landlock_hides_another_attempts_files(confined: Sandbox) -> None:
    with confined.attempt() as one, confined.attempt() as other:
        secret = f"{own_folder(other)}/secret"
        other.put(secret, SECRET)
        assert one.opened([secret]) == [] and other.opened([secret]) == [secret]
        assert one.written([own_folder(other)]) == []


def test_landlock_and_the_filter_keep_it_from_others(confined: Sandbox, victim: subprocess.Popen[bytes]) -> None:
    families = [int(family) for family in socket.AddressFamily]
    with confined.attempt() as attempt:
        assert attempt.reach(victim.pid) == [] and victim.poll() is None
        assert attempt.started() == [] and attempt.socket_kinds(families) == []
        with contextlib.suppress(AttemptRaised):  # there may be no list at all
            assert os.getpid() not in attempt.processes()
        assert attempt.signal_the_first(os.getpid(), [0]) == []  # the judge
        assert attempt.signal_the_first(-1, [int(signal.SIGKILL)]) == [] and victim.poll() is None


def test_landlock_keeps_nothing_for_the_next_attempt(confined: Sandbox) -> None:
    name, folders = f"prep{os.urandom(4).hex()}", ["/tmp", "/var/tmp", "/dev/shm", tempfile.gettempdir()]
    with confined.attempt() as attempt:
        attempt.leave(name, folders)
    assert outside("left", name, folders) == []


def test_landlock_lets_an_answer_import_what_it_may(toy: Problem) -> None:
    source = "def f(x):\n    import numpy.polynomial.chebyshev, decimal, statistics\n    return x\n"
    for start in ("cold", "warm"):
        sandbox = Sandbox(start, level="landlock", guarded=True)
        try:
            verdict = sandbox.grade(toy, source)
            assert verdict.accepted and verdict.isolation == "landlock", verdict
        finally:
            sandbox.close()


def test_the_level_is_the_best_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREP_ISOLATION", raising=False)
    monkeypatch.setattr(launch, "_landlock_fails", lambda: "no such kernel")
    monkeypatch.setattr(launch, "_bubblewrap_fails", lambda: "")
    assert launch.probe.__wrapped__() == ("bubblewrap", "")
    monkeypatch.setattr(launch, "_bubblewrap_fails", lambda: "namespaces are forbidden")
    assert launch.probe.__wrapped__() == ("process", "namespaces are forbidden; no such kernel")
    monkeypatch.setattr(launch, "_landlock_fails", lambda: "")
    assert launch.probe.__wrapped__() == ("landlock", "namespaces are forbidden")


def test_a_trial_that_confines_nothing_is_no_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    for broken, reason in (("landlock.restrict = lambda *paths: None", "could still list"),
                           ("landlock.restrict = None", "not callable"),
                           ("syscalls.refuse = lambda: False", "no filter")):
        monkeypatch.setattr(launch, "_TRIAL", launch._TRIAL.replace("landlock.trial()", f"{broken}\nlandlock.trial()"))
        assert reason in launch._landlock_fails()
        monkeypatch.undo()


def test_what_is_covered_is_not_allowed(tmp_path: Path) -> None:
    for name in ("a/b/c", "a/d", "e"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "e/link").symlink_to(tmp_path / "a")
    found = landlock.rules([str(tmp_path)], [str(tmp_path / "a/b"), "/elsewhere"])
    top = os.path.realpath(tmp_path)
    assert {kind: sorted(paths) for kind, paths in found.items()} == {
        "read": [f"{top}/a/d", f"{top}/e"], "list": [top, f"{top}/a"]}
    assert landlock.rules([top, f"{top}/absent"], []) == {"read": [top], "list": []}
    assert landlock.rules([f"{top}/a/b"], [f"{top}/a"]) == {"read": [], "list": []}


# The same, as an ordinary user


def test_an_ordinary_user_is_as_safe() -> None:
    if not AS_ROOT:
        pytest.skip("this is an ordinary user: the whole file has just said so")
    path = os.pathsep.join([str(ROOT), *launch.site_packages()])
    folder = tempfile.mkdtemp(prefix="prep-somebody-")
    try:
        os.chown(folder, SOMEBODY, SOMEBODY)
        somebody: dict[str, Any] = {
            "user": SOMEBODY, "group": SOMEBODY, "extra_groups": [], "cwd": folder, "text": True,
            "capture_output": True,
            "env": {"PATH": "/usr/bin:/bin", "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", "PYTHONPATH": path,
                    "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}}
        python = _python_for(somebody)
        done = subprocess.run([python, "-m", "pytest", str(Path(__file__)), "-c", str(ROOT / "pyproject.toml"), "-q",
                               "--rootdir", str(ROOT), "-p", "no:cacheprovider", "--basetemp", f"{folder}/pytest"],
                              timeout=300, **somebody)
        assert done.returncode == 0, done.stdout + done.stderr
        print(done.stdout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


NEEDED = "import msgpack, numpy, psutil, pytest; from grader.attempt import launch; print(*launch.probe())"


def _python_for(somebody: dict[str, Any]) -> str:
    """An interpreter that this user may run, with all that the judge needs. Skips, with the reasons, where none is."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    reasons = []
    for python in (os.environ.get("PREP_TEST_USER_PYTHON"), sys.executable, f"/usr/local/bin/{version}",
                   f"/usr/bin/{version}"):
        if python and os.path.lexists(python):
            try:
                found = subprocess.run([python, "-c", NEEDED], timeout=60, **somebody)
            except OSError as error:
                reasons.append(f"{python}: {error.strerror}")
                continue
            if found.stdout.startswith(("bubblewrap", "landlock")):
                return python
            reasons.append(f"{python}: {found.stdout.strip() or found.stderr.strip().splitlines()[-1]}")
    pytest.skip(f"user {SOMEBODY} cannot run these tests (PREP_TEST_USER_PYTHON may name an interpreter that they can "
                f"read): {'; '.join(reasons)}")
