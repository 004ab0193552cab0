"""The cases' words for resources and the product's, both ways. Nothing is added up here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from masterd.allocator.bundle import Bundle, Kinds
from masterd.allocator.quota import Quota
from paddock.model.resources import (
    DiskVolume,
    Ranges,
    Reservation,
    Resource,
    Resources,
    Scalar,
    Value,
    milli_of,
)

_KEY = re.compile(r"(?P<name>[A-Za-z_][\w.-]*?)(?:@(?P<stack>[^!~#&]+))?(?P<flags>(?:!|~|#[\w.-]+|&)*)")


def resource_of(key: str, value: Value) -> Resource:
    match = _KEY.fullmatch(key)
    assert match is not None, f"bad resource key {key!r}"
    flags = match["flags"]
    volume = re.search(r"#([\w.-]+)", flags)
    plain_flags = re.sub(r"#[\w.-]+", "", flags)
    roles = [role.strip() for role in match["stack"].split(">")] if match["stack"] else []
    return Resource(
        name=match["name"],
        value=value,
        reservations=tuple(Reservation(role=role) for role in roles),
        volume=DiskVolume(persistence_id=volume[1]) if volume else None,
        revocable="!" in plain_flags,
        shared="&" in plain_flags,
        indivisible="~" in plain_flags,
    )


def resources_of(bundle: Mapping[str, Any] | None) -> Resources:
    """Each entry; zeros are kept, and below zero too: what becomes of them is the product's word."""
    found = []
    for key, value in (bundle or {}).items():
        copies = 1
        if isinstance(value, dict):
            copies, value = value["copies"], value["size"]  # noqa: PLW2901 - the entry's two forms
        found += [resource_of(key, _value_of(value))] * copies
    return Resources(tuple(found))


def _value_of(value: float | str) -> Value:
    if not isinstance(value, str):
        return Scalar(milli=milli_of(value))
    parts = [part.partition("-") for part in value.replace(" ", "").split(",") if part]
    return Ranges.of((int(begin), int(end or begin)) for begin, _, end in parts)


def key_of(resource: Resource) -> str:
    stack = ">".join(reservation.role for reservation in resource.reservations)
    return "".join(
        (
            resource.name,
            f"@{stack}" if stack else "",
            f"#{resource.volume.persistence_id}" if resource.volume else "",
            "!" if resource.revocable else "",
            "~" if resource.indivisible else "",
            "&" if resource.shared else "",
        )
    )


def bundle_of(resources: Iterable[Resource]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for resource in resources:
        key = key_of(resource)
        if resource.shared and key in found:
            before = found[key]
            known = before if isinstance(before, dict) else {"size": before, "copies": 1}
            found[key] = {"size": known["size"], "copies": known["copies"] + 1}
        else:
            found[key] = _plain(resource.value)
    return found


def _plain(value: Value) -> float | str:
    match value:
        case Scalar(milli=milli):
            return milli / 1000
        case Ranges(spans=spans):
            return ",".join(f"{begin}-{end}" for begin, end in spans)
        case _:
            raise AssertionError(f"the cases have no word for {value}")


def counted(bundle: Mapping[str, Any] | None, kinds: Kinds | None = None) -> Bundle:
    return (kinds or Kinds()).bundle(resources_of(bundle))


def milli(quantities: Mapping[str, Any] | None) -> dict[str, int]:
    return {name: milli_of(amount) for name, amount in (quantities or {}).items()}


def units(quantities_milli: Mapping[str, int]) -> dict[str, float]:
    return {name: amount / 1000 for name, amount in quantities_milli.items()}


def quota_of(words: Mapping[str, Any]) -> Quota:
    return Quota(guarantees_milli=milli(words.get("guarantees")), limits_milli=milli(words.get("limits")))
