"""Offers: made, accepted, declined, taken back; what is launched and what is refused."""

from __future__ import annotations

import pytest

from masterd.core.effects import (
    NoteRescinded,
    SaveWeights,
    TellLaunch,
    TellReconcile,
)
from masterd.core.events import (
    Accept,
    Decline,
    LaunchRefused,
    Revive,
    StandaloneChanged,
    Suppress,
    WeightsChanged,
)
from masterd.core.state import Settings
from paddock.model.errors import InvalidRequest
from paddock.model.ids import OfferId, TaskId
from paddock.model.offer import Filters, Launch
from paddock.model.resource_text import format_resources, parse_resources
from paddock.model.task import Reason, StatusSource, TaskState
from tests.unit.masterd.core.world import World, call, launched, task_info


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
        LaunchRefused(
            stream=agent,
            framework_id=framework[0],
            task_ids=(TaskId("t1"), TaskId("x")),
            reason=Reason.AGENT_PROBLEM,
            message="full",
        )
    )
    (status,) = world.statuses(framework[2])
    assert (status.state, status.reason, status.message) == (TaskState.LOST, Reason.AGENT_PROBLEM, "full")
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


@pytest.mark.parametrize("refuse_ms", [0, 5_000])
def test_the_rest_of_an_accepted_offer_is_refused_for_as_long_as_was_said(refuse_ms: int) -> None:
    world = World()
    world.agent("a1")
    framework = world.framework()
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1"), refuse_ms=refuse_ms)
    assert len(world.offers(framework[2])) == (0 if refuse_ms else 1)
    world.advance(4)
    assert len(world.offers(framework[2])) == (0 if refuse_ms else 1)
    world.advance(2)
    assert len(world.offers(framework[2])) == 1
