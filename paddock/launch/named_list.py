"""A call list whose steps have names: when one fails, it can be said which, on what, with which value."""

from __future__ import annotations

from paddock.kernel.errors import KernelError
from paddock.launch import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.kernel.call_list import Argument, CallList


class NamedList:
    """`names`: instruction → (stage, operation, path, value). `stage` is that of the steps which are added next."""

    __slots__ = ("calls", "names", "stage")

    def __init__(self, calls: CallList, stage: str) -> None:
        self.calls = calls
        self.names: dict[int, tuple[str, str, str, str]] = {}
        self.stage = stage

    def copy(self) -> NamedList:
        """Another one that begins as this one."""
        other = NamedList(self.calls.copy(), self.stage)
        other.names = self.names.copy()
        return other

    def do(
        self,
        name: str,
        *arguments: Argument,
        fail: int,
        zero: int = 0,
        ignored: int = 0,
        operation: str = "",
        path: str = "",
        value: str = "",
    ) -> int:
        """One step; returns its index. After a failure the list goes on at `fail`."""
        index = self.calls.call(name, *arguments, fail=fail, zero=zero, ignored=ignored)
        self.names[index] = (self.stage, operation or name, path, value)
        return index

    def error(self, index: int, code: int) -> KernelError:
        """That step's failure."""
        _stage, operation, path, value = self.names[index]
        return KernelError(operation, path, value, code)

    def failure_at(self, index: int, code: int) -> dict[str, object]:
        """The same in the wire's form, with its stage."""
        report = protocol.error_from(self.error(index, code)).to_json()
        report["stage"] = self.names[index][0]
        return report
