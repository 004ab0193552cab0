"""The fetched files that are kept: a directory of root's own, a file for each URI and user; the least recently used goes first.

What is being written has no name that `open` finds, and gets it, durable, by a rename: a crash leaves nothing half-done. A file
in use may be removed: who has it open reads on.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from paddock.kernel.paths import sync_directory

_NEW = ".new"


@dataclass(frozen=True, slots=True)
class Key:
    """One cached thing: nobody gets what was fetched with another user's rights."""

    uri: str
    uid: int

    @property
    def name(self) -> str:
        """Its file's."""
        return hashlib.sha256(f"{self.uid} {self.uri}".encode("utf-8", "surrogateescape")).hexdigest()


class FetchCache:
    """Blocking calls, one at a time."""

    def __init__(self, directory: str, limit_bytes: int) -> None:
        """Touches nothing before `make`. `limit_bytes` is for what is complete."""
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._count = 0
        self.hit_count = 0
        self.miss_count = 0

    def make(self) -> None:
        """The directory, without what an earlier agent did not finish, and within the bound. Raises OSError."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        os.chmod(self._directory, 0o700)
        for name in os.listdir(self._directory):
            if name.endswith(_NEW):
                os.unlink(f"{self._directory}/{name}")
        self._evict(0)

    def open(self, key: Key) -> int:
        """A descriptor for reading, and from now on the most recently used; -1 when it is not there."""
        path = f"{self._directory}/{key.name}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            self.miss_count += 1
            return -1
        self.hit_count += 1
        os.utime(fd)
        return fd

    def used_bytes(self) -> int:
        """What is kept now, and what is being written. Blocking. Raises OSError."""
        with os.scandir(self._directory) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)

    def new_path(self) -> str:
        """A temporary one that was never used before."""
        self._count += 1
        return f"{self._directory}/{os.getpid()}-{self._count}{_NEW}"

    def begin(self, path: str) -> int:
        """A new, empty file."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def begin_unnamed(self, path: str) -> int:
        """A new, empty file that is gone when it is closed."""
        fd = self.begin(path)
        os.unlink(path)
        return fd

    def keep(self, key: Key, fd: int, path: str) -> None:
        """Complete: others are removed for it until all fit. One that is larger than the bound is not kept at all."""
        size_bytes = os.fstat(fd).st_size
        if size_bytes > self._limit_bytes:
            os.unlink(path)
            return
        self._evict(size_bytes)
        os.fsync(fd)
        os.utime(fd)
        os.rename(path, f"{self._directory}/{key.name}")
        sync_directory(self._directory)

    def drop(self, key: Key) -> None:
        """It is no longer what it should be. Missing is no error."""
        self._unlink(f"{self._directory}/{key.name}")

    def discard(self, path: str) -> None:
        """What was begun and came to nothing."""
        self._unlink(path)

    def _evict(self, wanted_bytes: int) -> None:
        with os.scandir(self._directory) as entries:
            kept = [(entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in entries]
        kept = [each for each in kept if not each[2].endswith(_NEW)]
        left_bytes = self._limit_bytes - wanted_bytes - sum(size for _, size, _ in kept)
        for _, size_bytes, path in sorted(kept):
            if left_bytes >= 0:
                return
            self._unlink(path)
            left_bytes += size_bytes

    @staticmethod
    def _unlink(path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
