"""`paddock logs`: a task's output, read through its agent from the sandbox."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator
from typing import Protocol

from paddock.cli.connect import add_master_argument, add_task_argument, agent_of, container_of, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_task
from paddock.model.errors import InvalidRequest

PIECE_BYTES = 1 << 20
"""What one ReadFile gives at most."""


class FilePiece(Protocol):
    """Part of a file, and how large the file was then."""

    @property
    def content(self) -> bytes:
        """The bytes."""

    @property
    def size_bytes(self) -> int:
        """The whole file's size."""


class SandboxReader(Protocol):
    """What is asked of the agent's client."""

    async def read_file(self, container_id: str, path: str, *, offset_bytes: int, length_bytes: int) -> FilePiece:
        """One piece."""

    def follow_file(self, container_id: str, path: str, *, offset_bytes: int) -> AsyncIterator[bytes]:
        """All from there on, until the container has ended."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_task_argument(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the task has ended")
    parser.add_argument("--stderr", action="store_true", help="its stderr instead of its stdout")
    parser.add_argument("--tail", metavar="LINES", default="", help="only the last so many lines")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Write the task's bytes to stdout, unchanged."""
    tail_count = _tail(arguments.tail)
    async with master_of(arguments) as master:
        task = await find_task(master, arguments)
    container = container_of(task)
    path = "stderr" if arguments.stderr else "stdout"
    async with agent_of(task) as agent:
        offset = 0 if tail_count is None else await tail_offset(agent, container, path, tail_count)
        if arguments.follow:
            async for data in agent.follow_file(container, path, offset_bytes=offset):
                _write(data)
        else:
            await copy(agent, container, path, offset)
    return OK


def _tail(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidRequest("--tail", text, "write a number of lines, 0 to 999999999")
    return int(text)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


async def copy(agent: SandboxReader, container: str, path: str, offset: int) -> None:
    """From the offset to what was the end when it got there."""
    while True:
        piece = await agent.read_file(container, path, offset_bytes=offset, length_bytes=PIECE_BYTES)
        if not piece.content:
            return
        _write(piece.content)
        offset += len(piece.content)


async def tail_offset(agent: SandboxReader, container: str, path: str, line_count: int) -> int:
    """Where the last so many lines begin; an unfinished last line counts. Reads backwards, piece by piece."""
    head = await agent.read_file(container, path, offset_bytes=0, length_bytes=1)
    end = head.size_bytes
    if line_count == 0 or end == 0:
        return end
    begin, missing, last = end, line_count, True
    while begin > 0:
        length = min(PIECE_BYTES, begin)
        piece = await agent.read_file(container, path, offset_bytes=begin - length, length_bytes=length)
        data = piece.content[:length]
        if len(data) < length:  # The task cut its own log meanwhile: what is left is shown whole.
            return 0
        searched = len(data) - 1 if last and data.endswith(b"\n") else len(data)
        last = False
        while (found := data.rfind(b"\n", 0, searched)) >= 0:
            missing -= 1
            if missing == 0:
                return begin - length + found + 1
            searched = found
        begin -= length
    return 0
