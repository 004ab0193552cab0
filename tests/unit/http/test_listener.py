"""Real sockets: what is no HTTP, what is too long, who does not read and who says nothing; the others are served on."""

from __future__ import annotations

import asyncio
import os
import re
import select
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paddock.http import server
from paddock.http.addresses import HttpAddresses
from paddock.http.answers import HttpAnswer, Page, healthz, readyz
from paddock.http.listener import HttpListener
from paddock.model.errors import AlreadyExists, ConfigError
from tests.ports import free_port

LARGE = b"x" * 2**20
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
WAIT_S = 30.0


async def large(_accept: str) -> HttpAnswer:
    return HttpAnswer(body=LARGE)


async def broken(_accept: str) -> HttpAnswer:
    raise OSError("a page's own fault")


PAGES: dict[str, Page] = {"/healthz": healthz, "/large": large, "/broken": broken}


@asynccontextmanager
async def listening(directory: Path, pages: dict[str, Page] | None = None) -> AsyncIterator[str]:
    path = str(directory / "s.http")
    listener = HttpListener(HttpAddresses(unix_path=path), pages or PAGES)
    await listener.start()
    try:
        yield path
    finally:
        await listener.stop()
    assert not os.path.exists(path)


async def ask(path: str, words: bytes) -> bytes:
    """Everything that comes until the other side closes; nothing when it does so without a word."""
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(words)
            await writer.drain()
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.[01] ([0-9]{3}) ", answer)
    assert found, answer[:200]
    return int(found.group(1))


def request(line: str, *fields: str) -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", "Host: x", "Connection: close", *fields, "", "")).encode()


async def test_pages_are_answered_by_their_path(tmp_path: Path) -> None:
    async with listening(tmp_path) as path:
        answer = await ask(path, GET)
        assert status_of(answer) == 200
        assert answer.endswith(b"\r\n\r\nok\n")
        unknown = await ask(path, request("GET /nope"))
        assert status_of(unknown) == 404
        assert b"/healthz" in unknown
        posted = await ask(path, request("POST /healthz", "Content-Length: 0"))
        assert status_of(posted) == 405
        assert b"Allow: GET, HEAD" in posted
        head = await ask(path, request("HEAD /healthz"))
        assert status_of(head) == 200
        assert head.endswith(b"\r\n\r\n")
        assert status_of(await ask(path, request("GET /broken"))) == 500
        assert os.stat(path).st_mode & 0o777 == 0o660


async def test_ready_or_the_reasons(tmp_path: Path) -> None:
    reasons: Sequence[str] = ("recovering", "not registered")
    async with listening(tmp_path, {"/readyz": readyz(lambda: reasons)}) as path:
        answer = await ask(path, request("GET /readyz"))
        assert status_of(answer) == 503
        assert answer.endswith(b"recovering\nnot registered\n")
        reasons = ()
        assert status_of(await ask(path, request("GET /readyz"))) == 200


async def test_tcp_too_and_that_others_may_ask_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        occupied = HttpListener(HttpAddresses(unix_path=str(tmp_path / "s"), host="127.0.0.1", port=port), PAGES)
        with pytest.raises(ConfigError, match=f"http_listen: .*127.0.0.1:{port}"):
            await occupied.start()
        assert not (tmp_path / "s").exists()
    listener = HttpListener(HttpAddresses(host="127.0.0.1", port=port, is_exposed=True), PAGES)
    await listener.start()
    try:
        assert "http is served without encryption to other machines" in caplog.text
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert status_of(await reader.read()) == 200
        writer.close()
    finally:
        await listener.stop()


async def test_a_second_daemon_at_the_path_is_told_so(tmp_path: Path) -> None:
    async with listening(tmp_path) as path:
        with pytest.raises(AlreadyExists):
            await HttpListener(HttpAddresses(unix_path=path), PAGES).start()
        assert status_of(await ask(path, GET)) == 200


@pytest.mark.parametrize(
    "words",
    [
        request(f"GET /{'x' * 9_000}"),
        request("GET /healthz", f"X-Long: {'x' * 9_000}"),
        request("GET /healthz", *(f"X-{i}: x" for i in range(200))),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n\r\n\0\xff\xfe\r\n\r\n",
    ],
    ids=["line", "field", "fields", "tls", "http2", "bytes"],
)
async def test_what_is_too_long_or_no_http_is_refused_and_the_next_is_served(tmp_path: Path, words: bytes) -> None:
    async with listening(tmp_path) as path:
        assert status_of(await ask(path, words)) in {400, 405}
        assert status_of(await ask(path, GET)) == 200


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=300) | st.sampled_from([b"GET / HTTP/1.1\r\n", b"\r\n", b"Content-Length: 9\r\n"])))
def test_any_bytes_cost_their_sender_only(tmp_path: Path, pieces: list[bytes]) -> None:
    async def story() -> None:
        async with listening(tmp_path) as path:
            reader, writer = await asyncio.open_unix_connection(path)
            for piece in pieces:
                writer.write(piece)
            assert status_of(await ask(path, GET)) == 200
            writer.transport.abort()
            del reader

    asyncio.run(story())


async def test_a_thousand_who_say_nothing_leave_room_for_one_who_asks(tmp_path: Path) -> None:
    async with listening(tmp_path) as path:
        idle = []
        for _ in range(1_000):
            each = socket.socket(socket.AF_UNIX)
            each.setblocking(False)
            await asyncio.get_running_loop().sock_connect(each, path)
            idle.append(each)
        assert status_of(await ask(path, GET)) == 200
        open_fds = len(os.listdir("/proc/self/fd"))
        assert open_fds < 1_000 + server.CONNECTIONS_LIMIT_COUNT + 100, "the daemon keeps few of them"
        for each in idle:
            each.close()


async def test_those_who_do_not_read_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ANSWER_LIMIT_S", 0.3)
    async with listening(tmp_path) as path:
        with socket.socket(socket.AF_UNIX) as lazy:
            lazy.connect(path)
            lazy.send(request("GET /large"))
            poll = select.poll()
            poll.register(lazy, select.POLLHUP)
            async with asyncio.timeout(WAIT_S):
                while not poll.poll(0):
                    assert status_of(await ask(path, GET)) == 200, "the others are served meanwhile"
                    await asyncio.sleep(0.02)
            came = 0
            while piece := lazy.recv(2**16):
                came += len(piece)
            assert 0 < came < len(LARGE)


async def test_one_who_says_nothing_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_LIMIT_S", 0.2)
    async with listening(tmp_path) as path:
        assert await ask(path, b"") == b""
        assert await ask(path, b"GET /healthz HT") == b"", "nor one who never comes to an end"


async def test_one_who_reads_slowly_gets_all(tmp_path: Path) -> None:
    async with listening(tmp_path) as path:
        answer = await ask(path, request("GET /large"))
        assert answer.endswith(LARGE)


async def test_with_all_places_taken_by_those_who_do_not_read_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ANSWER_LIMIT_S", 600.0)
    async with listening(tmp_path) as path:
        assert status_of(await ask(path, GET)) == 200
        lazy, poll = [], select.poll()
        for _ in range(server.CONNECTIONS_LIMIT_COUNT):
            each = socket.socket(socket.AF_UNIX)
            each.connect(path)
            each.send(request("GET /large"))
            async with asyncio.timeout(WAIT_S):
                while not is_readable(each):
                    await asyncio.sleep(0)
            poll.register(each, select.POLLHUP)
            lazy.append(each)
        assert not poll.poll(0)
        assert status_of(await ask(path, GET)) == 200
        async with asyncio.timeout(WAIT_S):
            while not (gone := poll.poll(0)):
                await asyncio.sleep(0.01)
        assert [fd for fd, _ in gone] == [lazy[0].fileno()]
        for each in lazy:
            each.close()


def is_readable(connected: socket.socket) -> bool:
    """Its answer has begun."""
    return bool(select.select([connected], [], [], 0)[0])


async def test_a_pipeline_without_end_is_not_taken_in(tmp_path: Path) -> None:
    """Its sender has to wait for the answers: the kernel's buffers fill up, not ours."""
    async with listening(tmp_path) as path:
        reader, writer = await asyncio.open_unix_connection(path, limit=1024)
        line = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

        async def send_without_end() -> None:
            while True:
                writer.write(line * 1_000)
                await writer.drain()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(send_without_end(), 1.0)
        assert status_of(await ask(path, GET)) == 200
        writer.transport.abort()
        del reader


def test_nothing_of_the_server_is_loaded_before_somebody_asks(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from paddock.http.addresses import HttpAddresses
from paddock.http.answers import healthz
from paddock.http.listener import HttpListener
def loaded():
    return sorted({name.partition(".")[0] for name in sys.modules} & {"aiohttp", "prometheus_client"})
async def main():
    listener = HttpListener(HttpAddresses(unix_path=sys.argv[1]), {"/healthz": healthz})
    await listener.start()
    print(loaded())
    reader, writer = await asyncio.open_unix_connection(sys.argv[1])
    writer.write(b"GET /healthz HTTP/1.0\\r\\n\\r\\n")
    print((await reader.read()).endswith(b"ok\\n"), loaded())
    writer.close()
    await listener.stop()
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\nTrue ['aiohttp']\n"
