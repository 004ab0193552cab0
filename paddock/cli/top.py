"""`paddock top`: what tasks and agents use now, and roles have, looked at again and again."""

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
from paddock.cli.output import Row, printable, table
from paddock.cli.quantities import duration_ms
from paddock.cli.top_roles import ROLE_COLUMNS, RoleUse, by_share, role_fields, role_row, role_uses
from paddock.cli.top_rows import AGENT_COLUMNS, SORTS, TASK_COLUMNS, AgentUse, TaskUse, agent_row, fields_of, task_row
from paddock.cli.top_sampling import Fleet
from paddock.model.errors import InvalidRequest

if TYPE_CHECKING:
    from paddock.rpc.clients.master import MasterClient

_DEFAULT_INTERVAL = "2s"
Use = TaskUse | AgentUse | RoleUse
_DEFAULT_SORT = "cpu"
_SHARE = "share"
"""What only roles have, and what they are sorted by."""

_LEAST_INTERVAL_MS = 100
_FIRST_PAUSE_MS = 1000
"""Between the two looks that the first table is made of, at most."""

_HOME_AND_CLEAR = "\x1b[H\x1b[J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument(
        "what", nargs="?", choices=("tasks", "agents", "roles"), default="tasks", help="(default: tasks)"
    )
    parser.add_argument("--once", action="store_true", help="one table, and end")
    parser.add_argument(
        "--interval",
        metavar="DURATION",
        default=_DEFAULT_INTERVAL,
        help=f"between two tables (default: {_DEFAULT_INTERVAL})",
    )
    parser.add_argument(
        "--sort",
        choices=(*SORTS, _SHARE),
        help=f"the largest first (default: {_DEFAULT_SORT}; of roles {_SHARE}, or name)",
    )
    parser.add_argument("--framework", metavar="ID", default="", help="tasks of this framework only")
    parser.add_argument("-o", "--output", choices=("table", "wide", "json"), default="table", help="(default: table)")
    parser.add_argument("--no-headers", action="store_true", help="leave the table's first line out")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Until Ctrl-C, or once; roles need no second look before they are shown.

    An agent that cannot be asked is named on stderr, once; its tasks show without figures.
    """
    interval_ms = duration_ms(arguments.interval, "--interval")
    if interval_ms < _LEAST_INTERVAL_MS:
        raise InvalidRequest("--interval", arguments.interval, f"use at least {_LEAST_INTERVAL_MS}ms")
    _check_flags(arguments)
    async with AsyncExitStack() as stack:
        master = await stack.enter_async_context(master_of(arguments))
        fleet = Fleet(stack, _say)
        if arguments.what != "roles":
            await _look(master, fleet, arguments)
            await asyncio.sleep(min(interval_ms, _FIRST_PAUSE_MS) / 1000)
        while True:
            print_use(await _look(master, fleet, arguments), arguments)
            if arguments.once:
                return OK
            await asyncio.sleep(interval_ms / 1000)


def _say(words: str) -> None:
    print(f"paddock top: {printable(words)}", file=sys.stderr)


def _check_flags(arguments: argparse.Namespace) -> None:
    """What would have no effect is an error."""
    if arguments.framework and arguments.what != "tasks":
        raise InvalidRequest("--framework", arguments.framework, "it chooses among tasks: use it with `top tasks`")
    is_of_roles = arguments.sort in {None, _SHARE, "name"}
    if arguments.what == "roles" and not is_of_roles:
        raise InvalidRequest("--sort", arguments.sort, f"roles are sorted by {_SHARE} or name")
    if arguments.what != "roles" and arguments.sort == _SHARE:
        raise InvalidRequest("--sort", _SHARE, f"{arguments.what} have none; use one of {', '.join(SORTS)}")


async def _look(master: MasterClient, fleet: Fleet, arguments: argparse.Namespace) -> Sequence[Use]:
    if arguments.what == "agents":
        return await fleet.agents(await master.list_agents())
    if arguments.what == "tasks":
        return await fleet.tasks(await master.list_tasks(framework_id=arguments.framework))
    from paddock.rpc.clients.policy import PolicyClient  # noqa: PLC0415 - loads gRPC

    return role_uses(await PolicyClient(master).list_roles(), await master.list_tasks())


def print_use(found: Sequence[Use], arguments: argparse.Namespace) -> None:
    """One table, or one line of JSON; on a terminal a table takes the place of the one before."""
    rows = sorted(found, key=lambda use: _place(use, arguments.sort))
    if arguments.output == "json":
        sys.stdout.write(json.dumps([_fields(use) for use in rows]) + "\n")
        sys.stdout.flush()
        return
    is_live = not arguments.once and sys.stdout.isatty()
    columns = {"tasks": TASK_COLUMNS, "agents": AGENT_COLUMNS, "roles": ROLE_COLUMNS}[arguments.what]
    text = table(
        columns, [_row(use) for use in rows], wide=arguments.output == "wide", headers=not arguments.no_headers
    )
    sys.stdout.write((_HOME_AND_CLEAR if is_live else "") + text + ("" if is_live or arguments.once else "\n"))
    sys.stdout.flush()


def _place(use: Use, sort: str | None) -> tuple[float, str]:
    if isinstance(use, RoleUse):
        return (0, use.name) if sort == "name" else by_share(use)
    return -SORTS[sort or _DEFAULT_SORT](use.measured, use.rates), use.name


def _row(use: Use) -> Row:
    if isinstance(use, RoleUse):
        return role_row(use)
    return task_row(use) if isinstance(use, TaskUse) else agent_row(use)


def _fields(use: Use) -> dict[str, object]:
    return role_fields(use) if isinstance(use, RoleUse) else fields_of(use)
