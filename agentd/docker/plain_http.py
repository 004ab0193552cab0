"""HTTP/1.1 over the engine's Unix socket, as little as the stand-in needs, and the calls of which each launch has some.
(http.client brings in the e-mail package: a third of a cold start.)

An answer may come in pieces, whole, or without an end: the engine sends logs until the container ends.
"""

from __future__ import annotations

import _socket  # the socket module's classes and enums cost a cold start 5 ms

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 16 << 20
_CHUNK_BYTES = 65_536


class HttpError(Exception):
    """What came is no answer, or not a whole one."""


class HalfAnswer(HttpError):
    """The connection ended before the answer did."""


class Exchange:
    """One request on a connection of its own. Owns the socket."""

    __slots__ = ("_is_chunked", "_left", "_pending", "is_over", "sock", "status")

    def __init__(self, sock: _socket.socket, method: str, path: str, content: bytes = b"") -> None:
        """Sends it; `content` is JSON. Raises OSError."""
        self.sock = sock
        self.status = 0
        self.is_over = False
        self._pending = b""
        self._is_chunked = False
        self._left: int | None = None
        kind = "Content-Type: application/json\r\n" if content else ""
        lines = f"{method} {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n{kind}"
        sock.sendall(f"{lines}Content-Length: {len(content)}\r\n\r\n".encode() + content)

    def receive(self) -> bytes:
        """What one read brings of the body, perhaps nothing of it. Raises OSError (the socket's time-out too), HttpError."""
        came = self.sock.recv(_CHUNK_BYTES)
        self._pending += came
        if not came:
            self._end()
            return b""
        if not self.status and not self._take_head():
            return b""
        return self._take_body()

    def read_json(self) -> dict[str, object]:
        """The rest, as an object; an empty one where there is none. Raises OSError, HttpError."""
        body = self.read_body()
        if not body.strip():
            return {}
        from agentd.docker import plain_json  # noqa: PLC0415 - a stand-in's start is asked for without it

        try:
            found = plain_json.parse(body)
        except (ValueError, RecursionError) as error:
            raise HttpError(f"the engine's answer is no JSON: {error}") from None
        return found if isinstance(found, dict) else {}

    def read_body(self) -> bytes:
        """The rest. Raises OSError, HttpError."""
        body = b""
        while not self.is_over:
            body += self.receive()
            if len(body) > MAX_BODY_BYTES:
                raise HttpError(f"the engine's answer is longer than {MAX_BODY_BYTES} bytes")
        return body

    def close(self) -> None:
        """The connection too."""
        self.sock.close()

    def _end(self) -> None:
        if not self.status or self._is_chunked or self._left:
            raise HalfAnswer("the engine closed the connection in the middle of its answer")
        self.is_over = True

    def _take_head(self) -> bool:
        head, end, rest = self._pending.partition(b"\r\n\r\n")
        if not end:
            if len(self._pending) > MAX_HEAD_BYTES:
                raise HttpError("the engine's answer has no end of its head")
            return False
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise HttpError(f"the engine's answer begins with {lines[0][:40]!r}")
        self.status = int(words[1])
        fields = dict(_field(line) for line in lines[1:])
        self._is_chunked = fields.get("transfer-encoding", "").lower() == "chunked"
        length = fields.get("content-length", "")
        self._left = int(length) if length.isdigit() and not self._is_chunked else None
        if self.status in {204, 304}:
            self._left = 0
        self._pending = rest
        self.is_over = self._left == 0 and not self._is_chunked
        return True

    def _take_body(self) -> bytes:
        if self._is_chunked:
            return self._take_chunks()
        body, self._pending = self._pending, b""
        if self._left is not None:
            body = body[: self._left]
            self._left -= len(body)
            self.is_over = self._left == 0
        return body

    def _take_chunks(self) -> bytes:
        """`_left`: bytes of the chunk that are still to come, its end of line included; None: a length comes next."""
        found = []
        while self._pending and not self.is_over:
            if self._left is None:
                line, end, rest = self._pending.partition(b"\r\n")
                if not end:
                    if len(line) > MAX_HEAD_BYTES:
                        raise HttpError("a chunk of the engine's answer has no length")
                    break
                size = _chunk_size(line)
                self._pending = rest
                if size == 0:
                    self.is_over = True
                    self._is_chunked = False
                    break
                self._left = size + 2
            piece, self._pending = self._pending[: self._left], self._pending[self._left :]
            self._left -= len(piece)
            # The last two bytes are the end of line, which may come in a read of its own.
            found.append(piece[: max(len(piece) + min(self._left - 2, 0), 0)])
            if self._left == 0:
                self._left = None
        return b"".join(found)


def begin(path_of_socket: str, method: str, path: str, timeout_s: float) -> Exchange:
    """The request is sent. Raises OSError."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(timeout_s)
        sock.connect(path_of_socket)
        return Exchange(sock, method, path)
    except OSError:
        sock.close()
        raise


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


def _chunk_size(line: bytes) -> int:
    try:
        size = int(line.partition(b";")[0], 16)
    except ValueError:
        raise HttpError(f"a chunk of the engine's answer begins with {line[:20]!r}") from None
    if not 0 <= size <= MAX_BODY_BYTES:
        raise HttpError(f"a chunk of the engine's answer has {size} bytes")
    return size
