"""Opening what lies in a directory that its owner may rearrange at any moment (a task's sandbox)."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from paddock.kernel.errors import KernelError, wrapped
from paddock.kernel.syscalls import openat2

_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
_FLAGS = struct.Struct("2i")
_GET_FLAGS, _SET_FLAGS = (
    kind << 30 | struct.calcsize("l") << 16 | 0x6600 | number for kind, number in ((2, 1), (1, 2))
)
_TOP_OF_TREES = 0x20000
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def open_beneath(directory_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open a relative path from the directory, never leaving it and never through a symbolic link, close-on-exec.

    A FIFO or a device is opened only in non-blocking mode; look at what it is before reading. Symlinks raise ELOOP, `..`
    out of the directory raises EXDEV.
    """
    mode = mode if flags & (os.O_CREAT | os.O_TMPFILE) else 0
    try:
        return openat2(directory_fd, path, flags | os.O_CLOEXEC, mode, _RESOLVE)
    except KernelError as error:
        # EPERM comes from seccomp filters that do not know the call.
        if error.errno not in {errno.ENOSYS, errno.EPERM}:
            raise
    return open_beneath_by_components(directory_fd, path, flags, mode)


def open_beneath_by_components(directory_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """The same where the kernel has no openat2: one component after the other, `..` refused altogether."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or ".." in parts:
        raise KernelError("open", path, "", errno.EXDEV)
    current = os.dup(directory_fd)
    try:
        for part in parts[:-1]:
            following = os.open(part, _DIRECTORY, dir_fd=current)
            os.close(current)
            current = following
        return os.open(parts[-1] if parts else ".", flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=current)
    except OSError as error:
        # O_NOFOLLOW with O_DIRECTORY says ENOTDIR of a symlink; openat2 says ELOOP of both.
        code = errno.ELOOP if error.errno == errno.ENOTDIR and _is_link(current, parts) else error.errno
        raise KernelError("open", path, "", code or errno.EIO) from None
    finally:
        os.close(current)


def _is_link(directory_fd: int, parts: list[str]) -> bool:
    for part in parts:
        try:
            os.readlink(part, dir_fd=directory_fd)
        except OSError:
            continue
        return True
    return False


def open_directory(path: str) -> int:
    """A descriptor of a directory, from which `open_beneath` starts."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise wrapped(error, "open", path) from None


def sync_directory(path: str) -> None:
    """Make the names in the directory durable: without it a rename may be lost in a power cut."""
    fd = open_directory(path)
    try:
        os.fsync(fd)
    except OSError as error:
        raise wrapped(error, "fsync", path) from None
    finally:
        os.close(fd)


def spread_trees(path: str) -> bool:
    """Have the file system keep each directory that is made in this one, with all below it, in a region of the disk of its own.

    Else ext4 puts all below one directory near each other; and without a journal, looking for a free inode, it reads each that
    was freed there within minutes. False: a file system that has nothing like it. Raises KernelError.
    """
    fd = open_directory(path)
    try:
        flags, nothing = _FLAGS.unpack(fcntl.ioctl(fd, _GET_FLAGS, bytes(_FLAGS.size)))
        if not flags & _TOP_OF_TREES:
            fcntl.ioctl(fd, _SET_FLAGS, _FLAGS.pack(flags | _TOP_OF_TREES, nothing))
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.ENOSYS}:
            return False
        raise wrapped(error, "ioctl(FS_IOC_SETFLAGS)", path) from None
    finally:
        os.close(fd)
    return True
