"""A process that another life of ours started: its number and when it began, so that nobody else's is ever meant."""

from __future__ import annotations

import os
import select
import signal
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessHandle:
    """`started` in the kernel's ticks since its boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessHandle:
        """A child of ours that is not waited for yet, so that its number is its own."""
        return cls(pid=pid, started=_started(pid))

    @property
    def is_alive(self) -> bool:
        """Neither gone nor a zombie."""
        return bool(self.pid) and _started(self.pid) == self.started

    def kill(self, timeout_s: float) -> None:
        """SIGKILL, and gone when this returns. Idempotent. Raises TimeoutError."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except (ProcessLookupError, OSError):
            return
        try:
            if not self.is_alive:
                return
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            if not select.select([descriptor], [], [], timeout_s)[0]:
                raise TimeoutError(f"process {self.pid} does not die")
        finally:
            os.close(descriptor)


def _started(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] in {"Z", "X"} else int(fields[19])
