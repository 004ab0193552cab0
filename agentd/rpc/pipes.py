"""Pipe ends on the event loop: bytes as they come, and a writer that waits while the other side does not read."""

from __future__ import annotations

import asyncio
import os

PIECE_BYTES = 64 * 1024


class PipeReader:
    """Owns a non-blocking descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def read(self) -> bytes:
        """What is there; empty at the end."""
        while True:
            try:
                return os.read(self._fd, PIECE_BYTES)
            except BlockingIOError:
                await _until(self._fd, is_read=True)

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class PipeWriter:
    """Owns a non-blocking descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def write(self, content: bytes) -> None:
        """All of it, unless nobody reads any more: then it is dropped, as a shell would see by SIGPIPE."""
        view = memoryview(content)
        while view and self._fd >= 0:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                await _until(self._fd, is_read=False)
            except BrokenPipeError:
                self.close()

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


async def _until(fd: int, *, is_read: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    add, remove = (loop.add_reader, loop.remove_reader) if is_read else (loop.add_writer, loop.remove_writer)

    def is_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    add(fd, is_ready)
    try:
        await ready
    finally:
        remove(fd)
