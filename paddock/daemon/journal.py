"""Lines to systemd's journal in its own protocol, so that each field can be asked for: journalctl PADDOCK_TASK_ID=…

What the journal does not take at once (it is away, or busy, or the line is too long for a datagram) goes to stderr, which the
journal reads as well: then it is a line without fields, and no line is lost or waited for.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping

from paddock.daemon.logging import FieldFormatter

SOCKET = "/run/systemd/journal/socket"
PREFIX = "PADDOCK_"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,50}", re.ASCII)
_NOT_OURS = frozenset({"time", "level", "logger", "message"})


class JournalHandler(logging.Handler):
    """`program` is what `journalctl -t` asks for."""

    def __init__(self, formatter: FieldFormatter, program: str, fallback: logging.Handler, path: str = SOCKET) -> None:
        """Connects when it first writes."""
        super().__init__()
        self._formatter = formatter
        self._program = program
        self._fallback = fallback
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def emit(self, record: logging.LogRecord) -> None:
        """One datagram."""
        try:
            self._socket.sendto(b"".join(self._parts(record)), self._path)
        except OSError:
            self._fallback.emit(record)

    def close(self) -> None:
        """Another handler takes its place."""
        self._socket.close()
        super().close()

    def _parts(self, record: logging.LogRecord) -> Iterator[bytes]:
        fields = self._formatter.fields(record)
        yield _part("MESSAGE", self._formatter.line(fields))
        yield _part("PRIORITY", str(self._formatter.priority(record)))
        yield _part("SYSLOG_IDENTIFIER", self._program)
        yield _part("SYSLOG_PID", str(os.getpid()))
        yield _part("PADDOCK_LOGGER", record.name)
        yield from _own_parts(fields)


def _own_parts(fields: Mapping[str, object]) -> Iterator[bytes]:
    for name, value in fields.items():
        if name not in _NOT_OURS and _NAME.fullmatch(name):
            yield _part(f"{PREFIX}{name.upper()}", str(value))


def _part(name: str, value: str) -> bytes:
    """A value with a line's end in it carries its length: nothing in it can begin a field of its own."""
    text = value.encode("utf-8", "surrogateescape")
    if b"\n" not in text:
        return b"%s=%s\n" % (name.encode("ascii"), text)
    return b"%s\n%s%s\n" % (name.encode("ascii"), len(text).to_bytes(8, "little"), text)
