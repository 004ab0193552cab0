"""Agents out of use and under maintenance: nothing is offered, what runs goes on, and whoever should know is told."""

from __future__ import annotations

import pytest

from masterd.core.effects import (
    NoteInverseOffer,
    NoteOffers,
    NoteRescinded,
    SaveAgent,
    SaveDeactivated,
    SaveMaintenance,
)
from masterd.core.events import (
    AgentActivated,
    AgentMarkedGone,
    Caller,
    CancelDrain,
    CycleDue,
    DrainAgent,
    InverseOfferAnswered,
    MaintenanceUpdated,
    OperatorTeardown,
    ProblemReported,
)
from masterd.core.maintenance_views import maintenance_view
from masterd.core.recovery import Remembered
from paddock.model.errors import InvalidRequest, NotFound, PermissionRefused
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer import Unavailability
from paddock.model.task import TaskState
from tests.unit.masterd.core.world import ROOT, SECOND_NS, World, call, launched, task_info

A1 = AgentId("a1")
ALICE = Caller(uid=1000, user="alice")


def activate(world: World, *, active: bool) -> None:
    world.do(AgentActivated(caller=ROOT, agent_id=A1, active=active))
    world.cycle(batch=True)


def schedule(world: World, start_s: float, length_s: float = 0) -> Unavailability:
    window = Unavailability(start_ns=world.now_ns + int(start_s * SECOND_NS), duration_ns=int(length_s * SECOND_NS))
    world.do(MaintenanceUpdated(caller=ROOT, windows=(("a1", window),)))
    world.cycle(batch=True)
    return window


def report_problem(world: World, stream: int, problem: str) -> None:
    world.do(ProblemReported(stream=stream, problem=problem))
    world.cycle(batch=True)


def test_an_agent_that_takes_no_new_work_is_not_offered_until_it_does_again() -> None:
    world = World()
    agent, framework = launched(world, failover_s=60)
    world.advance(6)
    assert len(world.offers(framework[2])) == 1
    report_problem(world, agent, "its disk is full")
    report_problem(world, agent, "its disk is still full")
    assert not world.offers(framework[2])
    assert len(world.heard(framework[2], NoteRescinded)) == 1
    assert world.state.frameworks[framework[0]].tasks
    report_problem(world, agent, "")
    assert len(world.offers(framework[2])) == 1


def test_an_agent_that_registers_with_a_problem_is_not_offered_and_an_operator_cannot_change_that() -> None:
    world = World()
    framework = world.framework()
    agent = world.agent("a1", problem="its disk is full")
    activate(world, active=True)
    assert not world.offers(framework[2])
    activate(world, active=False)
    report_problem(world, agent, "")
    assert not world.offers(framework[2])
    activate(world, active=True)
    assert len(world.offers(framework[2])) == 1


def test_an_agent_out_of_use_is_not_offered_and_its_tasks_go_on() -> None:
    world = World()
    _, framework = launched(world, failover_s=60)
    world.advance(6)
    assert len(world.offers(framework[2])) == 1
    activate(world, active=False)
    activate(world, active=False)
    assert not world.offers(framework[2])
    assert len(world.heard(framework[2], NoteRescinded)) == 1
    assert world.state.frameworks[framework[0]].tasks
    activate(world, active=True)
    assert len(world.offers(framework[2])) == 1
    assert [effect.deactivated for effect in world.effects if isinstance(effect, SaveDeactivated)] == [
        True,
        True,
        False,
    ]


def test_it_stays_out_of_use_when_it_comes_back_and_when_the_master_does() -> None:
    world = World()
    framework = world.framework("r")
    stream = world.agent("a1")
    world.lose_agent(stream)
    activate(world, active=False)
    world.agent("a1")
    world.cycle(batch=True)
    assert not world.offers(framework[2])
    saved = [effect for effect in world.effects if isinstance(effect, SaveAgent)][-1]
    again = World(remembered=Remembered(agents=(saved,), deactivated_agent_ids=(A1,)), epoch=2)
    framework = again.framework("r")
    again.agent("a1")
    again.cycle(batch=True)
    assert not again.offers(framework[2])
    activate(again, active=True)
    assert again.offers(framework[2])


def test_only_root_and_only_what_is_there() -> None:
    world = World()
    world.agent("a1")
    window = Unavailability(start_ns=world.now_ns)
    for event in (
        AgentActivated(caller=ALICE, agent_id=A1, active=False),
        MaintenanceUpdated(caller=ALICE, windows=(("a1", window),)),
        AgentMarkedGone(caller=ALICE, agent_id=A1),
    ):
        with pytest.raises(PermissionRefused, match="ask root"):
            world.do(event)
    for missing in (
        AgentActivated(caller=ROOT, agent_id=AgentId("a2"), active=False),
        MaintenanceUpdated(caller=ROOT, cancelled=("a1",)),
        OperatorTeardown(caller=ROOT, framework_id=FrameworkId("f")),
    ):
        with pytest.raises(NotFound):
            world.do(missing)
    assert A1 in world.state.agents


def test_who_has_something_there_is_asked_once_for_each_plan_to_leave() -> None:
    world = World()
    _, framework = launched(world, failover_s=600)
    other = world.framework("s")
    window = schedule(world, 100, 50)
    for _ in range(3):
        world.do(CycleDue(batch=True))
    (asked,) = world.heard(framework[2], NoteInverseOffer)
    assert (asked.agent_id, asked.hostname, asked.unavailability) == (A1, "a1", window)
    offers = [offer for note in world.heard(other[2], NoteOffers) for offer in note.offers]
    assert offers[-1].unavailability == window
    world.do(InverseOfferAnswered(**call(framework), agent_id=A1, accepted=True))
    (concerned, *_) = [
        each
        for each in maintenance_view(world.state, "a1", wall_ns=world.now_ns).concerned
        if each.framework_id == framework[0]
    ]
    assert (concerned.task_count, concerned.accepted) == (1, True)
    schedule(world, 200)
    assert len(world.heard(framework[2], NoteInverseOffer)) == 2
    (view,) = maintenance_view(world.state, "a1", wall_ns=world.now_ns).concerned
    assert view.accepted is None
    with pytest.raises(NotFound, match="maintenance window"):
        world.do(InverseOfferAnswered(**call(framework), agent_id=AgentId("a2"), accepted=True))


def test_a_window_begins_and_ends_by_itself() -> None:
    world = World()
    _, framework = launched(world, failover_s=600)
    schedule(world, 10, 20)
    world.advance(9)
    assert world.offers(framework[2])
    world.advance(1)
    assert not world.offers(framework[2])
    assert world.state.frameworks[framework[0]].tasks
    world.lose_agent(world.state.agents[A1].stream or 0)
    world.advance(1)
    task = next(iter(world.state.frameworks[framework[0]].tasks.values()))
    world.agent("a1")
    assert task.state is TaskState.STAGING
    world.advance(5)
    assert not world.offers(framework[2])
    world.advance(15)
    assert world.offers(framework[2])
    assert world.state.maintenance == {}
    assert [len(effect.windows) for effect in world.effects if isinstance(effect, SaveMaintenance)] == [1, 0]


def test_a_window_without_an_end_lasts_until_it_is_cancelled_also_over_a_crash() -> None:
    world = World()
    world.agent("a1")
    window = schedule(world, 0)
    saved = [effect for effect in world.effects if isinstance(effect, SaveAgent)][-1]
    again = World(remembered=Remembered(agents=(saved,), maintenance=(("a1", window),)), epoch=2)
    framework = again.framework("r")
    again.agent("a1")
    again.advance(50)
    assert not again.offers(framework[2])
    again.do(MaintenanceUpdated(caller=ROOT, cancelled=("a1",)))
    again.cycle(batch=True)
    assert again.offers(framework[2])


def test_a_plan_that_makes_no_sense_changes_nothing() -> None:
    world = World()
    world.agent("a1")
    past = Unavailability(start_ns=world.now_ns - 2, duration_ns=1)
    future = Unavailability(start_ns=world.now_ns + 1)
    with pytest.raises(InvalidRequest, match="over already"):
        world.do(MaintenanceUpdated(caller=ROOT, windows=(("a2", future), ("a1", past))))
    with pytest.raises(InvalidRequest, match="once"):
        world.do(MaintenanceUpdated(caller=ROOT, windows=(("a1", future), ("a1", future))))
    assert world.state.maintenance == {}


def test_an_operator_ends_a_framework_connected_or_not() -> None:
    world = World()
    world.agent("a1")
    here, away = world.framework("r", failover_s=60), world.framework("s", failover_s=60, caller=ALICE)
    world.accept(here, world.offers(here[2]), task_info("t1", "a1"))
    world.lose_framework(away[2])
    with pytest.raises(PermissionRefused, match="belongs to uid:0"):
        world.do(OperatorTeardown(caller=ALICE, framework_id=here[0]))
    world.do(OperatorTeardown(caller=ALICE, framework_id=away[0]))
    world.do(OperatorTeardown(caller=ROOT, framework_id=here[0]))
    assert not world.state.frameworks
    assert world.state.refused_framework_ids.keys() == {here[0], away[0]}


def test_the_end_of_a_drain_does_not_bring_an_agent_back_that_is_out_of_use() -> None:
    world = World()
    framework = world.framework("r")
    world.agent("a1")
    world.do(DrainAgent(caller=ROOT, agent_id=A1))
    activate(world, active=False)
    world.do(CancelDrain(caller=ROOT, agent_id=A1))
    world.cycle(batch=True)
    assert not world.offers(framework[2])
    world.do(DrainAgent(caller=ROOT, agent_id=A1))
    activate(world, active=True)
    assert not world.offers(framework[2])
    world.do(CancelDrain(caller=ROOT, agent_id=A1))
    world.cycle(batch=True)
    assert world.offers(framework[2])
