"""A container's sandbox: where it is, how it is made, and how its files are looked at without ever leaving it.

The sandbox belongs to the task, which may put symbolic links, FIFOs or anything else in it at any moment. So every path is
opened beneath the sandbox's own directory, and only regular files are read.
"""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from paddock.kernel.paths import open_beneath, spread_trees
from paddock.model.container import UserIdentity
from paddock.model.errors import ContainerizerError, InvalidRequest, NotFound, PermissionRefused
from paddock.model.ids import AgentId, ContainerId, FrameworkId, TaskId

READ_LIMIT_BYTES = 2**20
PATH_LIMIT_BYTES = 4095
_MAKE_TRIES_COUNT = 10
_PARENT_MODE = 0o711
"""A task's user must be able to reach its sandbox, and need not see whose others there are."""


class FileType(Enum):
    """What a directory entry is; a link is never followed."""

    REGULAR = "regular"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """One entry; `path` is relative to the sandbox."""

    path: str
    type: FileType
    size_bytes: int
    mode: int
    uid: int
    gid: int
    modified_ns: int


def sandbox_path(
    work_dir: str, agent_id: AgentId, framework_id: FrameworkId, task_id: TaskId, container_id: ContainerId
) -> str:
    """Mesos' layout, with tasks in the place of executors. Standalone containers stand apart."""
    agent = f"{work_dir}/agents/{agent_id}"
    if not framework_id:
        return f"{agent}/containers/{container_id}"
    return f"{agent}/frameworks/{framework_id}/tasks/{task_id}/runs/{container_id}"


def make_sandbox(path: str, user: UserIdentity, container_id: ContainerId) -> None:
    """The user's own, mode 0700. Raises ContainerizerError; an existing one is an error, because ids are never used twice."""
    try:
        for _ in range(_MAKE_TRIES_COUNT):
            try:
                os.mkdir(path, 0o700)
                break
            except FileNotFoundError:
                # Missing, or empty and just removed by the collector.
                make_parents(os.path.dirname(path))
        else:
            os.mkdir(path, 0o700)
        os.chown(path, user.uid, user.gid)
    except OSError as error:
        message = f"the sandbox {path} for uid {user.uid} cannot be made: {error.strerror}; look at --work-dir"
        raise ContainerizerError(container_id, "sandbox", message) from None


def make_home(work_dir: str, agent_id: AgentId) -> None:
    """Where all of this agent will be: away from what others make and remove on the same disk. Raises OSError."""
    agents = f"{work_dir}/agents"
    make_parents(agents)
    spread_trees(agents)
    make_parents(f"{agents}/{agent_id}")


def make_parents(path: str) -> None:
    """All directories down to this one, whatever the umask; those that are there stay as they are."""
    if os.path.isdir(path):
        return
    make_parents(os.path.dirname(path))
    try:
        os.mkdir(path, _PARENT_MODE)
        os.chmod(path, _PARENT_MODE)
    except FileExistsError:
        pass  # another launch made it just now
    except FileNotFoundError:
        pass  # the collector removed it, or what is above it, just now: the caller tries again


@contextmanager
def open_file(sandbox: str, path: str) -> Iterator[int]:
    """A regular file for reading. Raises NotFound, InvalidRequest, PermissionRefused."""
    # O_NONBLOCK: a FIFO must not stop us until somebody writes into it.
    fd = _open(sandbox, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise InvalidRequest("path", path, "name a regular file")
        yield fd
    finally:
        os.close(fd)


def read_piece(fd: int, offset_bytes: int, length_bytes: int) -> bytes:
    """What is there at this offset, empty at the end."""
    return os.pread(fd, min(length_bytes, READ_LIMIT_BYTES), offset_bytes)


def read_file(sandbox: str, path: str, offset_bytes: int, length_bytes: int) -> tuple[bytes, int]:
    """A piece, and the file's size now."""
    with open_file(sandbox, path) as fd:
        return read_piece(fd, offset_bytes, length_bytes), os.fstat(fd).st_size


def list_files(sandbox: str, path: str, *, after: str, limit_count: int) -> tuple[list[FileInfo], str]:
    """The entries of a directory by name, from the first after `after` on; and where the next page begins, if there is one.

    A task may make millions of them: only the page is looked at and kept. An entry that vanishes meanwhile is left out.
    """
    fd = _open(sandbox, path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(fd) as entries:
            named = ((_shown(entry.name, path), entry.name) for entry in entries)
            found = heapq.nsmallest(limit_count + 1, (pair for pair in named if pair[0] > after))
        page = found[:limit_count]
        infos = [info for shown, name in page if (info := _info(fd, name, shown)) is not None]
        return infos, page[-1][0] if len(found) > limit_count else ""
    finally:
        os.close(fd)


def _shown(name: str, parent: str) -> str:
    """A name may be any bytes; the wire carries text."""
    text = name.encode(errors="surrogateescape").decode(errors="replace")
    return f"{parent.rstrip('/')}/{text}" if parent else text


def _info(directory_fd: int, name: str, shown: str) -> FileInfo | None:
    try:
        found = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return FileInfo(
        path=shown,
        type=_type(found.st_mode),
        size_bytes=found.st_size,
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        modified_ns=found.st_mtime_ns,
    )


def _type(mode: int) -> FileType:
    if stat.S_ISREG(mode):
        return FileType.REGULAR
    if stat.S_ISDIR(mode):
        return FileType.DIRECTORY
    return FileType.SYMLINK if stat.S_ISLNK(mode) else FileType.OTHER


def _open(sandbox: str, path: str, flags: int) -> int:
    if "\0" in path or path.startswith("/") or ".." in path.split("/") or len(path.encode()) > PATH_LIMIT_BYTES:
        raise InvalidRequest("path", path, "name a file by its path relative to the sandbox, without '..'")
    try:
        directory = os.open(sandbox, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise NotFound("sandbox", sandbox) from None
    try:
        return open_beneath(directory, path, flags | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound("file", path) from None
    except PermissionError:
        raise PermissionRefused(f"file {path!r} of the sandbox may not be read") from None
    except OSError as error:
        remedy = f"name a file inside the sandbox that is not reached through a symbolic link ({error.strerror})"
        raise InvalidRequest("path", path, remedy) from None
    finally:
        os.close(directory)
