"""A container's stdout and stderr: from a pipe into a file of its sandbox, by splice, at our own offset.

The sandbox belongs to the task. Whatever it does to its log file costs only that log, and a full disk costs the bytes that
did not fit: they are counted and thrown away, so that the command never waits for a disk. A file that is full is rotated when
there is more to write, not before: who writes little meets nothing of it.
"""

from __future__ import annotations

import errno
import fcntl
import os

from paddock.launch import log_rotation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.log_rotation import Rotation

_CHUNK_BYTES = 1 << 20
# One shouting task must not keep the shim from its socket.
_BUDGET_BYTES = 1 << 20
_NONBLOCK = 0x02
_FIONREAD = 0x541B
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS})


class LogPump:
    """One stream. `file_fd` is -1 when its place was taken: then everything is dropped and counted.

    `pipe_fd` is our end of the pipe, which does not block; -1 when there is none (any more). `begin_bytes`: how much had been
    written before this file. `failure`: the first that a rotation met; it is tried again whenever there is output.
    """

    __slots__ = ("begin_bytes", "dropped_bytes", "failure", "file_fd", "pipe_fd", "rotation", "written_bytes")

    def __init__(self, pipe_fd: int, file_fd: int, rotation: Rotation | None = None) -> None:
        self.pipe_fd = pipe_fd
        self.file_fd = file_fd
        self.rotation = rotation
        self.begin_bytes = 0
        self.written_bytes = 0
        self.dropped_bytes = 0
        self.failure: OSError | None = None

    def pump(self, null_fd: int, budget_bytes: int = _BUDGET_BYTES) -> bool:
        """Move what is there, at most about the budget. False at the end of the stream. Called when there is something."""
        moved = 0
        while moved < budget_bytes:
            if self._is_full():
                if not self._has_more():
                    return moved > 0
                if not self._rotate():
                    return self._drop(null_fd) > 0
            try:
                count = self._splice(null_fd)
            except BlockingIOError:
                return True
            if count == 0:
                return False
            moved += count
        return True

    def _is_full(self) -> bool:
        rotation = self.rotation
        if rotation is None or self.file_fd < 0:
            return False
        return self.written_bytes - self.begin_bytes >= rotation.limit_bytes

    def _has_more(self) -> bool:
        return any(fcntl.ioctl(self.pipe_fd, _FIONREAD, bytes(4)))

    def _rotate(self) -> bool:
        """The full file stays ours until there is a new one; then the next attempt finds the active name free already."""
        rotation = self.rotation
        assert rotation is not None
        full_fd, begin_bytes = self.file_fd, self.begin_bytes
        try:
            rotation.shift(full_fd, begin_bytes)
            self.file_fd = rotation.open_next(self.written_bytes)
            self.begin_bytes = self.written_bytes
            log_rotation.mark_end(full_fd, begin_bytes, self.written_bytes)
        except OSError as error:
            self.failure = self.failure or error
        if self.file_fd == full_fd:
            return False
        os.close(full_fd)
        return True

    def _splice(self, null_fd: int) -> int:
        if self.file_fd >= 0:
            offset = self.written_bytes - self.begin_bytes
            room = _CHUNK_BYTES if self.rotation is None else min(self.rotation.limit_bytes - offset, _CHUNK_BYTES)
            try:
                count = os.splice(self.pipe_fd, self.file_fd, room, offset_dst=offset, flags=_NONBLOCK)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
            else:
                self.written_bytes += count
                return count
        return self._drop(null_fd)

    def _drop(self, null_fd: int) -> int:
        count = os.splice(self.pipe_fd, null_fd, _CHUNK_BYTES, flags=_NONBLOCK)
        self.dropped_bytes += count
        return count

    def close(self) -> None:
        """Close pipe and file."""
        for fd in (self.pipe_fd, self.file_fd):
            if fd >= 0:
                os.close(fd)
        self.pipe_fd = self.file_fd = -1
