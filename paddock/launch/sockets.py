"""Sockets as the C module makes them. The socket module's class around them is Python, and costs every shim 50 kB of pages."""

from __future__ import annotations

import _socket
import struct

Socket = _socket.socket

_AF_UNIX = int(_socket.AF_UNIX)
_SEQPACKET = int(_socket.SOCK_SEQPACKET)


def pair() -> tuple[Socket, Socket]:
    """Two ends of a SEQPACKET connection, close-on-exec."""
    return _socket.socketpair(_AF_UNIX, _SEQPACKET)


def of(fd: int) -> Socket:
    """The socket that this descriptor is; it is closed with the object."""
    return Socket(fileno=fd)


def accept(listener: Socket) -> Socket:
    """The next connection, close-on-exec; raises OSError."""
    fd, _address = listener._accept()  # type: ignore[attr-defined]
    return Socket(fileno=fd)


def send_fds(connection: Socket, content: bytes, fds: list[int]) -> None:
    """One message with copies of these descriptors; raises OSError."""
    rights = struct.pack(f"{len(fds)}i", *fds)
    connection.sendmsg([content], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
