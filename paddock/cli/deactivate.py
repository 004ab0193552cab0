"""`paddock deactivate`: take an agent out of use; what runs there goes on."""

from __future__ import annotations

import argparse

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("agent", metavar="AGENT", help="the agent's id")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """No more offers, until `paddock reactivate`; also after a start of the master or of the agent."""
    from paddock.rpc.clients.lifecycle import LifecycleClient  # noqa: PLC0415 - loads gRPC

    async with master_of(arguments) as master:
        await LifecycleClient(master).deactivate_agent(arguments.agent)
    return OK
