"""What an operator means: reservations and volumes of an agent, found by as much of them as was said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from paddock.model.errors import InvalidRequest, NotFound, ResourcesExhausted
from paddock.model.offer import Change, CreateVolumes, DestroyVolumes, GrowVolume, Reserve, ShrinkVolume, Unreserve
from paddock.model.resource_text import format_value
from paddock.model.resources import Items, Ranges, Reservation, Resource, Resources, Scalar, Value, subtracted


def resolved(change: Change, available: Resources, whole: Resources) -> Change:
    """The operation in full: `available` is what nobody uses, `whole` what the agent has.

    Raises ResourcesExhausted where too little is available, NotFound for a volume that is not there. What could never be
    is left for `conversion_of` to name.
    """
    match change:
        case Reserve(resources=resources):
            return replace(change, resources=_each(resources, available, _reserve))
        case Unreserve(resources=resources):
            return replace(change, resources=_each(resources, available, _pick))
        case CreateVolumes(volumes=volumes):
            return replace(change, volumes=_each(volumes, available, _make))
        case DestroyVolumes(volumes=volumes):
            return replace(change, volumes=Resources(tuple(find_volume(each, whole) for each in volumes)))
        case GrowVolume(volume=volume, addition=addition):
            known = find_volume(volume, whole)
            plain = replace(known, volume=None, shared=False, value=addition.value)
            return replace(change, volume=known, addition=plain if addition.name == known.name else addition)
        case ShrinkVolume(volume=volume):
            return replace(change, volume=find_volume(volume, whole))


_Pick = Callable[[Resource, Resources], tuple[list[Resource], list[Resource]]]
"""What is taken of what is left, and what it is to be."""


def _each(wanted: Resources, available: Resources, pick: _Pick) -> Resources:
    """Piece by piece, so that nothing is picked twice."""
    meant: list[Resource] = []
    for resource in wanted:
        taken, made = pick(resource, available)
        for piece in taken:
            available -= Resources((piece,))
        meant += made
    return Resources.of(meant)


def _reserve(wanted: Resource, available: Resources) -> tuple[list[Resource], list[Resource]]:
    if not wanted.reservations or wanted.volume is not None or wanted.revocable:
        return [], [wanted]
    taken, _ = _pick(replace(wanted, reservations=wanted.reservations[:-1]), available)
    top = wanted.reservations[-1:]
    return taken, [replace(piece, reservations=(*piece.reservations, *top)) for piece in taken]


def _pick(wanted: Resource, available: Resources) -> tuple[list[Resource], list[Resource]]:
    if wanted.volume is not None or wanted.revocable:
        return [], [wanted]
    taken: list[Resource] = []
    missing = wanted.value
    for present in available:
        if not _is_meant(wanted, present):
            continue
        part = _shared_part(missing, present.value)
        piece = present.amounting(part)
        if not piece.is_empty():
            taken.append(piece)
            missing = subtracted(missing, part)
    if not wanted.amounting(missing).is_empty():
        raise _short(wanted, missing)
    return taken, taken


def _make(wanted: Resource, available: Resources) -> tuple[list[Resource], list[Resource]]:
    """A volume is of one piece of disk: parts with different owners or leases do not make one."""
    if wanted.volume is None or not wanted.reservations or wanted.revocable:
        return [], [wanted]
    disk = replace(wanted, volume=None, shared=False)
    for present in available:
        if _is_meant(disk, present) and _shared_part(disk.value, present.value) == disk.value:
            piece = present.amounting(disk.value)
            return [piece], [replace(piece, volume=wanted.volume, shared=wanted.shared)]
    raise _short(disk, disk.value)


def _short(wanted: Resource, missing: Value) -> ResourcesExhausted:
    whose = " of ".join(reservation.role for reservation in reversed(wanted.reservations))
    kind = f"reserved for {whose}" if whose else "unreserved"
    return ResourcesExhausted(
        f"{wanted.name} {format_value(wanted.value)} is asked for; of what is {kind} and that no task uses, "
        f"{format_value(missing)} is missing"
    )


def find_volume(said: Resource, whole: Resources) -> Resource:
    """By its id; its size need not be right."""
    if said.volume is None:
        raise InvalidRequest("operation.volume", said.name, "say which volume: its persistence id")
    for present in whole:
        if present.volume is not None and present.volume.persistence_id == said.volume.persistence_id:
            if said.reservations and not _is_same_stack(said.reservations, present.reservations):
                break
            return present
    raise NotFound("volume", said.volume.persistence_id)


def _is_meant(said: Resource, present: Resource) -> bool:
    return (
        present.name == said.name
        and type(present.value) is type(said.value)
        and present.volume is None
        and not present.revocable
        and not present.shared
        and said.provider_id in {"", present.provider_id}
        and _is_same_stack(said.reservations, present.reservations)
    )


def _is_same_stack(said: tuple[Reservation, ...], present: tuple[Reservation, ...]) -> bool:
    return len(said) == len(present) and all(
        one.role == other.role
        and one.principal in {"", other.principal}
        and one.labels in {(), other.labels}
        and one.expires_ms in {0, other.expires_ms}
        for one, other in zip(said, present, strict=True)
    )


def _shared_part(one: Value, two: Value) -> Value:
    match one, two:
        case Scalar(), Scalar():
            return Scalar(milli=min(one.milli, two.milli))
        case Ranges(), Ranges():
            return one.minus(one.minus(two))
        case Items(), Items():
            return Items(names=one.names & two.names)
    raise TypeError(f"{one} and {two} are of different kinds")
