"""The tables of what may become of agents, drains and frameworks: walked whole, and shown in the page as they are."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from masterd.core.drain_states import DRAIN_TRANSITIONS, DrainEvent, DrainState, next_state, state_of
from masterd.core.state import AgentEntry, FrameworkEntry
from masterd.core.transitions import AGENT_TRANSITIONS, FRAMEWORK_TRANSITIONS, AgentEvent, FrameworkEvent
from masterd.core.views import AgentState, Drain, FrameworkState
from paddock.model.agent import AgentInfo
from paddock.model.errors import InvalidTransition
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId
from paddock.model.resources import Resources

PAGE = Path(__file__).resolve().parents[4] / "docs" / "master.md"


@pytest.mark.parametrize(("state", "event"), list(product(AgentState, AgentEvent)))
def test_every_agents_state_meets_every_event(state: AgentState, event: AgentEvent) -> None:
    info = AgentInfo(agent_id=AgentId("a"), hostname="h", resources=Resources())
    agent = AgentEntry(info=info, state=state)
    if (state, event) in AGENT_TRANSITIONS:
        agent.move(event)
        assert agent.state is AGENT_TRANSITIONS[state, event]
    else:
        with pytest.raises(InvalidTransition, match=f"agent a in state {state.value}"):
            agent.move(event)
        assert agent.state is state


DRAINS = {
    DrainState.NOT_DRAINED: None,
    DrainState.DRAINING: Drain(asked_by="root"),
    DrainState.DRAINED: Drain(asked_by="root", is_done=True),
}


@pytest.mark.parametrize(("state", "event"), list(product(DrainState, DrainEvent)))
def test_every_drains_state_meets_every_event(state: DrainState, event: DrainEvent) -> None:
    drain = DRAINS[state]
    assert state_of(drain) is state
    if (state, event) in DRAIN_TRANSITIONS:
        assert next_state(AgentId("a"), drain, event) is DRAIN_TRANSITIONS[state, event]
    else:
        with pytest.raises(InvalidTransition, match=f"the drain of agent a in state {state.value}"):
            next_state(AgentId("a"), drain, event)


@pytest.mark.parametrize(("state", "event"), list(product(FrameworkState, FrameworkEvent)))
def test_every_frameworks_state_meets_every_event(state: FrameworkState, event: FrameworkEvent) -> None:
    framework = FrameworkEntry(info=FrameworkInfo(), state=state)
    if (state, event) in FRAMEWORK_TRANSITIONS:
        framework.move(event)
        assert framework.state is FRAMEWORK_TRANSITIONS[state, event]
    else:
        with pytest.raises(InvalidTransition, match="framework"):
            framework.move(event)
        assert framework.state is state


def test_nothing_follows_an_end_and_every_state_can_be_reached() -> None:
    assert not [event for state, event in FRAMEWORK_TRANSITIONS if state is FrameworkState.COMPLETED]
    assert set(AGENT_TRANSITIONS.values()) | {AgentState.RECOVERED} == set(AgentState)
    assert set(DRAIN_TRANSITIONS.values()) == set(DrainState)
    assert set(FRAMEWORK_TRANSITIONS.values()) | {FrameworkState.RECOVERED} == set(FrameworkState)


def test_the_page_shows_the_tables() -> None:
    agents = [f"| {s.value} | {e.value} | {a.value} |" for (s, e), a in AGENT_TRANSITIONS.items()]
    drains = [f"| {s.value} | {e.value} | {a.value} |" for (s, e), a in DRAIN_TRANSITIONS.items()]
    frameworks = [f"| {s.value} | {e.value} | {a.value} |" for (s, e), a in FRAMEWORK_TRANSITIONS.items()]
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.count("|") == 4]
    shown = [row for row in rows if not row.startswith(("|-", "| from"))]
    assert shown == agents + drains + frameworks
