"""Only agents on listed hosts are offered: what that does to offers, tasks and agents that come later, and who says so."""

from __future__ import annotations

import pytest

from masterd.allocator.explain import Reason
from masterd.core.configuration_events import WhitelistChanged
from masterd.core.effects import NoteRescinded
from masterd.core.explanations import explanation
from paddock.model.ids import AgentId
from tests.unit.masterd.core.world import Subscription, World, task_info


def allow(world: World, *hostnames: str) -> None:
    world.do(WhitelistChanged(hostnames=hostnames))
    world.advance(1)


def offered(world: World, framework: Subscription) -> list[str]:
    return sorted(offer.agent_id for offer in world.offers(framework[2]))


def reasons(world: World, framework: Subscription, agent_id: str) -> list[Reason]:
    key = (framework[0], "r", AgentId(agent_id))
    found = explanation(world.state, key, now_ns=world.now_ns, wall_ns=world.now_ns)
    assert found is not None
    return [finding.reason for finding in found.findings]


def test_offers_of_others_come_back_and_explain_says_why_there_are_no_new_ones() -> None:
    world = World()
    for name in ("a1", "a2"):
        world.agent(name)
    framework = world.framework("r")
    allow(world, "a1")
    assert offered(world, framework) == ["a1"]
    assert len(world.heard(framework[2], NoteRescinded)) == 1
    assert reasons(world, framework, "a1") == []
    assert reasons(world, framework, "a2") == [Reason.WHITELIST]
    world.do(WhitelistChanged(hostnames=None))
    world.advance(1)
    assert offered(world, framework) == ["a1", "a2"]
    assert reasons(world, framework, "a2") == []


def test_an_empty_list_is_nobody_and_said_twice_is_no_more() -> None:
    world = World()
    world.agent("a1")
    framework = world.framework("r")
    for _ in range(2):
        allow(world)
        assert offered(world, framework) == []
    assert len(world.heard(framework[2], NoteRescinded)) == 1


def test_tasks_go_on_and_what_they_free_waits() -> None:
    world = World()
    world.agent("a1")
    framework = world.framework("r")
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1"))
    allow(world, "elsewhere")
    assert not next(iter(world.state.agents[AgentId("a1")].tasks.values())).state.is_terminal
    assert offered(world, framework) == []


@pytest.mark.parametrize("name", ["a1", "a2"])
def test_agents_that_come_later_are_looked_up_too(name: str) -> None:
    world = World()
    allow(world, "a1")
    framework = world.framework("r")
    world.lose_agent(world.agent(name))
    world.agent(name)
    assert offered(world, framework) == (["a1"] if name == "a1" else [])
