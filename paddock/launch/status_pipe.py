"""What a process on its way to execve tells the shim, read piece by piece."""

from __future__ import annotations

import os

from paddock.launch import command, protocol

UNDER_WAY = "under way"
AT_BARRIER = "at barrier"
EXECUTED = "executed"
FAILED = "failed"
DIED = "died"


class StatusPipe:
    """`state` is what is known so far; `failure` is the failed step in the wire's form, with its stage."""

    __slots__ = ("content", "failure", "fd", "state")

    def __init__(self, fd: int, content: bytes = b"") -> None:
        self.fd = fd
        self.state = UNDER_WAY
        self.failure: dict[str, object] = {}
        # What has been read so far: with it another process can go on.
        self.content = content

    def read(self) -> bool:
        """Take in what is there; True when the state has changed. After the last state the pipe is closed (`fd` is -1)."""
        piece = os.read(self.fd, 65536)
        if piece:
            self.content += piece
            if self.content == command.AT_BARRIER:
                self.state = AT_BARRIER
                return True
            return False
        os.close(self.fd)
        self.fd = -1
        before, mark, report = self.content.partition(command.FAILED)
        if mark:
            self.state = FAILED
            self.failure = protocol.decode(report)
        else:
            self.state = EXECUTED if before.endswith(command.EXECUTES) else DIED
        return True

    def close(self) -> None:
        """Stop listening."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
