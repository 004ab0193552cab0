"""What the master does with one event after another, as frameworks and agents see it."""

import pytest

from masterd.core.effects import (
    CloseAgentStream,
    CloseFrameworkStream,
    NoteAgentFailed,
    NoteError,
    NoteHeartbeat,
    NoteRescinded,
    SaveAgent,
    SaveFramework,
    SaveWeights,
    TellAcknowledged,
    TellFrameworkGone,
    TellKill,
    TellLaunch,
    TellPing,
    TellReconcile,
    TellRegistered,
    ToAgent,
)
from masterd.core.events import (
    Accept,
    Acknowledge,
    AgentAnswered,
    Caller,
    Decline,
    Kill,
    LaunchRefused,
    OperatorKill,
    Reconcile,
    RegisteredTask,
    Revive,
    StandaloneChanged,
    Subscribe,
    Suppress,
    Teardown,
    Tick,
    WeightsChanged,
)
from masterd.core.recovery import Remembered
from masterd.core.state import Settings
from masterd.core.views import AgentState, FrameworkState
from paddock.model.errors import AlreadyExists, InvalidRequest, NotFound, PermissionRefused, Unavailable
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, ContainerId, FrameworkId, OfferId, TaskId
from paddock.model.offer import Filters, Launch
from paddock.model.resource_text import format_resources, parse_resources
from paddock.model.task import KillPolicy, Reason, StatusSource, TaskInfo, TaskState
from tests.unit.masterd.core.world import ROOT, SECOND_NS, Subscription, World, call, task_info


def launched(world: World, *, failover_s: float = 0, aware: bool = False) -> tuple[int, Subscription]:
    """An agent, a framework, and one task of cpus:1;mem:64 on it."""
    agent = world.agent("a1")
    framework = world.framework(failover_s=failover_s, aware=aware)
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1"))
    return agent, framework


def test_an_agent_is_admitted_durably_before_it_is_told() -> None:
    world = World()
    stream = world.agent("a1")
    kinds = [type(effect).__name__ for effect in world.effects]
    assert kinds.index("SaveAgent") < kinds.index("ToAgent")
    assert world.heard(stream, TellRegistered)[0].ping_limit_count == 5


def test_a_framework_is_offered_everything_free_at_once() -> None:
    world = World()
    world.agent("a1", "cpus:4;mem:1024;ports:[31000-32000]")
    _, _, stream = world.framework("prod")
    (offer,) = world.offers(stream)
    assert format_resources(offer.resources.unallocated()) == "cpus:4;mem:1024;ports:[31000-32000]"
    assert {resource.allocation_role for resource in offer.resources} == {"prod"}
    assert offer.agent_id == "a1"
    assert world.free("a1") == {}


def test_accept_launches_and_returns_the_rest_filtered() -> None:
    world = World()
    agent = world.agent("a1")
    framework = world.framework()
    other = world.framework()
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1", "cpus:1;mem:100"))
    (launch,) = world.heard(agent, TellLaunch)
    assert launch.tasks[0].task_id == "t1"
    assert launch.tasks[0].command.user == "root"
    assert launch.framework.framework_id == framework[0]
    # The rest goes to the other at once: the first has declined it.
    (offer,) = world.offers(other[2])
    assert offer.resources.scalar_milli("cpus") == 3000
    assert offer.resources.scalar_milli("mem") == 924_000


def test_several_offers_of_one_agent_make_one_launch() -> None:
    world = World()
    agent = world.agent("a1", "cpus:2;mem:128")
    framework = world.framework()
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1", "cpus:1;mem:64"), refuse_ms=0)
    world.report(agent, framework, "t1", TaskState.FINISHED)
    held = world.offers(framework[2])
    assert len(held) == 2
    world.accept(framework, held, task_info("t2", "a1", "cpus:2;mem:128"))
    assert [task.task_id for launch in world.heard(agent, TellLaunch) for task in launch.tasks] == ["t1", "t2"]
    assert world.statuses(framework[2])[-1].task_id == "t1"


def test_several_tasks_share_an_offer_and_the_one_too_many_is_named() -> None:
    world = World()
    agent = world.agent("a1", "cpus:2;mem:1024")
    framework = world.framework()
    tasks = [task_info(f"t{n}", "a1", "cpus:1;mem:64") for n in range(2)] + [task_info("t2", "a1", "cpus:0.001;mem:1")]
    world.accept(framework, world.offers(framework[2]), *tasks)
    assert [task.task_id for task in world.heard(agent, TellLaunch)[0].tasks] == ["t0", "t1"]
    (status,) = world.statuses(framework[2])
    assert (status.task_id, status.state, status.reason) == ("t2", TaskState.ERROR, Reason.TASK_INVALID)
    assert status.source is StatusSource.MASTER
    assert "cpus 0.001 is asked for, nothing of it is offered" in status.message


def test_one_milli_unit_too_much_is_an_error_and_everything_comes_back() -> None:
    world = World()
    world.agent("a1", "cpus:4;mem:1024")
    framework = world.framework()
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1", "cpus:4.001;mem:64"), refuse_ms=0)
    (status,) = world.statuses(framework[2])
    assert status.state is TaskState.ERROR
    assert "cpus 4.001 is asked for, 4 of it is offered" in status.message
    (offer,) = world.offers(framework[2])
    assert offer.resources.scalar_milli("cpus") == 4000


@pytest.mark.parametrize("aware", [False, True])
def test_a_foreign_used_or_unknown_offer_costs_nobody_anything(aware: bool) -> None:
    world = World()
    world.agent("a1")
    world.agent("a2")
    thief, owner = world.framework("r", aware=aware), world.framework("s")
    # Both agents were offered to the first; let the other have one of them.
    world.do(Decline(**call(thief), offer_ids=(world.offers(thief[2])[0].offer_id,), filters=Filters(refuse_ms=60_000)))
    world.cycle()
    (stolen,), (own,) = world.offers(owner[2]), world.offers(thief[2])
    world.forget()
    world.accept(thief, [own, stolen], task_info("t1", own.agent_id), refuse_ms=60_000)
    (status,) = world.statuses(thief[2])
    assert status.state is (TaskState.DROPPED if aware else TaskState.LOST)
    assert status.reason == Reason.INVALID_OFFERS
    assert stolen.offer_id in status.message
    assert stolen.offer_id in world.state.offers
    assert own.offer_id not in world.state.offers
    # It came back without a filter: somebody has it again.
    assert any(entry.offer.agent_id == own.agent_id for entry in world.state.offers.values())
    for offer_id in (own.offer_id, OfferId("never-was")):
        world.forget()
        world.do(Accept(**call(thief), offer_ids=(offer_id,), operations=(Launch(tasks=(task_info("t9", "a1"),)),)))
        assert world.statuses(thief[2])[0].reason == Reason.INVALID_OFFERS


def test_offers_of_different_agents_are_not_accepted_together() -> None:
    world = World()
    world.agent("a1")
    world.agent("a2")
    framework = world.framework()
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1"))
    assert "different agents" in world.statuses(framework[2])[0].message


def test_the_same_offer_twice_is_refused() -> None:
    world = World()
    world.agent("a1")
    framework = world.framework()
    (offer,) = world.offers(framework[2])
    world.accept(framework, [offer, offer], task_info("t1", "a1"))
    assert "named twice" in world.statuses(framework[2])[0].message


def test_accept_without_offers_is_malformed() -> None:
    world = World()
    framework = world.framework()
    with pytest.raises(InvalidRequest, match="offer_ids"):
        world.accept(framework, [])


def test_a_declined_offer_stays_away_for_its_time_and_then_returns() -> None:
    world = World()
    world.agent("a1")
    framework = world.framework()
    world.do(Decline(**call(framework), offer_ids=(world.offers(framework[2])[0].offer_id,)))
    world.cycle()
    world.advance(4)
    assert world.offers(framework[2]) == []
    world.advance(2)
    assert len(world.offers(framework[2])) == 1


def test_suppress_and_revive() -> None:
    world = World()
    framework = world.framework("r")
    world.do(Suppress(**call(framework)))
    world.agent("a1")
    world.advance(3)
    assert world.offers(framework[2]) == []
    world.do(Revive(**call(framework), roles=("r",)))
    world.cycle()
    assert len(world.offers(framework[2])) == 1
    with pytest.raises(InvalidRequest, match="roles"):
        world.do(Suppress(**call(framework), roles=("other",)))


def test_a_status_goes_up_and_its_acknowledgement_comes_down() -> None:
    world = World()
    agent, framework = launched(world)
    world.report(agent, framework, "t1", TaskState.RUNNING, uuid=b"1" * 16)
    assert [status.state for status in world.statuses(framework[2])] == [TaskState.RUNNING]
    world.do(Acknowledge(**call(framework), agent_id=AgentId("a1"), task_id=TaskId("t1"), uuid=b"1" * 16))
    assert world.heard(agent, TellAcknowledged)[0].uuid == b"1" * 16
    assert world.state.frameworks[framework[0]].tasks


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


def reported(framework: Subscription, task: TaskInfo, state: TaskState = TaskState.RUNNING) -> RegisteredTask:
    return RegisteredTask(framework_id=framework[0], task=task, state=state, container_id=ContainerId("c"))


def test_an_operator_kills_what_is_there_and_may_not_touch_others() -> None:
    world = World()
    agent, framework = launched(world)
    world.do(OperatorKill(caller=ROOT, framework_id=framework[0], task_id=TaskId("t1")))
    assert world.heard(agent, TellKill)
    with pytest.raises(NotFound, match="nope"):
        world.do(OperatorKill(caller=ROOT, framework_id=framework[0], task_id=TaskId("nope")))
    with pytest.raises(PermissionRefused, match="uid 1000"):
        world.do(OperatorKill(caller=Caller(uid=1000, user="u"), framework_id=framework[0], task_id=TaskId("t1")))


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
    assert [each.reachable for each in saved] == [True, False]


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


def test_a_launch_that_the_agent_never_got_is_asked_for() -> None:
    world = World()
    agent, framework = launched(world)
    world.lose_agent(agent)
    back = world.agent("a1")
    assert [ask.task_id for ask in world.heard(back, TellReconcile)] == ["t1"]
    assert world.free("a1") != {"cpus": 4000, "mem": 1_024_000}
    world.report(back, framework, "t1", TaskState.DROPPED, uuid=b"")
    assert world.statuses(framework[2])[-1].state is TaskState.LOST
    assert TaskId("t1") not in world.state.frameworks[framework[0]].tasks


def test_a_refused_launch_gives_everything_back() -> None:
    world = World()
    agent, framework = launched(world)
    world.do(
        LaunchRefused(stream=agent, framework_id=framework[0], task_ids=(TaskId("t1"), TaskId("x")), message="full")
    )
    (status,) = world.statuses(framework[2])
    assert (status.state, status.message) == (TaskState.LOST, "full")
    assert world.state.frameworks[framework[0]].completed


def test_standalone_containers_reduce_what_is_offered() -> None:
    world = World()
    agent = world.agent("a1", "cpus:4;mem:1024", standalone=parse_resources("cpus:1;mem:24"))
    framework = world.framework()
    (offer,) = world.offers(framework[2])
    assert offer.resources.scalar_milli("cpus") == 3000
    world.do(StandaloneChanged(stream=agent, resources=parse_resources("cpus:2;mem:24")))
    assert [note.offer_id for note in world.heard(framework[2], NoteRescinded)] == [offer.offer_id]
    world.cycle()
    (smaller,) = world.offers(framework[2])
    assert smaller.resources.scalar_milli("cpus") == 2000
    world.do(StandaloneChanged(stream=agent, resources=parse_resources("")))
    world.cycle()
    assert sum(each.resources.scalar_milli("cpus") for each in world.offers(framework[2])) == 4000


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


def test_suppressed_roles_must_be_subscribed() -> None:
    world = World()
    with pytest.raises(InvalidRequest, match="suppressed_roles"):
        world.framework("r", suppressed=("s",))


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


def test_nobody_answers_for_agents_that_are_not_back_yet() -> None:
    saved = SaveAgent(agent_id=AgentId("old"), hostname="h", unix_address="", tcp_address="", reachable=True)
    world = World(remembered=Remembered(agents=(saved,)))
    framework = world.framework(aware=True)
    for agent_id in ("old", ""):
        world.do(Reconcile(**call(framework), tasks=((TaskId("t"), AgentId(agent_id)),)))
    assert world.statuses(framework[2]) == []
    world.advance(601)
    world.do(Reconcile(**call(framework), tasks=((TaskId("t"), AgentId("old")),)))
    assert world.statuses(framework[2])[-1].state is TaskState.UNREACHABLE


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


def test_heartbeats() -> None:
    world = World()
    framework = world.framework()
    world.advance(46)
    assert len(world.heard(framework[2], NoteHeartbeat)) == 3


def test_offers_time_out_where_the_operator_wants_it() -> None:
    world = World(settings=Settings(offer_timeout_ms=30_000))
    world.agent("a1")
    framework = world.framework()
    (offer,) = world.offers(framework[2])
    world.advance(29)
    assert not world.heard(framework[2], NoteRescinded)
    world.advance(2)
    assert world.heard(framework[2], NoteRescinded)[0].offer_id == offer.offer_id
    assert len(world.offers(framework[2])) == 1


def test_a_new_weight_divides_anew() -> None:
    world = World()
    for name in ("a1", "a2", "a3"):
        world.agent(name)
    one, two = world.framework("one"), world.framework("two")
    assert len(world.offers(one[2])) == 3
    world.do(WeightsChanged(weights_milli=(("two", 2000),)))
    assert len(world.heard(one[2], NoteRescinded)) == 3
    world.cycle()
    assert (len(world.offers(one[2])), len(world.offers(two[2]))) == (1, 2)
    assert [e.weights_milli for e in world.effects if isinstance(e, SaveWeights)] == [(("two", 2000),)]


def test_a_status_from_the_wrong_agent_is_a_lie() -> None:
    world = World()
    _, framework = launched(world)
    liar = world.agent("a2")
    world.report(liar, framework, "t1", TaskState.FINISHED)
    assert world.statuses(framework[2]) == []
    assert world.state.frameworks[framework[0]].tasks[TaskId("t1")].state is TaskState.STAGING


def test_time_passes_without_anybody() -> None:
    world = World()
    world.now_ns += 10_000 * SECOND_NS
    assert world.do(Tick()) == ()


def test_subscribing_with_an_unknown_id_takes_it() -> None:
    world = World()
    assert world.framework(framework_id="mine", failover_s=1)[0] == "mine"
    assert isinstance(Subscribe(stream=1, caller=ROOT, framework=FrameworkInfo()), Subscribe)
