"""Agents that are to be empty: no offers, every task killed, and durably so until the drain is cancelled.

DRAINING: tasks are left. DRAINED: none is, each end was acknowledged, and nothing new comes. An agent that is away is
drained when it is back.
"""

from __future__ import annotations

from dataclasses import replace

from masterd.core import availability, tasks
from masterd.core.drain_states import DrainEvent, DrainState, next_state
from masterd.core.effects import SaveDrain, TellKill
from masterd.core.events import CancelDrain, DrainAgent
from masterd.core.state import AgentEntry, MasterState, TaskEntry, Turn
from masterd.core.views import AgentState, Drain
from paddock.model.errors import InvalidRequest, NotFound, PermissionRefused
from paddock.model.ids import AgentId
from paddock.model.task import Reason


def begin(turn: Turn, event: DrainAgent) -> None:
    """From now on, or with these terms from now on: a grace period that has begun can only become shorter."""
    agent = named(turn.state, event)
    terms = Drain(asked_by=str(event.caller), max_grace_ms=event.max_grace_ms, mark_gone=event.mark_gone)
    _move(turn, agent, DrainEvent.DRAIN, terms)
    availability.refresh(turn, agent)
    go_on(turn, agent)


def _move(turn: Turn, agent: AgentEntry, event: DrainEvent, terms: Drain) -> None:
    """By the table, durably. Raises InvalidTransition."""
    agent_id = agent.info.agent_id
    following = next_state(agent_id, agent.drain, event)
    agent.drain = (
        None if following is DrainState.NOT_DRAINED else replace(terms, is_done=following is DrainState.DRAINED)
    )
    turn.effects.append(SaveDrain(agent_id=agent_id, drain=agent.drain))


def go_on(turn: Turn, agent: AgentEntry) -> None:
    """While the agent is there, and when it is back: what runs there may have missed its kill."""
    if agent.drain is None or agent.state is not AgentState.CONNECTED:
        return
    if agent.drain.is_done and agent.tasks:
        _move(turn, agent, DrainEvent.TASK_FOUND, agent.drain)
    for task in agent.tasks.values():
        if not task.state.is_terminal:
            tasks.tell_kill(turn, agent, _kill_of(task, agent.drain), task)


def _kill_of(task: TaskEntry, drain: Drain) -> TellKill:
    policy = replace(task.info.kill_policy, grace_period_ms=grace_ms(task, drain.max_grace_ms))
    asked_by = f"{drain.asked_by}, who drains the agent"
    return replace(tasks.kill_of(task, asked_by, policy), reason=Reason.AGENT_DRAINING)


def grace_ms(task: TaskEntry, max_grace_ms: int | None) -> int:
    """How long the task has to end."""
    own_ms = task.info.kill_policy.grace_period_ms
    return own_ms if max_grace_ms is None else min(own_ms, max_grace_ms)


def finished(turn: Turn) -> list[AgentId]:
    """Note which agents are empty now. Those that are returned are to be marked as gone."""
    gone = []
    for agent in turn.state.agents.values():
        drain = agent.drain
        if drain is None or drain.is_done or agent.tasks or agent.state is not AgentState.CONNECTED:
            continue
        _move(turn, agent, DrainEvent.EMPTIED, drain)
        if drain.mark_gone:
            gone.append(agent.info.agent_id)
    return gone


def cancel(turn: Turn, event: CancelDrain) -> None:
    """Offers again. What was told to end ends all the same."""
    agent = named(turn.state, event)
    assert agent.drain is not None
    _move(turn, agent, DrainEvent.CANCEL, agent.drain)
    availability.refresh(turn, agent)


def named(state: MasterState, event: DrainAgent | CancelDrain) -> AgentEntry:
    """The agent, when it is there, the caller may do so, and there is a drain to cancel."""
    if event.caller.uid != 0:
        raise PermissionRefused(f"{event.caller} may not drain agents, and not cancel that; ask root")
    agent = state.agents.get(event.agent_id)
    if agent is None:
        raise NotFound("agent", event.agent_id)
    if agent.drain is None and isinstance(event, CancelDrain):
        raise InvalidRequest("agent_id", event.agent_id, "this agent is not drained; `paddock agents` says which are")
    return agent
