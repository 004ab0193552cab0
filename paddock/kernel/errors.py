"""The one error of paddock.kernel: an OSError that says what was tried, on what, and with which value."""

from __future__ import annotations

import errno as errno_module
import os

# What the operator can do, where the errno alone does not say it.
_REMEDIES = {
    errno_module.ENOSYS: "this kernel is too old: Paddock needs Linux 5.11 or newer",
    errno_module.EPERM: "run as root with the capability that this needs",
    errno_module.EBUSY: "something still uses it: for a memory limit, the memory in use is above the new limit",
    errno_module.EDQUOT: "the disk quota is used up",
    errno_module.ENOSPC: "free space, or raise the limit that is used up",
    errno_module.EMFILE: "raise the limit of open files (RLIMIT_NOFILE)",
    errno_module.EROFS: "the file system is mounted read-only",
}


class KernelError(OSError):
    """`operation` is the system call or step; `path` and `value` are "" where there is none.

    As with OSError, what is made is the subclass that fits the errno: `except FileNotFoundError` catches it too.
    """

    def __new__(cls, operation: str, path: str, value: str, errno: int) -> KernelError:  # noqa: D102, PYI034 - a subclass
        kind = _KINDS.get(errno, cls) if cls is KernelError else cls
        return super().__new__(kind, errno, os.strerror(errno))

    def __init__(self, operation: str, path: str, value: str, errno: int) -> None:
        super().__init__(errno, os.strerror(errno))
        self.operation = operation
        self.path = path
        self.value = value

    def __str__(self) -> str:
        subject = f" {self.path}" if self.path else ""
        value = f" with {self.value!r}" if self.value else ""
        code = self.errno or 0
        remedy = _REMEDIES.get(code)
        name = errno_module.errorcode.get(code, str(code))
        return f"{self.operation}{subject}{value}: {os.strerror(code)} ({name})" + (f"; {remedy}" if remedy else "")

    def __reduce__(self) -> tuple[type[KernelError], tuple[str, str, str, int]]:
        return (KernelError, (self.operation, self.path, self.value, self.errno or 0))


class _NotFoundError(KernelError, FileNotFoundError):
    pass


class _ExistsError(KernelError, FileExistsError):
    pass


class _PermissionError(KernelError, PermissionError):
    pass


class _ProcessLookupError(KernelError, ProcessLookupError):
    pass


class _BlockingError(KernelError, BlockingIOError):
    pass


class _NotDirectoryError(KernelError, NotADirectoryError):
    pass


_KINDS: dict[int, type[KernelError]] = {
    errno_module.ENOENT: _NotFoundError,
    errno_module.EEXIST: _ExistsError,
    errno_module.EPERM: _PermissionError,
    errno_module.EACCES: _PermissionError,
    errno_module.ESRCH: _ProcessLookupError,
    errno_module.EAGAIN: _BlockingError,
    errno_module.ENOTDIR: _NotDirectoryError,
}


def wrapped(error: OSError, operation: str, path: str = "", value: str = "") -> KernelError:
    """The same failure as a KernelError; one that is already a KernelError stays as it is."""
    if isinstance(error, KernelError):
        return error
    return KernelError(operation, path, value, error.errno or errno_module.EIO)
