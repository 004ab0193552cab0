"""A container's stdout and stderr: from a pipe into a file of its sandbox, by splice, at our own offset.

The sandbox belongs to the task. Whatever it does to its log file costs only that log, and a full disk costs the bytes that
did not fit: they are counted and thrown away, so that the command never waits for a disk.
"""

from __future__ import annotations

import errno
import os

_CHUNK_BYTES = 1 << 20
# One shouting task must not keep the shim from its socket.
_BUDGET_BYTES = 1 << 20
_NONBLOCK = 0x02
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})


class LogPump:
    """One stream. `file_fd` is -1 when its place was taken: then everything is dropped and counted.

    `pipe_fd` is our end of the pipe, which does not block; -1 when there is none (any more).
    """

    __slots__ = ("dropped_bytes", "file_fd", "pipe_fd", "written_bytes")

    def __init__(self, pipe_fd: int, file_fd: int) -> None:
        self.pipe_fd = pipe_fd
        self.file_fd = file_fd
        self.written_bytes = 0
        self.dropped_bytes = 0

    def pump(self, null_fd: int, budget_bytes: int = _BUDGET_BYTES) -> bool:
        """Move what is there, at most about the budget. False at the end of the stream."""
        moved = 0
        while moved < budget_bytes:
            try:
                count = self._splice(null_fd)
            except BlockingIOError:
                return True
            if count == 0:
                return False
            moved += count
        return True

    def _splice(self, null_fd: int) -> int:
        if self.file_fd >= 0:
            try:
                count = os.splice(
                    self.pipe_fd, self.file_fd, _CHUNK_BYTES, offset_dst=self.written_bytes, flags=_NONBLOCK
                )
            except OSError as error:
                if error.errno not in _FULL:
                    raise
            else:
                self.written_bytes += count
                return count
        count = os.splice(self.pipe_fd, null_fd, _CHUNK_BYTES, flags=_NONBLOCK)
        self.dropped_bytes += count
        return count

    def close(self) -> None:
        """Close pipe and file."""
        for fd in (self.pipe_fd, self.file_fd):
            if fd >= 0:
                os.close(fd)
        self.pipe_fd = self.file_fd = -1
