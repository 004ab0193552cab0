"""Draining: one enum, one table. What no row says cannot happen."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType

from masterd.core.views import Drain
from paddock.model.errors import InvalidTransition
from paddock.model.ids import AgentId


class DrainState(Enum):
    """How far it has come."""

    NOT_DRAINED = "not drained"
    DRAINING = "draining"
    DRAINED = "drained"


class DrainEvent(Enum):
    """What moves a drain from state to state."""

    DRAIN = "drain"
    EMPTIED = "its last task's end is acknowledged"
    TASK_FOUND = "it is back with a task"
    CANCEL = "cancel"


DRAIN_TRANSITIONS = MappingProxyType(
    {
        (DrainState.NOT_DRAINED, DrainEvent.DRAIN): DrainState.DRAINING,
        # With other terms; of one that is drained it is looked again.
        (DrainState.DRAINING, DrainEvent.DRAIN): DrainState.DRAINING,
        (DrainState.DRAINING, DrainEvent.EMPTIED): DrainState.DRAINED,
        (DrainState.DRAINING, DrainEvent.CANCEL): DrainState.NOT_DRAINED,
        (DrainState.DRAINED, DrainEvent.DRAIN): DrainState.DRAINING,
        (DrainState.DRAINED, DrainEvent.TASK_FOUND): DrainState.DRAINING,
        (DrainState.DRAINED, DrainEvent.CANCEL): DrainState.NOT_DRAINED,
    }
)


def state_of(drain: Drain | None) -> DrainState:
    """As the registry has it."""
    if drain is None:
        return DrainState.NOT_DRAINED
    return DrainState.DRAINED if drain.is_done else DrainState.DRAINING


def next_state(agent_id: AgentId, drain: Drain | None, event: DrainEvent) -> DrainState:
    """The table's answer. Raises InvalidTransition where it has none."""
    state = state_of(drain)
    following = DRAIN_TRANSITIONS.get((state, event))
    if following is None:
        raise InvalidTransition(f"the drain of agent {agent_id}", state.value, event.value)
    return following
