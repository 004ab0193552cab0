"""`paddock wait`: until a task has ended; its exit code is the command's."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, add_task_argument, master_of
from paddock.cli.find import find_task
from paddock.cli.outcome import ended_by_itself, exit_code_of_status
from paddock.cli.quantities import duration_ms
from paddock.model.errors import NotFound

if TYPE_CHECKING:
    from paddock.model.task import TaskStatus
    from paddock.rpc.clients.master import MasterClient
    from paddock.rpc.clients.views import TaskView


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_task_argument(parser)
    parser.add_argument("--timeout", metavar="DURATION", default="", help="give up after this long with exit code 124")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print the last state, say why on stderr when the command did not exit by itself, return the task's code."""
    timeout_s = duration_ms(arguments.timeout, "--timeout") / 1000 if arguments.timeout else None
    async with master_of(arguments) as master:
        task = await find_task(master, arguments)
        try:
            async with asyncio.timeout(timeout_s):
                status = await ended(master, task)
        except TimeoutError:
            raise TimeoutError(f"task {task.task.task_id!r} has not ended within {arguments.timeout}") from None
    print(status.state.name.lower())
    if not ended_by_itself(status):
        print(f"paddock wait: {status.message or status.state.name.lower()}", file=sys.stderr)
    return exit_code_of_status(status)


async def ended(master: MasterClient, task: TaskView) -> TaskStatus:
    """The task's terminal status, at once when it has ended already."""
    if task.state.is_terminal and task.statuses:
        return task.statuses[-1]
    async for view in master.watch_tasks(framework_id=task.framework_id):
        if view.task.task_id == task.task.task_id and view.framework_id == task.framework_id and view.state.is_terminal:
            return view.statuses[-1]
    raise NotFound("task", task.task.task_id)
