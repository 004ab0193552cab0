"""Writing beneath one directory and nowhere else, whatever the names of an archive say."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from agentd.fetcher.download import write_all
from agentd.fetcher.failure import FetchFailure
from paddock.kernel.paths import open_beneath
from paddock.model.uri import is_reserved

_ENTRIES_LIMIT_COUNT = 1_000_000
_LINK_LIMIT_BYTES = 4_095
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_PERMISSIONS = 0o777
"""What is kept of a mode: never setuid, setgid or the sticky bit."""


class Beneath:
    """A directory that is filled, within bounds. No name leaves it, and nothing is written through a symbolic link."""

    def __init__(self, directory: str, *, limit_bytes: int) -> None:
        """`limit_bytes` for all files together. Raises FetchFailure."""
        self._left_bytes = limit_bytes
        self._limit_bytes = limit_bytes
        self._count = 0
        self._modes: dict[str, int] = {}
        try:
            self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise FetchFailure(f"the sandbox {directory} cannot be opened: {error.strerror}") from None

    def add_file(self, name: str, pieces: Iterable[bytes], mode: int) -> None:
        """Replaces a file or link that is there."""
        path = self._path(name)
        parent_fd, base = self._parent(path)
        try:
            self._remove(parent_fd, base, path)
            fd = os.open(base, _NEW_FILE, 0o600, dir_fd=parent_fd)
            try:
                for piece in pieces:
                    self._left_bytes -= len(piece)
                    if self._left_bytes < 0:
                        raise FetchFailure(
                            f"unpacked it is larger than {self._limit_bytes} bytes (--fetcher-size-limit)"
                        )
                    write_all(fd, piece)
                os.fchmod(fd, mode & _PERMISSIONS)
            finally:
                os.close(fd)
        except OSError as error:
            raise FetchFailure(f"{path!r} cannot be made: {error.strerror}") from None
        finally:
            os.close(parent_fd)

    def add_directory(self, name: str, mode: int) -> None:
        """Its mode comes at the end: one without write permission could not be filled."""
        path = self._path(name, allow_root=True)
        if path:
            self._make_directories(path.split("/"))
            self._modes[path] = mode & _PERMISSIONS

    def add_symlink(self, name: str, target: str) -> None:
        """One that leads nowhere but beneath: relative, and `..` only at its beginning and never above the directory.

        `a/../b` is refused as well, because `a` may itself be a link.
        """
        path = self._path(name)
        parts = target.split("/")
        ups = 0
        while ups < len(parts) and parts[ups] in {"..", "."}:
            ups += 1
        climbs = parts[:ups].count("..")
        if not target or target.startswith("/") or ".." in parts[ups:] or climbs > path.count("/"):
            raise FetchFailure(f"the link {path!r} leads to {target!r}, which is outside: refused")
        if len(os.fsencode(target)) > _LINK_LIMIT_BYTES or "\0" in target:
            raise FetchFailure(f"the link {path!r} is too long")
        parent_fd, base = self._parent(path)
        try:
            self._remove(parent_fd, base, path)
            os.symlink(target, base, dir_fd=parent_fd)
        except OSError as error:
            raise FetchFailure(f"{path!r} cannot be made: {error.strerror}") from None
        finally:
            os.close(parent_fd)

    def add_hard_link(self, name: str, target: str) -> None:
        """To a regular file that is there already."""
        path, existing = self._path(name), self._path(target)
        parent_fd, base = self._parent(path)
        try:
            target_fd, target_base = self._parent(existing)
            try:
                if not stat.S_ISREG(os.stat(target_base, dir_fd=target_fd, follow_symlinks=False).st_mode):
                    raise FetchFailure(f"the hard link {path!r} is to {existing!r}, which is no file: refused")
                if path != existing:
                    self._remove(parent_fd, base, path)
                    os.link(target_base, base, src_dir_fd=target_fd, dst_dir_fd=parent_fd, follow_symlinks=False)
            finally:
                os.close(target_fd)
        except OSError as error:
            raise FetchFailure(f"the hard link {path!r} to {existing!r} cannot be made: {error.strerror}") from None
        finally:
            os.close(parent_fd)

    def close(self) -> None:
        """Directories get their modes, the deepest first."""
        try:
            for path in sorted(self._modes, key=lambda each: each.count("/"), reverse=True):
                fd = self._open(path)
                try:
                    os.fchmod(fd, self._modes[path])
                finally:
                    os.close(fd)
        except OSError as error:
            raise FetchFailure(f"a directory's mode cannot be set: {error.strerror}") from None
        finally:
            os.close(self._fd)

    def _path(self, name: str, *, allow_root: bool = False) -> str:
        self._count += 1
        if self._count > _ENTRIES_LIMIT_COUNT:
            raise FetchFailure(f"it has more than {_ENTRIES_LIMIT_COUNT} entries")
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if name.startswith("/") or ".." in parts or "\0" in name or not (parts or allow_root):
            raise FetchFailure(f"it has an entry {name[:200]!r}, which is outside: refused")
        if parts and is_reserved(parts[0]):
            raise FetchFailure(f"it has an entry {parts[0]!r} at its top, where the task's own output goes: rename it")
        return "/".join(parts)

    def _parent(self, path: str) -> tuple[int, str]:
        parent, _, base = path.rpartition("/")
        if not parent:
            return os.dup(self._fd), base
        self._make_directories(parent.split("/"))
        return self._open(parent), base

    def _make_directories(self, parts: list[str]) -> None:
        """Each is opened before the next is made in it, so none of them may be a link."""
        for depth in range(len(parts)):
            above = "/".join(parts[:depth])
            fd = self._open(above) if above else os.dup(self._fd)
            try:
                os.mkdir(parts[depth], 0o755, dir_fd=fd)
            except FileExistsError:
                pass
            except OSError as error:
                raise FetchFailure(f"the directory {'/'.join(parts)!r} cannot be made: {error.strerror}") from None
            finally:
                os.close(fd)
        os.close(self._open("/".join(parts)))

    def _open(self, path: str) -> int:
        try:
            return open_beneath(self._fd, path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise FetchFailure(f"{path!r} is no directory, or a link leads to it ({error.strerror}): refused") from None

    def _remove(self, parent_fd: int, base: str, path: str) -> None:
        try:
            found = os.stat(base, dir_fd=parent_fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            raise FetchFailure(f"{path!r} is a directory already")
        os.unlink(base, dir_fd=parent_fd)
