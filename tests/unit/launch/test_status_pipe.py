"""What a process on its way to execve says, in any pieces, and read by one process or by two."""

import os

import pytest

from paddock.launch import status_pipe
from paddock.launch.status_pipe import StatusPipe

REPORT = b'{"stage":"exec","errno":2}'


@pytest.mark.parametrize(
    ("pieces", "state"),
    [
        ([b"E"], status_pipe.EXECUTED),
        ([b"B", b"E"], status_pipe.EXECUTED),
        ([b"BE"], status_pipe.EXECUTED),
        ([], status_pipe.DIED),
        ([b"B"], status_pipe.DIED),
        ([b"F" + REPORT], status_pipe.FAILED),
        ([b"B", b"E", b"F" + REPORT[:5], REPORT[5:]], status_pipe.FAILED),
    ],
)
@pytest.mark.parametrize("is_handed_over", [False, True])
def test_states(pieces: list[bytes], state: str, is_handed_over: bool) -> None:
    read_fd, write_fd = os.pipe()
    status = StatusPipe(read_fd)
    for piece in pieces:
        os.write(write_fd, piece)
        status.read()
        assert status.fd >= 0
        if is_handed_over:
            status = StatusPipe(status.fd, status.content)
    os.close(write_fd)
    assert status.read()
    assert status.fd == -1
    assert status.state == state
    assert (status.failure.get("errno") == 2) == (state == status_pipe.FAILED)


def test_waiting_at_the_barrier() -> None:
    read_fd, write_fd = os.pipe()
    status = StatusPipe(read_fd)
    os.write(write_fd, b"B")
    assert status.read()
    assert status.state == status_pipe.AT_BARRIER
    os.close(write_fd)
    status.close()
    status.close()
