"""What is reserved and made volumes at run time, as operators ask for it; and what of it nobody can use any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from masterd.allocator.reservations import is_strict_subrole
from masterd.core.state import NS_PER_MS, AgentEntry, MasterState
from paddock.model.ids import AgentId
from paddock.model.resources import Resource, Resources
from paddock.model.volumes import VolumeKey, key_of


class Orphan(Enum):
    """Why it lies idle; the first that holds."""

    NO_FRAMEWORK = "no framework is in the role"
    LEASE_ENDED = "its lease has ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationView:
    """One kind of reserved resource of one agent. `used_milli`: what tasks have of it. `problem`: why its agent cannot give
    this volume to tasks.
    """

    agent_id: AgentId
    hostname: str
    resource: Resource
    used_milli: int
    orphan: Orphan | None
    problem: str = ""


Key = tuple[AgentId, int]
"""An agent, and the place of the resource among all that it has."""


def reservation_keys(state: MasterState, *, wall_ns: int, only_orphaned: bool, only_volumes: bool) -> list[Key]:
    """Of all agents, also of those that are away."""
    roles = {role for framework in state.frameworks.values() for role in framework.info.roles}
    return [
        (agent_id, place)
        for agent_id, agent in state.agents.items()
        for place, resource in _reserved(agent)
        if not (only_volumes and resource.volume is None)
        and not (only_orphaned and _orphan(resource, roles, wall_ns) is None)
    ]


def reservation_view(state: MasterState, key: Key, *, wall_ns: int) -> ReservationView:
    """As it is now."""
    agent = state.agents[key[0]]
    resource = agent.info.resources.items[key[1]]
    roles = {role for framework in state.frameworks.values() for role in framework.info.roles}
    used = Resources.of(
        each
        for task in agent.tasks.values()
        if not task.released
        for each in task.info.resources.unallocated()
        if each.like(resource) or (each.volume is not None and each.volume == resource.volume)
    )
    return ReservationView(
        agent_id=agent.info.agent_id,
        hostname=agent.info.hostname,
        resource=resource,
        used_milli=used.quantities_milli().get(resource.name, 0),
        orphan=_orphan(resource, roles, wall_ns),
        problem=agent.volume_problems.get(key_of(resource), "") if resource.volume is not None else "",
    )


def unknown_volumes(state: MasterState) -> list[tuple[AgentId, VolumeKey]]:
    """On the disks of agents, and on no list of ours."""
    return [(agent_id, volume) for agent_id, agent in state.agents.items() for volume in agent.unknown_volumes]


def _reserved(agent: AgentEntry) -> Iterator[tuple[int, Resource]]:
    for place, resource in enumerate(agent.info.resources):
        if resource.volume is not None or any(reservation.dynamic for reservation in resource.reservations):
            yield place, resource


def _orphan(resource: Resource, roles: set[str], wall_ns: int) -> Orphan | None:
    top = resource.reservations[-1]
    if 0 < top.expires_ms <= wall_ns // NS_PER_MS:
        return Orphan.LEASE_ENDED
    above = top.role
    return None if any(role == above or is_strict_subrole(role, above) for role in roles) else Orphan.NO_FRAMEWORK
