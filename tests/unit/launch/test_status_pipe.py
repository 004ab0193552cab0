"""What a process on its way to execve says, in any pieces."""

import os

import pytest

from paddock.launch import status_pipe
from paddock.launch.status_pipe import StatusPipe

RESULTS = b"the list, E and B and F in it"


def explain(results: bytes) -> dict[str, object]:
    assert results == RESULTS
    return {"errno": 2}


@pytest.mark.parametrize(
    ("pieces", "state"),
    [
        ([b"E"], status_pipe.EXECUTED),
        ([b"B", b"E"], status_pipe.EXECUTED),
        ([b"BE"], status_pipe.EXECUTED),
        ([], status_pipe.DIED),
        ([b"B"], status_pipe.DIED),
        ([b"F" + RESULTS], status_pipe.FAILED),
        ([b"B", b"E", b"F" + RESULTS[:5], RESULTS[5:]], status_pipe.FAILED),
    ],
)
def test_states(pieces: list[bytes], state: str) -> None:
    read_fd, write_fd = os.pipe()
    status = StatusPipe(read_fd, explain)
    for piece in pieces:
        os.write(write_fd, piece)
        status.read()
        assert status.fd >= 0
    os.close(write_fd)
    assert status.read()
    assert status.fd == -1
    assert status.state == state
    assert (status.failure.get("errno") == 2) == (state == status_pipe.FAILED)


def test_waiting_at_the_barrier() -> None:
    read_fd, write_fd = os.pipe()
    status = StatusPipe(read_fd, explain)
    os.write(write_fd, b"B")
    assert status.read()
    assert status.state == status_pipe.AT_BARRIER
    os.close(write_fd)
    status.close()
    status.close()
