"""`paddock gone`: say that an agent never comes back, nor its tasks."""

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
        "agent",
        metavar="AGENT",
        help="the agent's id, a prefix of it that is unique, or its host's name; its id is never admitted again",
    )
    parser.add_argument("--dry-run", action="store_true", help="say how many tasks it would end, and change nothing")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Cannot be undone: frameworks hear that its tasks have ended."""
    from paddock.rpc.clients.lifecycle import LifecycleClient  # noqa: PLC0415 - loads gRPC

    async with master_of(arguments) as master:
        agent_id = (await find_agent(master, arguments.agent)).info.agent_id
        count = await LifecycleClient(master).mark_agent_gone(agent_id, validate_only=arguments.dry_run)
    would = "would end" if arguments.dry_run else "ended"
    print(f"paddock gone: {would} {counted(count, 'task')} of agent {agent_id}", file=sys.stderr)
    return OK
