"""System calls that never wait, made without letting go of the interpreter's lock.

Python lets go of it around each of its own, and must then get it back: beside a thread that computes, that takes two changes of
threads and up to a switch interval, for a call of a microsecond. What may wait, for a disk or a peer, has no place in here.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

from paddock.kernel.descriptors import SEALS
from paddock.kernel.errors import KernelError
from paddock.kernel.syscalls import failure, function

_int, _long, _text, _pointer = ctypes.c_int, ctypes.c_long, ctypes.c_char_p, ctypes.c_void_p
_read = function("read", _int, _pointer, _long)
_write = function("write", _int, _text, _long)
_recv = function("recv", _int, _pointer, _long, _int)
_close = function("close", _int)
_memfd_create = function("memfd_create", _text, _int)
_fcntl = function("fcntl", _int, _int, _long)

_COUNTER_BYTES = 8
_ONE = struct.pack("Q", 1)


class EventCounter:
    """An eventfd: any thread rings, one looks whether it was rung."""

    __slots__ = ("_buffer", "_place", "fd")

    def __init__(self) -> None:
        """Not rung."""
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._buffer = ctypes.create_string_buffer(_COUNTER_BYTES)
        self._place = ctypes.addressof(self._buffer)

    def ring(self) -> None:
        """Its descriptor becomes readable. Raises KernelError."""
        if _write(self.fd, _ONE, _COUNTER_BYTES) < 0:
            raise failure("write", "eventfd")

    def reset(self) -> None:
        """No longer readable, until it is rung again."""
        _read(self.fd, self._place, _COUNTER_BYTES)

    def close(self) -> None:
        """Once."""
        close(self.fd)


class Receiver:
    """Takes messages from sockets, into one buffer."""

    __slots__ = ("_buffer", "_max_bytes", "_place")

    def __init__(self, max_bytes: int) -> None:
        """A longer message is cut."""
        self._max_bytes = max_bytes
        self._buffer = ctypes.create_string_buffer(max_bytes)
        self._place = ctypes.addressof(self._buffer)

    def receive(self, fd: int) -> bytes:
        """The next message, empty at the connection's end. Raises KernelError; BlockingIOError: none is there yet."""
        count = _recv(fd, self._place, self._max_bytes, socket.MSG_DONTWAIT)
        if count < 0:
            raise failure("recv")
        return ctypes.string_at(self._place, count)


def close(fd: int) -> None:
    """A descriptor at whose end nothing waits: of a socket, or of memory. One that is not open is no error."""
    _close(fd)


def seal_memory(name: str, content: bytes) -> int:
    """As descriptors.make_sealed_memfd. Raises KernelError."""
    fd = _memfd_create(name.encode(), os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    if fd < 0:
        raise failure("memfd_create", name)
    written = 0
    while written < len(content):
        count = _write(fd, content[written:] if written else content, len(content) - written)
        if count < 0:
            raise _closed(fd, failure("write", name))
        written += count
    if _fcntl(fd, fcntl.F_ADD_SEALS, SEALS) < 0:
        raise _closed(fd, failure("fcntl(F_ADD_SEALS)", name))
    return fd


def _closed(fd: int, error: KernelError) -> KernelError:
    close(fd)
    return error
