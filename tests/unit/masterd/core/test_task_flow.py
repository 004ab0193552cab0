"""Tasks: statuses up, acknowledgements and kills down, and what is answered about them."""

from __future__ import annotations

import pytest

from masterd.core.effects import (
    TellAcknowledged,
    TellKill,
    TellReconcile,
    ToAgent,
)
from masterd.core.events import (
    Acknowledge,
    Caller,
    Kill,
    OperatorKill,
    Reconcile,
)
from masterd.core.reconciliation import NOT_SENT_ON, SENT_ON
from masterd.core.state import Settings
from masterd.core.views import FrameworkState
from paddock.model.errors import InvalidRequest, NotFound, PermissionRefused
from paddock.model.ids import AgentId, FrameworkId, TaskId
from paddock.model.task import KillPolicy, Reason, StatusSource, TaskState
from tests.unit.masterd.core.world import ROOT, Subscription, World, call, launched, reported, task_info


def test_a_status_goes_up_and_its_acknowledgement_comes_down() -> None:
    world = World()
    agent, framework = launched(world)
    world.report(agent, framework, "t1", TaskState.RUNNING, uuid=b"1" * 16)
    assert [status.state for status in world.statuses(framework[2])] == [TaskState.RUNNING]
    world.do(Acknowledge(**call(framework), agent_id=AgentId("a1"), task_id=TaskId("t1"), uuid=b"1" * 16))
    assert world.heard(agent, TellAcknowledged)[0].uuid == b"1" * 16
    assert world.state.frameworks[framework[0]].tasks


def test_an_old_status_with_a_newer_state_frees_the_resources_at_once() -> None:
    world = World()
    agent, framework = launched(world)
    world.report(agent, framework, "t1", TaskState.RUNNING, latest=TaskState.FAILED)
    task = world.state.frameworks[framework[0]].tasks[TaskId("t1")]
    assert task.released
    assert task.state is TaskState.FAILED


def test_a_task_id_is_taken_until_its_end() -> None:
    world = World()
    world.agent("a1")
    framework = world.framework()
    offers = world.offers(framework[2])
    world.accept(framework, offers, task_info("t1", "a1"), task_info("t1", "a1"))
    assert "taken" in world.statuses(framework[2])[0].message


def test_kill_reaches_the_agent_with_the_tasks_own_policy() -> None:
    world = World()
    agent, framework = launched(world)
    world.do(Kill(**call(framework), task_id=TaskId("t1")))
    world.do(Kill(**call(framework), task_id=TaskId("t1"), kill_policy=KillPolicy(signal=2, grace_period_ms=7)))
    assert [kill.kill_policy for kill in world.heard(agent, TellKill)] == [
        KillPolicy(),
        KillPolicy(signal=2, grace_period_ms=7),
    ]
    with pytest.raises(InvalidRequest, match="agent_id"):
        world.do(Kill(**call(framework), task_id=TaskId("t1"), agent_id=AgentId("a9")))


def test_kill_of_an_unknown_task_is_answered() -> None:
    world = World()
    world.agent("a1")
    framework = world.framework(aware=True)
    world.do(Kill(**call(framework), task_id=TaskId("nope"), agent_id=AgentId("a1")))
    (status,) = world.statuses(framework[2])
    assert (status.state, status.reason) == (TaskState.GONE, Reason.RECONCILIATION)


def test_a_kill_waits_for_the_agent() -> None:
    world = World()
    agent, framework = launched(world)
    world.lose_agent(agent)
    world.do(Kill(**call(framework), task_id=TaskId("t1")))
    task = world.state.frameworks[framework[0]].tasks[TaskId("t1")].info
    back = world.agent("a1", tasks=(reported(framework, task),))
    assert [kill.task_id for kill in world.heard(back, TellKill)] == ["t1"]


def test_an_operator_kills_what_is_there_and_may_not_touch_others() -> None:
    world = World()
    agent, framework = launched(world)
    world.do(OperatorKill(caller=ROOT, framework_id=framework[0], task_id=TaskId("t1")))
    assert world.heard(agent, TellKill)
    with pytest.raises(NotFound, match="nope"):
        world.do(OperatorKill(caller=ROOT, framework_id=framework[0], task_id=TaskId("nope")))
    with pytest.raises(PermissionRefused, match="uid 1000"):
        world.do(OperatorKill(caller=Caller(uid=1000, user="u"), framework_id=framework[0], task_id=TaskId("t1")))


@pytest.mark.parametrize(
    ("agent_id", "aware", "state"),
    [
        ("a1", True, TaskState.GONE),
        ("a1", False, TaskState.LOST),
        ("away", True, TaskState.UNREACHABLE),
        ("away", False, TaskState.LOST),
        ("never", True, TaskState.UNKNOWN),
        ("never", False, TaskState.LOST),
        ("", True, TaskState.UNKNOWN),
    ],
)
def test_reconciliation_of_an_unknown_task(agent_id: str, aware: bool, state: TaskState) -> None:
    world = World()
    away = world.agent("away")
    world.lose_agent(away)
    world.advance(80)
    world.agent("a1")
    framework = world.framework(aware=aware)
    world.do(Reconcile(**call(framework), tasks=((TaskId("t"), AgentId(agent_id)),)))
    (status,) = world.statuses(framework[2])
    assert (status.state, status.reason) == (state, Reason.RECONCILIATION)


def test_reconciliation_of_known_tasks_explicit_and_implicit() -> None:
    world = World()
    agent, framework = launched(world)
    world.do(Reconcile(**call(framework)))
    world.report(agent, framework, "t1", TaskState.RUNNING)
    world.do(Reconcile(**call(framework), tasks=((TaskId("t1"), AgentId("")),)))
    states = [(status.state, status.reason) for status in world.statuses(framework[2])]
    assert states == [
        (TaskState.STAGING, Reason.RECONCILIATION),
        (TaskState.RUNNING, 0),
        (TaskState.RUNNING, Reason.RECONCILIATION),
    ]
    assert [status.message for status in world.statuses(framework[2])][::2] == [NOT_SENT_ON, SENT_ON]


def test_a_duplicate_that_an_agent_brings_back_is_killed_in_silence() -> None:
    world = World()
    agent, framework = launched(world)
    task = world.state.frameworks[framework[0]].tasks[TaskId("t1")].info
    other = world.agent("a2", tasks=(reported(framework, task),))
    assert [kill.task_id for kill in world.heard(other, TellKill)] == ["t1"]
    world.report(other, framework, "t1", TaskState.KILLED)
    assert world.statuses(framework[2]) == []
    assert world.heard(other, TellAcknowledged)
    assert world.state.frameworks[framework[0]].tasks[TaskId("t1")].agent_id == "a1"
    assert not world.state.agents[AgentId("a2")].tasks
    assert not [
        e for e in world.effects if isinstance(e, ToAgent) and e.stream == agent and isinstance(e.message, TellKill)
    ]


def test_a_repeated_status_is_kept_once_and_a_long_history_keeps_its_beginning_and_its_end() -> None:
    world = World()
    agent, framework = launched(world)
    for _ in range(3):
        world.report(agent, framework, "t1", TaskState.STARTING, uuid=b"0" * 16)
    task = world.state.frameworks[framework[0]].tasks[TaskId("t1")]
    assert len(task.statuses) == 1
    for number in range(30):
        world.report(agent, framework, "t1", TaskState.RUNNING, uuid=number.to_bytes(16))
    assert len(task.statuses) == 20
    assert task.statuses[0].uuid == b"0" * 16
    assert task.statuses[-1].uuid == (29).to_bytes(16)


def test_an_agents_late_answer_about_a_task_that_has_ended_goes_to_nobody() -> None:
    """A kill that overtook nothing: the task was acknowledged to its end, and the agent has forgotten it."""
    world = World()
    agent, framework = launched(world, aware=True)
    world.report(agent, framework, "t1", TaskState.FINISHED)
    world.do(Acknowledge(**call(framework), agent_id=AgentId("a1"), task_id=TaskId("t1"), uuid=b"u" * 16))
    world.report(agent, framework, "t1", TaskState.DROPPED, uuid=b"")
    assert [status.state for status in world.statuses(framework[2])] == [TaskState.FINISHED]
    # Under a uuid it is passed on: the acknowledgement may have been lost, and the agent would send it for ever.
    world.report(agent, framework, "t1", TaskState.FINISHED)
    assert len(world.statuses(framework[2])) == 2


@pytest.mark.parametrize("said", [TaskState.DROPPED, TaskState.RUNNING])
def test_an_agent_that_has_forgotten_an_ended_task_tells_no_second_end(said: TaskState) -> None:
    """The end's acknowledgement came to the agent in its second life, and the master holds the task again until it asks."""
    world = World()
    agent, framework = launched(world, aware=True)
    world.report(agent, framework, "t1", TaskState.KILLED)
    world.lose_agent(agent)
    back = world.agent("a1")
    assert [ask.task_id for ask in world.heard(back, TellReconcile)] == ["t1"]
    world.report(back, framework, "t1", said, uuid=b"")
    told = [(status.state, status.uuid, status.source) for status in world.statuses(framework[2])]
    assert told == [
        (TaskState.KILLED, b"u" * 16, StatusSource.AGENT),
        (TaskState.KILLED, b"", StatusSource.MASTER),
    ]
    entry = world.state.frameworks[framework[0]]
    # What an old word says that is no end leaves the task to its agent's next one.
    assert (TaskId("t1") in entry.completed, TaskId("t1") in entry.tasks) == (said.is_terminal, not said.is_terminal)
    assert [status.state for status in (entry.tasks | entry.completed)[TaskId("t1")].statuses] == [TaskState.KILLED]


def test_a_status_of_a_framework_that_nobody_knows_is_acknowledged_in_the_end() -> None:
    world = World(settings=Settings(resubscribe_grace_ms=10_000))
    agent = world.agent("a1")
    stranger: Subscription = (FrameworkId("stranger"), "", 0)
    world.report(agent, stranger, "t9", TaskState.RUNNING)
    # It may still come and hear of it: nothing is acknowledged before.
    assert world.state.frameworks[stranger[0]].state is FrameworkState.RECOVERED
    assert world.heard(agent, TellAcknowledged) == []
    world.advance(11)
    world.report(agent, stranger, "t9", TaskState.RUNNING)
    (acknowledged,) = world.heard(agent, TellAcknowledged)
    assert (acknowledged.framework_id, acknowledged.task_id) == ("stranger", "t9")


def test_a_framework_that_comes_in_time_hears_the_status_itself() -> None:
    world = World(settings=Settings(resubscribe_grace_ms=10_000))
    agent = world.agent("a1")
    world.report(agent, (FrameworkId("stranger"), "", 0), "t9", TaskState.RUNNING)
    framework = world.framework(framework_id="stranger")
    world.report(agent, framework, "t9", TaskState.RUNNING)
    assert [status.state for status in world.statuses(framework[2])] == [TaskState.RUNNING]
    assert world.heard(agent, TellAcknowledged) == []
