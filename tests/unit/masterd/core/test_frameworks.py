"""Frameworks: subscribed, taken over, gone, ended; and a master that starts again."""

from __future__ import annotations

import pytest

from masterd.core.effects import (
    CloseFrameworkStream,
    NoteError,
    NoteHeartbeat,
    Save,
    SaveFramework,
    TellAcknowledged,
    TellFrameworkGone,
    TellKill,
    TellPing,
)
from masterd.core.events import (
    AgentAnswered,
    Caller,
    Reconcile,
    RegisteredTask,
    Subscribe,
    Teardown,
    Tick,
)
from masterd.core.recovery import Remembered
from masterd.core.state import Settings
from masterd.core.views import FrameworkState
from paddock.model.errors import InvalidRequest, NotFound, PermissionRefused, ResourcesExhausted, Unavailable
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import ContainerId, FrameworkId, TaskId
from paddock.model.task import Reason, TaskState
from tests.unit.masterd.core.world import ROOT, SECOND_NS, World, call, launched, remembered_of, task_info


def test_the_later_subscription_takes_over() -> None:
    world = World()
    world.agent("a1")
    framework = world.framework(failover_s=60)
    (offer,) = world.offers(framework[2])
    again = world.framework(framework_id=framework[0], failover_s=60)
    assert again[0] == framework[0]
    assert world.heard(framework[2], NoteError)
    assert [e.stream for e in world.effects if isinstance(e, CloseFrameworkStream)] == [framework[2]]
    assert offer.offer_id not in world.state.offers
    assert len(world.offers(again[2])) == 1
    with pytest.raises(PermissionRefused, match="taken over"):
        world.do(Reconcile(**call(framework)))
    # The old stream's end must not end the new one.
    world.lose_framework(framework[2])
    assert world.state.frameworks[framework[0]].state is FrameworkState.SUBSCRIBED


def test_a_framework_keeps_its_tasks_for_its_failover_time_and_its_id_is_refused_afterwards() -> None:
    world = World()
    agent, framework = launched(world, failover_s=30)
    world.lose_framework(framework[2])
    world.report(agent, framework, "t1", TaskState.RUNNING)
    world.advance(29)
    assert world.state.frameworks[framework[0]].state is FrameworkState.DISCONNECTED
    assert not world.heard(agent, TellKill)
    world.advance(2)
    assert framework[0] not in world.state.frameworks
    assert [kill.task_id for kill in world.heard(agent, TellKill)] == ["t1"]
    assert world.heard(agent, TellFrameworkGone)
    with pytest.raises(InvalidRequest, match="has ended"):
        world.framework(framework_id=framework[0])
    # Its resources are free when the agent says so, and the master itself acknowledges.
    assert world.free("a1")["cpus"] == 3000
    world.report(agent, framework, "t1", TaskState.KILLED)
    assert world.free("a1")["cpus"] == 4000
    assert world.heard(agent, TellAcknowledged)


def test_without_failover_time_the_end_is_at_once() -> None:
    world = World()
    agent, framework = launched(world)
    world.lose_framework(framework[2])
    assert framework[0] in world.state.completed_frameworks
    assert world.heard(agent, TellKill)
    assert [e.completed for e in world.effects if isinstance(e, SaveFramework)] == [False, True]


def test_who_was_not_told_that_it_has_come_back_has_time_for_another_attempt_and_keeps_its_tasks() -> None:
    world = World(settings=Settings(resubscribe_grace_ms=10_000))
    agent, framework = launched(world)
    for _ in range(2):
        again = world.framework(framework_id=framework[0])
        world.lose_framework(again[2], was_told=False)
        world.advance(8)
        assert world.state.frameworks[framework[0]].state is FrameworkState.DISCONNECTED
    assert TaskId("t1") in world.state.frameworks[framework[0]].tasks
    assert not world.heard(agent, TellKill)
    world.advance(3)
    assert framework[0] in world.state.completed_frameworks
    assert world.heard(agent, TellKill)


def test_a_framework_that_was_never_told_its_id_is_not_waited_for() -> None:
    world = World()
    nameless, named = world.framework(failover_s=600), world.framework(framework_id="mine", failover_s=600)
    for subscription in (nameless, named):
        world.lose_framework(subscription[2], was_told=False)
    assert list(world.state.frameworks) == ["mine"]
    world.advance(599)
    # It knows its id by now: what happens to a later subscription of it is another matter.
    told = world.framework(failover_s=600)
    again = world.framework(framework_id=told[0], failover_s=600)
    world.lose_framework(again[2], was_told=False)
    assert list(world.state.frameworks) == ["mine", told[0]]
    world.advance(2)
    assert list(world.state.frameworks) == [told[0]]


def test_the_time_in_which_nobody_can_come_back_counts_against_no_framework() -> None:
    world = World(settings=Settings(resubscribe_grace_ms=10_000))
    agent, framework = launched(world, failover_s=5)
    world.lose_framework(framework[2])
    world.advance(30, takes_nobody=True)
    world.advance(9)
    assert framework[0] in world.state.frameworks
    assert not world.heard(agent, TellKill)
    world.advance(2)
    assert world.heard(agent, TellKill)


def test_teardown_ends_it_with_a_word() -> None:
    world = World()
    agent, framework = launched(world)
    world.do(Teardown(**call(framework)))
    assert world.heard(framework[2], NoteError)
    assert world.heard(agent, TellKill)
    with pytest.raises(NotFound, match="framework"):
        world.do(Teardown(**call(framework)))


def test_who_may_speak_for_a_framework() -> None:
    world = World()
    world.agent("a1")
    alice, bob = Caller(uid=1000, user="alice"), Caller(uid=1001, user="bob")
    framework = world.framework(caller=alice, failover_s=60)
    with pytest.raises(PermissionRefused, match="uid 1001"):
        world.do(Reconcile(caller=bob, framework_id=framework[0], subscription_id=framework[1]))
    with pytest.raises(PermissionRefused, match="uid 1001"):
        world.framework(caller=bob, framework_id=framework[0])
    with pytest.raises(PermissionRefused, match="as itself only"):
        world.framework(caller=bob, user="root")
    offers = world.offers(framework[2])
    world.accept(
        framework, offers, task_info("t1", "a1", user="root"), task_info("t2", "a1", "cpus:1;mem:64"), caller=alice
    )
    (status,) = world.statuses(framework[2])
    assert (status.task_id, status.reason) == ("t1", Reason.TASK_UNAUTHORIZED)
    assert world.state.frameworks[framework[0]].tasks[TaskId("t2")].info.command.user == "alice"


def test_a_call_without_a_stream_is_to_be_repeated() -> None:
    world = World()
    framework = world.framework(failover_s=60)
    world.lose_framework(framework[2])
    with pytest.raises(Unavailable, match="subscribe again"):
        world.do(Reconcile(**call(framework)))


def test_one_framework_too_many_is_told_so_and_those_that_are_known_come_back() -> None:
    world = World(settings=Settings(framework_limit_count=2))
    first, second = world.framework(failover_s=60), world.framework()
    world.lose_framework(first[2])
    before = len(world.effects)
    with pytest.raises(ResourcesExhausted, match="has 2 frameworks, and takes 2 .max_frameworks."):
        world.framework()
    assert len(world.effects) == before
    assert len(world.state.frameworks) == 2
    assert world.framework(framework_id=first[0], failover_s=60)[0] == first[0]
    world.do(Teardown(**call(second)))
    assert world.framework()[0] not in {first[0], second[0]}


def test_suppressed_roles_must_be_subscribed() -> None:
    world = World()
    with pytest.raises(InvalidRequest, match="suppressed_roles"):
        world.framework("r", suppressed=("s",))


def test_a_framework_that_never_returns_after_a_restart_is_ended() -> None:
    world = World()
    info = FrameworkInfo(framework_id=FrameworkId("ghost"), failover_timeout_ms=120_000)
    task = task_info("t1", "a1")
    agent = world.agent(
        "a1",
        frameworks=(info,),
        tasks=(
            RegisteredTask(
                framework_id=info.framework_id, task=task, state=TaskState.RUNNING, container_id=ContainerId("c")
            ),
        ),
    )
    assert world.free("a1")["cpus"] == 3000
    for _ in range(9):
        world.advance(15)
        world.do(AgentAnswered(stream=agent, sequence=world.heard(agent, TellPing)[-1].sequence))
    assert [kill.task_id for kill in world.heard(agent, TellKill)] == ["t1"]


def test_heartbeats() -> None:
    world = World()
    framework = world.framework()
    world.advance(46)
    assert len(world.heard(framework[2], NoteHeartbeat)) == 3


def test_time_passes_without_anybody() -> None:
    world = World()
    world.now_ns += 10_000 * SECOND_NS
    assert world.do(Tick()) == ()


def test_subscribing_with_an_unknown_id_takes_it() -> None:
    world = World()
    assert world.framework(framework_id="mine", failover_s=1)[0] == "mine"
    assert isinstance(Subscribe(stream=1, caller=ROOT, framework=FrameworkInfo()), Subscribe)


@pytest.mark.parametrize(
    ("failover_s", "deadline_s", "left_s"),
    [(0, None, 60), (600, None, 600), (600, 300, 300), (600, 5, 60), (600, -100, 60), (600, 10**6, 600)],
)
def test_after_a_restart_a_framework_has_what_is_left_of_its_time_and_the_grace_at_least(
    failover_s: int, deadline_s: int | None, left_s: int
) -> None:
    wall_ns = World().now_ns
    record = SaveFramework(
        framework=FrameworkInfo(framework_id=FrameworkId("f"), failover_timeout_ms=failover_s * 1000),
        failover_deadline_ns=None if deadline_s is None else wall_ns + deadline_s * SECOND_NS,
        completed=False,
    )
    world = World(remembered=Remembered(frameworks=(record,)), epoch=2)
    world.advance(left_s - 1)
    assert FrameworkId("f") in world.state.frameworks
    world.advance(2)
    assert FrameworkId("f") not in world.state.frameworks


@pytest.mark.parametrize("known_from_agents", [False, True])
def test_the_time_of_a_missing_framework_does_not_begin_anew_with_each_start(known_from_agents: bool) -> None:
    info = FrameworkInfo(framework_id=FrameworkId("f"), failover_timeout_ms=600_000)
    record = SaveFramework(framework=info, failover_deadline_ns=None, completed=False)
    world = World(remembered=Remembered(frameworks=() if known_from_agents else (record,)))
    if known_from_agents:
        world.agent("a1", frameworks=(info,))
    world.advance(1)
    end_ns = world.now_ns + 599 * SECOND_NS
    saved: list[Save] = []
    for epoch in range(2, 6):
        saved += [effect for effect in world.effects if isinstance(effect, Save)]
        assert sum(isinstance(each, SaveFramework) for each in saved) == 1
        world = World(remembered=remembered_of(saved), epoch=epoch, now_ns=world.now_ns)
        world.advance(100)
    world.advance((end_ns - world.now_ns) // SECOND_NS - 1)
    assert FrameworkId("f") in world.state.frameworks
    world.advance(3)
    assert FrameworkId("f") not in world.state.frameworks
