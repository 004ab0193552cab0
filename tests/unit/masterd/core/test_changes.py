"""Reservations and volumes in an accept: what is valid happens at once and in order, what is not changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from masterd.core.authorizer import Action
from masterd.core.effects import NoteOperation, SaveAgent, SaveAgentResources, ToAgent
from masterd.core.events import Accept, Caller
from masterd.core.recovery import Remembered
from paddock.model.ids import AgentId
from paddock.model.offer import (
    Change,
    CreateVolumes,
    DestroyVolumes,
    Filters,
    GrowVolume,
    Launch,
    Operation,
    Reserve,
    ShrinkVolume,
    Unreserve,
)
from paddock.model.resources import DiskVolume, Reservation, Resource, Resources, Scalar
from tests.unit.masterd.core.world import Subscription, World, call, task_info

OWN = Reservation(role="r", dynamic=True, principal="uid:0")


def disk(
    milli: int, *, volume: str = "", reservations: tuple[Reservation, ...] = (OWN,), name: str = "disk"
) -> Resource:
    kept = DiskVolume(persistence_id=volume) if volume else None
    return Resource(name=name, value=Scalar(milli=milli), reservations=reservations, volume=kept)


def of(*resources: Resource) -> Resources:
    return Resources(resources)


def start(role: str = "r") -> tuple[World, Subscription]:
    world = World()
    world.agent("a1", "cpus:4;mem:1024;disk:100")
    return world, world.framework(role)


def do(world: World, framework: Subscription, *operations: Operation) -> Resources:
    """Accept all that it holds; what it is offered next, or holds as tasks."""
    offer_ids = tuple(offer.offer_id for offer in world.offers(framework[2]))
    world.do(Accept(**call(framework), offer_ids=offer_ids, operations=operations, filters=Filters(refuse_ms=0)))
    world.cycle(batch=True)
    return Resources.of(resource for offer in world.offers(framework[2]) for resource in offer.resources).unallocated()


def test_a_reservation_a_volume_and_back() -> None:
    world, framework = start()
    whole = world.allocator.free(AgentId("a1")) or Resources.scalars({"cpus": 4_000, "mem": 1_024_000, "disk": 100_000})
    steps: tuple[tuple[Change, tuple[Resource, ...]], ...] = (
        (Reserve(resources=of(disk(60_000))), (disk(60_000),)),
        (CreateVolumes(volumes=of(disk(20_000, volume="v"))), (disk(40_000), disk(20_000, volume="v"))),
        (
            GrowVolume(volume=disk(20_000, volume="v"), addition=disk(5_000)),
            (disk(35_000), disk(25_000, volume="v")),
        ),
        (ShrinkVolume(volume=disk(25_000, volume="v"), by_milli=10_000), (disk(45_000), disk(15_000, volume="v"))),
        (DestroyVolumes(volumes=of(disk(15_000, volume="v"))), (disk(60_000),)),
        (Unreserve(resources=of(disk(60_000))), ()),
    )
    for operation, reserved in steps:
        after = do(world, framework, operation)
        assert of(*(each for each in after if each.reservations)) == of(*reserved), operation
        assert after.quantities_milli() == {"cpus": 4_000, "mem": 1_024_000, "disk": 100_000}
    assert whole == world.state.agents[AgentId("a1")].info.resources


def test_one_call_sees_its_own_steps() -> None:
    world, framework = start()
    task = replace(task_info("t1", "a1"), resources=of(disk(20_000, volume="v"), *task_info("x", "a1").resources))
    do(
        world,
        framework,
        Reserve(resources=of(disk(30_000))),
        CreateVolumes(volumes=of(disk(20_000, volume="v"))),
        Launch(tasks=(task,)),
    )
    assert world.state.frameworks[framework[0]].tasks
    # In use: nobody may destroy it.
    after = do(world, framework, DestroyVolumes(volumes=of(disk(20_000, volume="v"))))
    assert not [each for each in after if each.volume]


@pytest.mark.parametrize(
    "operation",
    [
        Reserve(resources=of(disk(100_001))),
        Reserve(resources=of(disk(1, reservations=(Reservation(role="other"),)))),
        Reserve(resources=of(disk(1, reservations=()))),
        Reserve(resources=of()),
        Reserve(resources=of(disk(-1))),
        Reserve(resources=of(disk(1, reservations=(Reservation(role="r"), Reservation(role="r"))))),
        Unreserve(resources=of(disk(1))),
        Unreserve(resources=of(disk(1, reservations=(Reservation(role="r"),)))),
        CreateVolumes(volumes=of(disk(1, volume="v"))),
        CreateVolumes(volumes=of(disk(1, volume="v", reservations=()))),
        CreateVolumes(volumes=of(disk(1, volume="v", name="mem"))),
        DestroyVolumes(volumes=of(disk(1))),
        DestroyVolumes(volumes=of(disk(1, volume="unknown"))),
        GrowVolume(volume=disk(1), addition=disk(1)),
        GrowVolume(volume=disk(1, volume="v"), addition=disk(1, reservations=())),
        ShrinkVolume(volume=disk(5, volume="v"), by_milli=5),
        ShrinkVolume(volume=disk(5, volume="v"), by_milli=2),
    ],
)
def test_what_is_not_valid_changes_nothing(operation: Change) -> None:
    world, framework = start()
    before = world.state.agents[AgentId("a1")].info.resources
    after = do(world, framework, operation)
    assert after == before == world.state.agents[AgentId("a1")].info.resources


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (Reserve(resources=of(disk(100_001)), operation_id="o"), "100.001 is asked for, 100 of it is offered"),
        (Reserve(resources=of(disk(1, reservations=(Reservation(role="other"),)))), "the offer is of role r"),
        (Reserve(resources=of(disk(1, reservations=(replace(OWN, expires_ms=1),)))), "a lease ends in the future"),
        (DestroyVolumes(volumes=of(disk(1, volume="unknown")), operation_id="o"), "nothing of it is offered"),
        (Unreserve(resources=of(disk(1))), "nothing of it is offered"),
    ],
)
def test_what_cannot_be_done_is_told_with_its_first_fault(operation: Change, words: str) -> None:
    world, framework = start()
    do(world, framework, operation)
    (note,) = world.heard(framework[2], NoteOperation)
    assert (note.operation_id, note.agent_id) == (operation.operation_id, "a1")
    assert words in note.error


def test_what_was_done_is_told_when_it_has_an_id_and_after_it_is_durable() -> None:
    world, framework = start()
    do(world, framework, Reserve(resources=of(disk(1)), operation_id="o1"), Reserve(resources=of(disk(1))))
    (note,) = world.heard(framework[2], NoteOperation)
    assert (note.operation_id, note.error) == ("o1", "")
    kinds = [getattr(effect, "message", effect) for effect in world.effects]
    assert kinds.index(note) > next(n for n, each in enumerate(kinds) if isinstance(each, SaveAgentResources))


class NotForBob:
    """May do everything, but to bob's role."""

    def allows(self, _: Caller, action: Action, role: str) -> bool:
        return action is not Action.RESERVE or role != "bob"


def test_who_may_not_reserve_for_a_role_does_not() -> None:
    world, framework = start("bob")
    world.state.authorizer = NotForBob()
    do(world, framework, Reserve(resources=of(disk(1, reservations=(Reservation(role="bob"),)))))
    (note,) = world.heard(framework[2], NoteOperation)
    assert "may not reserve for role bob" in note.error


def test_two_volumes_of_one_id_cannot_be() -> None:
    world, framework = start()
    volume = disk(1_000, volume="v")
    after = do(
        world,
        framework,
        Reserve(resources=of(disk(9_000))),
        CreateVolumes(volumes=of(volume)),
        CreateVolumes(volumes=of(volume)),
    )
    assert len([each for each in after if each.volume]) == 1


def test_an_agent_that_comes_back_has_its_reservations_unless_it_is_configured_anew() -> None:
    world, framework = start()
    do(world, framework, Reserve(resources=of(disk(60_000))))
    stream = world.state.agents[AgentId("a1")].stream
    assert stream is not None
    world.lose_agent(stream)
    stream = world.agent("a1", "cpus:4;mem:1024;disk:100")
    assert any(each.reservations for each in world.state.agents[AgentId("a1")].info.resources)
    world.lose_agent(stream)
    world.agent("a1", "cpus:4;mem:1024;disk:50")
    assert not any(each.reservations for each in world.state.agents[AgentId("a1")].info.resources)


def restarted(world: World, whole: str) -> World:
    """A master that knows what was saved, and nothing else."""
    saved = {type(effect): effect for effect in world.effects}
    agents, resources = saved[SaveAgent], saved[SaveAgentResources]
    assert isinstance(agents, SaveAgent)
    assert isinstance(resources, SaveAgentResources)
    again = World(remembered=Remembered(agents=(agents,), agent_resources=(resources,)), epoch=2)
    again.agent("a1", whole)
    return again


def test_a_master_that_crashed_has_the_reservations_and_volumes() -> None:
    world, framework = start()
    do(world, framework, Reserve(resources=of(disk(60_000))), CreateVolumes(volumes=of(disk(9_000, volume="v"))))
    before = world.state.agents[AgentId("a1")].info.resources
    again = restarted(world, "cpus:4;mem:1024;disk:100")
    assert again.state.agents[AgentId("a1")].info.resources == before
    assert again.allocator.free(AgentId("a1")) == before
    other = again.framework("other")
    assert [offer.resources.scalar_milli("disk") for offer in again.offers(other[2])] == [40_000]


def test_of_an_agent_that_was_configured_with_less_what_still_fits_is_kept() -> None:
    world, framework = start()
    do(world, framework, Reserve(resources=of(disk(60_000))), CreateVolumes(volumes=of(disk(9_000, volume="v"))))
    again = restarted(world, "cpus:4;mem:1024;disk:50")
    present = again.state.agents[AgentId("a1")].info.resources
    assert of(*(each for each in present if each.reservations)) == of(disk(9_000, volume="v"))
    assert present.scalar_milli("disk") == 50_000
    (saved,) = [effect for effect in again.effects if isinstance(effect, SaveAgentResources)]
    assert (saved.lost, saved.resources) == (of(disk(51_000)), present)
    assert again.effects.index(saved) < next(
        index for index, effect in enumerate(again.effects) if isinstance(effect, ToAgent)
    )


def test_what_is_changed_is_durable_before_the_launch_that_uses_it() -> None:
    world, framework = start()
    world.forget()
    task = replace(task_info("t1", "a1"), resources=of(disk(20_000), *task_info("x", "a1").resources))
    world.framework("r")
    held = world.state.frameworks[framework[0]].offers
    event = Accept(
        **call(framework),
        offer_ids=tuple(held),
        operations=(Reserve(resources=of(disk(30_000))), Launch(tasks=(task,))),
    )
    kinds = [type(effect) for effect in world.do(event)]
    assert kinds.index(SaveAgentResources) < kinds.index(ToAgent)
