"""Long answers from whatever listens there: heads, errors, lines and frames, good and bad."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.docker.exec_stream import ExecStream
from agentd.docker.failures import Call, EngineFailure
from agentd.docker.lane import NotAnswered
from agentd.docker.streams import Request, Stream, open_stream
from paddock.model.errors import NotFound, PaddockError
from tests.engine.silent import silent_engine

CALL = Call(verb="follow", kind="container", name="c1", socket="/s")
GET = Request(method="GET", path="/v1.41/x", headers=(("X-A", "b"),))
Result = TypeVar("Result")


async def opened(
    path: Path, answer: bytes, act: Callable[[Stream], Awaitable[Result]], request: Request = GET
) -> Result:
    """`answer` is everything that is said; then the connection ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    heard: list[bytes] = []
    server = await asyncio.start_unix_server(serve, str(path))
    try:
        stream = await open_stream(str(path), CALL, request, 30)
        try:
            return await act(stream)
        finally:
            stream.close()
    finally:
        server.close()
        await server.wait_closed()
        path.unlink()
        (request_head,) = heard
        assert request_head.startswith(f"{request.method} {request.path} HTTP/1.".encode())
        assert b"\r\nX-A: b\r\n" in request_head or request is not GET


async def lines_of(stream: Stream) -> list[dict[str, object]]:
    found = []
    while (line := await stream.line()) is not None:
        found.append(line)
    return found


async def test_lines_until_the_connection_ends(tmp_path: Path) -> None:
    answer = b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"a": 1}\r\n[]\n{"b": 2}'
    assert await opened(tmp_path / "s", answer, lines_of) == [{"a": 1}, {}, {"b": 2}]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (b"", ConnectionResetError, "0 bytes of an answer"),
        (b"HTTP/1.0 200 OK\r\n", ConnectionResetError, "17 bytes"),
        (b"SSH-2.0-x\r\n\r\n", EngineFailure, "begins with 'SSH-2.0-x'"),
        (b"HTTP/1.0 xx OK\r\n\r\n", EngineFailure, "see what listens there"),
        (b"HTTP/1.0 200 OK\r\nX: " + b"x" * (3 << 20), EngineFailure, "no end of its head"),
        (b'HTTP/1.0 404 No\r\n\r\n{"message": "No such container: c1"}', NotFound, "container 'c1'"),
        (
            b'HTTP/1.1 404 No\r\nContent-Length: 36\r\n\r\n{"message": "No such container: c1"}',
            NotFound,
            "container 'c1'",
        ),
        (b"HTTP/1.1 500 No\r\nContent-Length: 9999\r\n\r\nhalf", EngineFailure, "(500): half"),
        (b"HTTP/1.1 101 UPGRADED\r\n\r\n", EngineFailure, "(101)"),
        (b"HTTP/1.0 200 OK\r\n\r\nno json\n", EngineFailure, "makes no sense"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * (3 << 20), EngineFailure, "makes no sense"),
    ],
)
async def test_what_is_no_answer_is_told(tmp_path: Path, answer: bytes, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as raised:
        await opened(tmp_path / "s", answer, lines_of)
    assert words in str(raised.value)


@pytest.mark.parametrize("trickle", [b"", b"HTTP/1.0 200 OK\r\nX: x"])
async def test_one_that_does_not_come_to_an_answer_has_its_deadline(tmp_path: Path, trickle: bytes) -> None:
    with silent_engine(tmp_path / "s", trickle=trickle), pytest.raises(NotAnswered, match="within 0.3 s"):
        await open_stream(str(tmp_path / "s"), CALL, GET, 0.3)


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await open_stream(str(tmp_path / "s"), CALL, GET, 30)


async def carried(frames: bytes) -> tuple[bytes, bytes]:
    """What comes out of both outputs; then nothing is left of it."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    stream = ExecStream.over(Stream(reader, writer))
    theirs.sendall(frames)
    theirs.shutdown(socket.SHUT_WR)
    os.close(stream.stdin_fd)
    found = []
    await stream.finished()
    for fd in (stream.stdout_fd, stream.stderr_fd):
        with open(fd, "rb") as file:
            found.append(file.read())
    theirs.close()
    return found[0], found[1]


def frame(number: int, content: bytes) -> bytes:
    return struct.pack(">BxxxI", number, len(content)) + content


async def test_frames_go_to_the_output_that_they_are_of() -> None:
    frames = frame(1, b"a") + frame(2, b"x") + frame(1, b"") + frame(0, b"b") + frame(3, b"y")
    assert await carried(frames) == (b"ab", b"xy")


@pytest.mark.parametrize(
    "rest", [frame(4, b"z"), frame(1, b"z")[:-1] + b"", b"\1\0\0", struct.pack(">BxxxI", 1, 1 << 31)]
)
async def test_what_is_no_frame_ends_it_after_what_was_good(rest: bytes) -> None:
    assert await carried(frame(1, b"a") + rest) == (b"a", b"")


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=40)), max_size=6), st.binary(max_size=12))
def test_any_frames_and_any_rest_come_to_an_end(frames: list[tuple[int, bytes]], rest: bytes) -> None:
    out, err = asyncio.run(carried(b"".join(frame(*each) for each in frames) + rest))
    good = frames[: next((index for index, (number, _) in enumerate(frames) if number > 3), len(frames))]
    assert out.startswith(b"".join(content for number, content in good if number < 2))
    assert err.startswith(b"".join(content for number, content in good if number >= 2))


@settings(max_examples=40)
@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda rest: b"HTTP/1.0 200 OK\r\n\r\n" + rest))
def test_any_answer_is_lines_or_an_error_that_we_know(tmp_path_factory: pytest.TempPathFactory, answer: bytes) -> None:
    path = tmp_path_factory.mktemp("s") / "s"
    with suppress(PaddockError, OSError):
        asyncio.run(opened(path, answer, lines_of))
