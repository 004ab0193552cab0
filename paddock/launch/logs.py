"""A container's stdout and stderr: from a pipe into a file of its sandbox, by splice, at our own offset.

The sandbox belongs to the task. Whatever it does to its log file costs only that log, and a full disk costs the bytes that
did not fit: they are counted and thrown away, so that the command never waits for a disk.
"""

from __future__ import annotations

import errno
import os

from paddock.kernel.errors import KernelError
from paddock.kernel.paths import open_beneath

_CHUNK_BYTES = 1 << 20
# One shouting task must not keep the shim from its socket.
_BUDGET_BYTES = 1 << 20
_NONBLOCK = 0x02
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})
# Somebody put something else in the log's place before the launch.
_TAKEN = frozenset({errno.EEXIST, errno.ELOOP, errno.EISDIR, errno.ENXIO})


class LogPump:
    """One stream. `file_fd` is -1 when its place was taken: then everything is dropped and counted."""

    __slots__ = ("dropped_bytes", "file_fd", "pipe_fd", "written_bytes")

    def __init__(self, pipe_fd: int, file_fd: int = -1) -> None:
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


def create_log(sandbox_fd: int, name: str, uid: int, gid: int) -> tuple[int, KernelError | None]:
    """(descriptor, None), or (-1, why) when something stands in the log's place. Never O_APPEND: splice refuses it."""
    try:
        fd = open_beneath(sandbox_fd, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    except KernelError as error:
        if error.errno in _TAKEN:
            return -1, error
        raise
    if uid or gid:
        os.fchown(fd, uid, gid)
    return fd, None


def make_pipe() -> tuple[int, int]:
    """(our end, non-blocking; the command's end, blocking). The flag belongs to each end alone."""
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(read_fd, False)
    return read_fd, write_fd
