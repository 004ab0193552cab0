"""`paddock reactivate`: use an agent again that was deactivated."""

from __future__ import annotations

import argparse

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("agent", metavar="AGENT", help="the agent's id")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Offers again, unless its host is under maintenance."""
    from paddock.rpc.clients.lifecycle import LifecycleClient  # noqa: PLC0415 - loads gRPC

    async with master_of(arguments) as master:
        await LifecycleClient(master).reactivate_agent(arguments.agent)
    return OK
