"""Landlock: which files an attempt may read and write, enforced by the kernel, for callers without rights and systems
that forbid namespaces. Linux 5.13 and later. Decides nothing: launch.py says which.

What Landlock does not cover (owners, modes and times of files, new processes, sockets) the filter of system calls
refuses (syscalls.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable

_PLAIN_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_SYSTEM = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys", "/sys/devices/system")


def rules(tops: Iterable[str], covered: Iterable[str]) -> dict[str, list[str]]:
    """What to allow so that all below `tops` can be read, but for what is `covered`.

    {"read": files, and folders with all that is in them; "list": folders of which only names can be read, theirs and
    those of all that lies below}
    """
    found: dict[str, list[str]] = {"read": [], "list": []}
    hidden = [os.path.realpath(path) for path in covered]

    def add(path: str) -> None:
        if any(f"{path}{os.sep}".startswith(f"{cover}{os.sep}") for cover in hidden):
            return
        inner = [cover for cover in hidden if cover.startswith(path.rstrip(os.sep) + os.sep)]
        if not inner:
            found["read"].append(path)
        else:
            found["list"].append(path)
            with contextlib.suppress(OSError):  # what cannot be listed cannot be read either
                for entry in os.scandir(path):
                    if not entry.is_symlink():  # a rule would be for what it points to, wherever that is
                        add(entry.path)

    for top in dict.fromkeys(os.path.realpath(top) for top in tops):
        if os.path.exists(top):
            add(top)
    return found


def restrict(own: str, tops: Iterable[str] = (), covered: Iterable[str] = (), devices: Iterable[str] = ()) -> None:
    """Confine this process, its threads to come and its children, for good; where the kernel can (ABI 8), also the
    threads that a library has started already.

    own: the one folder that can be written to. tops, covered: what can be read (see `rules`), besides the little that
    the C library asks the system for. devices: files below /dev that it may use, besides the plain ones.
    Raises OSError where the kernel has no Landlock.
    """
    from landlockpy import AccessFS, RestrictFlag, Ruleset, Scope

    look, everything = AccessFS.READ_FILE | AccessFS.READ_DIR, ~AccessFS.NONE
    special = (AccessFS.EXECUTE | AccessFS.MAKE_CHAR | AccessFS.MAKE_BLOCK | AccessFS.MAKE_SOCK | AccessFS.MAKE_FIFO
               | AccessFS.IOCTL_DEV)
    use = AccessFS.READ_FILE | AccessFS.WRITE_FILE
    allowed = rules(tops, covered)
    with Ruleset(scoped=Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL) as ruleset:
        ruleset.allow_path(own, everything & ~special)
        granted = ((allowed["list"], AccessFS.READ_DIR), (_PLAIN_DEVICES, use), (devices, use | AccessFS.IOCTL_DEV))
        for paths, access in granted:
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    ruleset.allow_path(path, access)
        for path in (*allowed["read"], *_SYSTEM):
            with contextlib.suppress(FileNotFoundError, PermissionError):  # what cannot be opened needs no rule
                ruleset.allow_path(path, look if os.path.isdir(path) else AccessFS.READ_FILE)
        ruleset.restrict(RestrictFlag.TSYNC)


def trial() -> None:
    """Confine this process and see whether that holds. Raises OSError where it does not."""
    restrict(os.getcwd())
    try:
        os.listdir("/")
    except PermissionError:
        return
    raise OSError(errno.EOPNOTSUPP, "a confined process could still list /")
