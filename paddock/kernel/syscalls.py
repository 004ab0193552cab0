"""System calls that Python 3.11 lacks, by ctypes.

PyDLL, not CDLL: the GIL is kept. The callers are single-threaded, and in the child of a raw clone3 nobody may touch the
GIL's lock. Numbers from 424 on are the same on every processor.
"""

from __future__ import annotations

import ctypes
import os
import struct

from paddock.kernel.errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class Function(Protocol):
        """A bound function of libc."""

        def __call__(self, *arguments: int | bytes | ctypes._CArgObject | None) -> int:
            """Call it."""
            ...


MACHINE = os.uname().machine

SYS_CLOSE_RANGE = 436
SYS_OPENAT2 = 437
_SYS_RT_SIGACTION = {"x86_64": 13, "aarch64": 134}

# Not use_errno=True, which copies errno on every call: it is read only after a failure.
_libc = ctypes.PyDLL(None)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_errno_location = _libc.__errno_location
_errno_location.restype = ctypes.c_void_p
_errno_location.argtypes = ()


def last_errno() -> int:
    """This thread's errno, right after a call of libc failed. Python keeps it over a change of threads."""
    return ctypes.c_int.from_address(_errno_location()).value


def failure(operation: str, path: str = "", value: str = "") -> KernelError:
    """The error of the call that has just failed."""
    return KernelError(operation, path, value, last_errno())


def function(
    name: str,
    *kinds: type[ctypes.c_int | ctypes.c_long | ctypes.c_ulong | ctypes.c_char_p | ctypes.c_void_p],
    result: type[ctypes.c_int | ctypes.c_void_p] = ctypes.c_int,
) -> Function:
    """A function of libc, with its arguments' types; to be bound once, at import."""
    # By item, not by attribute: that one is shared, and so would be its argument types.
    found = _libc[name]
    found.argtypes = kinds
    found.restype = result
    return found


def raw_syscall(number: int, arguments: Iterable[int]) -> int:
    """What the kernel answers, a failure as the negative errno."""
    result = int(_syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)))
    return -last_errno() if result == -1 else result


def set_default_by_kernel(number: int) -> None:
    """Give a signal its default action without asking libc, which keeps 32 and 33 for itself and refuses to touch them.

    glibc's posix_spawn leaves those two ignored in every child, and what is ignored stays so over execve.
    """
    # struct kernel_sigaction: handler, flags, restorer (not on aarch64), mask: all zero is SIG_DFL everywhere.
    action = ctypes.create_string_buffer(32)
    sigset_bytes = ctypes.c_long(8)
    call_number = _SYS_RT_SIGACTION.get(MACHINE)
    if call_number is None:
        return
    if _syscall(ctypes.c_long(call_number), ctypes.c_long(number), action, ctypes.c_void_p(None), sigset_bytes) < 0:
        raise failure("rt_sigaction", value=str(number))


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
        raise failure("close_range", value=f"{first}-{last}")


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(directory_fd: int, path: str, flags: int, mode: int, resolve: int) -> int:
    """Open with resolution rules (RESOLVE_…); the caller adds O_CLOEXEC."""
    how = _OpenHow(flags, mode, resolve)
    encoded = ctypes.c_char_p(os.fsencode(path))
    size = ctypes.c_long(ctypes.sizeof(how))
    result = int(_syscall(ctypes.c_long(SYS_OPENAT2), ctypes.c_long(directory_fd), encoded, ctypes.byref(how), size))
    if result < 0:
        raise failure("openat2", path)
    return result


CLONE_VM = 0x100
CLONE_PIDFD = 0x1000
CLONE_VFORK = 0x4000
CLONE_PARENT = 0x8000
CLONE_INTO_CGROUP = 0x200000000
CLONE_ARGUMENTS = struct.Struct("11Q")
"""clone_args: flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size cgroup."""
