"""What the master tells agents of their volumes, and what it makes of their answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from masterd.core.effects import Save, SaveAgentResources, TellLaunch, TellRegistered, TellVolumes, ToAgent
from masterd.core.events import Accept, VolumesFound, VolumesRemoved
from masterd.core.reservation_views import reservation_keys, reservation_view, unknown_volumes
from paddock.model.errors import InvalidRequest
from paddock.model.ids import AgentId
from paddock.model.offer import CreateVolumes, DestroyVolumes, Filters, GrowVolume, Launch, Reserve
from paddock.model.resources import DiskVolume, Resource, Resources, Scalar
from paddock.model.task import Reason, TaskState
from paddock.model.volumes import VolumeKey
from tests.unit.masterd.core.test_operator_changes import change, said, start
from tests.unit.masterd.core.world import World, call, remembered_of, task_info

A1 = AgentId("a1")
V1 = VolumeKey(role="r", persistence_id="v")


def volume(path: str = "", name: str = "v", milli: int = 20_000) -> Resource:
    (disk,) = said("disk(r):1")
    return replace(disk, value=Scalar(milli=milli), volume=DiskVolume(persistence_id=name, container_path=path))


def create(world: World, *volumes: Resource) -> None:
    change(world, CreateVolumes(volumes=Resources(volumes)))


def reserved() -> World:
    world = start()
    change(world, Reserve(resources=said("disk(r):60")))
    return world


def told(world: World, stream: int = 1) -> list[TellVolumes]:
    return world.heard(stream, TellVolumes)


def test_an_agent_is_told_all_its_volumes_with_each_change_and_after_it_is_durable() -> None:
    world = reserved()
    assert not told(world)  # a reservation is no volume
    create(world, volume())
    create(world, volume(name="w"))
    assert [[each.volume.persistence_id for each in one.volumes if each.volume] for one in told(world)] == [
        ["v"],
        ["v", "w"],
    ]
    saved = [index for index, each in enumerate(world.effects) if isinstance(each, SaveAgentResources)]
    sent = [
        index
        for index, each in enumerate(world.effects)
        if isinstance(each, ToAgent) and isinstance(each.message, TellVolumes)
    ]
    assert saved[1:] == [index - 1 for index in sent]
    grown = GrowVolume(volume=volume(), addition=said("disk(r):1").items[0])
    change(world, grown)
    assert [each.value for each in told(world)[-1].volumes][-1] == Scalar(milli=21_000)
    assert told(world)[-1].destroyed == ()


def test_a_destroy_is_told_until_it_is_confirmed_over_reconnections_and_crashes() -> None:
    world = reserved()
    create(world, volume())
    change(world, DestroyVolumes(volumes=Resources((volume(),))))
    (destroyed,) = told(world)[-1].destroyed
    assert destroyed.volume == V1
    # Made anew under the same name: the DESTROY is of the old one.
    create(world, volume())
    assert told(world)[-1].destroyed == (destroyed,)
    world.lose_agent(1)
    stream = world.agent("a1", "cpus:4;mem:1024;disk:100;ports:[1-9]")
    (again,) = world.heard(stream, TellRegistered)
    assert (again.destroyed, len(again.volumes.items)) == ((destroyed,), 1)
    saved = [each for each in world.effects if isinstance(each, SaveAgentResources)]
    assert saved[-1].destroyed == (destroyed,)

    after = World(remembered=remembered_of([each for each in world.effects if isinstance(each, Save)]), epoch=2)
    stream = after.agent("a1", "cpus:4;mem:1024;disk:100;ports:[1-9]")
    (again,) = after.heard(stream, TellRegistered)
    assert again.destroyed == (destroyed,)
    after.forget()
    after.do(VolumesRemoved(stream=stream, destroy_ids=(destroyed.destroy_id, "another")))
    (record,) = [each for each in after.effects if isinstance(each, SaveAgentResources)]
    assert record.destroyed == ()
    assert not after.do(VolumesRemoved(stream=stream, destroy_ids=(destroyed.destroy_id,)))
    change(after, DestroyVolumes(volumes=Resources((volume(),))))
    (other,) = after.heard(stream, TellVolumes)[-1].destroyed
    assert other.destroy_id != destroyed.destroy_id


def test_each_destroy_has_an_id_of_its_own() -> None:
    world = reserved()
    seen: list[str] = []
    for _ in range(3):
        create(world, volume(), volume(name="w"))
        change(world, DestroyVolumes(volumes=Resources((volume(), volume(name="w")))))
        destroyed = told(world)[-1].destroyed
        assert {each.volume.persistence_id for each in destroyed} == {"v", "w"}
        seen += [each.destroy_id for each in destroyed]
        world.do(VolumesRemoved(stream=1, destroy_ids=tuple(seen)))
    assert len(set(seen)) == 6


def test_a_confirmation_for_an_agent_that_has_gone_means_nothing() -> None:
    world = reserved()
    world.lose_agent(1)
    assert not world.do(VolumesRemoved(stream=1, destroy_ids=("x",)))


def test_an_agent_configured_with_less_loses_a_volume_from_the_list_and_keeps_what_is_on_it() -> None:
    world = reserved()
    create(world, volume())
    world.lose_agent(1)
    stream = world.agent("a1", "cpus:4;mem:1024;disk:1")
    (again,) = world.heard(stream, TellRegistered)
    assert (again.volumes, again.destroyed) == (Resources(), ())
    world.do(VolumesFound(stream=stream, troubled=(), unknown=(V1,)))
    assert unknown_volumes(world.state) == [(A1, V1)]


def test_what_an_agent_says_of_its_disk_is_shown_until_it_says_otherwise() -> None:
    world = reserved()
    create(world, volume())

    def problems() -> list[str]:
        keys = reservation_keys(world.state, wall_ns=world.now_ns, only_orphaned=False, only_volumes=True)
        return [reservation_view(world.state, key, wall_ns=world.now_ns).problem for key in keys]

    world.do(VolumesFound(stream=1, troubled=((V1, "it is not there"),), unknown=(V1,)))
    assert problems() == ["it is not there"]
    world.do(VolumesFound(stream=1, troubled=(), unknown=()))
    assert problems() == [""]
    assert not unknown_volumes(world.state)
    world.do(VolumesFound(stream=1, troubled=((V1, "again"),), unknown=()))
    world.lose_agent(1)
    world.agent("a1", "cpus:4;mem:1024;disk:100;ports:[1-9]")
    assert problems() == [""]  # it looks anew


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../b", "stdout", "a\0"])
def test_a_volume_is_not_made_for_a_place_outside_the_sandbox(path: str) -> None:
    world = reserved()
    with pytest.raises(InvalidRequest, match=r"create\.volumes\.volume\.container_path"):
        create(world, volume(path))
    assert not told(world)


def test_volumes_are_told_before_the_launch_that_uses_them_and_two_at_one_place_are_an_error() -> None:
    world = start()
    framework = world.framework("r", aware=True)

    def launch(*volumes: Resource) -> None:
        offers = world.offers(framework[2])
        (owned,) = said("disk(r):60")
        resources = Resources((*task_info("x", "a1").resources, *volumes))
        world.do(
            Accept(
                **call(framework),
                offer_ids=tuple(offer.offer_id for offer in offers),
                operations=(
                    Reserve(resources=Resources((owned,))),
                    CreateVolumes(volumes=Resources(volumes)),
                    Launch(tasks=(replace(task_info("t1", "a1"), resources=resources),)),
                ),
                filters=Filters(refuse_ms=0),
            )
        )
        world.cycle(batch=True)

    def owned(path: str, name: str) -> Resource:
        found = volume(path, name, 10_000)
        (top,) = found.reservations
        return replace(found, reservations=(replace(top, principal="uid:0"),))

    launch(owned("a", "v"), owned("a/b", "w"))
    (status,) = world.statuses(framework[2])
    assert (status.state, status.reason) == (TaskState.ERROR, Reason.TASK_INVALID)
    assert "volumes v and w are both to be at a" in status.message

    world = start()
    framework = world.framework("r", aware=True)
    launch(owned("a", "v"))
    messages = [each.message for each in world.effects if isinstance(each, ToAgent)]
    kinds = [type(message) for message in messages]
    assert kinds.index(TellVolumes) < kinds.index(TellLaunch)
