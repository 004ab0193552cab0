"""Unix sockets of the daemons: claimed only from the dead, 0660 for root and group paddock."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from paddock.model.errors import AlreadyExists, ConfigError
from paddock.rpc.address import path_problem

GROUP = "paddock"
SOCKET_MODE = 0o660


def claim_path(path: str) -> None:
    """Make the path free for a bind: removes a socket on which nobody answers. Raises ConfigError or AlreadyExists."""
    # A socket beside one that has been asked for has a longer name.
    if problem := path_problem(path):
        raise ConfigError((f"socket {path}: {problem}",))
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(path)):
            raise ConfigError((f"socket {path}: make its directory first: mkdir -p {os.path.dirname(path)}",)) from None
        return
    except OSError as error:
        raise ConfigError((f"socket {path}: {error.strerror}; choose a path below a directory of ours",)) from error
    if not stat.S_ISSOCK(mode):
        raise ConfigError((f"socket {path}: something else is there; move it away or choose another path",))
    if is_alive(path):
        raise AlreadyExists("socket", path, "another daemon answers on it; stop it or choose another path")
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def is_alive(path: str) -> bool:
    """Whether somebody listens. A full backlog is a sign of life too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) in {0, errno.EAGAIN, errno.EINPROGRESS}


@contextmanager
def narrow_umask() -> Iterator[None]:
    """Around a bind: between bind and `grant` nobody but the owner may connect. The umask is the whole process's, so
    this belongs into the start only, before any other thread creates files.
    """
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def grant(path: str) -> None:
    """0660, group paddock where that group exists (and we may give files away), else the process's own group."""
    if os.geteuid() == 0:
        try:
            group_id = grp.getgrnam(GROUP).gr_gid
        except KeyError:
            group_id = 0
        os.chown(path, 0, group_id)
    os.chmod(path, SOCKET_MODE)


def bind(path: str) -> socket.socket:
    """Claimed, bound, granted, not yet listening."""
    claim_path(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with narrow_umask():
            bound.bind(path)
        grant(path)
    except OSError:
        bound.close()
        raise
    return bound


def hang_up(path: str, port: int) -> None:
    """End every connection of this process's that came in at the path or at the TCP port (empty, 0: none)."""
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as connection:
                where = connection.getsockname()
                if where == path if isinstance(where, str) else port and where[1] == port:
                    connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            # No socket, not connected, or closed meanwhile.
            continue


def remove(path: str) -> None:
    """Gone afterwards, whoever removed it."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
