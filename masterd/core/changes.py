"""Operations that turn resources into others: checked against what is offered, then one conversion each.

A reservation is pushed by RESERVE and popped by UNRESERVE; volumes are made of reserved disk.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from masterd.allocator.interface import Conversion
from masterd.allocator.reservations import check_stack, role_line
from paddock.model.errors import InvalidRequest
from paddock.model.offer import Change, CreateVolumes, DestroyVolumes, GrowVolume, Reserve, ShrinkVolume, Unreserve
from paddock.model.resources import Resource, Resources, Scalar, check_resources
from paddock.model.volumes import check_container_path


def conversion_of(
    change: Change,
    *,
    role: str | None,
    principal: str,
    volume_ids: Collection[str],
    busy_volume_ids: Collection[str],
    now_ms: int,
) -> Conversion:
    """What the operation does, in an offer of `role`; None: an operator's, for any role. Raises InvalidRequest naming the
    first fault.

    `volume_ids` are those on the agent; `busy_volume_ids` those that tasks or other offers hold. `now_ms`: Unix time.
    """
    match change:
        case Reserve(resources=resources):
            return _reserve(resources, role, principal, now_ms)
        case Unreserve(resources=resources):
            return _unreserve(resources)
        case CreateVolumes(volumes=volumes):
            return _create(volumes, volume_ids)
        case DestroyVolumes(volumes=volumes):
            return _destroy(volumes, busy_volume_ids)
        case GrowVolume(volume=volume, addition=addition):
            return _grow(volume, addition)
        case ShrinkVolume(volume=volume, by_milli=by_milli):
            return _shrink(volume, by_milli)


def _reserve(resources: Resources, role: str | None, principal: str, now_ms: int) -> Conversion:
    reserved: list[Resource] = []
    plain: list[Resource] = []
    for resource in _checked(resources, "reserve.resources"):
        where = f"reserve.resources.{resource.name}"
        if not resource.reservations or resource.volume is not None or resource.revocable:
            raise InvalidRequest(where, resource.name, "reserve plain resources; say for which role")
        top = replace(resource.reservations[-1], dynamic=True, principal=principal)
        if role is not None and top.role not in role_line(role)[1:]:
            raise InvalidRequest(where, top.role, f"the offer is of role {role}: reserve for that role")
        if top.expires_ms and top.expires_ms <= now_ms:
            raise InvalidRequest(f"{where}.expires_ms", top.expires_ms, "a lease ends in the future")
        stacked = replace(resource, reservations=(*resource.reservations[:-1], top))
        check_stack(stacked, where)
        reserved.append(stacked)
        plain.append(replace(resource, reservations=resource.reservations[:-1]))
    return Conversion(consumed=Resources.of(plain), converted=Resources.of(reserved))


def reserved_roles(conversion: Conversion) -> list[str]:
    """For whom something is reserved before or afterwards: these decide."""
    both = (*conversion.consumed, *conversion.converted)
    return sorted({resource.reserved_role for resource in both if resource.reservations})


def _unreserve(resources: Resources) -> Conversion:
    plain: list[Resource] = []
    for resource in _checked(resources, "unreserve.resources"):
        where = f"unreserve.resources.{resource.name}"
        if not resource.reservations or not resource.reservations[-1].dynamic:
            raise InvalidRequest(where, resource.name, "only what was reserved at run time can be unreserved")
        if resource.volume is not None:
            raise InvalidRequest(where, resource.volume.persistence_id, "destroy the volume first")
        plain.append(replace(resource, reservations=resource.reservations[:-1]))
    return Conversion(consumed=resources, converted=Resources.of(plain))


def _create(volumes: Resources, volume_ids: Collection[str]) -> Conversion:
    seen: set[str] = set(volume_ids)
    for volume in _checked(volumes, "create.volumes"):
        if volume.name != "disk" or not isinstance(volume.value, Scalar) or volume.volume is None:
            raise InvalidRequest("create.volumes", volume.name, "a volume is made of disk and has a persistence id")
        persistence_id = volume.volume.persistence_id
        if not volume.reservations or volume.revocable:
            raise InvalidRequest("create.volumes", persistence_id, "reserve the disk first; it cannot be revocable")
        if persistence_id in seen:
            raise InvalidRequest("create.volumes", persistence_id, "the agent has a volume of this id")
        check_container_path(volume.volume, "create.volumes.volume.container_path")
        seen.add(persistence_id)
    return Conversion(consumed=_as_disk(volumes), converted=volumes)


def _destroy(volumes: Resources, busy_volume_ids: Collection[str]) -> Conversion:
    for volume in _checked(volumes, "destroy.volumes"):
        if volume.volume is None:
            raise InvalidRequest("destroy.volumes", volume.name, "this is no volume")
        if volume.volume.persistence_id in busy_volume_ids:
            raise InvalidRequest("destroy.volumes", volume.volume.persistence_id, "it is in use, or offered to others")
    return Conversion(consumed=volumes, converted=_as_disk(volumes))


def _as_disk(volumes: Resources) -> Resources:
    return Resources.of(replace(volume, volume=None, shared=False) for volume in volumes)


def _grow(volume: Resource, addition: Resource) -> Conversion:
    size, more = _sizes(volume, "grow_volume"), addition.value
    plain = replace(volume, volume=None, value=more)
    if not isinstance(more, Scalar) or more.milli <= 0 or plain != addition:
        raise InvalidRequest("grow_volume.addition", addition.name, "add plain disk with the volume's reservation")
    grown = replace(volume, value=Scalar(milli=size + more.milli))
    return Conversion(consumed=Resources((volume, addition)), converted=Resources((grown,)))


def _shrink(volume: Resource, by_milli: int) -> Conversion:
    size = _sizes(volume, "shrink_volume")
    if not 0 < by_milli < size:
        raise InvalidRequest("shrink_volume.by_milli", by_milli, f"take more than 0 and less than {size}")
    kept = replace(volume, value=Scalar(milli=size - by_milli))
    freed = replace(volume, volume=None, value=Scalar(milli=by_milli))
    return Conversion(consumed=Resources((volume,)), converted=Resources((kept, freed)))


def _sizes(volume: Resource, where: str) -> int:
    if volume.volume is None or volume.shared or volume.indivisible or not isinstance(volume.value, Scalar):
        raise InvalidRequest(
            where, volume.name, "only a volume that is neither shared nor a disk of its own has its size"
        )
    return volume.value.milli


def _checked(resources: Resources, where: str) -> Resources:
    if not resources:
        raise InvalidRequest(where, "", "name at least one resource")
    return check_resources(resources, where)
