"""`paddock exec`: a further command inside a running task: in its cgroups and namespaces, gone with it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator

from paddock.cli.connect import add_master_argument, add_task_argument, agent_of, container_of, master_of
from paddock.cli.find import find_task, not_ended
from paddock.cli.outcome import Conflict, exit_code_of_wait_status
from paddock.cli.quantities import environment_variables
from paddock.model.errors import InvalidRequest
from paddock.model.task import CommandInfo

_STDIN_PIECE_BYTES = 1 << 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes; the command after -- comes as `command`."""
    parser.usage = "paddock exec [FLAG…] TASK -- CMD [ARG…]"
    add_task_argument(parser)
    parser.add_argument("-i", "--stdin", action="store_true", help="send this command's stdin to it")
    parser.add_argument(
        "-e", "--env", metavar="NAME=VALUE", action="append", default=[], help="more environment (repeatable)"
    )
    parser.add_argument("-u", "--user", metavar="NAME", default="", help="run as this user (default: the task's)")
    parser.add_argument("-w", "--workdir", metavar="PATH", default="", help="where to run it (default: the sandbox)")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Stream both outputs apart, return the command's exit code, 128 + n for a signal."""
    command = CommandInfo(
        arguments=command_words(arguments.command),
        environment=environment_variables(arguments.env, "--env"),
        user=arguments.user,
        working_directory=arguments.workdir,
    )
    async with master_of(arguments) as master:
        task = not_ended(await find_task(master, arguments))
    async with agent_of(task) as agent:
        stdin = read_stdin() if arguments.stdin else None
        async for output in agent.exec(container_of(task), command, stdin=stdin):
            if output.wait_status is not None:
                return exit_code_of_wait_status(output.wait_status)
            _write(sys.stdout.fileno(), output.stdout)
            _write(sys.stderr.fileno(), output.stderr)
    raise Conflict(f"task {task.task.task_id!r} ended before the command did")


def command_words(words: list[str]) -> tuple[str, ...]:
    """What stands after the `--`: a program first."""
    if not words or not words[0]:
        raise InvalidRequest("CMD", "", "write the command after --, as in: -- /bin/echo hello")
    return tuple(words)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


async def read_stdin() -> AsyncIterator[bytes]:
    """This process's stdin, piece by piece, whatever it is: files and terminals cannot be watched, so a thread reads.

    The thread is a daemon: it may sit in a read that nobody ends, and the command must not wait for it.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    wanted = threading.Semaphore(1)

    def read() -> None:
        content = b"-"
        while content:
            wanted.acquire()
            try:
                content = os.read(sys.stdin.fileno(), _STDIN_PIECE_BYTES)
            except OSError:
                content = b""
            try:
                loop.call_soon_threadsafe(pieces.put_nowait, content)
            except RuntimeError:
                return  # the loop has ended meanwhile

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while content := await pieces.get():
        yield content
        wanted.release()
