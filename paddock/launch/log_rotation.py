"""A full log file gives its name to a new one: `stdout` becomes `stdout.1`, that `stdout.2`, and the oldest goes.

The directory is the task's sandbox. Names are single words beneath its descriptor, a rename follows nothing, and a new file is
made where nothing stands: whatever the task puts in the way costs that log only.

Who follows a log must know which file goes on where another ends, whatever their names are by then. So each file says in an
attribute that no task may write where it begins in all that was written to this log, and once it is full, where it ends. A
reader sees a new file without its mark for a moment only, and beside an older one that has one.
"""

from __future__ import annotations

import errno
import os

MARK = "trusted.paddock.log"
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_LOG = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# File systems that keep no such attributes: logs rotate all the same, and cannot be followed across.
_NO_MARKS = frozenset({errno.ENOTSUP, errno.EPERM, errno.ENOSYS})


class Rotation:
    """Of one log: `file_count` files of at most `limit_bytes`, the active one included."""

    __slots__ = ("file_count", "limit_bytes", "name", "sandbox")

    def __init__(self, sandbox: str, name: str, limit_bytes: int, file_count: int) -> None:
        self.sandbox = sandbox
        self.name = name
        self.limit_bytes = limit_bytes
        self.file_count = file_count

    def shift(self, file_fd: int, begin_bytes: int) -> None:
        """Free the active name; `file_fd` is the file that has it, unless the task has other ideas. Raises OSError."""
        # Before there is a newer one: without a mark this would be taken for a log that never rotated.
        _mark(file_fd, str(begin_bytes))
        directory_fd = os.open(self.sandbox, _OPEN_DIRECTORY)
        try:
            self._shift(directory_fd)
        finally:
            os.close(directory_fd)

    def _shift(self, directory_fd: int) -> None:
        names = [self.name, *(f"{self.name}.{number}" for number in range(1, self.file_count))]
        # A hole ends it: after a failure half-way the next attempt must not cost another of the oldest.
        last = next((index for index, name in enumerate(names) if not _is_there(directory_fd, name)), self.file_count)
        if last == self.file_count:
            last -= 1
            if last == 0:
                os.unlink(self.name, dir_fd=directory_fd)
        for index in range(last, 0, -1):
            os.rename(names[index - 1], names[index], src_dir_fd=directory_fd, dst_dir_fd=directory_fd)

    def open_next(self, begin_bytes: int) -> int:
        """The new active file. Raises OSError: no space for it, or something stands in its place."""
        directory_fd = os.open(self.sandbox, _OPEN_DIRECTORY)
        try:
            file_fd = os.open(self.name, _OPEN_LOG, 0o644, dir_fd=directory_fd)
            try:
                owner = os.fstat(directory_fd)
                os.fchown(file_fd, owner.st_uid, owner.st_gid)
                _mark(file_fd, str(begin_bytes))
            except OSError:
                os.close(file_fd)
                os.unlink(self.name, dir_fd=directory_fd)
                raise
        finally:
            os.close(directory_fd)
        return file_fd


def mark_end(file_fd: int, begin_bytes: int, end_bytes: int) -> None:
    """Nothing will be added to it. Whoever watches the file is woken by this. Raises OSError."""
    _mark(file_fd, f"{begin_bytes} {end_bytes}")


def _mark(file_fd: int, words: str) -> None:
    try:
        os.setxattr(file_fd, MARK, words.encode("ascii"))
    except OSError as error:
        if error.errno not in _NO_MARKS:
            raise


def _is_there(directory_fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
