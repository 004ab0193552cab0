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

    __slots__ = ("_content", "_explain", "failure", "fd", "state")

    def __init__(self, fd: int, explain: Callable[[bytes], dict[str, object]]) -> None:
        """`explain` reads a failure from the list with its results; it and that memory are kept until the pipe's end."""
        self.fd = fd
        self._explain: Callable[[bytes], dict[str, object]] | None = explain
        self.state = UNDER_WAY
        self.failure: dict[str, object] = {}
        self._content = b""

    def read(self) -> bool:
        """Take in what is there; True when the state has changed. After the last state the pipe is closed (`fd` is -1)."""
        piece = os.read(self.fd, 65536)
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
            self.state = EXECUTED if before.endswith(command_list.EXECUTES) else DIED
        self.close()
        return True

    def close(self) -> None:
        """Stop listening."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self._explain = None
