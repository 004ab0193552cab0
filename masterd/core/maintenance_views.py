"""Maintenance as operators ask for it: each window with whom it concerns, and what they said."""

from __future__ import annotations

from dataclasses import dataclass

from masterd.core.state import MasterState
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer import Unavailability


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """A framework that has tasks on an agent of the host, or has answered; `accepted` None: not yet."""

    framework_id: FrameworkId
    agent_id: AgentId
    task_count: int
    accepted: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceView:
    """A host's window."""

    hostname: str
    window: Unavailability
    active: bool
    agent_ids: tuple[AgentId, ...]
    concerned: tuple[Concerned, ...]


def maintenance_view(state: MasterState, hostname: str, *, wall_ns: int) -> MaintenanceView:
    """KeyError for a host without a window."""
    window = state.maintenance[hostname]
    agents = [agent for agent in state.agents.values() if agent.info.hostname == hostname]
    counts: dict[tuple[AgentId, FrameworkId], int] = {
        (agent_id, framework_id): 0 for host, agent_id, framework_id in state.inverse_answers if host == hostname
    }
    for agent in agents:
        for task in agent.tasks.values():
            if not task.state.is_terminal:
                key = (agent.info.agent_id, task.framework_id)
                counts[key] = counts.get(key, 0) + 1
    return MaintenanceView(
        hostname=hostname,
        window=window,
        active=window.start_ns <= wall_ns,
        agent_ids=tuple(sorted(agent.info.agent_id for agent in agents)),
        concerned=tuple(
            Concerned(
                framework_id=framework_id,
                agent_id=agent_id,
                task_count=count,
                accepted=state.inverse_answers.get((hostname, agent_id, framework_id)),
            )
            for (agent_id, framework_id), count in sorted(counts.items())
        ),
    )
