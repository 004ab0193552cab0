"""What a run does with the bytes of its task."""

import os
import threading

from paddock.cli.run_streams import _write


def test_a_slow_reader_behind_a_descriptor_that_does_not_block_is_waited_for() -> None:
    """Whose descriptor it is may have left it so: a program before us on this terminal, or the one that reads."""
    content = bytes(range(256)) * 4096
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    found: list[bytes] = []

    def read() -> None:
        while data := os.read(read_fd, 1000):
            found.append(data)

    reader = threading.Thread(target=read)
    try:
        reader.start()
        _write(write_fd, content)
    finally:
        os.close(write_fd)
        reader.join()
        os.close(read_fd)
    assert b"".join(found) == content
