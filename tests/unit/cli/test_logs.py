"""Where the last lines of a log begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.cli import logs
from paddock.rpc.clients.agent import FilePiece


class File:
    """A sandbox with one file, read as an agent reads it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.reads = 0

    async def read_file(self, container_id: str, path: str, *, offset_bytes: int, length_bytes: int) -> FilePiece:
        assert (container_id, path) == ("c", "stdout")
        self.reads += 1
        return FilePiece(content=self.content[offset_bytes : offset_bytes + length_bytes], size_bytes=len(self.content))

    async def follow_file(self, container_id: str, path: str, *, offset_bytes: int) -> AsyncIterator[bytes]:
        yield self.content[offset_bytes:]


def tail(content: bytes, count: int) -> bytes:
    offset = asyncio.run(logs.tail_offset(File(content), "c", "stdout", count))
    return content[offset:]


@pytest.mark.parametrize(
    ("content", "count", "expected"),
    [
        (b"", 3, b""),
        (b"one\ntwo\nthree\n", 0, b""),
        (b"one\ntwo\nthree\n", 1, b"three\n"),
        (b"one\ntwo\nthree\n", 2, b"two\nthree\n"),
        (b"one\ntwo\nthree\n", 9, b"one\ntwo\nthree\n"),
        (b"one\ntwo", 1, b"two"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"no end", 1, b"no end"),
    ],
)
def test_the_last_lines(content: bytes, count: int, expected: bytes) -> None:
    assert tail(content, count) == expected


@given(
    content=st.binary(max_size=60).map(lambda raw: raw.replace(b"\x01", b"\n")),
    count=st.integers(0, 8),
    piece=st.integers(1, 7),
)
@settings(max_examples=300)
def test_piece_by_piece_gives_the_same_as_at_once(content: bytes, count: int, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "PIECE_BYTES", piece)
        lines = content.splitlines(keepends=True) if b"\r" not in content else None
        found = tail(content, count)
        assert content.endswith(found)
        if lines is not None and not set(content) & set(b"\x0b\x0c\x1c\x1d\x1e\x85"):
            assert found == (b"".join(lines[-count:]) if count else b"")


def test_copying_goes_to_the_end(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    file = File(b"x" * 2_500_000)
    asyncio.run(logs.copy(file, "c", "stdout", 1))
    assert len(capfdbinary.readouterr().out) == 2_499_999
    assert file.reads == 4
