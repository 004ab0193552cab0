"""What a process on its way to execve tells the shim, read piece by piece."""

from __future__ import annotations

import os

from paddock.launch import command_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

UNDER_WAY = "under way"
AT_BARRIER = "at barrier"
EXECUTED = "executed"
FAILED = "failed"
DIED = "died"


class StatusPipe:
    """`state` is what is known so far; `failure` is the failed step in the wire's form, with its stage."""

    __slots__ = ("_content", "_explain", "_has_executed", "failure", "fd", "state")

    def __init__(
        self,
        fd: int,
        *,
        explain: Callable[[bytes], dict[str, object]],
        has_executed: Callable[[], bool] | None = None,
        content: bytes = b"",
    ) -> None:
        """`explain` reads a failure from the list with its results; it and that memory are kept until the pipe's end.

        `has_executed`: for a process that does not say so. `content`: what has been read already.
        """
        self.fd = fd
        self._has_executed = has_executed
        self._explain: Callable[[bytes], dict[str, object]] | None = explain
        self.state = UNDER_WAY
        self.failure: dict[str, object] = {}
        self._content = bytes(content)

    def read(self) -> bool:
        """Take in what is there; True when the state has changed. After the last state the pipe is closed (`fd` is -1)."""
        try:
            piece = os.read(self.fd, 65536)
        except BlockingIOError:
            return False
        if piece:
            self._content += piece
            if self._content == command_list.AT_BARRIER:
                self.state = AT_BARRIER
                return True
            return False
        before, mark, results = self._content.partition(command_list.FAILED)
        if mark:
            assert self._explain is not None
            self.state = FAILED
            self.failure = self._explain(results)
        else:
            executed = before.endswith(command_list.EXECUTES) or (
                self._has_executed is not None and self._has_executed()
            )
            self.state = EXECUTED if executed else DIED
        self.close()
        return True

    def close(self) -> None:
        """Stop listening."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self._explain = self._has_executed = None
