"""The locks that make a second agent on the same state, or on a copy of it, a clear error."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import struct

from paddock.model.errors import ConfigError
from paddock.model.ids import AgentId

_CREDENTIALS = struct.Struct("3i")
_TRIES = 3
_log = logging.getLogger(__name__)


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


class IdentityLock:
    """One agent of an id on this host: another, on a copied state, would end the first one's containers as orphans.

    An abstract socket's name: no file, and the kernel lets go of it whatever happens. Anybody may take such a name; only root's
    claim counts, so that nobody else keeps an agent from its start.
    """

    def __init__(self, agent_id: AgentId, state_dir: str) -> None:
        """Takes nothing yet."""
        self._agent_id = agent_id
        self._state_dir = state_dir
        self._name = f"\0paddock-agent-{agent_id}"
        self._socket: socket.socket | None = None

    def take(self) -> None:
        """Raises ConfigError naming the process that has it."""
        for _ in range(_TRIES):
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(self._name)
                claim.listen()
            except OSError as error:
                claim.close()
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                self._socket = claim
                return
            holder = self._holder()
            if holder is None:
                continue
            pid, uid = holder
            if uid == 0:
                who = f"agentd with pid {pid} is agent {self._agent_id} on this host already"
                remedy = "give another --state-dir, and the agent begins anew"
                message = f"{self._state_dir}: {who}: this state is a copy of its; {remedy}"
                raise ConfigError((message,))
            break
        _log.warning("another user has the agent's name", extra={"agent_id": self._agent_id, "holder": holder})

    def _holder(self) -> tuple[int, int] | None:
        """Pid and uid; None when it has gone, or does not let itself be asked."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.setblocking(False)
            try:
                asking.connect(self._name)
                credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            except OSError:
                return None
        pid, uid, _gid = _CREDENTIALS.unpack(credentials)
        return pid, uid

    def release(self) -> None:
        """Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
