"""Persistent volumes between a master and its agents, protobuf ↔ model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_id, check_role
from paddock.model.resources import DEFAULT_ROLE, Resources
from paddock.model.volumes import DestroyedVolume, VolumeKey, key_of
from paddock.wire.convert import bounds
from paddock.wire.convert.resources import resources_from_wire, resources_to_wire
from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1 import resources_pb2

_DESTROY_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_DESTROY_ID_LIMIT_BYTES = 128


def agent_volumes_from_wire(message: pb.AgentVolumes, field: str) -> tuple[Resources, tuple[DestroyedVolume, ...]]:
    """Volumes only, each once. Raises InvalidRequest."""
    volumes = resources_from_wire(message.volumes, f"{field}.volumes")
    seen: set[VolumeKey] = set()
    for index, resource in enumerate(volumes):
        where = f"{field}.volumes[{index}]"
        if resource.volume is None or not resource.reservations:
            raise InvalidRequest(where, resource.name, "name reserved volumes only")
        if key_of(resource) in seen:
            raise InvalidRequest(where, resource.volume.persistence_id, "name each volume once")
        seen.add(key_of(resource))
    bounds.count(message.destroyed, f"{field}.destroyed")
    destroyed = tuple(
        DestroyedVolume(
            destroy_id=_destroy_id(each.destroy_id, f"{field}.destroyed[{index}].destroy_id"),
            volume=volume_key_from_wire(each.volume, f"{field}.destroyed[{index}].volume"),
        )
        for index, each in enumerate(message.destroyed)
    )
    return volumes, destroyed


def agent_volumes_to_wire(volumes: Resources, destroyed: Iterable[DestroyedVolume]) -> pb.AgentVolumes:
    """In their order. Of very many DESTROYs the first: the others are told when these are confirmed."""
    return pb.AgentVolumes(
        volumes=resources_to_wire(volumes),
        destroyed=[
            pb.DestroyedVolume(destroy_id=each.destroy_id, volume=volume_key_to_wire(each.volume))
            for each in tuple(destroyed)[: bounds.LIST_LIMIT_COUNT]
        ],
    )


def destroy_ids_from_wire(values: Sequence[str], field: str) -> tuple[str, ...]:
    """They become names of files. Raises InvalidRequest."""
    bounds.count(values, field)
    return tuple(_destroy_id(value, f"{field}[{index}]") for index, value in enumerate(values))


def volumes_found_from_wire(
    message: pb.VolumesFound, field: str
) -> tuple[tuple[tuple[VolumeKey, str], ...], tuple[VolumeKey, ...]]:
    """Troubled volumes with their reasons, and unknown ones."""
    bounds.count(message.troubled, f"{field}.troubled")
    bounds.count(message.unknown, f"{field}.unknown")
    troubled = tuple(
        (
            volume_key_from_wire(each.volume, f"{field}.troubled[{index}].volume"),
            bounds.text(each.problem, f"{field}.troubled[{index}].problem", bounds.TEXT_LIMIT_BYTES),
        )
        for index, each in enumerate(message.troubled)
    )
    unknown = tuple(
        volume_key_from_wire(each, f"{field}.unknown[{index}]") for index, each in enumerate(message.unknown)
    )
    return troubled, unknown


def volumes_found_to_wire(troubled: Iterable[tuple[VolumeKey, str]], unknown: Sequence[VolumeKey]) -> pb.VolumesFound:
    """Of very many unknown ones the first."""
    return pb.VolumesFound(
        troubled=[
            pb.VolumeTrouble(volume=volume_key_to_wire(key), problem=bounds.shown(problem, bounds.TEXT_LIMIT_BYTES))
            for key, problem in troubled
        ],
        unknown=[volume_key_to_wire(key) for key in unknown[: bounds.LIST_LIMIT_COUNT]],
    )


def volume_key_from_wire(message: resources_pb2.VolumeKey, field: str) -> VolumeKey:
    """Raises InvalidRequest."""
    role = check_role(message.role, f"{field}.role")
    if role == DEFAULT_ROLE:
        raise InvalidRequest(f"{field}.role", role, "a volume is reserved for a role")
    return VolumeKey(role=role, persistence_id=check_id(message.persistence_id, f"{field}.persistence_id"))


def volume_key_to_wire(key: VolumeKey) -> resources_pb2.VolumeKey:
    """As it is."""
    return resources_pb2.VolumeKey(role=key.role, persistence_id=key.persistence_id)


def _destroy_id(value: str, field: str) -> str:
    if not 1 <= len(value) <= _DESTROY_ID_LIMIT_BYTES or not set(value) <= _DESTROY_ID_CHARACTERS:
        raise InvalidRequest(field, value, "use 1 to 128 small letters, digits or '-'")
    return value
