"""The template: a child of the launcher that only brings forth shims, which are the launcher's children all the same.

Whatever a process writes to after a fork is no longer shared with that fork. The launcher works between two launches, and
each of its pages that it touches would be a private page of the shims forked before. The template only receives and clones.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct

from paddock.kernel import processes
from paddock.kernel.descriptors import sink
from paddock.kernel.errors import KernelError, wrapped
from paddock.launch import shim, sockets
from paddock.launch.birth_list import BirthList
from paddock.launch.children import end_child, live_and_end
from paddock.launch.launcher_log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from paddock.launch.host import Host
    from paddock.launch.sockets import Socket

_PID = struct.Struct("i")
_BEAR = b"B"
_LARGEST_PID = 1 << 31
_RIGHTS_BYTES = socket.CMSG_SPACE(4)
_RECEIVE_FLAGS = int(socket.MSG_CMSG_CLOEXEC)
_SIGNALS_IGNORED = (int(signal.SIGTERM), int(signal.SIGINT), int(signal.SIGHUP))


class Template:
    """The launcher's end of it. `pid` is the template's."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._connection, self.pid = self._start()

    def _start(self) -> tuple[socket.socket, int]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            pid = os.fork()
            if pid == 0:
                end_child(lambda: _serve(self._host, theirs.detach()), (theirs.fileno(), self._host.null_fd))
        return ours, pid

    def bear(self) -> tuple[Socket, int]:
        """A new shim: our end of the socket at which it waits for its order, and its pid.

        Raises OSError; a template that has died is replaced, now or at the next need.
        """
        born = self._ask()
        if born is None:
            log("template-lost", template=self.pid)
            # The dead one keeps its place until there is another: whoever can start none now tries again.
            lost = self._connection
            self._connection, self.pid = self._start()
            lost.close()
            born = self._ask()
        if born is None:
            raise KernelError("recv", "", f"template {self.pid}", errno.ECONNRESET)
        return born

    def _ask(self) -> tuple[Socket, int] | None:
        """None when the template has died: a shim that it has borne and not told of ends with our end of the socket."""
        ours, theirs = sockets.pair()
        try:
            socket.send_fds(self._connection, [_BEAR], [theirs.fileno()])
            answer = self._connection.recv(_PID.size)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
        finally:
            theirs.close()
        (pid,) = _PID.unpack(answer) if answer else (0,)
        if pid > 0:
            return ours, pid
        ours.close()
        if pid < 0:
            raise wrapped(OSError(-pid, ""), "clone3", "", "shim")
        return None

    def close(self) -> None:
        """It ends when its connection does."""
        self._connection.close()


def _serve(host: Host, connection_fd: int) -> int:
    processes.set_name("paddock-templat")
    # What ends the daemon, systemd's stop for one, must not end a shim before its container. The template ends with the
    # launcher's end of the connection.
    processes.ignore_signals(_SIGNALS_IGNORED)
    # No number below theirs is free: whatever a shim opens has a greater one.
    host.null_fd = sink(host.null_fd)
    connection = socket.socket(fileno=sink(connection_fd))
    birth = BirthList(host, connection.fileno())
    try:
        _bear_all(host, connection, birth)
    except (BrokenPipeError, ConnectionResetError):
        # The launcher has died between its word and ours: a shim that nobody has heard of ends with its socket.
        pass
    return 0


def _bear_all(host: Host, connection: socket.socket, birth: BirthList) -> None:
    while True:
        content, ancillary, _flags, _address = connection.recvmsg(len(_BEAR), _RIGHTS_BYTES, _RECEIVE_FLAGS)
        if not content:
            return
        ((_level, _kind, piece),) = ancillary
        (order_fd,) = _PID.unpack(piece)
        pid = birth.run(order_fd)
        if pid > _LARGEST_PID:
            _be_shim(host, birth, pid)
        os.close(order_fd)
        connection.send(_PID.pack(pid))


def _be_shim(host: Host, birth: BirthList, code: int) -> NoReturn:
    live_and_end(lambda: shim.live(host, birth.order(code)))
