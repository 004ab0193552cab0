"""System calls that Python 3.11 lacks, by ctypes.

PyDLL, not CDLL: the GIL is kept. The callers are single-threaded, and in the child of a raw clone3 nobody may touch the
GIL's lock. Numbers from 424 on are the same on every processor.
"""

from __future__ import annotations

import ctypes
import errno
import os

from paddock.kernel.errors import KernelError

MACHINE = os.uname().machine

SYS_PIDFD_SEND_SIGNAL = 424
SYS_PIDFD_OPEN = 434
SYS_CLONE3 = 435
SYS_CLOSE_RANGE = 436
SYS_OPENAT2 = 437
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def _failed(operation: str, path: str = "", value: str = "") -> KernelError:
    return KernelError(operation, path, value, ctypes.get_errno())


def raw(operation: str, number: int, *arguments: int | ctypes.Array[ctypes.c_char] | ctypes.Structure) -> int:
    """The system call's result; raises KernelError. Integers are passed as 64 bits, structures by reference."""
    prepared = [ctypes.c_long(a) if isinstance(a, int) else ctypes.byref(a) for a in arguments]
    result = int(_syscall(ctypes.c_long(number), *prepared))
    if result < 0:
        raise _failed(operation)
    return result


def call(operation: str, function: str, *arguments: int | bytes | None, path: str = "", value: str = "") -> int:
    """A libc function which returns -1 and errno; raises KernelError naming `path` and `value`."""
    result = int(getattr(_libc, function)(*[ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]))
    if result < 0:
        raise _failed(operation, path, value)
    return result


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root of this mount namespace; the old one appears at `put_old`."""
    number = _SYS_PIVOT_ROOT.get(MACHINE)
    if number is None:
        raise KernelError("pivot_root", new_root, MACHINE, errno.ENOSYS)
    result = _syscall(
        ctypes.c_long(number), ctypes.c_char_p(os.fsencode(new_root)), ctypes.c_char_p(os.fsencode(put_old))
    )
    if result < 0:
        raise _failed("pivot_root", new_root, put_old)


def close_range(first: int, last: int = 0xFFFFFFFF, *, on_exec: bool = False) -> None:
    """Close every descriptor in [first, last], or with `on_exec` mark them to be closed by the next execve."""
    if (
        _syscall(
            ctypes.c_long(SYS_CLOSE_RANGE),
            ctypes.c_long(first),
            ctypes.c_long(last),
            ctypes.c_long(4 if on_exec else 0),
        )
        < 0
    ):
        raise _failed("close_range", value=f"{first}-{last}")


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(directory_fd: int, path: str, flags: int, mode: int, resolve: int) -> int:
    """Open with resolution rules (RESOLVE_…); the caller adds O_CLOEXEC."""
    how = _OpenHow(flags, mode, resolve)
    encoded = ctypes.c_char_p(os.fsencode(path))
    size = ctypes.c_long(ctypes.sizeof(how))
    result = int(_syscall(ctypes.c_long(SYS_OPENAT2), ctypes.c_long(directory_fd), encoded, ctypes.byref(how), size))
    if result < 0:
        raise _failed("openat2", path)
    return result


class _CloneArguments(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


CLONE_PIDFD = 0x1000
CLONE_INTO_CGROUP = 0x200000000
_SIGCHLD = 17


def clone3(flags: int, cgroup_fd: int = -1) -> tuple[int, int]:
    """(pid, pidfd) in the parent, (0, -1) in the child, which no fork hook prepared: it may do system calls and execve only.

    The pidfd is always made, close-on-exec. With a `cgroup_fd` (v2) the child is born in that cgroup.
    """
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArguments(flags | CLONE_PIDFD, ctypes.addressof(pidfd), exit_signal=_SIGCHLD)
    if cgroup_fd >= 0:
        arguments.flags |= CLONE_INTO_CGROUP
        arguments.cgroup = cgroup_fd
    pid = int(_syscall(ctypes.c_long(SYS_CLONE3), ctypes.byref(arguments), ctypes.c_long(ctypes.sizeof(arguments))))
    if pid < 0:
        raise _failed("clone3", value=hex(flags))
    return (pid, pidfd.value) if pid else (0, -1)
