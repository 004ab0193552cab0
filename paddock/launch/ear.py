"""The shim's ear: a SEQPACKET socket of root's, and the clients on it, none of whom can make the shim wait."""

from __future__ import annotations

import os
import select
import socket
import struct

from paddock.kernel.errors import wrapped
from paddock.kernel.paths import open_directory
from paddock.launch import protocol, sockets
from paddock.launch.sockets import Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CREDENTIALS = struct.Struct("3i")
_BACKLOG = 1024
# As plain integers: the enums of the socket module work in Python, on every use.
_LISTENER = int(socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
_AF_UNIX = int(socket.AF_UNIX)
_RECEIVE_FLAGS = int(socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT)
_CUT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
_SEND_FLAGS = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_ANCILLARY_BYTES = socket.CMSG_SPACE(4 * 4)
_MAX_CLIENTS = 64


def unready_path(path: str) -> str:
    """Its name until it answers; a shim that dies in between leaves it."""
    return f"{path}.new"


def listen(path: str) -> Socket:
    """A listening SEQPACKET socket, mode 0600; it takes its name, from a stale one too, when it answers.

    It is bound through its directory's descriptor: a socket's address ends at 108 bytes, a path does not.
    """
    directory, _, name = path.rpartition("/")
    directory_fd = open_directory(directory)
    unready = unready_path(name)
    listener = Socket(_AF_UNIX, _LISTENER)
    umask = os.umask(0o177)
    try:
        try:
            os.unlink(unready, dir_fd=directory_fd)
        except FileNotFoundError:
            pass
        listener.bind(f"/proc/self/fd/{directory_fd}/{unready}")
        listener.listen(_BACKLOG)
        os.rename(unready, name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    except OSError as error:
        listener.close()
        try:
            os.unlink(unready, dir_fd=directory_fd)
        except OSError:
            pass
        raise wrapped(error, "bind", path) from None
    finally:
        os.umask(umask)
        os.close(directory_fd)
    return listener


def peer_uid(connection: Socket) -> int:
    """Who connected, as the kernel knows it."""
    _pid, uid, _gid = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return int(uid)


def receive(connection: Socket, max_bytes: int = protocol.MAX_MESSAGE_BYTES) -> tuple[bytes, list[int]] | None:
    """One message and its descriptors (close-on-exec); None at the end, or when the message broke the bounds."""
    content, ancillary, flags, _address = connection.recvmsg(max_bytes + 1, _ANCILLARY_BYTES, _RECEIVE_FLAGS)
    fds: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.extend(memoryview(data[: len(data) // 4 * 4]).cast("i").tolist())
    if not content or flags & _CUT:
        for fd in fds:
            os.close(fd)
        return None
    return content, fds


class Clients:
    """The connections. `handle(client, content, fds)` gets each message; ProtocolError from it ends that connection only."""

    __slots__ = ("_connections", "_handle", "_poll", "_watched", "listener")

    def __init__(
        self,
        poll: select.poll,
        watched: dict[int, Callable[[], None]],
        handle: Callable[[Socket, bytes, list[int]], None],
    ) -> None:
        self._poll = poll
        self._watched = watched
        self._handle = handle
        self._connections: dict[int, Socket] = {}
        self.listener: Socket | None = None

    @property
    def fds(self) -> tuple[int, ...]:
        """To be closed first in every child."""
        listener = () if self.listener is None else (self.listener.fileno(),)
        return (*listener, *self._connections)

    def is_lonely(self) -> bool:
        """Whether nobody is connected."""
        return not self._connections

    def open(self, path: str) -> None:
        """Begin to listen."""
        self.adopt(listen(path))

    def adopt(self, listener: Socket) -> None:
        """Listen on this one, which listens already."""
        self.listener = listener
        self._watched[listener.fileno()] = self._accept
        self._poll.register(listener, select.POLLIN)

    def add(self, connection: Socket) -> None:
        """Serve this connection; the caller has seen to who is at its other end."""
        fd = connection.fileno()
        connection.setblocking(False)
        self._connections[fd] = connection
        self._watched[fd] = lambda: self._on_readable(connection)
        self._poll.register(fd, select.POLLIN)

    def _accept(self) -> None:
        assert self.listener is not None
        try:
            connection = sockets.accept(self.listener)
        except OSError:
            return
        if len(self._connections) >= _MAX_CLIENTS or peer_uid(connection) != 0:
            connection.close()
            return
        self.add(connection)

    def _on_readable(self, connection: Socket) -> None:
        try:
            received = receive(connection)
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self.drop(connection)
            return
        try:
            self._handle(connection, *received)
        except protocol.ProtocolError:
            self.drop(connection)

    def send(self, connection: Socket, message: Mapping[str, object]) -> None:
        """Send one message, or drop a client that does not read its messages."""
        try:
            connection.send(protocol.encode(message), _SEND_FLAGS)
        except OSError:
            self.drop(connection)

    def send_all(self, message: Mapping[str, object]) -> None:
        """Send to every client."""
        for connection in tuple(self._connections.values()):
            self.send(connection, message)

    def drop(self, connection: Socket) -> None:
        """End one connection."""
        fd = connection.fileno()
        if self._connections.pop(fd, None) is not None:
            self._poll.unregister(fd)
            del self._watched[fd]
        connection.close()

    def close(self) -> None:
        """End all of them."""
        for connection in tuple(self._connections.values()):
            self.drop(connection)
        if self.listener is not None:
            self._poll.unregister(self.listener)
            del self._watched[self.listener.fileno()]
            self.listener.close()
            self.listener = None
