"""Persistent volumes: who they are, where a task sees them, and what of them an agent was configured with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from paddock.model.errors import InvalidRequest
from paddock.model.resources import DiskVolume, Resource, Resources

CONTAINER_PATH_LIMIT_BYTES = 1024
_NAME_LIMIT_BYTES = 255
_TAKEN = frozenset({"stdout", "stderr"})
"""The shim's own files at the top of each sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeKey:
    """A volume of an agent: by the role that it is reserved for, and its persistence id."""

    role: str
    persistence_id: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.persistence_id} of role {self.role}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyedVolume:
    """A DESTROY that an agent has still to carry out. `destroy_id` is never used twice: a volume may be made and destroyed
    again under the same key.
    """

    destroy_id: str
    volume: VolumeKey


def volumes_of(resources: Iterable[Resource]) -> Resources:
    """Those of them that are volumes."""
    return Resources(tuple(resource for resource in resources if resource.volume is not None))


def key_of(resource: Resource) -> VolumeKey:
    """Of a resource that is a volume."""
    assert resource.volume is not None, "asked of volumes only"
    return VolumeKey(role=resource.reserved_role, persistence_id=resource.volume.persistence_id)


def keys_of(resources: Iterable[Resource]) -> dict[VolumeKey, Resource]:
    """The volumes among them, by their keys."""
    return {key_of(resource): resource for resource in resources if resource.volume is not None}


def as_configured(resource: Resource) -> Resource:
    """Without what was done to it at run time: the master's books have that, an agent has what it was configured with."""
    if resource.volume is None and not any(reservation.dynamic for reservation in resource.reservations):
        return resource
    static = tuple(reservation for reservation in resource.reservations if not reservation.dynamic)
    return replace(resource, reservations=static, volume=None, shared=resource.shared and resource.volume is None)


def counted(resources: Resources) -> Resources:
    """What a container with these takes off its agent: as configured. The disk of a volume is taken by the volume itself,
    however many use it, and also while nobody does.
    """
    if all(as_configured(resource) is resource for resource in resources):
        return resources.unallocated()
    return Resources.of(as_configured(each) for each in resources.unallocated() if each.volume is None)


def role_directory(role: str) -> str:
    """The name of a role's directory: no role has a blank, so one in the place of each slash makes no two names alike. One
    that no file could bear is told by its digest, behind a blank with which no other begins.
    """
    name = role.replace("/", " ")
    return name if len(name.encode()) <= _NAME_LIMIT_BYTES else f" {hashlib.sha256(role.encode()).hexdigest()}"


def volume_directory(volumes_root: str, volume: VolumeKey) -> str:
    """Below the agent's directory for volumes; Mesos' layout."""
    return f"{volumes_root}/roles/{role_directory(volume.role)}/{volume.persistence_id}"


def volumes_root(work_dir: str, agent_id: str) -> str:
    """Each agent's own: two agents may share a work directory, and both have a volume of the same key."""
    return f"{work_dir}/agents/{agent_id}/volumes"


def container_path(volume: DiskVolume) -> str:
    """Where a task sees it, relative to its sandbox; where nobody said so: under the volume's id."""
    return volume.container_path or volume.persistence_id


def check_container_path(volume: DiskVolume, field: str) -> None:
    """Inside the sandbox, by plain names. Raises InvalidRequest."""
    path = container_path(volume)
    remedy = (
        "name a place in the sandbox: plain names joined by '/', neither '.' nor '..', and not 'stdout' or 'stderr'"
    )
    parts = path.split("/")
    if not path.isprintable() or len(path.encode(errors="replace")) > CONTAINER_PATH_LIMIT_BYTES:
        raise InvalidRequest(field, path, f"use at most {CONTAINER_PATH_LIMIT_BYTES} bytes that can be printed")
    if any(part in {"", ".", ".."} or len(part.encode()) > _NAME_LIMIT_BYTES for part in parts) or parts[0] in _TAKEN:
        raise InvalidRequest(field, path, remedy)


def find_clash(resources: Iterable[Resource]) -> str:
    """Two volumes of one task that cannot both be where they are to be, in words; empty when there are none."""
    seen: dict[tuple[str, ...], str] = {}
    for resource in resources:
        if resource.volume is None:
            continue
        parts, name = tuple(container_path(resource.volume).split("/")), resource.volume.persistence_id
        for other, owner in seen.items():
            shorter = min(len(parts), len(other))
            if parts[:shorter] == other[:shorter]:
                return f"volumes {owner} and {name} are both to be at {'/'.join(other[:shorter])}; make one with another path"
        seen[parts] = name
    return ""
