"""File descriptors that are more than files: sealed memory, pipes spliced into files, ranges closed at once."""

from __future__ import annotations

import errno
import fcntl
import os

from paddock.kernel.errors import KernelError, wrapped
from paddock.kernel.syscalls import close_range

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MFD_EXEC = 0x10


def make_sealed_memfd(name: str, content: bytes) -> int:
    """Memory with this content which nobody can change any more: the reader may trust its length and its bytes."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    except OSError as error:
        os.close(fd)
        raise wrapped(error, "memfd_create", name) from None
    return fd


def read_sealed_memfd(fd: int, max_bytes: int) -> bytes:
    """The content; raises as `check_sealed` does."""
    return os.pread(fd, check_sealed(fd, max_bytes), 0)


def check_sealed(fd: int, max_bytes: int) -> int:
    """Its size; raises EINVAL when it is not sealed (the sender could still change it), EFBIG when it is too long."""
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as error:
        raise wrapped(error, "fcntl(F_GET_SEALS)") from None
    needed = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW
    if seals & needed != needed:
        raise KernelError("fcntl(F_GET_SEALS)", "", hex(seals), errno.EINVAL)
    size = os.fstat(fd).st_size
    if size > max_bytes:
        raise KernelError("fstat", "", f"{size} bytes, at most {max_bytes}", errno.EFBIG)
    return size


def make_executable_memfd(name: str, content: bytes) -> int:
    """Memory that can be executed through /proc/self/fd/<fd>, open for reading only (else execve says ETXTBSY)."""
    try:
        writable = os.memfd_create(name, os.MFD_CLOEXEC | _MFD_EXEC)
    except OSError:
        writable = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        os.write(writable, content)
        os.fchmod(writable, 0o500)
        return os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writable)


def sink(fd: int) -> int:
    """Give a descriptor the lowest free number, where that is lower than its own; returns its number. It is close-on-exec."""
    copy = os.dup(fd)
    os.close(max(fd, copy))
    return min(fd, copy)


def close_all_except(kept: tuple[int, ...]) -> None:
    """Close every descriptor from 3 on but these."""
    first = 3
    for fd in sorted(kept):
        if fd > first:
            close_range(first, fd - 1)
        first = max(first, fd + 1)
    close_range(first)
