"""A KernelError says what was tried, and is caught as the OSError that it is."""

import errno
import pickle

import pytest

from paddock.kernel.errors import KernelError, wrapped


def test_what_it_says() -> None:
    error = KernelError("write", "/sys/x", "12", errno.EBUSY)
    assert str(error).startswith("write /sys/x with '12': Device or resource busy (EBUSY); something still uses it")
    assert (error.operation, error.path, error.value, error.errno) == ("write", "/sys/x", "12", errno.EBUSY)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOENT, FileNotFoundError),
        (errno.EEXIST, FileExistsError),
        (errno.EACCES, PermissionError),
        (errno.ESRCH, ProcessLookupError),
        (errno.EAGAIN, BlockingIOError),
        (errno.ENOTDIR, NotADirectoryError),
    ],
)
def test_it_is_the_subclass_that_fits(code: int, kind: type[OSError]) -> None:
    error = KernelError("open", "/x", "", code)
    assert isinstance(error, kind)
    assert isinstance(error, KernelError)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.operation, copy.errno) == (type(error), "open", code)


def test_wrapping() -> None:
    inner = KernelError("a", "b", "c", errno.EIO)
    assert wrapped(inner, "x") is inner
    outer = wrapped(OSError(errno.ENOSPC, "full"), "write", "/f", "v")
    assert (outer.operation, outer.path, outer.value, outer.errno) == ("write", "/f", "v", errno.ENOSPC)


def test_an_unknown_number() -> None:
    assert "(9999)" in str(KernelError("x", "", "", 9999))
