"""A process that is not our child, held by its pidfd until it ends: how it ended; and ending in the same way."""

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
    from collections.abc import Sequence
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
_NOT_BEGUN = "runc:["


class Held:
    """A container's process: whatever becomes of the engine, and of pid numbers, this is the one. Before `take`: nobody."""

    __slots__ = ("_counter_fds", "_main_pidfd", "_patience_s", "counters", "main_pid", "pid", "pidfd")

    def __init__(self) -> None:
        self.pidfd = self._main_pidfd = -1
        self.pid = self.main_pid = 0
        self.counters: dict[str, str] = {}
        self._counter_fds: dict[str, int] = {}
        self._patience_s = _REAPED_AFTER_S

    def take(self, pid: int, engine_id: str, reads: Sequence[tuple[str, str, str]], *, has_init: bool) -> bool:
        """`reads` and `has_init`: as in an Order. False: it is in no such container; who has ended already cannot be held."""
        if pid <= 0:
            return False
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return False
        if not is_in(pid, engine_id):
            os.close(pidfd)
            return False
        self.pidfd, self.pid = pidfd, pid
        self.main_pid = first_child(pid) if has_init else pid
        if self.main_pid not in {0, pid}:
            try:
                self._main_pidfd = os.pidfd_open(self.main_pid)
            except OSError:
                pass  # it has ended: its init tells
        for key, directory, file in reads:
            try:
                self._counter_fds[key] = os.open(f"{directory}/{engine_id}/{file}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
        return True

    def send(self, numbers: Sequence[int]) -> None:
        """Signals, as far as it still takes them."""
        for number in numbers:
            try:
                signal.pidfd_send_signal(self.pidfd, number)
            except OSError:
                return

    def see_end(self) -> bool:
        """Whether it has ended. Then its counters have been read: they vanish with the engine's cgroup."""
        if self.pidfd < 0 or not has_ended(self.pidfd):
            return False
        for key, fd in self._counter_fds.items():
            try:
                self.counters[key] = os.pread(fd, 8192, 0).decode("ascii", "replace")
            except OSError:
                continue
        return True

    def wait_status(self) -> int | None:
        """Of who has ended, as `wait_status` has it; None: nobody is held. Waited for once: later it is told, or not."""
        if self.pidfd < 0:
            return None
        patience_s, self._patience_s = self._patience_s, 0.0
        return wait_status(self.pidfd, patience_s)

    def status_behind_init(self, code: int) -> int:
        """The command's, whose init ended with this code: 128 + n is signal n's, unless the kernel knows it to be its own."""
        status = status_of_code(code)
        is_own = status & 0x7F and self._main_pidfd >= 0 and wait_status(self._main_pidfd) == code << 8
        return code << 8 if is_own else status


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


def has_begun(pid: int) -> bool:
    """Whether this is what a container runs: until it is told to begin, it is runc that stands there, under its own name."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return not file.read().startswith(_NOT_BEGUN)
    except OSError:
        return False


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


def wait_status(pidfd: int, patience_s: float = _REAPED_AFTER_S) -> int | None:
    """As waitpid gives it to the parent, once that has reaped it; None where this kernel does not tell (before 6.15)."""
    deadline_s = time.monotonic() + patience_s
    while True:
        content = bytearray(_INFO.pack(_INFO_EXIT, *(0,) * 13))
        try:
            fcntl.ioctl(pidfd, _PIDFD_GET_INFO, content)
        except OSError:
            return None
        mask, *fields = _INFO.unpack(content)
        if mask & _INFO_EXIT:
            return int(fields[-1])
        if time.monotonic() >= deadline_s:
            return None
        time.sleep(0.001)


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
