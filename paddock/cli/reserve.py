"""`paddock reserve`: keep free resources of an agent for a role."""

from __future__ import annotations

import argparse
import time

from paddock.cli.quantities import duration_ms
from paddock.cli.reservation_request import add_resources_arguments, apply, reserved_resources
from paddock.model.errors import InvalidRequest
from paddock.model.offer import Reserve

_NS_PER_MS = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_resources_arguments(parser)
    parser.add_argument(
        "--lease",
        metavar="DURATION",
        default="",
        help="unreserve it by itself after so long, as soon as no task uses it",
    )


async def run(arguments: argparse.Namespace) -> int:
    """What no task uses is reserved; offers that are in the way are taken back."""
    expires_ms = 0
    if arguments.lease:
        lease_ms = duration_ms(arguments.lease, "--lease")
        if not lease_ms:
            raise InvalidRequest("--lease", arguments.lease, "a lease lasts longer than nothing")
        expires_ms = time.time_ns() // _NS_PER_MS + lease_ms
    resources = reserved_resources(arguments.resources, arguments.refine, expires_ms=expires_ms)
    return await apply(arguments.agent, Reserve(resources=resources), arguments)
