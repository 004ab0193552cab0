"""The tables of what may become of agents and frameworks: walked whole, and shown in the page as they are."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from masterd.core.state import (
    AGENT_TRANSITIONS,
    FRAMEWORK_TRANSITIONS,
    AgentEntry,
    AgentEvent,
    FrameworkEntry,
    FrameworkEvent,
)
from masterd.core.views import AgentState, FrameworkState
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
    assert set(FRAMEWORK_TRANSITIONS.values()) | {FrameworkState.RECOVERED} == set(FrameworkState)


def test_the_page_shows_the_tables() -> None:
    agents = [f"| {s.value} | {e.value} | {a.value} |" for (s, e), a in AGENT_TRANSITIONS.items()]
    frameworks = [f"| {s.value} | {e.value} | {a.value} |" for (s, e), a in FRAMEWORK_TRANSITIONS.items()]
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.count("|") == 4]
    shown = [row for row in rows if not row.startswith(("|-", "| from"))]
    assert shown == agents + frameworks
