"""Processes: identity that survives pid reuse, pidfds, and what a process sets on itself by prctl."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal

from paddock.kernel.errors import KernelError, wrapped
from paddock.kernel.syscalls import failure, function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_prctl = function("prctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_prctl_text = function("prctl", ctypes.c_int, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_signal = function("signal", ctypes.c_int, ctypes.c_void_p)

_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
# In /proc/PID/stat, counted from the state on.
_START_TIME, _EXIT_CODE = 19, 49


def read_start_time_ticks(pid: int) -> int:
    """Start time in clock ticks since boot: (pid, start time) names one process for ever. Raises ESRCH when it is gone."""
    return int(_stat_fields(pid)[_START_TIME])


def _stat_fields(pid: int) -> list[bytes]:
    """What follows the command's name."""
    path = f"/proc/{pid}/stat"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        code = errno.ESRCH if error.errno == errno.ENOENT else error.errno
        raise KernelError("open", path, "", code or errno.EIO) from None
    try:
        text = os.read(fd, 4096)
    except OSError as error:
        raise wrapped(error, "read", path) from None
    finally:
        os.close(fd)
    # The command's name is in parentheses and may itself hold spaces and parentheses: fields are counted from the last one.
    return text[text.rindex(b")") + 2 :].split()


def is_same_process(pid: int, start_time_ticks: int) -> bool:
    """Whether that very process exists (a zombie does)."""
    try:
        return read_start_time_ticks(pid) == start_time_ticks
    except OSError:
        return False


def is_alive(pid: int, start_time_ticks: int) -> bool:
    """Whether that very process runs: a zombie does not, though kill(pid, 0) says yes to it."""
    try:
        fd = open_pidfd(pid)
    except OSError:
        return False
    try:
        return is_same_process(pid, start_time_ticks) and not has_ended(fd)
    finally:
        os.close(fd)


def open_pidfd(pid: int) -> int:
    """A descriptor which names this process for ever; readable when it has ended."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        # Older kernels (6.1) say EINVAL of a process that is just being reaped.
        code = errno.ESRCH if error.errno == errno.EINVAL and pid > 0 else error.errno
        raise KernelError("pidfd_open", "", str(pid), code or errno.EIO) from None


def has_ended(pidfd: int, timeout_ms: int = 0) -> bool:
    """Whether the process has ended, waiting at most `timeout_ms` (-1: for ever)."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_ms))


def take_wait_status(pid: int) -> int:
    """How a child has ended of which a pidfd says that it has; it is reaped where that is ours to do.

    The end of a traced process is its tracer's until he has taken it, and a debugger that waits for somebody's word
    never does: waiting for him would be for ever, and the kernel shows root how it ended. It stays a zombie until he goes.
    """
    reaped, status = os.waitpid(pid, os.WNOHANG)
    return status if reaped else int(_stat_fields(pid)[_EXIT_CODE])


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal; False when the process is gone."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise wrapped(error, "pidfd_send_signal", "", str(number)) from None
    return True


def become_subreaper() -> None:
    """Orphans below this process become its children, so that it can reap them."""
    if _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0:
        raise failure("prctl(PR_SET_CHILD_SUBREAPER)")


def set_no_new_privileges() -> None:
    """From now on execve gives no more privileges (set-uid, file capabilities); for ever, and for all children."""
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0:
        raise failure("prctl(PR_SET_NO_NEW_PRIVS)")


def hide_from_ptrace() -> None:
    """Until the next execve only a holder of CAP_SYS_PTRACE may look into this process."""
    if _prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) < 0:
        raise failure("prctl(PR_SET_DUMPABLE)")


def set_name(name: str) -> None:
    """What ps shows as the command's name; at most 15 bytes."""
    _prctl_text(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def set_default_signals(numbers: Iterable[int]) -> None:
    """Give these signals their default action. By libc: Python's own wrapper makes an enum of every answer."""
    for number in numbers:
        _signal(number, None)


def ignore_signals(numbers: Iterable[int]) -> None:
    """Ignore these signals; what is ignored stays so over execve."""
    for number in numbers:
        _signal(number, 1)


def set_oom_score_adj(value: int) -> None:
    """Set this process's own; without CAP_SYS_RESOURCE it cannot go below the lowest value that a holder of it has set."""
    path = "/proc/self/oom_score_adj"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        raise wrapped(error, "open", path) from None
    try:
        os.write(fd, b"%d" % value)
    except OSError as error:
        raise wrapped(error, "write", path, str(value)) from None
    finally:
        os.close(fd)


def read_oom_score_adj() -> int:
    """This process's own; its children are born with it."""
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        return int(file.read())


def read_suid_dumpable() -> int:
    """The host's rule for who has changed its user: 0 no core dump and no tracing, 2 by root, 1 by anybody (sysctl/fs)."""
    with open("/proc/sys/fs/suid_dumpable", encoding="ascii") as file:
        return int(file.read())


def read_boot_id() -> str:
    """The id of this boot of the machine: a pid of another boot names nobody."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
