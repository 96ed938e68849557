"""A seccomp filter: system calls that no answer needs, refused by the kernel for good. Linux on x86-64 and arm64 only.

Namespaces hide what is outside, limits bound what is inside; this closes what neither does: keyrings, memory that no
limit counts, new namespaces, new processes, sockets, signals to others, owners, modes and times of files (which
Landlock leaves alone), and a way to outlive the judge. See seccomp(2) and bpf(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

_X86_64, _AARCH64 = 0xC000003E, 0xC00000B7
_NUMBERS: dict[str, tuple[int | None, int | None]] = {  # name: (x86-64, arm64)
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsmount": (432, 432),
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "syslog": (103, 116),
    "io_uring_setup": (425, 425), "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "tkill": (200, 130), "process_madvise": (440, 440),
    "setpriority": (141, 140),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88), "truncate": (76, 45),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "socket": (41, 198), "socketpair": (53, 199),
}
_ON_ITSELF: dict[str, tuple[int, int]] = {
    "kill": (62, 129), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "prlimit64": (302, 261),
}
"""calls whose first argument is a process, allowed where that is the caller; 0 is the caller for the last, and a whole
group for the others"""
_FOR_GPUS = frozenset({"memfd_create", "socket", "socketpair"})
"""the driver may want these"""
_CLONE, _CLONE3, _PRCTL, _SECCOMP = (56, 220), (435, 435), (157, 167), (317, 277)
_CLONE_THREAD = 0x10000
_PDEATHSIG, _NO_NEW_PRIVS = 1, 38
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ALLOW, _REFUSE = 0x80000000, 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16
"""offsets in struct seccomp_data; the low half of argument 0 on little-endian machines"""


def refuse(*, gpu: bool = False) -> bool:
    """Install the filter on every thread of this process, for good. False where this system has none.

    gpu: leave what a driver may want.
    """
    if sys.platform != "linux" or sys.byteorder != "little" or sys.maxsize < 2**32:
        return False
    known = {"x86_64": (0, _X86_64), "aarch64": (1, _AARCH64)}.get(os.uname().machine)
    if known is None:
        return False
    code = _program(*known, gpu, os.getpid())
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    every_thread, full_speed = 1, 4  # without the second, old kernels slow a filtered process down
    return int(libc.syscall(_SECCOMP[known[0]], 1, every_thread | full_speed, program)) == 0


def _program(column: int, architecture: int, gpu: bool, own: int) -> bytes:
    """The filter in classic BPF: struct sock_filter is code (2 bytes), jump if true, jump if false (1 each), k (4).

    own: the number of the process that it is for.
    """
    refused = [pair[column] for name, pair in _NUMBERS.items() if not (gpu and name in _FOR_GPUS)]
    lines = [
        _line(_LOAD, _ARCHITECTURE), _line(_EQUAL, architecture, 1, 0), _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
        # numbers of the x32 interface, which would name other calls
        *([_line(_AT_LEAST, 0x40000000, 0, 1), _line(_RETURN, _REFUSE | errno.EPERM)] if column == 0 else []),
        *(part for number in refused if number is not None for part in (
            _line(_EQUAL, number, 0, 1), _line(_RETURN, _REFUSE | errno.EPERM))),
        *(part for name, pair in _ON_ITSELF.items() for part in (
            _line(_EQUAL, pair[column], 0, 5), _line(_LOAD, _ARGUMENT), _line(_EQUAL, own, 1, 0),
            _line(_EQUAL, 0 if name == "prlimit64" else own, 0, 1), _line(_RETURN, _ALLOW),
            _line(_RETURN, _REFUSE | errno.EPERM))),
        # its arguments lie in memory, where a filter cannot look: the C library then falls back to clone
        _line(_EQUAL, _CLONE3[column], 0, 1), _line(_RETURN, _REFUSE | errno.ENOSYS),
        # clone makes threads, and nothing else
        _line(_EQUAL, _CLONE[column], 0, 4), _line(_LOAD, _ARGUMENT), _line(_ANY_BIT, _CLONE_THREAD, 0, 1),
        _line(_RETURN, _ALLOW), _line(_RETURN, _REFUSE | errno.EPERM),
        # the signal that comes when the judge dies stays
        _line(_EQUAL, _PRCTL[column], 0, 3), _line(_LOAD, _ARGUMENT), _line(_EQUAL, _PDEATHSIG, 0, 1),
        _line(_RETURN, _REFUSE | errno.EPERM),
        _line(_RETURN, _ALLOW),
    ]
    return b"".join(lines)


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
