"""The engine's answers, cut anywhere: whole, in chunks, without an end, and nonsense."""

import itertools
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.docker.plain_http import Exchange, HttpError


def exchange_with(content: bytes, cuts: list[int]) -> tuple[Exchange, bytes]:
    """An exchange that has read all of this, and its body."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with ours, theirs:
        exchange = Exchange(ours, "GET", "/x")
        assert theirs.recv(4096).startswith(b"GET /x HTTP/1.1\r\nHost: docker\r\n")
        body = b""
        places = [0, *sorted({cut % (len(content) + 1) for cut in cuts}), len(content)]
        for begin, end in itertools.pairwise(places):
            if begin < end and not exchange.is_over:
                theirs.sendall(content[begin:end])
                body += exchange.receive()
        theirs.shutdown(socket.SHUT_WR)
        while not exchange.is_over:
            body += exchange.receive()
    return exchange, body


def chunked(pieces: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


cuts = st.lists(st.integers(0, 10_000), max_size=12)


@given(st.lists(st.binary(max_size=40), max_size=6), cuts)
def test_a_body_in_chunks(pieces: list[bytes], places: list[int]) -> None:
    content = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(pieces)
    exchange, body = exchange_with(content, places)
    assert (exchange.status, body) == (200, b"".join(pieces))


@given(st.binary(max_size=100), cuts)
def test_a_body_with_a_length(text: bytes, places: list[int]) -> None:
    content = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
    exchange, body = exchange_with(content, places)
    assert (exchange.status, body) == (404, text)


@given(st.binary(max_size=100), cuts)
def test_a_body_that_ends_with_the_connection(text: bytes, places: list[int]) -> None:
    exchange, body = exchange_with(b"HTTP/1.0 200 OK\r\n\r\n" + text, places)
    assert (exchange.status, body) == (200, text)


def test_an_answer_without_a_body_is_over_at_once() -> None:
    exchange, body = exchange_with(b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", [])
    assert (exchange.status, body, exchange.is_over) == (204, b"", True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "closed the connection in the middle"),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection in the middle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "closed the connection in the middle"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "closed the connection in the middle"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "a chunk of the engine's answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "a chunk of the engine's answer begins with"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "begins with 'SSH-2.0-OpenSSH'"),
        (b"x" * 70_000, "no end of its head"),
    ],
)
def test_what_is_no_answer_is_said(content: bytes, words: str) -> None:
    with pytest.raises(HttpError, match=words):
        exchange_with(content, [1, 10, 60_000, 66_000])


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_refused(content: bytes) -> None:
    try:
        exchange, _ = exchange_with(content, [])
    except HttpError:
        return
    assert exchange.status >= 0


def test_json_that_is_none_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        exchange = Exchange(ours, "GET", "/x")
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{]}")
        with pytest.raises(HttpError, match="no JSON"):
            exchange.read_json()
