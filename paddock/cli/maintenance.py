"""`paddock maintenance`: say beforehand when hosts will not be available."""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.output import Column, Row, add_style_arguments, moment, show
from paddock.cli.quantities import duration_ms
from paddock.model.errors import InvalidRequest
from paddock.model.offer import Unavailability

if TYPE_CHECKING:
    from paddock.rpc.clients.maintenance import MaintenanceClient, MaintenanceView

COLUMNS = (
    Column(title="HOST"),
    Column(title="STATE"),
    Column(title="START"),
    Column(title="END"),
    Column(title="AGENTS"),
    Column(title="TASKS"),
    Column(title="STAYING"),
    Column(title="LEAVING"),
)
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """list, schedule, cancel."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="{list,schedule,cancel}", help="what to do")
    for action, words in (
        ("list", "print the windows, and which frameworks stay or leave"),
        ("schedule", "give hosts a window, instead of the one that they have"),
        ("cancel", "take hosts' windows away, also when they have begun"),
    ):
        each = actions.add_parser(
            action, help=words, description=words[0].upper() + words[1:] + ".", allow_abbrev=False
        )
        if action == "list":
            add_style_arguments(each)
        else:
            each.add_argument("hosts", nargs="+", metavar="HOST", help="as `paddock agents` names it")
            each.add_argument("--dry-run", action="store_true", help="only ask whether the master would take it")
        if action == "schedule":
            start = "when it begins: in so long (2h), or a time with its zone (2030-01-31T22:00:00Z); default: now"
            each.add_argument("--start", metavar="TIME", default="0s", help=start)
            each.add_argument(
                "--for", dest="length", metavar="DURATION", default="", help="default: until it is cancelled"
            )
        add_master_argument(each)


async def run(arguments: argparse.Namespace) -> int:
    """One action."""
    from paddock.rpc.clients.maintenance import MaintenanceClient  # noqa: PLC0415 - loads gRPC

    window = window_of(arguments, time.time_ns()) if arguments.action == "schedule" else None
    async with master_of(arguments) as master:
        client = MaintenanceClient(master)
        if arguments.action == "list":
            return await _list(client, arguments)
        hosts = tuple(arguments.hosts)
        if window is None:
            await client.cancel(hosts, validate_only=arguments.dry_run)
        else:
            known = {agent.info.hostname for agent in await master.list_agents()}
            await client.schedule(hosts, window, validate_only=arguments.dry_run)
            for host in hosts:
                if host not in known:
                    words = f"no agent is on host {host!r} yet, and its window waits for one; `paddock agents` names the hosts"
                    print(f"paddock maintenance: {words}", file=sys.stderr)
    return OK


def window_of(arguments: argparse.Namespace, now_ns: int) -> Unavailability:
    """As it is written on the command line."""
    length_ms = duration_ms(arguments.length, "--for") if arguments.length else 0
    if arguments.length and not length_ms:
        raise InvalidRequest("--for", arguments.length, "a window is longer than nothing; leave it out for an open end")
    return Unavailability(start_ns=_start_ns(arguments.start, now_ns), duration_ns=length_ms * _NS_PER_MS)


def _start_ns(text: str, now_ns: int) -> int:
    try:
        return now_ns + duration_ms(text, "--start") * _NS_PER_MS
    except InvalidRequest:
        pass
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or found.timestamp() <= 0:
        raise InvalidRequest(
            "--start", text, "write in how long, as 2h, or a time with its zone, as 2030-01-31T22:00:00Z"
        )
    return round(found.timestamp()) * _NS_PER_S


async def _list(client: MaintenanceClient, arguments: argparse.Namespace) -> int:
    show(COLUMNS, [row_of(view) for view in await client.list_maintenance()], arguments)
    return OK


def row_of(view: MaintenanceView) -> Row:
    """One line."""
    return Row(
        name=view.hostname,
        cells=(
            view.hostname,
            "under way" if view.active else "planned",
            moment(view.window.start_ns),
            moment(view.window.end_ns or 0),
            ",".join(view.agent_ids),
            str(view.task_count),
            ",".join(view.staying),
            ",".join(view.leaving),
        ),
        document=view.document,
    )
