"""What masters and agents tell each other of volumes: everything comes through whole, and nothing senseless does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.model.errors import InvalidRequest
from paddock.model.volumes import VolumeKey
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1 import resources_pb2

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
keys = st.builds(resources_pb2.VolumeKey, role=texts, persistence_id=texts)
resources = st.builds(
    resources_pb2.Resource,
    name=st.sampled_from(["disk", "cpus", ""]),
    scalar_milli=st.integers(-1, 2**40),
    reservations=st.lists(st.builds(resources_pb2.Reservation, role=texts), max_size=2),
    volume=st.none() | st.builds(resources_pb2.DiskVolume, persistence_id=texts, container_path=texts),
)
told = st.builds(
    pb.AgentVolumes,
    volumes=st.lists(resources, max_size=3),
    destroyed=st.lists(st.builds(pb.DestroyedVolume, destroy_id=texts, volume=keys), max_size=3),
)


@given(told)
def test_a_list_is_understood_or_its_field_is_named(message: pb.AgentVolumes) -> None:
    try:
        volumes, destroyed = convert.agent_volumes_from_wire(message, "volumes")
    except InvalidRequest as error:
        field = error.field
        assert field.startswith("volumes.")
        return
    again = convert.agent_volumes_to_wire(volumes, destroyed)
    assert convert.agent_volumes_from_wire(again, "volumes") == (volumes, destroyed)
    assert all(set(each.destroy_id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for each in destroyed)
    assert all("/" not in each.volume.persistence_id for each in destroyed)


def disk(persistence_id: str, *, role: str = "r") -> resources_pb2.Resource:
    return resources_pb2.Resource(
        name="disk",
        scalar_milli=1,
        reservations=[resources_pb2.Reservation(role=role)] if role else [],
        volume=resources_pb2.DiskVolume(persistence_id=persistence_id),
    )


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.AgentVolumes(volumes=[resources_pb2.Resource(name="disk", scalar_milli=1)]), "volumes.volumes[0]"),
        (pb.AgentVolumes(volumes=[disk("v", role="")]), "volumes.volumes[0]"),
        (pb.AgentVolumes(volumes=[disk("a"), disk("b"), disk("a")]), "volumes.volumes[2]"),
        (pb.AgentVolumes(volumes=[disk("../x")]), "volumes.volumes[0].volume.persistence_id"),
        (pb.AgentVolumes(destroyed=[pb.DestroyedVolume(destroy_id="a/b")]), "volumes.destroyed[0].destroy_id"),
        (
            pb.AgentVolumes(
                destroyed=[
                    pb.DestroyedVolume(
                        destroy_id="1", volume=resources_pb2.VolumeKey(role="a/../b", persistence_id="v")
                    )
                ]
            ),
            "volumes.destroyed[0].volume.role",
        ),
    ],
)
def test_each_fault_is_named(message: pb.AgentVolumes, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        convert.agent_volumes_from_wire(message, "volumes")
    assert refused.value.field == field


def test_very_many_are_told_in_parts() -> None:
    unknown = [VolumeKey(role="r", persistence_id=f"v{number}") for number in range(2_000)]
    message = convert.volumes_found_to_wire([(unknown[0], "x" * 10_000)], unknown)
    troubled, told_unknown = convert.volumes_found_from_wire(message, "found")
    assert (len(told_unknown), troubled[0][0]) == (1_000, unknown[0])
