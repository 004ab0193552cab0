"""`paddock frameworks`: who asks for resources, and what each has."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.output import Column, Row, add_style_arguments, age, show
from paddock.cli.watch import Watched, add_watch_argument, follow
from paddock.model.resource_text import format_resources, format_scalar

if TYPE_CHECKING:
    from paddock.rpc.clients.views import FrameworkView

_ENDED = "ended"

COLUMNS = (
    Column(title="FRAMEWORK"),
    Column(title="NAME"),
    Column(title="ROLES"),
    Column(title="STATE"),
    Column(title="TASKS"),
    Column(title="CPUS"),
    Column(title="MEM MiB"),
    Column(title="OFFERS"),
    Column(title="AGE"),
    Column(title="PRINCIPAL", wide=True),
    Column(title="HOST", wide=True),
    Column(title="SUPPRESSED", wide=True),
    Column(title="OFFERED", wide=True),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("-a", "--all", action="store_true", help="those that have ended, too")
    add_watch_argument(parser)
    add_style_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print the frameworks."""
    if arguments.watch:
        return await follow(watched(include_ended=arguments.all), arguments)
    async with master_of(arguments) as master:
        frameworks = await master.list_frameworks()
    now_ns = time.time_ns()
    shown = [framework for framework in frameworks if arguments.all or state_of(framework) != _ENDED]
    show(COLUMNS, [row_of(framework, now_ns) for framework in shown], arguments)
    return OK


def state_of(framework: FrameworkView) -> str:
    """In one word. A framework that may not fail over ends with its connection."""
    if framework.connected:
        return "active" if framework.active else "inactive"
    return "disconnected" if framework.info.failover_timeout_ms else _ENDED


def row_of(framework: FrameworkView, now_ns: int) -> Row:
    """One line."""
    info = framework.info
    return Row(
        name=info.framework_id,
        cells=(
            info.framework_id,
            info.name,
            ",".join(info.roles),
            state_of(framework),
            str(framework.task_count),
            format_scalar(framework.used.scalar_milli("cpus")),
            format_scalar(framework.used.scalar_milli("mem")),
            str(framework.offer_count),
            age(framework.subscribed_ns, now_ns),
            info.principal,
            info.hostname,
            ",".join(framework.suppressed_roles),
            format_resources(framework.offered.unallocated()),
        ),
        document=framework.document,
    )


def watched(*, include_ended: bool) -> Watched[FrameworkView]:
    """One that ends while somebody looks is shown in any case."""
    return Watched(
        verb="frameworks",
        columns=COLUMNS,
        stream=lambda client: client.frameworks(),
        row_of=row_of,
        is_hidden=lambda view: state_of(view) == _ENDED and not include_ended,
    )
