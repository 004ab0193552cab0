"""What `reserve`, `unreserve` and `volumes` ask of the master, and how they say what came of it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_agent
from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_role
from paddock.model.resource_text import format_resources, parse_resources
from paddock.model.resources import Reservation, Resources

if TYPE_CHECKING:
    from paddock.model.offer import Change


def add_change_arguments(parser: argparse.ArgumentParser) -> None:
    """--dry-run and --master."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    add_master_argument(parser)


def add_resources_arguments(parser: argparse.ArgumentParser) -> None:
    """The agent, the resources and their role."""
    parser.add_argument(
        "agent", metavar="AGENT", help="the agent's id, a prefix of it that is unique, or its host's name"
    )
    parser.add_argument(
        "resources", metavar="RESOURCES", help="with their role, such as cpus(prod):2;ports(prod):[31000-31009]"
    )
    parser.add_argument(
        "--refine",
        metavar="ROLE",
        action="append",
        default=[],
        help="on top of what is reserved for this role above; repeat it",
    )
    add_change_arguments(parser)


def reserved_resources(text: str, refined: list[str], *, expires_ms: int = 0) -> Resources:
    """What is to be, or is, reserved: each with a role in parentheses."""
    found = parse_resources(text, "RESOURCES")
    below = tuple(Reservation(role=check_role(role, "--refine")) for role in refined)
    for resource in found:
        if not resource.reservations:
            raise InvalidRequest("RESOURCES", resource.name, "say for which role, as in cpus(prod):2")
    if not found:
        raise InvalidRequest("RESOURCES", text, "name at least one, as in cpus(prod):2")
    return Resources(
        tuple(
            replace(
                resource,
                reservations=(
                    *below,
                    *(replace(each, dynamic=True, expires_ms=expires_ms) for each in resource.reservations),
                ),
            )
            for resource in found
        )
    )


async def apply(agent: str, change: Change, arguments: argparse.Namespace) -> int:
    """Done when it returns; what it did goes to stderr."""
    from paddock.rpc.clients.reservations import ReservationClient  # noqa: PLC0415 - loads gRPC

    async with master_of(arguments) as master:
        agent_id = (await find_agent(master, agent)).info.agent_id
        done = await ReservationClient(master).apply(agent_id, change, validate_only=arguments.dry_run)
    would = "would turn" if arguments.dry_run else "turned"
    words = f"{would} {format_resources(done.consumed)} of agent {agent_id} into {format_resources(done.converted)}"
    if done.rescinded_offer_ids:
        words += f"; offers taken back: {len(done.rescinded_offer_ids)}"
    print(f"paddock: {words}", file=sys.stderr)
    return OK
