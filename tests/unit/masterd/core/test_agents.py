"""Agents: admitted, lost, silent, back again; what they bring and what goes with them."""

from __future__ import annotations

import pytest

from masterd.core.effects import (
    CloseAgentStream,
    ForgetAgent,
    NoteAgentFailed,
    NoteRescinded,
    SaveAgent,
    SaveFramework,
    TellPing,
    TellRegistered,
)
from masterd.core.events import (
    Acknowledge,
    AgentAnswered,
    AgentRegistered,
    AgentStreamLost,
    ProblemReported,
    Reconcile,
    Revive,
)
from masterd.core.inspection import agent_view
from masterd.core.recovery import Remembered
from masterd.core.state import ALIKE_LIMIT_COUNT, Settings
from masterd.core.views import AgentState, FrameworkState
from paddock.model.agent import AgentInfo
from paddock.model.errors import AlreadyExists
from paddock.model.ids import AgentId, TaskId
from paddock.model.resource_text import parse_attributes
from paddock.model.resources import Resources
from paddock.model.task import Reason, TaskState
from tests.unit.masterd.core.world import SECOND_NS, World, call, launched, reported


def test_an_agent_is_admitted_durably_before_it_is_told() -> None:
    world = World()
    stream = world.agent("a1")
    kinds = [type(effect).__name__ for effect in world.effects]
    assert kinds.index("SaveAgent") < kinds.index("ToAgent")
    assert world.heard(stream, TellRegistered)[0].ping_limit_count == 5


def test_resources_come_back_at_the_end_and_the_task_goes_at_its_acknowledgement() -> None:
    world = World()
    agent, framework = launched(world)
    world.report(agent, framework, "t1", TaskState.FINISHED)
    task = world.state.frameworks[framework[0]].tasks[TaskId("t1")]
    assert task.released
    world.do(Acknowledge(**call(framework), agent_id=AgentId("a1"), task_id=TaskId("t1"), uuid=b"u" * 16))
    entry = world.state.frameworks[framework[0]]
    assert not entry.tasks
    assert entry.completed[TaskId("t1")].state is TaskState.FINISHED
    # A repeated status (the acknowledgement was lost) is passed on again, and changes nothing.
    world.report(agent, framework, "t1", TaskState.FINISHED)
    assert len(world.statuses(framework[2])) == 2


def test_why_an_agent_takes_no_new_work_is_shown_until_it_says_otherwise_or_comes_anew() -> None:
    world = World()
    stream = world.agent("a1")
    entry = world.state.agents[AgentId("a1")]

    def shown() -> str:
        return agent_view(world.state, entry).problem

    assert shown() == ""
    world.do(ProblemReported(stream=stream, problem="its disk is full"))
    assert shown() == "its disk is full"
    world.do(ProblemReported(stream=stream, problem=""))
    assert shown() == ""
    world.do(ProblemReported(stream=stream, problem="its disk is full"))
    world.do(AgentStreamLost(stream=stream))
    assert shown() == "its disk is full"
    world.agent("a1")
    entry = world.state.agents[AgentId("a1")]
    assert shown() == ""
    world.agent("a2", problem="its disk is full")
    entry = world.state.agents[AgentId("a2")]
    assert shown() == "its disk is full"


def test_a_second_agent_with_the_same_id_is_refused_while_the_first_lives() -> None:
    world = World()
    stream = world.agent("a1")
    with pytest.raises(AlreadyExists, match="a1"):
        world.agent("a1")
    assert world.state.agents[AgentId("a1")].stream == stream
    world.lose_agent(stream)
    world.agent("a1")


def test_offers_are_rescinded_when_the_agent_goes_and_tasks_stay() -> None:
    world = World()
    agent, framework = launched(world)
    world.do(Revive(**call(framework)))
    world.cycle()
    (offer,) = world.offers(framework[2])
    world.lose_agent(agent)
    assert [note.offer_id for note in world.heard(framework[2], NoteRescinded)] == [offer.offer_id]
    assert TaskId("t1") in world.state.frameworks[framework[0]].tasks
    assert world.state.agents[AgentId("a1")].state is AgentState.DISCONNECTED
    world.advance(2)
    assert world.offers(framework[2]) == []


@pytest.mark.parametrize("aware", [False, True])
def test_an_agent_that_stays_away_is_unreachable_and_its_tasks_with_it(aware: bool) -> None:
    world = World()
    agent, framework = launched(world, aware=aware)
    world.lose_agent(agent)
    world.advance(74)
    assert world.statuses(framework[2]) == []
    world.advance(2)
    (status,) = world.statuses(framework[2])
    assert status.state is (TaskState.UNREACHABLE if aware else TaskState.LOST)
    assert status.reason == Reason.AGENT_REMOVED
    assert world.heard(framework[2], NoteAgentFailed)[0].agent_id == "a1"
    saved = [effect for effect in world.effects if isinstance(effect, SaveAgent)]
    assert [each.unreachable_ns is None for each in saved] == [True, False]


def test_an_agent_that_does_not_answer_pings_is_cut_off() -> None:
    world = World()
    agent, framework = launched(world)
    world.advance(74)
    assert world.state.agents[AgentId("a1")].state is AgentState.CONNECTED
    world.advance(2)
    assert world.state.agents[AgentId("a1")].state is AgentState.UNREACHABLE
    assert [e.stream for e in world.effects if isinstance(e, CloseAgentStream)] == [agent]
    # The old stream counts no more, whatever it still says.
    world.report(agent, framework, "t1", TaskState.RUNNING)
    assert [status.state for status in world.statuses(framework[2])] == [TaskState.LOST]


def test_an_agent_that_answers_pings_lives_and_a_lie_does_not_help() -> None:
    world = World()
    agent = world.agent("a1")
    world.do(AgentAnswered(stream=agent, sequence=10**9))
    for _ in range(10):
        world.advance(15)
        world.do(AgentAnswered(stream=agent, sequence=world.heard(agent, TellPing)[-1].sequence))
    assert world.state.agents[AgentId("a1")].state is AgentState.CONNECTED
    world.do(AgentAnswered(stream=agent, sequence=10**9))
    world.advance(90)
    assert world.state.agents[AgentId("a1")].state is AgentState.UNREACHABLE


def test_a_task_comes_back_with_its_agent() -> None:
    world = World()
    agent, framework = launched(world, aware=True)
    task = world.state.frameworks[framework[0]].tasks[TaskId("t1")].info
    world.lose_agent(agent)
    world.advance(80)
    world.forget()
    world.agent("a1", tasks=(reported(framework, task),))
    (status,) = world.statuses(framework[2])
    assert (status.state, status.reason) == (TaskState.RUNNING, Reason.AGENT_REREGISTERED)
    assert TaskId("t1") in world.state.frameworks[framework[0]].tasks


def test_a_task_that_does_not_come_back_is_gone() -> None:
    world = World()
    agent, framework = launched(world, aware=True)
    world.lose_agent(agent)
    world.advance(80)
    world.forget()
    world.agent("a1")
    (status,) = world.statuses(framework[2])
    assert status.state is TaskState.GONE


def test_an_agent_that_is_away_for_too_long_is_forgotten_and_its_task_is_history() -> None:
    world = World(settings=Settings(unreachable_age_limit_ms=100_000))
    agent, framework = launched(world, aware=True)
    task = world.state.frameworks[framework[0]].tasks[TaskId("t1")].info
    world.lose_agent(agent)
    world.advance(75 + 99)
    assert world.state.agents[AgentId("a1")].state is AgentState.UNREACHABLE
    world.advance(2)
    assert not world.state.agents
    assert [effect.agent_id for effect in world.effects if isinstance(effect, ForgetAgent)] == ["a1"]
    entry = world.state.frameworks[framework[0]]
    assert not entry.unreachable
    assert entry.completed[TaskId("t1")].state is TaskState.UNREACHABLE
    # It comes back all the same, as an agent that nobody knew, and what it runs is believed.
    world.agent("a1", tasks=(reported(framework, task),))
    assert entry.tasks[TaskId("t1")].state is TaskState.RUNNING
    assert not entry.completed


def test_of_too_many_agents_the_longest_away_are_forgotten() -> None:
    world = World(settings=Settings(unreachable_limit_count=2))
    for name in ("a1", "a2", "a3", "a4"):
        world.lose_agent(world.agent(name))
        world.advance(1)
    world.agent("here")
    world.advance(74)
    assert set(world.state.agents) == {"a3", "a4", "here"}


@pytest.mark.parametrize(("away_s", "known"), [(50, True), (150, False), (-(10**6), True)])
def test_the_time_away_counts_on_while_the_master_is_down(away_s: int, known: bool) -> None:
    since_ns = 1_000 * SECOND_NS - away_s * SECOND_NS
    saved = SaveAgent(agent_id=AgentId("old"), hostname="h", unix_address="", tcp_address="", unreachable_ns=since_ns)
    world = World(settings=Settings(unreachable_age_limit_ms=100_000), remembered=Remembered(agents=(saved,)))
    world.advance(1)
    assert (AgentId("old") in world.state.agents) is known


def test_a_restarted_master_knows_its_frameworks_and_gets_tasks_from_agents() -> None:
    before = World()
    _, framework = launched(before, failover_s=600)
    task = before.state.frameworks[framework[0]].tasks[TaskId("t1")].info
    remembered = Remembered(
        agents=tuple(e for e in before.effects if isinstance(e, SaveAgent)),
        frameworks=tuple(e for e in before.effects if isinstance(e, SaveFramework)),
        weights_milli=(("r", 2000),),
    )
    world = World(remembered=remembered, epoch=2)
    assert world.state.frameworks[framework[0]].state is FrameworkState.RECOVERED
    agent = world.agent("a1", tasks=(reported(framework, task),))
    again = world.framework(framework_id=framework[0], failover_s=600)
    world.do(Reconcile(**call(again)))
    assert world.statuses(again[2])[-1].state is TaskState.RUNNING
    world.report(agent, again, "t1", TaskState.FINISHED)
    assert world.free("a1") == {} or world.offers(again[2])
    new = world.framework()
    assert new[0] != framework[0]


def test_a_status_from_the_wrong_agent_is_a_lie() -> None:
    world = World()
    _, framework = launched(world)
    liar = world.agent("a2")
    world.report(liar, framework, "t1", TaskState.FINISHED)
    assert world.statuses(framework[2]) == []
    assert world.state.frameworks[framework[0]].tasks[TaskId("t1")].state is TaskState.STAGING


def test_agents_that_say_the_same_share_it_and_the_memory_of_it_is_bounded() -> None:
    world = World()
    for number in range(ALIKE_LIMIT_COUNT + 2):
        info = AgentInfo(
            agent_id=AgentId("x"), hostname="x", resources=Resources(), attributes=parse_attributes(f"rack:r{number}")
        )
        assert world.state.sharing_what_is_alike(info) == info
    assert len(world.state.alike) < ALIKE_LIMIT_COUNT
    for name in ("a1", "a2"):
        attributes = parse_attributes("rack:r1;level:10")
        info = AgentInfo(agent_id=AgentId(name), hostname=name, resources=Resources(), attributes=attributes)
        world.do(AgentRegistered(stream=900 + int(name[1]), agent=info))
    one, two = (world.state.agents[AgentId(name)].info for name in ("a1", "a2"))
    assert one.attributes is two.attributes
    assert one.domain is two.domain
