"""`paddock unreserve`: give back what was reserved at run time."""

from __future__ import annotations

import argparse

from paddock.cli.reservation_request import add_resources_arguments, apply, reserved_resources
from paddock.model.offer import Unreserve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_resources_arguments(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Whoever reserved it; what no task uses."""
    resources = reserved_resources(arguments.resources, arguments.refine)
    return await apply(arguments.agent, Unreserve(resources=resources), arguments)
