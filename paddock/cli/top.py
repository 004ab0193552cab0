"""`paddock top`: what tasks and agents use now, looked at again and again."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.output import printable, table
from paddock.cli.quantities import duration_ms
from paddock.cli.top_rows import AGENT_COLUMNS, SORTS, TASK_COLUMNS, AgentUse, TaskUse, agent_row, fields_of, task_row
from paddock.cli.top_sampling import Fleet
from paddock.model.errors import InvalidRequest

if TYPE_CHECKING:
    from paddock.rpc.clients.master import MasterClient

_DEFAULT_INTERVAL = "2s"
_LEAST_INTERVAL_MS = 100
_FIRST_PAUSE_MS = 1000
"""Between the two looks that the first table is made of, at most."""

_HOME_AND_CLEAR = "\x1b[H\x1b[J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("what", nargs="?", choices=("tasks", "agents"), default="tasks", help="(default: tasks)")
    parser.add_argument("--once", action="store_true", help="one table, and end")
    parser.add_argument(
        "--interval",
        metavar="DURATION",
        default=_DEFAULT_INTERVAL,
        help=f"between two tables (default: {_DEFAULT_INTERVAL})",
    )
    parser.add_argument("--sort", choices=tuple(SORTS), default="cpu", help="the largest first (default: cpu)")
    parser.add_argument("--framework", metavar="ID", default="", help="tasks of this framework only")
    parser.add_argument("-o", "--output", choices=("table", "wide", "json"), default="table", help="(default: table)")
    parser.add_argument("--no-headers", action="store_true", help="leave the table's first line out")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Until Ctrl-C, or once. An agent that cannot be asked is named on stderr, once; its tasks show without figures."""
    interval_ms = duration_ms(arguments.interval, "--interval")
    if interval_ms < _LEAST_INTERVAL_MS:
        raise InvalidRequest("--interval", arguments.interval, f"use at least {_LEAST_INTERVAL_MS}ms")
    async with AsyncExitStack() as stack:
        master = await stack.enter_async_context(master_of(arguments))
        fleet = Fleet(stack, _say)
        await _look(master, fleet, arguments)
        await asyncio.sleep(min(interval_ms, _FIRST_PAUSE_MS) / 1000)
        while True:
            print_use(await _look(master, fleet, arguments), arguments)
            if arguments.once:
                return OK
            await asyncio.sleep(interval_ms / 1000)


def _say(words: str) -> None:
    print(f"paddock top: {printable(words)}", file=sys.stderr)


async def _look(master: MasterClient, fleet: Fleet, arguments: argparse.Namespace) -> Sequence[TaskUse | AgentUse]:
    if arguments.what == "agents":
        return await fleet.agents(await master.list_agents())
    return await fleet.tasks(await master.list_tasks(framework_id=arguments.framework))


def print_use(found: Sequence[TaskUse | AgentUse], arguments: argparse.Namespace) -> None:
    """One table, or one line of JSON; on a terminal a table takes the place of the one before."""
    key = SORTS[arguments.sort]
    rows = sorted(found, key=lambda use: (-key(use.measured, use.rates), use.name))
    if arguments.output == "json":
        sys.stdout.write(json.dumps([fields_of(use) for use in rows]) + "\n")
        sys.stdout.flush()
        return
    is_live = not arguments.once and sys.stdout.isatty()
    columns = TASK_COLUMNS if arguments.what == "tasks" else AGENT_COLUMNS
    lines = [task_row(use) if isinstance(use, TaskUse) else agent_row(use) for use in rows]
    text = table(columns, lines, wide=arguments.output == "wide", headers=not arguments.no_headers)
    sys.stdout.write((_HOME_AND_CLEAR if is_live else "") + text + ("" if is_live or arguments.once else "\n"))
    sys.stdout.flush()
