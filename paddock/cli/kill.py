"""`paddock kill`: stop a task."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, add_task_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_task, not_ended
from paddock.cli.quantities import duration_ms, signal_name, signal_number

if TYPE_CHECKING:
    from paddock.rpc.clients.views import KillView, TaskView


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_task_argument(parser)
    parser.add_argument(
        "-s", "--signal", metavar="SIGNAL", default="", help="the first signal (default: the task's own policy)"
    )
    parser.add_argument(
        "--grace", metavar="DURATION", default="", help="time until SIGKILL to everything in its container; 0: at once"
    )
    parser.add_argument("--dry-run", action="store_true", help="say how it would be killed, and change nothing")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Ask the master to have it killed. Returns once the master has taken the request; `paddock wait` waits for the end."""
    signal = signal_number(arguments.signal, "--signal") if arguments.signal else None
    grace_ms = duration_ms(arguments.grace, "--grace") if arguments.grace else None
    async with master_of(arguments) as master:
        task = not_ended(await find_task(master, arguments))
        kill = await master.kill_task(
            framework_id=task.framework_id,
            task_id=task.task.task_id,
            signal=signal,
            grace_ms=grace_ms,
            validate_only=arguments.dry_run,
        )
    if arguments.dry_run:
        print(f"paddock kill: {words_of(kill, task)}", file=sys.stderr)
    return OK


def words_of(kill: KillView, task: TaskView) -> str:
    """What would come of it."""
    when = f", when its agent {task.agent_id} is back" if kill.waits_for_agent else ""
    return (
        f"task {task.task.task_id} would get {signal_name(kill.policy.signal)}, and SIGKILL "
        f"{kill.policy.grace_period_ms} ms later{when}"
    )
