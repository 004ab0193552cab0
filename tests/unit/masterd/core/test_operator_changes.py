"""Reservations and volumes by an operator: on what nobody uses, planned whole; and leases that end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from masterd.core import operator_changes
from masterd.core.authorizer import Action
from masterd.core.effects import NoteRescinded, SaveAgentResources
from masterd.core.events import Caller, ResourcesChanged
from masterd.core.reservation_views import Orphan, reservation_keys, reservation_view
from paddock.model.errors import (
    InvalidRequest,
    NotFound,
    PaddockError,
    PermissionRefused,
    ResourcesExhausted,
    Unavailable,
)
from paddock.model.ids import AgentId
from paddock.model.offer import Change, CreateVolumes, DestroyVolumes, GrowVolume, Reserve, ShrinkVolume, Unreserve
from paddock.model.resource_text import format_resources, parse_resources
from paddock.model.resources import DiskVolume, Reservation, Resource, Resources, Scalar
from paddock.model.task import TaskState
from tests.unit.masterd.core.world import ROOT, SECOND_NS, World, task_info

A1 = AgentId("a1")


def said(text: str, *below: str, expires_ms: int = 0) -> Resources:
    """As people write it: `cpus(r):1`; `below` are the roles that r refines."""
    return Resources(
        tuple(
            replace(
                resource,
                reservations=(
                    *(Reservation(role=role) for role in below),
                    *(replace(each, dynamic=True, expires_ms=expires_ms) for each in resource.reservations),
                ),
            )
            for resource in parse_resources(text)
        )
    )


def volume(volume_id: str, milli: int = 1, role: str = "") -> Resource:
    reservations = (Reservation(role=role),) if role else ()
    kept = DiskVolume(persistence_id=volume_id)
    return Resource(name="disk", value=Scalar(milli=milli), reservations=reservations, volume=kept)


def change(world: World, operation: Change, *, agent_id: str = "a1", caller: Caller = ROOT) -> None:
    world.do(ResourcesChanged(caller=caller, agent_id=AgentId(agent_id), change=operation))
    world.cycle()


def start(resources: str = "cpus:4;mem:1024;disk:100;ports:[1-9]") -> World:
    world = World()
    world.agent("a1", resources)
    return world


def present(world: World) -> str:
    return ";".join(sorted(format_resources(world.state.agents[A1].info.resources).split(";")))


def test_reserved_and_back_with_what_was_said_only() -> None:
    world = start()
    before = present(world)
    change(world, Reserve(resources=said("cpus(r):3;ports(r):[2-3];disk(r):50")))
    assert present(world) == "cpus(r):3;cpus:1;disk(r):50;disk:50;mem:1024;ports(r):[2-3];ports:[1-1,4-9]"
    owners = {
        resource.reservations[0].principal
        for resource in world.state.agents[A1].info.resources
        if resource.reservations
    }
    assert owners == {"uid:0"}
    change(world, CreateVolumes(volumes=Resources((volume("v", 20_000, "r"),))))
    change(world, GrowVolume(volume=volume("v"), addition=Resource(name="disk", value=Scalar(milli=5_000))))
    change(world, ShrinkVolume(volume=volume("v"), by_milli=15_000))
    assert world.state.agents[A1].info.resources.contains(
        Resources(
            (replace(volume("v", 10_000), reservations=(Reservation(role="r", dynamic=True, principal="uid:0"),)),)
        )
    )
    with pytest.raises(ResourcesExhausted, match="10 is missing"):
        change(world, Unreserve(resources=said("disk(r):50")))
    change(world, DestroyVolumes(volumes=Resources((volume("v"),))))
    change(world, Unreserve(resources=said("cpus(r):3;ports(r):[2-3];disk(r):50")))
    assert present(world) == before
    saved = [effect for effect in world.effects if isinstance(effect, SaveAgentResources)]
    assert (len(saved), saved[-1].resources == saved[-1].configured) == (6, True)


def test_refined_on_top_of_what_the_agent_was_configured_with() -> None:
    world = start("cpus(r):4;mem:1024")
    change(world, Reserve(resources=said("cpus(r/s):1", "r")))
    with pytest.raises(InvalidRequest, match="only for roles below it"):
        change(world, Reserve(resources=said("cpus(other):1", "r")))
    change(world, Unreserve(resources=said("cpus(r/s):1", "r")))
    with pytest.raises(InvalidRequest, match="only what was reserved at run time"):
        change(world, Unreserve(resources=said("cpus(r):1")))


def test_offers_in_the_way_are_taken_back_and_others_are_not() -> None:
    world = World()
    framework = world.framework("f")
    for name in ("a1", "a2"):
        world.agent(name)
    held = {offer.agent_id: offer.offer_id for offer in world.offers(framework[2])}
    change(world, Reserve(resources=said("cpus(r):3")))
    assert [note.offer_id for note in world.heard(framework[2], NoteRescinded)] == [held[A1]]
    assert {offer.agent_id: offer.resources.scalar_milli("cpus") for offer in world.offers(framework[2])} == {
        "a1": 1_000,
        "a2": 4_000,
    }


def test_what_tasks_use_is_neither_reserved_nor_unreserved_and_nobody_loses_an_offer() -> None:
    world = start("cpus:4;mem:1024")
    framework = world.framework("r")
    change(world, Reserve(resources=said("cpus(r):2")))
    (offer,) = world.offers(framework[2])
    reserved = Resources.of(each for each in offer.resources.unallocated() if each.reservations)
    world.accept(framework, [offer], replace(task_info("t1", "a1"), resources=reserved), refuse_ms=0)
    world.cycle(batch=True)
    before = set(world.state.offers)
    assert before
    for operation in (Unreserve(resources=said("cpus(r):0.001")), Reserve(resources=said("cpus(s):2.001"))):
        with pytest.raises(ResourcesExhausted, match="is missing"):
            change(world, operation)
    assert set(world.state.offers) == before
    stream = world.state.agents[A1].stream
    assert stream is not None
    world.report(stream, framework, "t1", TaskState.FINISHED)
    change(world, Unreserve(resources=said("cpus(r):2")))
    assert present(world) == "cpus:4;mem:1024"


@pytest.mark.parametrize(
    ("operation", "error", "words"),
    [
        (Reserve(resources=said("cpus(r):4.001")), ResourcesExhausted, "0.001 is missing"),
        (Reserve(resources=said("gpus(r):1")), ResourcesExhausted, "gpus 1 is asked for"),
        (Reserve(resources=said("cpus:1")), InvalidRequest, "say for which role"),
        (Reserve(resources=said("cpus(r):1", expires_ms=1)), InvalidRequest, "a lease ends in the future"),
        (Reserve(resources=said("ports(r):[9-10]")), ResourcesExhausted, "[10-10] is missing"),
        (Unreserve(resources=said("cpus(r):1")), ResourcesExhausted, "reserved for r"),
        (CreateVolumes(volumes=Resources((volume("v", 1, "r"),))), ResourcesExhausted, "disk 0.001 is asked for"),
        (CreateVolumes(volumes=Resources((volume("v", 1),))), InvalidRequest, "reserve the disk first"),
        (DestroyVolumes(volumes=Resources((volume("v"),))), NotFound, "volume 'v'"),
        (DestroyVolumes(volumes=said("disk:1")), InvalidRequest, "its persistence id"),
        (GrowVolume(volume=volume("v"), addition=volume("v")), NotFound, "volume 'v'"),
        (ShrinkVolume(volume=volume("v"), by_milli=1), NotFound, "volume 'v'"),
    ],
)
def test_the_first_fault_is_named_and_nothing_is_changed(
    operation: Change, error: type[PaddockError], words: str
) -> None:
    world = start()
    world.framework("f")
    before, offers = present(world), set(world.state.offers)
    with pytest.raises(error) as caught:
        change(world, operation)
    assert words in str(caught.value)
    assert (present(world), set(world.state.offers)) == (before, offers)
    assert not [effect for effect in world.effects if isinstance(effect, SaveAgentResources)]


def test_an_agent_that_is_away_or_not_there() -> None:
    world = start()
    with pytest.raises(NotFound, match="agent 'a2'"):
        change(world, Reserve(resources=said("cpus(r):1")), agent_id="a2")
    stream = world.state.agents[A1].stream
    assert stream is not None
    world.lose_agent(stream)
    change(world, Reserve(resources=said("cpus(r):1")))
    world.advance(100)
    with pytest.raises(Unavailable, match="unreachable"):
        change(world, Reserve(resources=said("cpus(r):1")))
    world.agent("a1", "cpus:4;mem:1024;disk:100;ports:[1-9]")
    assert present(world).startswith("cpus(r):1;cpus:3;")


class OnlyOwn:
    """A caller may reserve for the role of its own name."""

    def allows(self, caller: Caller, action: Action, role: str) -> bool:
        return action is not Action.RESERVE or caller.user in {"root", role}


def test_the_authorizer_is_asked_for_the_role_that_has_it() -> None:
    world = start()
    world.state.authorizer = OnlyOwn()
    alice = Caller(uid=1000, user="alice")
    change(world, Reserve(resources=said("cpus(bob):1")))
    change(world, Reserve(resources=said("cpus(alice):1")), caller=alice)
    for operation in (Unreserve(resources=said("cpus(bob):1")), Reserve(resources=said("cpus(bob):1"))):
        with pytest.raises(PermissionRefused, match="may not reserve for role bob"):
            change(world, operation, caller=alice)


def ends_in(world: World, seconds: int) -> int:
    return world.now_ns // 10**6 + seconds * 1_000


def test_a_lease_ends_what_is_free_then_and_the_rest_when_its_tasks_have_ended() -> None:
    world = start("cpus:4;mem:1024")
    framework = world.framework("r", failover_s=600)
    change(world, Reserve(resources=said("cpus(r):3", expires_ms=ends_in(world, 10))))
    (offer,) = world.offers(framework[2])
    leased = next(each for each in offer.resources.unallocated() if each.reservations)
    task = replace(task_info("t1", "a1"), resources=Resources((leased.amounting(Scalar(milli=1_000)),)))
    world.accept(framework, [offer], task, refuse_ms=0)
    world.advance(9)
    assert present(world) == "cpus(r):3;cpus:1;mem:1024"
    world.do(ResourcesChanged(caller=ROOT, agent_id=A1, change=Reserve(resources=said("mem(s):1"))))
    world.advance(2)
    assert present(world) == "cpus(r):1;cpus:3;mem(s):1;mem:1023"
    (key,) = reservation_keys(world.state, wall_ns=world.now_ns, only_orphaned=True, only_volumes=False)[:1]
    view = reservation_view(world.state, key, wall_ns=world.now_ns)
    assert (view.orphan, view.used_milli, view.resource.name) == (Orphan.LEASE_ENDED, 1_000, "cpus")
    stream = world.state.agents[A1].stream
    assert stream is not None
    world.report(stream, framework, "t1", TaskState.FINISHED)
    world.advance(1)
    assert present(world) == "cpus:4;mem(s):1;mem:1023"
    assert world.state.leases_ms == {}


def test_a_lease_does_not_end_a_volume_and_waits_for_an_agent_that_is_away() -> None:
    world = start()
    change(world, Reserve(resources=said("disk(r):50;cpus(r):1", expires_ms=ends_in(world, 90))))
    change(world, CreateVolumes(volumes=Resources((volume("v", 20_000, "r"),))))
    stream = world.state.agents[A1].stream
    assert stream is not None
    world.lose_agent(stream)
    world.advance(100)
    assert present(world).startswith("cpus(r):1;")
    world.agent("a1", "cpus:4;mem:1024;disk:100;ports:[1-9]")
    world.advance(1)
    assert present(world) == "cpus:4;disk(r)#v:20;disk:80;mem:1024;ports:[1-9]"


def test_what_nobody_can_use_is_orphaned() -> None:
    world = start()
    change(world, Reserve(resources=said("cpus(r):1")))
    change(world, Reserve(resources=said("cpus(gone):1")))
    change(world, Reserve(resources=said("disk(r):5")))
    change(world, CreateVolumes(volumes=Resources((volume("v", 1_000, "r"),))))
    world.framework("r/s")

    def listed(*, orphaned: bool = False, volumes: bool = False) -> list[tuple[str, Orphan | None]]:
        keys = reservation_keys(world.state, wall_ns=world.now_ns, only_orphaned=orphaned, only_volumes=volumes)
        views = [reservation_view(world.state, key, wall_ns=world.now_ns) for key in keys]
        return sorted((format_resources(Resources((view.resource,))), view.orphan) for view in views)

    assert [text for text, _ in listed()] == ["cpus(gone):1", "cpus(r):1", "disk(r)#v:1", "disk(r):4"]
    assert listed(orphaned=True) == [("cpus(gone):1", Orphan.NO_FRAMEWORK)]
    assert listed(volumes=True) == [("disk(r)#v:1", None)]


def test_a_plan_changes_nothing_and_names_the_offers() -> None:
    world = start()
    framework = world.framework("f")
    event = ResourcesChanged(caller=ROOT, agent_id=A1, change=Reserve(resources=said("cpus(r):1")))
    before = present(world)
    planned = operator_changes.plan(world.state, event, wall_ns=world.now_ns)
    assert planned.offer_ids == tuple(world.state.offers)
    assert planned.conversion.consumed == parse_resources("cpus:1")
    assert (present(world), len(world.offers(framework[2]))) == (before, 1)
    assert world.now_ns == 1_000 * SECOND_NS
