"""HTTP/2 as no library speaks it: the few frames with which a caller can be rude to a gRPC server."""

from __future__ import annotations

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = struct.pack(">I", 8)
WRITE_TIMEOUT_S = 0.3
READ_TIMEOUT_S = 30.0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def header(name: bytes, value: bytes) -> bytes:
    """Written out, not to be remembered."""
    return b"\x00" + bytes((len(name),)) + name + _length(len(value)) + value


def _length(value: int) -> bytes:
    if value < 0x7F:
        return bytes((value,))
    written, value = bytearray((0x7F,)), value - 0x7F
    while value >= 0x80:
        written.append(value % 0x80 + 0x80)
        value //= 0x80
    return bytes((*written, value))


HELLO = PREFACE + frame(SETTINGS, 0, 0)
CALL = b"".join(
    header(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/grpc.health.v1.Health/Check"),
        (b":authority", b"x"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    )
)


def connect(address: str) -> socket.socket:
    """`unix:/path` or host:port."""
    if address.startswith("unix:"):
        made = socket.socket(socket.AF_UNIX)
        made.connect(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        made = socket.create_connection((host, int(port)))
    made.settimeout(WRITE_TIMEOUT_S)
    return made


def heard_until(connection: socket.socket, last: bytes) -> bytes:
    """All that comes until this has, or the other side hangs up."""
    connection.settimeout(READ_TIMEOUT_S)
    heard = b""
    while last not in heard and (piece := connection.recv(65536)):
        heard += piece
    return heard


def pour(connection: socket.socket, piece: bytes, count: int) -> bool:
    """So many of them; whether the other side took them all. What it answers is not read."""
    try:
        for _ in range(count):
            connection.sendall(piece)
    except OSError:
        return False
    return True
