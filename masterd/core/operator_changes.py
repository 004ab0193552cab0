"""Reservations and volumes as operators change them: planned as a whole first, so that a refusal costs nobody anything.

And leases: what is reserved until some time is unreserved then, as soon as no task uses it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from masterd.allocator.interface import Conversion
from masterd.core import offers, reservations
from masterd.core.authorizer import Action
from masterd.core.changes import conversion_of, reserved_roles
from masterd.core.events import ResourcesChanged
from masterd.core.picking import resolved
from masterd.core.rights import check_may
from masterd.core.state import NS_PER_MS, AgentEntry, MasterState, Turn
from masterd.core.views import AgentState
from paddock.model.errors import NotFound, ResourcesExhausted, Unavailable
from paddock.model.ids import AgentId, OfferId
from paddock.model.resource_text import format_resources
from paddock.model.resources import Resource, Resources

_KNOWN_TO_ALLOCATOR = frozenset({AgentState.CONNECTED, AgentState.DISCONNECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """What would be done, and which offers are in the way."""

    agent_id: AgentId
    conversion: Conversion
    offer_ids: tuple[OfferId, ...]


def plan(state: MasterState, event: ResourcesChanged, *, wall_ns: int) -> PlannedChange:
    """Changes nothing. Raises the first fault: no such agent, not the caller's to do, not possible, not free."""
    agent = _agent(state, event.agent_id)
    free = state.allocator.free(event.agent_id)
    available = Resources.of((*free, *(each for key in agent.offers for each in state.offers[key].resources)))
    change = resolved(event.change, available, agent.info.resources)
    busy = [resource for task in agent.tasks.values() if not task.released for resource in task.info.resources]
    conversion = conversion_of(
        change,
        role=None,
        principal=f"uid:{event.caller.uid}",
        volume_ids=_volume_ids(agent.info.resources),
        busy_volume_ids=_volume_ids(busy),
        now_ms=wall_ns // NS_PER_MS,
    )
    for role in reserved_roles(conversion):
        check_may(state, event.caller, Action.RESERVE, role, "operation.role")
    return PlannedChange(
        agent_id=event.agent_id, conversion=conversion, offer_ids=_in_the_way(state, agent, conversion.consumed, free)
    )


def _agent(state: MasterState, agent_id: AgentId) -> AgentEntry:
    agent = state.agents.get(agent_id)
    if agent is None:
        raise NotFound("agent", agent_id)
    if agent.state not in _KNOWN_TO_ALLOCATOR:
        raise Unavailable(f"agent {agent_id} is {agent.state.value}: what is free on it is not known until it is back")
    return agent


def _volume_ids(resources: Resources | list[Resource]) -> set[str]:
    return {resource.volume.persistence_id for resource in resources if resource.volume is not None}


def _in_the_way(state: MasterState, agent: AgentEntry, consumed: Resources, free: Resources) -> tuple[OfferId, ...]:
    """The newest offers first, until there is enough; of those only that have something of it."""
    taken: list[OfferId] = []
    for offer_id in reversed(list(agent.offers)):
        if free.contains(consumed):
            break
        offered = state.offers[offer_id].resources
        if any(one == other or one.like(other) for one in offered for other in consumed):
            free += offered
            taken.append(offer_id)
    if not free.contains(consumed):
        raise ResourcesExhausted(
            f"{format_resources(consumed)} of agent {agent.info.agent_id} is not free: tasks or standalone containers use some"
        )
    return tuple(taken)


def change_resources(turn: Turn, event: ResourcesChanged) -> None:
    """As planned, on what the state is now."""
    planned = plan(turn.state, event, wall_ns=turn.wall_ns)
    for offer_id in planned.offer_ids:
        offers.rescind(turn, offer_id)
    _convert(turn, turn.state.agents[event.agent_id], planned.conversion)


def _convert(turn: Turn, agent: AgentEntry, conversion: Conversion) -> None:
    done = turn.state.allocator.convert_free(agent.info.agent_id, (conversion,))
    assert done, "what is consumed is free: it was looked at before, and offers of it were taken back"
    reservations.apply(turn, agent, conversion)


def end_leases(turn: Turn) -> None:
    """Those that are over. A volume keeps its reservation: what is on it is nobody's to throw away but an operator's."""
    state, now_ms = turn.state, turn.wall_ns // NS_PER_MS
    due = [agent_id for agent_id, ends_ms in state.leases_ms.items() if ends_ms <= now_ms]
    for agent_id in due:
        agent = state.agents[agent_id]
        if agent.state not in _KNOWN_TO_ALLOCATOR:
            continue
        for offer_id in list(agent.offers):
            if any(is_over(resource, now_ms) for resource in state.offers[offer_id].resources):
                offers.rescind(turn, offer_id)
        ended = [resource for resource in state.allocator.free(agent_id) if is_over(resource, now_ms)]
        if ended:
            plain = [replace(resource, reservations=resource.reservations[:-1]) for resource in ended]
            _convert(turn, agent, Conversion(consumed=Resources.of(ended), converted=Resources.of(plain)))


def is_over(resource: Resource, now_ms: int) -> bool:
    """Whether its topmost reservation's lease has ended, and that is all that holds it."""
    top = resource.reservations[-1:]
    return resource.volume is None and bool(top) and 0 < top[0].expires_ms <= now_ms
