"""`paddock deactivate`: take an agent out of use; what runs there goes on."""

from __future__ import annotations

import argparse
import sys

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_agent
from paddock.cli.quantities import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument(
        "agent", metavar="AGENT", help="the agent's id, a prefix of it that is unique, or its host's name"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would come of it, and change nothing")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """No more offers, until `paddock reactivate`; also after a start of the master or of the agent."""
    from paddock.rpc.clients.lifecycle import LifecycleClient  # noqa: PLC0415 - loads gRPC

    async with master_of(arguments) as master:
        agent_id = (await find_agent(master, arguments.agent)).info.agent_id
        client = LifecycleClient(master)
        tasks, offers = await client.deactivate_agent(agent_id, validate_only=arguments.dry_run)
    if arguments.dry_run:
        there = f"what runs there, {counted(tasks, 'task')}, goes on"
        words = f"{counted(offers, 'offer')} of agent {agent_id} would come back, and {there}"
        print(f"paddock deactivate: {words}", file=sys.stderr)
    return OK
