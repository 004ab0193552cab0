"""`paddock drain`: empty an agent, or use it again."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_agent
from paddock.cli.quantities import counted, duration_ms
from paddock.cli.reactivate import tell_remaining
from paddock.model.errors import InvalidRequest
from paddock.model.resource_text import format_resources

if TYPE_CHECKING:
    from paddock.rpc.clients.drains import DrainOutlook
    from paddock.rpc.clients.views import AgentView


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument(
        "agent", metavar="AGENT", help="the agent's id, a prefix of it that is unique, or its host's name"
    )
    parser.add_argument(
        "--max-grace", metavar="DURATION", default="", help="no task gets a longer grace period (default: each its own)"
    )
    parser.add_argument("--gone", action="store_true", help="mark the agent as gone when it is drained, for ever")
    parser.add_argument("--cancel", action="store_true", help="use the agent again")
    parser.add_argument("--dry-run", action="store_true", help="say what would come of it, and change nothing")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Returns once the master has written it down; `paddock agents` shows draining, then drained."""
    from paddock.rpc.clients.drains import DrainClient  # noqa: PLC0415 - gRPC is loaded when a verb calls

    if arguments.cancel and (arguments.max_grace or arguments.gone):
        raise InvalidRequest("--cancel", "with --max-grace or --gone", "give it alone")
    max_grace_ms = duration_ms(arguments.max_grace, "--max-grace") if arguments.max_grace else None
    async with master_of(arguments) as master:
        agent = await find_agent(master, arguments.agent)
        agent_id = agent.info.agent_id
        drains = DrainClient(master)
        if arguments.cancel:
            remaining = await drains.cancel_drain(agent_id, validate_only=arguments.dry_run)
            tell_remaining("drain", agent_id, remaining, dry_run=arguments.dry_run)
            return OK
        outlook = await drains.drain_agent(
            agent_id, max_grace_ms=max_grace_ms, mark_gone=arguments.gone, validate_only=arguments.dry_run
        )
    if arguments.dry_run:
        print(f"paddock drain: {words_of(outlook, agent_id, gone=arguments.gone)}", file=sys.stderr)
    if agent.standalone:
        print(f"paddock drain: {words_of_standalone(agent)}", file=sys.stderr)
    return OK


def words_of_standalone(agent: AgentView) -> str:
    """They have no framework that would start them elsewhere: to end them is for whoever launched them."""
    held = format_resources(agent.standalone.unallocated())
    kill = f"paddock kill CONTAINER --agent {agent.info.agent_id}"
    return f"operators' own containers there go on, with {held}; end them by `{kill}` where the host is to be empty"


def words_of(outlook: DrainOutlook, agent_id: str, *, gone: bool) -> str:
    """What would come of it."""
    grace = f", the last after {outlook.longest_grace_ms} ms at most" if outlook.task_count else ""
    then = "; then the agent is gone for ever" if gone else ""
    return (
        f"{counted(outlook.offer_count, 'offer')} of agent {agent_id} would come back, and "
        f"{counted(outlook.task_count, 'task')} would be killed{grace}{then}"
    )
