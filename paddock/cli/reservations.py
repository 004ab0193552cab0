"""`paddock reservations`: what is reserved at run time, by whom, until when, and what of it nobody can use."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.output import Column, Row, add_style_arguments, moment, show
from paddock.model.resource_text import format_scalar, format_value

if TYPE_CHECKING:
    from paddock.rpc.clients.reservations import ReservedList, ReservedView

COLUMNS = (
    Column(title="AGENT"),
    Column(title="HOST"),
    Column(title="RESOURCE"),
    Column(title="AMOUNT"),
    Column(title="USED"),
    Column(title="ROLE"),
    Column(title="OWNER"),
    Column(title="UNTIL"),
    Column(title="ORPHANED"),
    Column(title="VOLUME"),
    Column(title="REFINES", wide=True),
    Column(title="LABELS", wide=True),
)
_NS_PER_MS = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument(
        "--orphaned", action="store_true", help="only what no framework can use, or whose lease has ended"
    )
    add_style_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    return await show_reserved(arguments, only_orphaned=arguments.orphaned, only_volumes=False)


async def show_reserved(arguments: argparse.Namespace, *, only_orphaned: bool, only_volumes: bool) -> int:
    """Of all agents."""
    from paddock.rpc.clients.reservations import ReservationClient  # noqa: PLC0415 - loads gRPC

    async with master_of(arguments) as master:
        found = await ReservationClient(master).list_reservations(
            only_orphaned=only_orphaned, only_volumes=only_volumes
        )
    show(COLUMNS, [row_of(view) for view in found.reserved], arguments)
    for line in troubles(found):
        print(f"paddock: {line}", file=sys.stderr)
    return OK


def troubles(found: ReservedList) -> list[str]:
    """Where an agent's disk and the master's list do not agree."""
    lines = [
        f"agent {view.agent_id}, volume {view.resource.volume.persistence_id}: {view.problem}"
        for view in found.reserved
        if view.problem and view.resource.volume is not None
    ]
    remedy = "the master knows nothing of it, and its agent keeps it; save what is on it, or remove it there"
    return [*lines, *(f"agent {agent_id}, volume {volume}: {remedy}" for agent_id, volume in found.unknown_volumes)]


def row_of(view: ReservedView) -> Row:
    """One line. The name is what tells it from others: a volume's id, or its agent, resource and role."""
    resource = view.resource
    top = resource.reservations[-1]
    volume = resource.volume
    return Row(
        name=volume.persistence_id if volume is not None else f"{view.agent_id}:{resource.name}({top.role})",
        cells=(
            view.agent_id,
            view.hostname,
            resource.name,
            format_value(resource.value),
            format_scalar(view.used_milli),
            top.role,
            top.principal,
            moment(top.expires_ms * _NS_PER_MS) if top.expires_ms else "",
            view.orphan,
            volume.persistence_id if volume is not None else "",
            ",".join(each.role for each in resource.reservations[:-1]),
            ",".join(f"{key}={value}" for key, value in top.labels),
        ),
        document=view.document,
    )
