"""How a process ended that is not our child, by its pidfd; and ending in the same way."""

from __future__ import annotations

import fcntl
import os
import resource
import select
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    # The same functions without the enums around them, which cost the stand-in's start 5 ms.
    import _signal as signal

# linux/pidfd.h, 6.15: the exit status of anybody's process, once it was reaped, for whoever holds its pidfd.
_PIDFD_GET_INFO = 0xC040FF0B
_INFO = struct.Struct("QQ12I")
_INFO_EXIT = 1 << 3
_REAPED_AFTER_S = 2.0
_CHILD_AFTER_S = 0.05
_SIGNAL_LIMIT = 64
_SHELL_SIGNAL = 128
_NANOSECOND_DIGITS = 9


def is_in(pid: int, engine_id: str) -> bool:
    """Whether this process is in a cgroup of that name: a pid may have been given anew."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            return engine_id in file.read()
    except OSError:
        return False


def first_in(directory: str) -> int:
    """In this cgroup, who is PID 1 of a namespace: what has been started there as a container. 0: nobody is."""
    try:
        with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
            pids = file.read().split()
    except OSError:
        return 0
    return next((int(pid) for pid in pids if _is_first(pid)), 0)


def _is_first(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            line = next((line for line in file if line.startswith("NSpid:")), "")
    except OSError:
        return False
    numbers = line.split()[1:]
    return len(numbers) > 1 and numbers[-1] == "1"


def first_child(pid: int) -> int:
    """Of an init, the command that it has started; 0 where it has none, or this kernel does not say."""
    deadline_s = time.monotonic() + _CHILD_AFTER_S
    while True:
        try:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                children = file.read().split()
        except OSError:
            return 0
        if children or time.monotonic() > deadline_s:
            return int(children[0]) if children else 0
        time.sleep(0.001)


def has_ended(pidfd: int) -> bool:
    """Whether it is a zombie at least."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def wait_status(pidfd: int) -> int | None:
    """As waitpid gives it to the parent; None where this kernel does not tell (before 6.15)."""
    deadline_s = time.monotonic() + _REAPED_AFTER_S
    while time.monotonic() < deadline_s:
        content = bytearray(_INFO.pack(_INFO_EXIT, *(0,) * 13))
        try:
            fcntl.ioctl(pidfd, _PIDFD_GET_INFO, content)
        except OSError:
            return None
        mask, *fields = _INFO.unpack(content)
        if mask & _INFO_EXIT:
            return int(fields[-1])
        time.sleep(0.001)
    return None


def status_of_code(code: int) -> int:
    """Of the engine's exit code, which is 128 + n for signal n: the same in a shell, which cannot tell either."""
    number = code - _SHELL_SIGNAL
    return number if 0 < number <= _SIGNAL_LIMIT else (code & 0xFF) << 8


def end_as(status: int) -> None:
    """With this wait status, without leaving a core file."""
    number = status & 0x7F
    if number:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        time.sleep(1)
    os._exit((status >> 8) & 0xFF)


def since_of(text: str) -> str:
    """The engine's `since` for a time as it writes it: seconds and nanoseconds. Empty for none, or for nonsense."""
    seconds, dot, rest = text.partition(".")
    fraction = rest.rstrip("Z")
    if not dot or not fraction.isdigit():
        return ""
    try:
        whole = _seconds(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return ""
    return f"&since={whole}.{fraction[:_NANOSECOND_DIGITS].ljust(_NANOSECOND_DIGITS, '0')}"


def _seconds(moment: time.struct_time) -> int:
    """Since 1970, of a time in UTC (calendar.timegm, without importing it)."""
    year, month, day = moment[:3]
    year -= month <= 2
    era, of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = of_era * 365 + of_era // 4 - of_era // 100 + day_of_year
    return (era * 146_097 + day_of_era - 719_468) * 86_400 + moment[3] * 3600 + moment[4] * 60 + moment[5]
