"""`paddock ps`: the tasks that the master knows."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.output import Column, Row, add_style_arguments, age, show
from paddock.cli.quantities import signal_name
from paddock.cli.watch import Watched, add_watch_argument, follow
from paddock.model.resource_text import format_resources
from paddock.model.task import Evidence, Reason

if TYPE_CHECKING:
    from paddock.rpc.clients.views import StateView, TaskView

COLUMNS = (
    Column(title="TASK"),
    Column(title="NAME"),
    Column(title="STATE"),
    Column(title="HOST"),
    Column(title="AGE"),
    Column(title="FRAMEWORK", wide=True),
    Column(title="ROLE", wide=True),
    Column(title="AGENT", wide=True),
    Column(title="CONTAINER", wide=True),
    Column(title="RESOURCES", wide=True),
    Column(title="EXIT", wide=True),
    Column(title="REASON", wide=True),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("-a", "--all", action="store_true", help="those that have ended, too")
    parser.add_argument("--framework", metavar="ID", default="", help="of this framework only")
    add_watch_argument(parser)
    add_style_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print the tasks, oldest first."""
    if arguments.watch:
        return await follow(watched(arguments.framework, include_ended=arguments.all), arguments)
    async with master_of(arguments) as master:
        tasks = await master.list_tasks(framework_id=arguments.framework, include_terminated=arguments.all)
        state = await master.get_state()
    now_ns = time.time_ns()
    show(COLUMNS, [row_of(task, now_ns) for task in sorted(tasks, key=first_seen_ns)], arguments)
    if words := missing_words(state):
        print(f"paddock ps: {words}", file=sys.stderr)
    return OK


def missing_words(state: StateView) -> str:
    """Empty, or why not all tasks are listed: a master hears of them from their agents."""
    from paddock.rpc.clients.views import AWAITED  # noqa: PLC0415 - not for --help

    count = state.agents.get(AWAITED, 0)
    if not count:
        return ""
    agents = "1 agent is" if count == 1 else f"{count} agents are"
    return f"{agents} {AWAITED}; what runs there is listed when they are: `paddock agents` shows them"


def first_seen_ns(task: TaskView) -> int:
    """When the first status was made; 0 before there is one."""
    return task.statuses[0].timestamp_ns if task.statuses else 0


def row_of(task: TaskView, now_ns: int) -> Row:
    """One line."""
    return Row(
        name=task.task.task_id,
        cells=(
            task.task.task_id,
            task.task.name,
            task.state.name.lower(),
            task.hostname,
            age(first_seen_ns(task), now_ns),
            task.framework_name or task.framework_id,
            task.role,
            task.agent_id,
            task.container_id,
            format_resources(task.task.resources.unallocated()),
            exit_text(task.statuses[-1].evidence) if task.statuses else "",
            reason_text(task.statuses[-1].reason) if task.statuses else "",
        ),
        document=task.document,
    )


def exit_text(evidence: Evidence | None) -> str:
    """The command's own code, or the signal that ended it; empty while it runs, and where nobody knows."""
    if evidence is None:
        return ""
    if evidence.exit_code is not None:
        return str(evidence.exit_code)
    return "" if evidence.signal is None else signal_name(evidence.signal)


def reason_text(reason: int) -> str:
    """The reason's name in lower case; empty when there is none; a number that this version does not know as it is."""
    if reason == Reason.UNSPECIFIED:
        return ""
    try:
        return Reason(reason).name.lower()
    except ValueError:
        return f"reason {reason}"


def watched(framework_id: str, *, include_ended: bool) -> Watched[TaskView]:
    """One that ends while somebody looks is shown in any case. A master hears of tasks as their agents come back."""
    return Watched(
        verb="ps",
        columns=COLUMNS,
        stream=lambda client: client.tasks(framework_id=framework_id),
        row_of=row_of,
        order=first_seen_ns,
        is_hidden=lambda view: view.state.is_terminal and not include_ended,
        may_come_late=True,
    )
