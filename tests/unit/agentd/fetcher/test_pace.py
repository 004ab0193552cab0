"""The least speed: what it counts and what not, and real servers that drip in every part of an answer."""

from __future__ import annotations

import io
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.fetcher.download import Bounds, download
from agentd.fetcher.failure import FetchFailure
from agentd.fetcher.pace import LeastSpeed, PacedReader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STALL_S = 4.0
"""A server here may be late by seconds, and must not be taken for one that is silent."""
LEAST = LeastSpeed(bytes_per_s=100, window_s=10.0)


class Scripted(io.RawIOBase):
    """Gives so many bytes after so many seconds of its own clock."""

    def __init__(self, script: list[tuple[float, int]]) -> None:
        self.script = iter(script)
        self.now_s = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        waited_s, count = next(self.script, (0.0, 0))
        self.now_s += waited_s
        return count


def read(script: list[tuple[float, int]], least: LeastSpeed = LEAST, *, busy_s: float = 0.0) -> None:
    """All of it; between two reads the reader itself is busy."""
    raw = Scripted(script)
    reader = PacedReader(raw, least, lambda: raw.now_s)
    for _ in script:
        raw.now_s += busy_s
        reader.readinto(bytearray(10_000))


def test_too_slow_for_the_whole_time_names_both_bounds() -> None:
    read([(9.0, 1), *[(1.0, 1)] * 9])  # the first wait does not count, and nine seconds are not ten
    with pytest.raises(FetchFailure) as failed:
        read([(0.0, 1), *[(1.0, 99)] * 10])
    assert failed.value.message == (
        "the server sent 990 bytes in 10.0 s: fewer than 100 bytes/s (--fetcher-least-speed) for 10 s (--fetcher-stall-timeout)"
    )
    read([(0.0, 1), *[(1.0, 100)] * 100])


def test_the_readers_own_time_is_not_the_servers() -> None:
    read([(0.0, 1), *[(0.1, 10)] * 99], busy_s=60.0)


def test_each_time_begins_anew_and_zero_bounds_nothing() -> None:
    with pytest.raises(FetchFailure):
        read([(0.0, 1), (1.0, 10_000), *[(1.0, 1)] * 20])
    read([(0.0, 1), *[(9.0, 1)] * 100], LeastSpeed(bytes_per_s=0, window_s=10.0))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2000)), max_size=40))
def test_never_against_one_that_is_quick_enough_in_each_time(script: list[tuple[int, int]]) -> None:
    quick = [(float(waited_s), max(count, waited_s * LEAST.bytes_per_s)) for waited_s, count in script]
    read(quick)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
PARTS = {
    "body": (HEAD, b"x" * 500),
    "header": (b"HTTP/1.1 200 OK\r\n", b"X-Long: " + b"x" * 492),
    "chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 498),
}


@contextmanager
def dripping(at_once: bytes, then: bytes) -> Iterator[str]:
    """One answer: the first part as a whole, the second a byte every 50 ms."""
    over = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(at_once)
                for byte in then:
                    if over.wait(0.05):
                        break
                    connection.sendall(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        finally:
            over.set()
            server.join()


def given_up(part: str) -> str:
    bounds = Bounds(stall_s=STALL_S, least_bytes_per_s=1000, limit_bytes=10_000)
    with dripping(*PARTS[part]) as url, tempfile.TemporaryFile() as target, pytest.raises(FetchFailure) as failed:
        download(url, target.fileno(), bounds, {})
    return failed.value.message


def test_whatever_drips_is_given_up() -> None:
    with ThreadPoolExecutor() as threads:
        for message in threads.map(given_up, PARTS):
            assert "fewer than 1000 bytes/s (--fetcher-least-speed) for 4 s (--fetcher-stall-timeout)" in message


def test_what_is_quick_enough_comes_whole() -> None:
    bounds = Bounds(stall_s=STALL_S, least_bytes_per_s=1, limit_bytes=10_000)
    with dripping(HEAD + b"x" * 490, b"y" * 10) as url, tempfile.TemporaryFile() as target:
        assert download(url, target.fileno(), bounds, {}) == 500
