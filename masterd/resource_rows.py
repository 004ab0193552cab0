"""Resources as the registry keeps them: JSON text, one object each; what is as usual is left out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TypedDict

from paddock.model.resources import DiskVolume, Items, Ranges, Reservation, Resource, Resources, Scalar, Value
from paddock.model.volumes import DestroyedVolume, VolumeKey


class Row(TypedDict, total=False):
    """One of `scalar`, `ranges`, `items`; a reservation is role, principal, labels, dynamic, expires_ms."""

    name: str
    scalar: int
    ranges: list[tuple[int, int]]
    items: list[str]
    reservations: list[tuple[str, str, list[tuple[str, str]], bool, int]]
    volume: tuple[str, str, str, bool]
    revocable: bool
    shared: bool
    provider_id: str
    indivisible: bool


def to_text(resources: Resources) -> str:
    """In the same order."""
    return json.dumps([_row(resource) for resource in resources], separators=(",", ":"))


def from_text(text: str) -> Resources:
    """Raises ValueError, KeyError or TypeError for what was not written by `to_text`."""
    return Resources(tuple(_resource(row) for row in json.loads(text)))


def destroyed_to_text(destroyed: Iterable[DestroyedVolume]) -> str:
    """Each as id, role, persistence id."""
    rows = [(each.destroy_id, each.volume.role, each.volume.persistence_id) for each in destroyed]
    return json.dumps(rows, separators=(",", ":"))


def destroyed_from_text(text: str) -> tuple[DestroyedVolume, ...]:
    """Raises ValueError or TypeError for what was not written by `destroyed_to_text`."""
    return tuple(
        DestroyedVolume(
            destroy_id=str(destroy_id), volume=VolumeKey(role=str(role), persistence_id=str(persistence_id))
        )
        for destroy_id, role, persistence_id in json.loads(text)
    )


def _row(resource: Resource) -> Row:
    row: Row = {"name": resource.name}
    match resource.value:
        case Scalar(milli=milli):
            row["scalar"] = milli
        case Ranges(spans=spans):
            row["ranges"] = list(spans)
        case Items(names=names):
            row["items"] = sorted(names)
    if resource.reservations:
        row["reservations"] = [
            (each.role, each.principal, list(each.labels), each.dynamic, each.expires_ms)
            for each in resource.reservations
        ]
    volume = resource.volume
    if volume is not None:
        row["volume"] = (volume.persistence_id, volume.principal, volume.container_path, volume.read_only)
    if resource.revocable:
        row["revocable"] = True
    if resource.shared:
        row["shared"] = True
    if resource.provider_id:
        row["provider_id"] = resource.provider_id
    if resource.indivisible:
        row["indivisible"] = True
    return row


def _resource(row: Row) -> Resource:
    return Resource(
        name=str(row["name"]),
        value=_value(row),
        reservations=tuple(
            Reservation(
                role=str(role),
                principal=str(principal),
                labels=tuple((str(key), str(value)) for key, value in labels),
                dynamic=bool(dynamic),
                expires_ms=int(expires_ms),
            )
            for role, principal, labels, dynamic, expires_ms in row.get("reservations", ())
        ),
        volume=_volume(*row["volume"]) if "volume" in row else None,
        revocable=bool(row.get("revocable")),
        shared=bool(row.get("shared")),
        provider_id=str(row.get("provider_id", "")),
        indivisible=bool(row.get("indivisible")),
    )


def _volume(persistence_id: str, principal: str, container_path: str, read_only: bool) -> DiskVolume:  # noqa: FBT001
    return DiskVolume(
        persistence_id=str(persistence_id),
        principal=str(principal),
        container_path=str(container_path),
        read_only=bool(read_only),
    )


def _value(row: Row) -> Value:
    if "scalar" in row:
        return Scalar(milli=int(row["scalar"]))
    if "ranges" in row:
        return Ranges.of((int(begin), int(end)) for begin, end in row["ranges"])
    return Items(names=frozenset(str(name) for name in row["items"]))
