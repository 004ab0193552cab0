"""The state of a master that starts: what its registry says, with the time that everybody has to come back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from masterd.allocator.interface import Allocator, Shuffler
from masterd.allocator.quota import Quota
from masterd.core import reservations
from masterd.core.effects import SaveAgent, SaveAgentResources, SaveDrain, SaveFramework
from masterd.core.state import NS_PER_MS, AgentEntry, FrameworkEntry, MasterState, Settings, traits_of
from masterd.core.views import AgentState, FrameworkState
from paddock.model.agent import AgentInfo, MasterInfo
from paddock.model.ids import AgentId
from paddock.model.offer import Unavailability
from paddock.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What the registry holds: the last record of each agent and framework, the weights and quotas, who is gone or out of
    use, and planned maintenance by host.

    `agent_resources`: of those agents only that differ from their configuration.
    """

    agents: tuple[SaveAgent, ...] = ()
    agent_resources: tuple[SaveAgentResources, ...] = ()
    frameworks: tuple[SaveFramework, ...] = ()
    weights_milli: tuple[tuple[str, int], ...] = ()
    quotas: tuple[tuple[str, Quota], ...] = ()
    gone_agent_ids: tuple[AgentId, ...] = ()
    deactivated_agent_ids: tuple[AgentId, ...] = ()
    maintenance: tuple[tuple[str, Unavailability], ...] = ()
    drains: tuple[SaveDrain, ...] = ()


def recover(
    remembered: Remembered,
    *,
    master: MasterInfo,
    settings: Settings,
    allocator: Allocator,
    shuffler: Shuffler,
    now_ns: int,
    wall_ns: int,
) -> MasterState:
    """Nobody is connected yet. Tasks and configured resources come with the agents: they know. Who is expected, and what
    was reserved and made volumes since an agent was configured, the master remembers.
    """
    state = MasterState(master=master, settings=settings, allocator=allocator, shuffler=shuffler)
    state.weights_milli = dict(remembered.weights_milli)
    allocator.update_weights(state.weights_milli)
    state.gone_agent_ids = dict.fromkeys(remembered.gone_agent_ids)
    state.deactivated_agent_ids = dict.fromkeys(remembered.deactivated_agent_ids)
    state.maintenance = dict(remembered.maintenance)
    _recover_agents(state, remembered.agents, now_ns, wall_ns)
    for changed in remembered.agent_resources:
        reservations.recover(state, changed)
    for drained in remembered.drains:
        if drained.agent_id in state.agents:
            state.agents[drained.agent_id].drain = drained.drain
    state.quotas = dict(remembered.quotas)
    expected_count = sum(record.unreachable_ns is None for record in remembered.agents)
    allocator.recover_quotas(state.quotas, expected_agent_count=expected_count, now_ns=now_ns)
    for record in remembered.frameworks:
        framework_id = record.framework.framework_id
        if record.completed:
            state.refuse_from_now_on(framework_id)
            continue
        info = record.framework
        allocator.add_framework(framework_id, traits_of(info), active=False)
        state.frameworks[framework_id] = FrameworkEntry(
            info=info,
            state=FrameworkState.RECOVERED,
            deadline_ns=now_ns + _time_left_ns(record, settings, wall_ns),
            deadline_is_saved=record.failover_deadline_ns is not None,
        )
    return state


def _recover_agents(state: MasterState, records: Iterable[SaveAgent], now_ns: int, wall_ns: int) -> None:
    settings = state.settings
    for record in records:
        info = AgentInfo(
            agent_id=record.agent_id,
            hostname=record.hostname,
            resources=Resources(),
            unix_address=record.unix_address,
            tcp_address=record.tcp_address,
        )
        state.agents[record.agent_id] = AgentEntry(
            info=info,
            state=AgentState.RECOVERED if record.unreachable_ns is None else AgentState.UNREACHABLE,
            deadline_ns=now_ns + settings.reregister_timeout_ms * NS_PER_MS
            if record.unreachable_ns is None
            else now_ns + min(record.unreachable_ns - wall_ns, 0) + settings.unreachable_age_limit_ms * NS_PER_MS,
        )


def _time_left_ns(record: SaveFramework, settings: Settings, wall_ns: int) -> int:
    """A framework that was connected when the master ended has not failed: it gets at least the grace to find us again.

    And never more than its whole time: the wall clock may have been set back meanwhile.
    """
    grace_ns = settings.resubscribe_grace_ms * NS_PER_MS
    left_ns = record.framework.failover_timeout_ms * NS_PER_MS
    if record.failover_deadline_ns is not None:
        left_ns = min(left_ns, record.failover_deadline_ns - wall_ns)
    return max(left_ns, grace_ns)
