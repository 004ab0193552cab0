"""What agents say of their volumes, and what they are told, at the edge."""

from __future__ import annotations

import pytest

from masterd.core.effects import TellRegistered, TellVolumes
from masterd.core.events import VolumesFound, VolumesRemoved
from masterd.rpc.agents import event_of, to_wire
from masterd.rpc.reservations import Reservations
from paddock.model.errors import InvalidRequest
from paddock.model.ids import AgentId
from paddock.model.resources import DiskVolume, Reservation, Resource, Resources, Scalar
from paddock.model.volumes import DestroyedVolume, VolumeKey
from paddock.rpc.clients.reservations import _key_of
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1 import parties_pb2, reservation_service_pb2, resources_pb2
from tests.unit.masterd.rpc.serving import NO_CONTEXT, cluster, served

V1 = VolumeKey(role="r", persistence_id="v")
WIRE_V1 = resources_pb2.VolumeKey(role="r", persistence_id="v")
VOLUMES = Resources(
    (
        Resource(
            name="disk",
            value=Scalar(milli=1),
            reservations=(Reservation(role="r", dynamic=True),),
            volume=DiskVolume(persistence_id="v", container_path="a/b", read_only=True),
            shared=True,
        ),
    )
)
DESTROYED = (DestroyedVolume(destroy_id="1-2-3", volume=V1),)


def test_an_agent_is_told_at_its_registration_and_later() -> None:
    told = TellRegistered(
        agent_id=AgentId("a"), ping_interval_ms=1, ping_limit_count=1, volumes=VOLUMES, destroyed=DESTROYED
    )
    first = to_wire(told, parties_pb2.MasterInfo())
    later = to_wire(TellVolumes(volumes=VOLUMES, destroyed=DESTROYED), parties_pb2.MasterInfo())
    for message in (first.registered.volumes, later.volumes):
        assert convert.agent_volumes_from_wire(message, "volumes") == (VOLUMES, DESTROYED)


def test_what_agents_say_comes_in() -> None:
    message = pb.AgentMessage(volumes_removed=pb.VolumesRemoved(destroy_ids=["1-2-3"]))
    assert event_of(message, 7) == VolumesRemoved(stream=7, destroy_ids=("1-2-3",))
    found = pb.VolumesFound(troubled=[pb.VolumeTrouble(volume=WIRE_V1, problem="gone")], unknown=[WIRE_V1])
    assert event_of(pb.AgentMessage(volumes_found=found), 7) == VolumesFound(
        stream=7, troubled=((V1, "gone"),), unknown=(V1,)
    )


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (
            pb.AgentMessage(volumes_removed=pb.VolumesRemoved(destroy_ids=["../x"])),
            r"volumes_removed\.destroy_ids\[0\]",
        ),
        (
            pb.AgentMessage(volumes_found=pb.VolumesFound(unknown=[resources_pb2.VolumeKey(role="*")])),
            r"volumes_found\.unknown\[0\]\.role",
        ),
        (
            pb.AgentMessage(volumes_found=pb.VolumesFound(unknown=[resources_pb2.VolumeKey(role="r")])),
            r"volumes_found\.unknown\[0\]\.persistence_id",
        ),
        (
            pb.AgentMessage(
                volumes_found=pb.VolumesFound(troubled=[pb.VolumeTrouble(volume=WIRE_V1, problem="x" * 5000)])
            ),
            r"volumes_found\.troubled\[0\]\.problem",
        ),
    ],
)
def test_what_makes_no_sense_names_its_field(message: pb.AgentMessage, field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        event_of(message, 1)


async def test_operators_see_unknown_volumes_on_the_first_page() -> None:
    world = cluster()
    agent_id = next(iter(world.state.agents))
    world.state.agents[agent_id].unknown_volumes = (V1,)
    async with served(world) as shell:
        request = reservation_service_pb2.ListReservationsRequest(only_volumes=True)
        answer = await Reservations(shell).ListReservations(request, NO_CONTEXT)
        (unknown,) = answer.unknown_volumes
        assert (unknown.agent_id, _key_of(unknown)) == (agent_id, V1)
        request.only_orphaned = True
        answer = await Reservations(shell).ListReservations(request, NO_CONTEXT)
        assert not answer.unknown_volumes
