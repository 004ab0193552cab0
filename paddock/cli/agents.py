"""`paddock agents`: the machines, and what of them is used."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.output import Column, Row, add_style_arguments, age, show
from paddock.cli.watch import Watched, add_watch_argument, follow
from paddock.model.resource_text import format_resources, format_scalar, format_value

if TYPE_CHECKING:
    from paddock.model.resources import Resources
    from paddock.rpc.clients.views import AgentView

COLUMNS = (
    Column(title="AGENT"),
    Column(title="HOST"),
    Column(title="STATE"),
    Column(title="CPUS"),
    Column(title="MEM MiB"),
    Column(title="DISK MiB"),
    Column(title="AGE"),
    Column(title="CGROUPS", wide=True),
    Column(title="RUNS", wide=True),
    Column(title="VERSION", wide=True),
    Column(title="ADDRESS", wide=True),
    Column(title="OFFERED", wide=True),
    Column(title="STANDALONE", wide=True),
    Column(title="ATTRIBUTES", wide=True),
    Column(title="PROBLEM", wide=True),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_watch_argument(parser)
    add_style_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print the agents; a scalar's cell is used/total. One that takes no new work is named on stderr, too."""
    if arguments.watch:
        return await follow(WATCHED, arguments)
    async with master_of(arguments) as master:
        agents = await master.list_agents()
    now_ns = time.time_ns()
    show(COLUMNS, [row_of(agent, now_ns) for agent in agents], arguments)
    for agent in agents:
        if agent.problem:
            print(f"paddock agents: {agent.info.agent_id} takes no new work: {agent.problem}", file=sys.stderr)
    return OK


def row_of(agent: AgentView, now_ns: int) -> Row:
    """One line."""
    info = agent.info
    attributes = ";".join(
        f"{item.name}:{item.value if isinstance(item.value, str) else format_value(item.value)}"
        for item in info.attributes
    )
    return Row(
        name=info.agent_id,
        cells=(
            info.agent_id,
            info.hostname,
            state_of(agent, now_ns),
            _share("cpus", agent),
            _share("mem", agent),
            _share("disk", agent),
            age(agent.registered_ns, now_ns),
            info.cgroup_mode,
            ",".join(info.containerizers),
            info.version,
            info.tcp_address or info.unix_address,
            _text(agent.offered),
            _text(agent.standalone),
            attributes,
            agent.problem,
        ),
        document=agent.document,
    )


def state_of(agent: AgentView, now_ns: int) -> str:
    """In one word. What an operator decided says more than that it is connected."""
    if agent.state != "active":
        return agent.state
    if agent.unavailability is not None and agent.unavailability.start_ns <= now_ns:
        return "maintenance"
    return "deactivated" if agent.deactivated else agent.state


WATCHED: Watched[AgentView] = Watched(
    verb="agents", columns=COLUMNS, stream=lambda client: client.agents(), row_of=row_of
)


def _share(name: str, agent: AgentView) -> str:
    used_milli = agent.used.scalar_milli(name) + agent.standalone.scalar_milli(name)
    return f"{format_scalar(used_milli)}/{format_scalar(agent.info.resources.scalar_milli(name))}"


def _text(resources: Resources) -> str:
    return format_resources(resources.unallocated())
