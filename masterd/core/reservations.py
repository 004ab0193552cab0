"""What of agents is reserved and made volumes at run time: changed, made durable, carried over to an agent that comes back."""

from __future__ import annotations

from dataclasses import replace

from masterd.allocator.conversions import converted
from masterd.allocator.interface import Conversion
from masterd.core import volumes
from masterd.core.effects import SaveAgentResources
from masterd.core.state import AgentEntry, MasterState, Turn
from paddock.model.agent import AgentInfo
from paddock.model.resources import Resources
from paddock.model.volumes import as_configured


def recover(state: MasterState, record: SaveAgentResources) -> None:
    """A start of the master. An agent that the registry does not have any more: nothing to do."""
    agent = state.agents.get(record.agent_id)
    if agent is not None:
        agent.configured = record.configured
        agent.info = replace(agent.info, resources=record.resources)
        agent.destroyed = {each.destroy_id: each for each in record.destroyed}
        _note_leases(state, agent)


def apply(turn: Turn, agent: AgentEntry, conversion: Conversion) -> None:
    """The allocator has converted already. Durable before anybody hears of it."""
    before = agent.info.resources
    agent.info = replace(agent.info, resources=converted(before, (conversion,)))
    volumes.destroyed_by(turn, agent, before)
    save(turn, agent)
    volumes.tell(turn, agent, before)


def save(turn: Turn, agent: AgentEntry, lost: Resources | None = None) -> None:
    """As it is now; `lost` is for the log."""
    _note_leases(turn.state, agent)
    turn.effects.append(
        SaveAgentResources(
            agent_id=agent.info.agent_id,
            configured=agent.configured,
            resources=agent.info.resources,
            lost=lost or Resources(),
            destroyed=tuple(agent.destroyed.values()),
        )
    )


def carry_over(turn: Turn, agent: AgentEntry, info: AgentInfo) -> None:
    """An agent registers. As it is configured as before, it has all that it had; configured otherwise, what still fits."""
    before, configured = agent.info.resources, agent.configured
    agent.configured = info.resources
    if before == configured or not configured:
        agent.info = info
    elif info.resources == configured:
        agent.info = replace(info, resources=before)
    else:
        kept, lost = carried(before, info.resources)
        agent.info = replace(info, resources=kept)
        save(turn, agent, lost)


def carried(before: Resources, configured: Resources) -> tuple[Resources, Resources]:
    """An agent's resources after it was configured anew: with each reservation and volume for which there is room, the
    earliest first; and those for which there is none.
    """
    kept, lost = configured, Resources()
    for resource in before:
        plain = as_configured(resource)
        if plain == resource:
            continue
        if kept.contains(Resources((plain,))):
            kept = kept - Resources((plain,)) + Resources((resource,))
        else:
            lost += Resources((resource,))
    return kept, lost


def _note_leases(state: MasterState, agent: AgentEntry) -> None:
    ends_ms = [
        each.expires_ms for resource in agent.info.resources for each in resource.reservations if each.expires_ms
    ]
    if ends_ms:
        state.leases_ms[agent.info.agent_id] = min(ends_ms)
    else:
        state.leases_ms.pop(agent.info.agent_id, None)
