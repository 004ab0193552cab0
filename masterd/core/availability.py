"""Which agents are offered: not those that an operator has taken out of use, nor those whose host is under maintenance, nor
those that take no new work.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from masterd.allocator.interface import Inactivity
from masterd.core import offers
from masterd.core.effects import NoteInverseOffer, SaveDeactivated, SaveMaintenance
from masterd.core.events import AgentActivated, Caller, InverseOfferAnswered, MaintenanceUpdated
from masterd.core.state import AgentEntry, FrameworkEntry, MasterState, Turn
from masterd.core.views import AgentState
from paddock.model.errors import InvalidRequest, NotFound, PermissionRefused
from paddock.model.ids import AgentId
from paddock.model.offer import Unavailability

_KNOWN_TO_ALLOCATOR = frozenset({AgentState.CONNECTED, AgentState.DISCONNECTED})


def check_root(caller: Caller, words: str) -> None:
    """`words` completes "may not …"."""
    if caller.uid != 0:
        raise PermissionRefused(f"{caller.user or caller.uid} may not {words}; ask root")


def activate(turn: Turn, event: AgentActivated) -> None:
    """Taken out of use, or back into it; durably. Also of an agent that is away. Twice is no error."""
    state, agent_id = turn.state, event.agent_id
    agent = named(state, event)
    if event.active:
        state.deactivated_agent_ids.pop(agent_id, None)
    else:
        state.deactivated_agent_ids[agent_id] = None
    turn.effects.append(SaveDeactivated(agent_id=agent_id, deactivated=not event.active))
    refresh(turn, agent)


def named(state: MasterState, event: AgentActivated) -> AgentEntry:
    """The agent, when it is there and the caller may do so."""
    check_root(event.caller, "take agents out of use or back into it")
    agent = state.agents.get(event.agent_id)
    if agent is None:
        raise NotFound("agent", event.agent_id)
    return agent


def inactivity(state: MasterState, agent: AgentEntry, wall_ns: int) -> frozenset[Inactivity]:
    """Everything because of which it is not offered; nothing: it is."""
    window = state.maintenance.get(agent.info.hostname)
    holds = {
        Inactivity.DISCONNECTED: agent.state is not AgentState.CONNECTED,
        Inactivity.DEACTIVATED: agent.info.agent_id in state.deactivated_agent_ids,
        Inactivity.DRAINING: agent.drain is not None,
        Inactivity.MAINTENANCE: window is not None and window.start_ns <= wall_ns,
        # What an agent that is away last said of itself may have changed.
        Inactivity.PROBLEM: bool(agent.problem) and agent.state is AgentState.CONNECTED,
    }
    return frozenset(each for each, does_hold in holds.items() if does_hold)


def refresh(turn: Turn, agent: AgentEntry) -> None:
    """Tell the allocator, after anything that decides. What is offered of an agent that no longer is comes back."""
    state, agent_id = turn.state, agent.info.agent_id
    if agent.state not in _KNOWN_TO_ALLOCATOR:
        return
    why = inactivity(state, agent, turn.wall_ns)
    state.allocator.set_agent_active(agent_id, active=not why, why=why)
    if why:
        offers.rescind_all(turn, agent)


def allow_only(turn: Turn, hostnames: Collection[str] | None) -> None:
    """The whitelist. What is offered of others comes back; their tasks go on, and they count in the shares as before."""
    turn.state.allocator.set_whitelist(hostnames)
    if hostnames is None:
        return
    allowed = frozenset(hostnames)
    for agent in turn.state.agents.values():
        if agent.info.hostname not in allowed:
            offers.rescind_all(turn, agent)


def admit(turn: Turn, agent: AgentEntry) -> None:
    """An agent has registered."""
    _plan(turn, agent)
    refresh(turn, agent)


def _plan(turn: Turn, agent: AgentEntry) -> None:
    """The allocator asks frameworks to leave, each once for each plan."""
    window = turn.state.maintenance.get(agent.info.hostname)
    at_ns = None if window is None else turn.now_ns + window.start_ns - turn.wall_ns
    if agent.state in _KNOWN_TO_ALLOCATOR:
        turn.state.allocator.set_unavailability(agent.info.agent_id, at_ns)


# --- maintenance ---


def update(turn: Turn, event: MaintenanceUpdated) -> None:
    """All or none. A new plan asks anew, and offers that do not tell of it come back."""
    check_root(event.caller, "plan maintenance")
    check(turn.state, event, turn.wall_ns)
    changed = {**dict.fromkeys(event.cancelled), **dict(event.windows)}
    _change(turn, changed)


def check(state: MasterState, event: MaintenanceUpdated, wall_ns: int) -> None:
    """Raises InvalidRequest or NotFound naming the first fault."""
    named = [hostname for hostname, _ in event.windows] + list(event.cancelled)
    for place, hostname in enumerate(named):
        if hostname in named[:place]:
            raise InvalidRequest("schedule.hostname", hostname, "name each host once")
    for hostname in event.cancelled:
        if hostname not in state.maintenance:
            raise NotFound("maintenance window of host", hostname)
    for hostname, window in event.windows:
        if window.end_ns is not None and window.end_ns <= wall_ns:
            raise InvalidRequest("schedule.duration_ms", hostname, "the window would be over already")


def _change(turn: Turn, changed: Mapping[str, Unavailability | None]) -> None:
    state = turn.state
    for hostname, window in changed.items():
        if window is None:
            del state.maintenance[hostname]
        else:
            state.maintenance[hostname] = window
        state.begun_hostnames.discard(hostname)
        state.inverse_answers = {key: answer for key, answer in state.inverse_answers.items() if key[0] != hostname}
    turn.effects.append(SaveMaintenance(windows=tuple(sorted(state.maintenance.items()))))
    for agent in _agents_of(state, changed):
        _plan(turn, agent)
        offers.rescind_all(turn, agent)
        refresh(turn, agent)


def _agents_of(state: MasterState, hostnames: Iterable[str]) -> list[AgentEntry]:
    wanted = frozenset(hostnames)
    return [agent for agent in state.agents.values() if agent.info.hostname in wanted]


def pass_time(turn: Turn) -> None:
    """Windows begin, and end by themselves."""
    state = turn.state
    over = [hostname for hostname, window in state.maintenance.items() if _is_over(window, turn.wall_ns)]
    if over:
        _change(turn, dict.fromkeys(over))
    begun = {hostname for hostname, window in state.maintenance.items() if window.start_ns <= turn.wall_ns}
    if begun - state.begun_hostnames:
        for agent in _agents_of(state, begun - state.begun_hostnames):
            refresh(turn, agent)
    state.begun_hostnames = begun


def _is_over(window: Unavailability, wall_ns: int) -> bool:
    return window.end_ns is not None and window.end_ns <= wall_ns


def ask_back(turn: Turn) -> None:
    """After a run: whoever has something on a host that will not be available is asked to leave it."""
    state = turn.state
    for grant in state.allocator.take_inverse_grants():
        agent, framework = state.agents.get(grant.agent_id), state.frameworks.get(grant.framework_id)
        window = None if agent is None else state.maintenance.get(agent.info.hostname)
        if agent is not None and framework is not None and window is not None:
            turn.note(
                framework,
                NoteInverseOffer(agent_id=grant.agent_id, hostname=agent.info.hostname, unavailability=window),
            )


def answer(turn: Turn, event: InverseOfferAnswered, framework: FrameworkEntry) -> None:
    """Noted for operators; nobody is held to it."""
    agent = turn.state.agents.get(AgentId(event.agent_id))
    if agent is None or agent.info.hostname not in turn.state.maintenance:
        raise NotFound("maintenance window of agent", event.agent_id)
    key = (agent.info.hostname, event.agent_id, framework.info.framework_id)
    turn.state.inverse_answers[key] = event.accepted
