"""`paddock logs`: a task's output, read through its agent from the sandbox, rotated files first."""

from __future__ import annotations

import argparse
import sys

from paddock.cli.connect import add_master_argument, add_task_argument, agent_address, container_of, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_task
from paddock.cli.log_stream import LogWanted, log_bytes
from paddock.model.errors import InvalidRequest


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
    address = agent_address(
        agent=task.agent_id,
        hostname=task.hostname,
        unix_address=task.agent_unix_address,
        tcp_address=task.agent_tcp_address,
    )
    wanted = LogWanted(
        agent_address=address,
        container_id=container_of(task),
        stream="stderr" if arguments.stderr else "stdout",
        tail_line_count=tail_count,
        follow=arguments.follow,
    )
    async for content in log_bytes(wanted, tell=_tell):
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    return OK


def _tail(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidRequest("--tail", text, "write a number of lines, 0 to 999999999")
    return int(text)


def _tell(words: str) -> None:
    print(f"paddock logs: {words}", file=sys.stderr)
