"""Our launchers and shims among this host's processes."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_MARK = b"paddock.launch.launcher import main"
_SHIM = "paddock-shim"
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True, kw_only=True)
class LauncherProcess:
    """One that runs the launcher's program: the launcher, or a child that it has forked."""

    pid: int
    parent_pid: int
    is_shim: bool
    agent_id: str
    socket_path: str


def launcher_processes() -> Iterator[LauncherProcess]:
    """All that live now."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (found := _look(int(name))) is not None:
            yield found


def _look(pid: int) -> LauncherProcess | None:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(65_536).split(b"\0")
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            before, _, after = file.read().rpartition(")")
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    # Anybody may give a process any arguments; ours are root's.
    if uid != 0 or not any(_MARK in word for word in words):
        return None
    values = dict(pairwise(words))
    return LauncherProcess(
        pid=pid,
        parent_pid=int(after.split()[1]),
        is_shim=before.partition("(")[2] == _SHIM,
        agent_id=values.get(b"--agent-id", b"").decode("utf-8", "replace"),
        socket_path=values.get(b"--socket", b"").decode("utf-8", "replace"),
    )


def server_pid(path: str) -> int:
    """Who listens on this seqpacket socket; 0: nobody. An address ends at 108 bytes, a path does not."""
    return _server_pid(path, socket.SOCK_SEQPACKET)


def listens(path: str) -> bool:
    """Whether anybody serves this stream socket."""
    return _server_pid(path, socket.SOCK_STREAM) != 0


def _server_pid(path: str, kind: socket.SocketKind) -> int:
    try:
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return 0
    connection = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC)
    try:
        connection.setblocking(False)
        connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except BlockingIOError:
        return -1  # it listens, and many wait for it
    except OSError:
        return 0
    finally:
        connection.close()
        os.close(directory)
    pid, _, _ = _CREDENTIALS.unpack(found)
    return int(pid) or -1
