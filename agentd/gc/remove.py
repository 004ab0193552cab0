"""The collector's outside program: empties one directory of root's own, whatever tasks have left in it, and nothing else.

No tree is ever descended into: each directory is renamed up into the emptied one, looked at there, and removed when it is
empty. So the depth of a tree costs nothing, no link is followed, and a mount, which no rename can move, is never entered: it
stays, and what holds it stays too.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator

from agentd.outside.beginning import answer, begin, read_request

_NAMED_COUNT = 20
_BLOCK_BYTES = 512
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Emptying:
    """`removed_count` entries went, and with them `removed_bytes` of the disk; `left` says what stayed, and why."""

    def __init__(self, directory: str) -> None:
        """Raises OSError."""
        self._fd = os.open(directory, _DIRECTORY)
        self._moved_count = 0
        self.removed_count = 0
        self.removed_bytes = 0
        self.left: dict[str, str] = {}

    def run(self) -> None:
        """Until it is empty, or nothing more goes."""
        before = -1
        while before != self.removed_count + self._moved_count:
            before = self.removed_count + self._moved_count
            self.left.clear()
            for name, is_directory in _entries(self._fd):
                if is_directory:
                    self._empty(name)
                else:
                    self._unlink(self._fd, name, name)
        os.close(self._fd)

    def _empty(self, name: str) -> None:
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=self._fd)
        except OSError as error:
            self._keep(name, error)
            return
        try:
            for entry, is_directory in _entries(fd):
                if is_directory:
                    self._move_up(fd, entry, f"{name}/{entry}")
                else:
                    self._unlink(fd, entry, f"{name}/{entry}")
        finally:
            os.close(fd)
        try:
            os.rmdir(name, dir_fd=self._fd)
            self.removed_count += 1
        except OSError as error:
            self._keep(name, error)

    def _move_up(self, fd: int, entry: str, shown: str) -> None:
        """Under a name that no directory has here: a container's holds no colon."""
        while True:
            self._moved_count += 1
            name = f":{self._moved_count}"
            try:
                os.stat(name, dir_fd=self._fd, follow_symlinks=False)
            except FileNotFoundError:
                break
        try:
            os.rename(entry, name, src_dir_fd=fd, dst_dir_fd=self._fd)
        except OSError as error:
            self._moved_count -= 1
            self._keep(shown, error)

    def _unlink(self, fd: int, entry: str, shown: str) -> None:
        try:
            found = os.lstat(entry, dir_fd=fd)
            os.unlink(entry, dir_fd=fd)
            self.removed_count += 1
            # A file with another name stays on the disk.
            self.removed_bytes += found.st_blocks * _BLOCK_BYTES if found.st_nlink == 1 else 0
        except OSError as error:
            self._keep(shown, error)

    def _keep(self, shown: str, error: OSError) -> None:
        if len(self.left) < _NAMED_COUNT:
            self.left[shown] = error.strerror or str(error)


def _entries(fd: int) -> Iterator[tuple[str, bool]]:
    """One at a time: there may be millions."""
    with os.scandir(fd) as entries:
        for entry in entries:
            yield entry.name, entry.is_dir(follow_symlinks=False)


def main() -> None:
    """Answers `removed`, `removed_bytes` and `left`, or `error`."""
    request = read_request()
    try:
        begin(request)
        emptying = Emptying(request.text("directory"))
        emptying.run()
        left = "; ".join(f"{name}: {why}" for name, why in emptying.left.items())
        words = left.encode("utf-8", "backslashreplace").decode()
        answer(removed=emptying.removed_count, removed_bytes=emptying.removed_bytes, left=words)
    except Exception:  # noqa: BLE001 - whatever it is, the agent tells it and tries again
        answer(error=traceback.format_exc(limit=3))
        sys.exit(1)
