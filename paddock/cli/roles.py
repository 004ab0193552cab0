"""`paddock roles`: the tree of roles, with what each may have and what it has."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.output import Column, Row, add_style_arguments, show
from paddock.cli.quantities import amounts_text
from paddock.cli.watch import Watched, add_watch_argument, follow
from paddock.model.resource_text import format_resources, format_scalar

if TYPE_CHECKING:
    from paddock.rpc.clients.policy import RoleView

COLUMNS = (
    Column(title="ROLE"),
    Column(title="WEIGHT"),
    Column(title="SHARE"),
    Column(title="GUARANTEE"),
    Column(title="LIMIT"),
    Column(title="CONSUMED"),
    Column(title="RESERVED"),
    Column(title="ALLOCATED"),
    Column(title="FRAMEWORKS"),
    Column(title="OFFERED", wide=True),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_watch_argument(parser)
    add_style_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print the roles; those below another are indented."""
    if arguments.watch:
        return await follow(WATCHED, arguments)
    from paddock.rpc.clients.policy import PolicyClient  # noqa: PLC0415 - loads gRPC

    async with master_of(arguments) as master:
        roles = await PolicyClient(master).list_roles()
    # As a tree: `a-b` sorts before `a/c` as text, and does not belong between `a` and it.
    show(COLUMNS, [row_of(role) for role in sorted(roles, key=_place)], arguments)
    return OK


def _place(view: RoleView) -> list[str]:
    return view.role.split("/")


def row_of(view: RoleView) -> Row:
    """One line."""
    depth = view.role.count("/")
    return Row(
        name=view.role,
        cells=(
            "· " * depth + view.role,
            format_scalar(view.weight_milli),
            "" if view.share is None else f"{view.share:.4f}",
            amounts_text(view.guarantees_milli),
            amounts_text(view.limits_milli),
            amounts_text(_some(view.consumed_milli)),
            amounts_text(_some(view.reserved_milli)),
            format_resources(view.allocated.unallocated()),
            str(len(view.framework_ids)),
            format_resources(view.offered.unallocated()),
        ),
        document=view.document,
    )


def _some(amounts_milli: Mapping[str, int]) -> Mapping[str, int]:
    return {name: milli for name, milli in amounts_milli.items() if milli}


WATCHED: Watched[RoleView] = Watched(
    verb="roles",
    columns=COLUMNS,
    stream=lambda client: client.roles(),
    row_of=lambda view, _: row_of(view),
    order=_place,
)
