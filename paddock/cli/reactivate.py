"""`paddock reactivate`: use an agent again that was deactivated."""

from __future__ import annotations

import argparse
import sys

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_agent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument(
        "agent", metavar="AGENT", help="the agent's id, a prefix of it that is unique, or its host's name"
    )
    parser.add_argument("--dry-run", action="store_true", help="say whether it would be offered, and change nothing")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Offers again. What keeps it from being offered all the same is said on stderr."""
    from paddock.rpc.clients.lifecycle import LifecycleClient  # noqa: PLC0415 - loads gRPC

    async with master_of(arguments) as master:
        agent_id = (await find_agent(master, arguments.agent)).info.agent_id
        client = LifecycleClient(master)
        remaining = await client.reactivate_agent(agent_id, validate_only=arguments.dry_run)
    tell_remaining("reactivate", agent_id, remaining, dry_run=arguments.dry_run)
    return OK


def tell_remaining(verb: str, agent: str, remaining: tuple[str, ...], *, dry_run: bool) -> None:
    """What still keeps the agent from being offered; beforehand also that nothing does."""
    would = "would" if dry_run else "will"
    if remaining:
        print(f"paddock {verb}: agent {agent} {would} still not be offered: {', '.join(remaining)}", file=sys.stderr)
    elif dry_run:
        print(f"paddock {verb}: agent {agent} would be offered again", file=sys.stderr)
