"""`paddock volumes`: persistent volumes, listed, made of reserved disk, resized, and made disk again."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument
from paddock.cli.output import add_style_arguments
from paddock.cli.reservation_request import add_change_arguments, apply
from paddock.cli.reservations import show_reserved
from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_id, check_role
from paddock.model.offer import CreateVolumes, DestroyVolumes, GrowVolume, ShrinkVolume
from paddock.model.resource_text import parse_scalar_milli
from paddock.model.resources import DiskVolume, Reservation, Resource, Resources, Scalar

if TYPE_CHECKING:
    from paddock.model.offer import Change

_ACTIONS = (
    ("list", "print the volumes"),
    ("create", "make a volume of disk that is reserved for a role"),
    ("destroy", "make a volume disk again: what is on it is lost"),
    ("grow", "add disk of the same reservation to a volume"),
    ("shrink", "make a part of a volume disk again"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """list, create, destroy, grow, shrink."""
    named = "{" + ",".join(action for action, _ in _ACTIONS) + "}"
    actions = parser.add_subparsers(dest="action", required=True, metavar=named, help="what to do")
    for action, words in _ACTIONS:
        each = actions.add_parser(
            action, help=words, description=words[0].upper() + words[1:] + ".", allow_abbrev=False
        )
        if action == "list":
            each.add_argument("--orphaned", action="store_true", help="only those that no framework can use")
            add_style_arguments(each)
            add_master_argument(each)
            continue
        each.add_argument(
            "agent", metavar="AGENT", help="the agent's id, a prefix of it that is unique, or its host's name"
        )
        each.add_argument("volume", metavar="VOLUME", help="the volume's persistence id, one of its kind on the agent")
        if action == "create":
            role = "for whom the disk is reserved; the roles that it refines first, one --role each"
            each.add_argument("--role", metavar="ROLE", action="append", required=True, help=role)
            where = "where tasks see it, relative to their sandbox; without: under the volume's id"
            each.add_argument("--path", metavar="PATH", default="", help=where)
            each.add_argument("--shared", action="store_true", help="several tasks may use it at once")
            each.add_argument("--read-only", action="store_true", help="tasks cannot write to it")
        if action != "destroy":
            each.add_argument(
                "--size", metavar="SIZE", required=True, help="how much, such as 10GiB; MiB without a unit"
            )
        add_change_arguments(each)


async def run(arguments: argparse.Namespace) -> int:
    """One action."""
    if arguments.action == "list":
        return await show_reserved(arguments, only_orphaned=arguments.orphaned, only_volumes=True)
    return await apply(arguments.agent, change_of(arguments), arguments)


def change_of(arguments: argparse.Namespace) -> Change:
    """What is asked of the master. A volume that is there is found by its id: its size is not looked at."""
    volume = DiskVolume(persistence_id=check_id(arguments.volume, "VOLUME"))
    known = Resource(name="disk", value=Scalar(milli=1), volume=volume)
    if arguments.action == "destroy":
        return DestroyVolumes(volumes=Resources((known,)))
    size_milli = parse_scalar_milli("disk", arguments.size, "--size")
    if not size_milli:
        raise InvalidRequest("--size", arguments.size, "a size is more than nothing")
    if arguments.action == "grow":
        return GrowVolume(volume=known, addition=Resource(name="disk", value=Scalar(milli=size_milli)))
    if arguments.action == "shrink":
        return ShrinkVolume(volume=known, by_milli=size_milli)
    made = Resource(
        name="disk",
        value=Scalar(milli=size_milli),
        reservations=tuple(Reservation(role=check_role(role, "--role")) for role in arguments.role),
        volume=replace(volume, container_path=arguments.path, read_only=arguments.read_only),
        shared=arguments.shared,
    )
    return CreateVolumes(volumes=Resources((made,)))
