"""The locks that make a second agent on the same state, or on a copy of it, a clear error."""

from __future__ import annotations

import fcntl
import os
from abc import ABC, abstractmethod
from contextlib import suppress

from paddock.model.errors import ConfigError
from paddock.model.ids import AgentId

_PID_BYTES = 32


class FileLock(ABC):
    """Held from `take` until the process ends or `release`; the kernel lets go of it whatever happens."""

    def __init__(self, path: str) -> None:
        """Takes nothing yet."""
        self._path = path
        self._fd = -1

    def take(self) -> None:
        """Raises ConfigError naming the process that has it, or why the file cannot be made."""
        while self._fd < 0:
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError as error:
                raise ConfigError((f"{self._path}: {error.strerror}: agentd's lock is to be there",)) from None
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(fd, _PID_BYTES).decode(errors="replace").strip() or "unknown"
                os.close(fd)
                raise ConfigError((self._refusal(owner),)) from None
            if not os.fstat(fd).st_nlink:
                # Whoever had it took it away meanwhile.
                os.close(fd)
                continue
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            self._fd = fd

    @abstractmethod
    def _refusal(self, owner: str) -> str:
        """What is told to who comes second, and what to do."""

    def release(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class StateLock(FileLock):
    """One agent on a state directory."""

    def __init__(self, state_dir: str) -> None:
        """Takes nothing yet."""
        super().__init__(f"{state_dir}/lock")

    def _refusal(self, owner: str) -> str:
        words = f"{self._path}: agentd with pid {owner} uses this state already"
        return f"{words}; stop it, or give another --state-dir"


class IdentityLock(FileLock):
    """One agent of an id on this host: another, on a copied state, would end the first one's containers as orphans.

    Its file is not in the state, which may be a copy, but where only root writes, and no container that has a root of its own
    reaches. It goes with `release`; what a killed agent leaves is the next one's, or goes with the next boot.
    """

    def __init__(self, agent_id: AgentId, state_dir: str) -> None:
        """Takes nothing yet."""
        super().__init__(f"/run/paddock-agent-{agent_id}.lock")
        self._agent_id = agent_id
        self._state_dir = state_dir

    def _refusal(self, owner: str) -> str:
        words = f"{self._state_dir}: agentd with pid {owner} is agent {self._agent_id} on this host already"
        return f"{words}: this state is a copy of its; give another --state-dir, and the agent begins anew"

    def release(self) -> None:
        """Idempotent. A file that somebody has removed, and another agent has made again, is that one's."""
        if self._fd >= 0:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(self._path), os.fstat(self._fd)):
                    os.unlink(self._path)
        super().release()
