"""`paddock drain`: empty an agent, or use it again."""

from __future__ import annotations

import argparse

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_agent
from paddock.cli.quantities import duration_ms
from paddock.model.errors import InvalidRequest


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
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Returns once the master has written it down; `paddock agents` shows draining, then drained."""
    from paddock.rpc.clients.drains import DrainClient  # noqa: PLC0415 - gRPC is loaded when a verb calls

    if arguments.cancel and (arguments.max_grace or arguments.gone):
        raise InvalidRequest("--cancel", "with --max-grace or --gone", "give it alone")
    max_grace_ms = duration_ms(arguments.max_grace, "--max-grace") if arguments.max_grace else None
    async with master_of(arguments) as master:
        agent_id = (await find_agent(master, arguments.agent)).info.agent_id
        drains = DrainClient(master)
        if arguments.cancel:
            await drains.cancel_drain(agent_id)
        else:
            await drains.drain_agent(agent_id, max_grace_ms=max_grace_ms, mark_gone=arguments.gone)
    return OK
