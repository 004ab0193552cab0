"""`paddock explain`: of a task each asked resource, the kernel's file, what was planned for it, and what the kernel says now;
of a framework or a role why it is not offered what it waits for.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from paddock.cli import explain_offers
from paddock.cli.connect import add_master_argument, agent_of, container_of, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_task
from paddock.cli.output import Column, Row, add_style_arguments, show
from paddock.model.errors import InvalidRequest

if TYPE_CHECKING:
    from paddock.rpc.clients.views import LimitView

_PAIR = ("KIND", "NAME")
_KINDS = frozenset({"task", "framework", "role"})

COLUMNS = (
    Column(title="RESOURCE"),
    Column(title="ASKED"),
    Column(title="PLANNED"),
    Column(title="IN FORCE"),
    Column(title="ISOLATOR", wide=True),
    Column(title="FILE"),
    Column(title="REMARK"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    words = "TASK, or: task TASK, framework ID, role ROLE"
    parser.add_argument("words", nargs="+", metavar="WHAT", help=words)
    parser.add_argument(
        "--framework", metavar="ID", default="", help="which framework's task; only this framework in a role"
    )
    parser.add_argument(
        "--role", metavar="ROLE", default="", help="of a framework: only in this role and those below it"
    )
    parser.add_argument("--agent", metavar="ID", default="", help="of a framework or a role: only on this agent")
    add_style_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """A single word is a task's id."""
    words: list[str] = arguments.words
    kind, name = ("task", words[0]) if len(words) == 1 else (words[0], words[1])
    if len(words) > len(_PAIR) or kind not in _KINDS:
        raise InvalidRequest("WHAT", " ".join(words), "write TASK, or: task TASK, framework ID, role ROLE")
    if kind != "task":
        return await explain_offers.run(kind, name, arguments)
    arguments.task = name
    return await _explain_task(arguments)


async def _explain_task(arguments: argparse.Namespace) -> int:
    """Ask the agent to read the kernel's files now."""
    async with master_of(arguments) as master:
        task = await find_task(master, arguments)
    async with agent_of(task) as agent:
        limits = await agent.list_effective_limits(container_of(task))
    if task.state.is_terminal and not limits:
        task_id = task.task.task_id
        words = (
            f"task {task_id!r} has ended, and nothing is in force any more; `paddock describe {task_id}` tells what was"
        )
        print(f"paddock explain: {words}", file=sys.stderr)
    show(COLUMNS, [row_of(limit) for limit in limits], arguments)
    return OK


def row_of(view: LimitView) -> Row:
    """One line; what could not be read shows as `?`, with the reason as its remark."""
    limit = view.limit
    in_force = "?" if limit.in_force is None else limit.in_force
    return Row(
        name=limit.resource,
        cells=(limit.resource, limit.asked, limit.planned, in_force, limit.isolator, limit.path, limit.remark),
        document=view.document,
    )
