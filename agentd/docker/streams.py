"""Answers that take as long as a container lives, or a pull: read on the event loop, because each would hold a thread.

HTTP/1.0 is asked for, whose answers end with the connection: what comes is the engine's own lines and nothing else. Whether an
answer is whole is for whoever knows its last line.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentd.docker.calls import said_in
from agentd.docker.failures import Answer, Call, EngineFailure, failure_of
from agentd.docker.lane import NotAnswered
from paddock.model.errors import PaddockError

LINE_LIMIT_BYTES = 1 << 20
"""An event has all labels of its container."""

PORTION_BYTES = 65_536
"""Of what is carried on, and not looked at. Twice as much is kept in memory at most."""

Refused = Callable[[Call, Answer], PaddockError]
_OK = range(200, 300)
_SWITCHING = 101


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`path`: with the version and the query. `takes_over`: the connection is then no HTTP any more, in both directions."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    takes_over: bool = False

    @property
    def content(self) -> bytes:
        """As it is sent."""
        version = "1.1" if self.takes_over else "1.0"
        headers = {
            "Host": "docker",
            "Content-Type": "application/json",
            "Content-Length": str(len(self.body)),
            "Connection": "Upgrade" if self.takes_over else "close",
            **({"Upgrade": "tcp"} if self.takes_over else {}),
            **dict(self.headers),
        }
        lines = [f"{self.method} {self.path} HTTP/{version}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True, slots=True)
class Stream:
    """A connection of its own, after the head of a good answer."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def line(self) -> dict[str, object] | None:
        """The next object; None at the end. Raises OSError, EngineFailure."""
        try:
            content = await self.reader.readline()
            if not content:
                return None
            found: object = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise EngineFailure(f"a line of the Docker engine's makes no sense: {error}") from None
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        """At once: the engine sees that nobody reads any more."""
        self.writer.transport.abort()


async def open_stream(
    socket_path: str, call: Call, request: Request, deadline_s: float, refused: Refused = failure_of
) -> Stream:
    """Once the engine has begun a good answer. Raises NotAnswered, OSError, and what `refused` makes of another answer."""
    try:
        async with asyncio.timeout(deadline_s):
            limit = PORTION_BYTES if request.takes_over else LINE_LIMIT_BYTES
            reader, writer = await asyncio.open_unix_connection(socket_path, limit=limit)
    except TimeoutError:
        raise NotAnswered(f"did not take a connection within {deadline_s:g} s") from None
    stream = Stream(reader, writer)
    try:
        async with asyncio.timeout(deadline_s):
            await _begin(stream, call, request, refused)
    except TimeoutError:
        stream.close()
        raise NotAnswered(f"did not answer within {deadline_s:g} s") from None
    except BaseException:
        stream.close()
        raise
    return stream


async def _begin(stream: Stream, call: Call, request: Request, refused: Refused) -> None:
    stream.writer.write(request.content)
    await stream.writer.drain()
    status, headers = await _read_head(stream.reader)
    if status not in _OK and not (request.takes_over and status == _SWITCHING):
        raise refused(call, Answer(status=status, said=said_in(await _read_error(stream.reader, headers))))


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, Mapping[str, str]]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError(f"{len(error.partial)} bytes of an answer") from None
    except asyncio.LimitOverrunError:
        raise EngineFailure("the Docker engine's answer has no end of its head; see what listens there") from None
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not (words[1].isascii() and words[1].isdigit()):
        raise EngineFailure(f"the Docker engine's answer begins with {first[:40]!r}; see what listens there")
    pairs = (line.partition(":") for line in lines)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_error(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    length = headers.get("content-length", "")
    size = int(length) if length.isascii() and length.isdigit() else LINE_LIMIT_BYTES
    body = b""
    while len(body) < min(size, LINE_LIMIT_BYTES) and (came := await reader.read(size - len(body))):
        body += came
    return body
