"""A call list whose steps have names: when one fails, it can be said which, on what, with which value."""

from __future__ import annotations

import os

from paddock.kernel.call_list import result_of
from paddock.kernel.errors import KernelError
from paddock.launch import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.kernel.call_list import Argument, CallList, Place

AT_FDCWD = -100
_OPEN_WRITE = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_OPEN_READ = os.O_RDONLY | os.O_CLOEXEC


class NamedList:
    """`names`: instruction → (stage, operation, path, value).

    `stage` is that of the steps which are added next, and `fail` where the list goes on when one of them fails.
    """

    __slots__ = ("calls", "fail", "names", "stage")

    def __init__(self, calls: CallList) -> None:
        self.calls = calls
        self.names: dict[int, tuple[str, str, str, str]] = {}
        self.stage = ""
        self.fail = 0

    def copy(self) -> NamedList:
        """Another one that begins as this one."""
        other = NamedList(self.calls.copy())
        other.names = self.names.copy()
        other.fail = self.fail
        return other

    def do(
        self,
        name: str,
        *arguments: Argument,
        zero: int = 0,
        ignored: int = 0,
        operation: str = "",
        path: str = "",
        value: str = "",
    ) -> int:
        """One step; returns its index."""
        index = self.calls.call(name, *arguments, fail=self.fail, zero=zero, ignored=ignored)
        self.names[index] = (self.stage, operation or name, path, value)
        return index

    def open(self, path: str, flags: int, mode: int = 0, ignored: int = 0) -> int:
        """Open an absolute path; the step's result is the descriptor."""
        place = self.calls.text(path)
        return self.do("openat", AT_FDCWD, place, flags, mode, ignored=ignored, operation="open", path=path)

    def write_file(self, path: str, value: str, ignored: int = 0) -> tuple[int, int]:
        """Open a kernel's file, write to it in one call, close it; returns the first two steps."""
        calls, content = self.calls, value.encode()
        opened = self.open(path, _OPEN_WRITE, ignored=ignored)
        fd = result_of(opened)
        written = self.do("write", fd, calls.put(content), len(content), ignored=ignored, path=path, value=value)
        calls.call("close", fd)
        return opened, written

    def read_file(self, path: str, place: Place, size: int) -> int:
        """Read a kernel's file to there in one call; returns the step whose result is the number of bytes."""
        fd = result_of(self.open(path, _OPEN_READ))
        count = self.do("read", fd, place, size, path=path)
        self.calls.call("close", fd)
        return count

    def error(self, index: int, code: int) -> KernelError:
        """That step's failure."""
        _stage, operation, path, value = self.names[index]
        return KernelError(operation, path, value, code)

    def failure_at(self, index: int, code: int) -> dict[str, object]:
        """The same in the wire's form, with its stage."""
        report = protocol.error_from(self.error(index, code)).to_json()
        report["stage"] = self.names[index][0]
        return report
