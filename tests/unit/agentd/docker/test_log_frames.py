"""A container's output over an engine that goes and comes back: no gap, nothing twice."""

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.docker.log_frames import FrameError, LogFrames, since_of

Message = tuple[int, int, bytes]
"""Time, stream, text."""


def time_of(number: int) -> bytes:
    return b"2026-11-26T06:00:00.%09dZ" % number


def frame(message: Message) -> bytes:
    number, stream, text = message
    content = time_of(number) + b" " + text
    return struct.pack(">BxxxI", stream, len(content)) + content


texts = st.binary(min_size=1, max_size=20)
# Few different times: parts of a line have the same one.
histories = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([1, 2]), texts), max_size=12).map(
    lambda found: sorted(found, key=lambda message: message[0])
)


@given(histories, st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60)), max_size=5))
def test_whatever_is_cut_off_comes_once(history: list[Message], breaks: list[tuple[int, int]]) -> None:
    """Each connection is broken after so many bytes; the next has everything since the last time that was seen."""
    frames = LogFrames()
    found: list[tuple[int, bytes]] = []
    for length, step in [*breaks, (10_000, 7)]:
        frames.reconnect()
        since = frames.since.encode()
        content = b"".join(frame(message) for message in history if time_of(message[0]) >= since)[:length]
        for begin in range(0, len(content), step):
            found += frames.take(content[begin : begin + step])
    assert found == [(stream, text) for _, stream, text in history]


@pytest.mark.parametrize(
    "content",
    [
        struct.pack(">BxxxI", 3, 5) + b"12345",
        struct.pack(">BxxxI", 1, 1 << 30),
        struct.pack(">BxxxI", 1, 8) + b"no-space",
        struct.pack(">BxxxI", 1, 80) + b"x" * 79 + b" ",
    ],
)
def test_what_is_no_log_is_refused(content: bytes) -> None:
    with pytest.raises(FrameError):
        LogFrames().take(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_refused(content: bytes) -> None:
    try:
        for fd, _ in LogFrames().take(content):
            assert fd in {1, 2}
    except FrameError:
        return


@given(st.integers(0, 7_258_118_400))
def test_the_engines_times_are_seconds_since_1970(moment_s: int) -> None:
    text = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime(moment_s))
    assert since_of(text) == f"&since={moment_s}.123456789"


@given(st.text(max_size=40))
def test_any_other_time_asks_for_everything(text: str) -> None:
    assert since_of(text) == "" or since_of(text).startswith("&since=")
