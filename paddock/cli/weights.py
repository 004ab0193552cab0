"""`paddock weights`: how roles' shares compare."""

from __future__ import annotations

import argparse

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.output import Column, Row, add_style_arguments, show
from paddock.cli.quantities import weight_milli
from paddock.model.errors import InvalidRequest
from paddock.model.resource_text import format_scalar

COLUMNS = (Column(title="ROLE"), Column(title="WEIGHT"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    words = "what a role's weight is to be; 1 is the usual one. Without any: print the weights"
    parser.add_argument("weights", nargs="*", metavar="ROLE=WEIGHT", help=words)
    parser.add_argument("--dry-run", action="store_true", help="only ask whether the master would take them")
    add_style_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Set what is named, or print what is set."""
    from paddock.rpc.clients.policy import PolicyClient  # noqa: PLC0415 - loads gRPC

    wanted = dict(weight_of(word) for word in arguments.weights)
    if len(wanted) < len(arguments.weights):
        raise InvalidRequest("ROLE=WEIGHT", " ".join(arguments.weights), "name each role once")
    async with master_of(arguments) as master:
        policy = PolicyClient(master)
        if wanted:
            await policy.update_weights(wanted, validate_only=arguments.dry_run)
            return OK
        roles = await policy.list_roles()
    rows = [
        Row(name=role.role, cells=(role.role, format_scalar(role.weight_milli)), document=role.document)
        for role in roles
    ]
    show(COLUMNS, rows, arguments)
    return OK


def weight_of(word: str) -> tuple[str, int]:
    """A role's name may have an equals sign of its own: the last one counts."""
    role, equals, text = word.rpartition("=")
    if not equals:
        raise InvalidRequest("ROLE=WEIGHT", word, "write the role, an equals sign and a number, such as prod=2.5")
    return role, weight_milli(text, word)
