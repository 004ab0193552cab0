"""The lock that makes a second agent on the same state a clear error."""

from __future__ import annotations

import fcntl
import os

from paddock.model.errors import ConfigError


class StateLock:
    """Held from `take` until the process ends or `release`; the kernel lets go of it whatever happens."""

    def __init__(self, state_dir: str) -> None:
        """Takes nothing yet."""
        self._path = f"{state_dir}/lock"
        self._fd = -1

    def take(self) -> None:
        """Raises ConfigError naming the process that has it."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            message = (
                f"{self._path}: agentd with pid {owner} uses this state already; stop it, or give another --state-dir"
            )
            raise ConfigError((message,)) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
