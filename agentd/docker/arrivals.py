"""What comes to a stand-in: signals, and whatever its descriptors bring."""

from __future__ import annotations

import errno
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence
else:
    import _signal as signal

_PASSED_ON = frozenset(signal.valid_signals()) - {
    *(signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGCONT),
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),
}


class Arrivals:
    """From now on signals end nothing: they wait in `signals`."""

    __slots__ = ("_wake_fd", "signals")

    def __init__(self) -> None:
        self.signals: list[int] = []
        self._wake_fd, write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        for number in _PASSED_ON:
            signal.signal(number, lambda _number, _frame: None)

    def turn(self, sources: Sequence[int], timeout_s: float) -> set[int]:
        """Wait for one of these, a signal, or the time. Raises BrokenPipeError: the shim's death closes our output."""
        poll = select.poll()
        for fd in (*sources, self._wake_fd):
            poll.register(fd, select.POLLIN)
        for fd in (1, 2):
            poll.register(fd, 0)
        ready = {fd for fd, _ in poll.poll(timeout_s * 1000)}
        if ready & {1, 2}:
            raise BrokenPipeError(errno.EPIPE, "the shim is gone")
        if self._wake_fd in ready:
            self.signals += os.read(self._wake_fd, 256)
        return ready
