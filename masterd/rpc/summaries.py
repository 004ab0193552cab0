"""The master's state in numbers, for OperatorService: counted in pieces, between which the master goes on with its work."""

from __future__ import annotations

import asyncio

from masterd.allocator.books import Books
from masterd.allocator.interface import Inactivity
from masterd.core import inspection
from masterd.core.role_views import role_names
from masterd.core.summary import Summary
from masterd.core.views import AgentState, FrameworkState
from masterd.shell import MasterShell
from paddock.wire import convert
from paddock.wire.convert import bounds
from paddock.wire.v1 import operator_service_pb2 as pb
from paddock.wire.v1 import policy_service_pb2

PIECE_COUNT = 100


async def counted(shell: MasterShell) -> Summary:
    """What one agent or framework has is of one moment; the sums are of the time that counting took."""
    state, summary = shell.machine.state, Summary()
    for place, agent_id in enumerate(list(state.agents)):
        if agent := state.agents.get(agent_id):
            summary.count_agent(state, agent, wall_ns=shell.wall_ns())
        if place % PIECE_COUNT == PIECE_COUNT - 1:
            await asyncio.sleep(0)
    for place, framework in enumerate(list(inspection.frameworks(state).values())):
        summary.count_framework(framework)
        if place % PIECE_COUNT == PIECE_COUNT - 1:
            await asyncio.sleep(0)
    return summary


def state_to_wire(shell: MasterShell, summary: Summary, *, started_ns: int) -> pb.MasterState:
    """A count of nothing is 0; a resource or a task state that nobody has is left out."""
    state, agents, frameworks = shell.machine.state, summary.agents, summary.frameworks
    books = state.allocator if isinstance(state.allocator, Books) else None
    return pb.MasterState(
        master=convert.master_info_to_wire(state.master),
        started=bounds.timestamp(started_ns),
        agents=pb.AgentCounts(
            active=agents.get(AgentState.CONNECTED, 0),
            disconnected=agents.get(AgentState.DISCONNECTED, 0),
            unreachable=agents.get(AgentState.UNREACHABLE, 0),
            awaited=agents.get(AgentState.RECOVERED, 0),
            deactivated=summary.inactive.get(Inactivity.DEACTIVATED, 0),
            draining=summary.inactive.get(Inactivity.DRAINING, 0) - summary.drained_count,
            drained=summary.drained_count,
            in_maintenance=summary.inactive.get(Inactivity.MAINTENANCE, 0),
            with_problem=summary.problem_count,
        ),
        frameworks=pb.FrameworkCounts(
            active=frameworks.get(FrameworkState.SUBSCRIBED, 0),
            disconnected=frameworks.get(FrameworkState.DISCONNECTED, 0),
            awaited=frameworks.get(FrameworkState.RECOVERED, 0),
            ended=frameworks.get(FrameworkState.COMPLETED, 0),
        ),
        tasks=[
            pb.TaskCount(state=convert.task_state_to_wire(each), count=count)
            for each, count in sorted(summary.tasks.items())
        ],
        role_count=len(role_names(state)),
        offer_count=len(state.offers),
        recovering=books is not None and books.agenda.is_paused,
        resources=_resources(summary),
        problem=shell.problem,
    )


def _resources(summary: Summary) -> pb.ClusterResources:
    amounts = summary.amounts
    return pb.ClusterResources(
        total=policy_service_pb2.Amounts(milli=amounts.total),
        used=policy_service_pb2.Amounts(milli=amounts.used),
        standalone=policy_service_pb2.Amounts(milli=amounts.standalone),
        offered=policy_service_pb2.Amounts(milli=amounts.offered),
        free=policy_service_pb2.Amounts(milli=amounts.free),
        reserved=policy_service_pb2.Amounts(milli=amounts.reserved),
    )
