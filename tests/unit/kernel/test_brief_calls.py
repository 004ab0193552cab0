"""Calls that keep the interpreter's lock answer as Python's own do."""

from __future__ import annotations

import errno
import os
import select
import socket

import pytest

from paddock.kernel import brief_calls
from paddock.kernel.brief_calls import EventCounter, Receiver
from paddock.kernel.descriptors import check_sealed, read_sealed_memfd


def is_readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_a_counter_is_readable_from_its_ringing_until_its_reset() -> None:
    counter = EventCounter()
    assert not is_readable(counter.fd)
    counter.reset()
    counter.ring()
    counter.ring()
    assert is_readable(counter.fd)
    counter.reset()
    assert not is_readable(counter.fd)
    counter.close()
    with pytest.raises(OSError, match="EBADF"):
        counter.ring()


def test_messages_come_whole_and_one_by_one_and_the_end_is_empty() -> None:
    receiver = Receiver(8)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with pytest.raises(BlockingIOError):
            receiver.receive(ours.fileno())
        with theirs:
            for content in (b"one", b"\0two\0", b"longer than it takes"):
                theirs.send(content)
        assert [receiver.receive(ours.fileno()) for _ in range(4)] == [b"one", b"\0two\0", b"longer t", b""]
    with pytest.raises(OSError, match="EBADF") as refused:
        receiver.receive(1_000_000)
    assert refused.value.errno == errno.EBADF


@pytest.mark.parametrize("content", [b"", b"content", bytes(range(256)) * 1024])
def test_sealed_memory_has_its_content_and_can_be_trusted(content: bytes) -> None:
    fd = brief_calls.seal_memory("test", content)
    try:
        assert check_sealed(fd, 2**20) == len(content)
        assert read_sealed_memfd(fd, 2**20) == content
        assert not os.get_inheritable(fd)
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
    finally:
        brief_calls.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
