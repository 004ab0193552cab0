"""Cutting what a task asks out of what an offer holds, with the marks that the master wants to see again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from paddock.model.resources import Resource, Resources, Scalar


def take(offered: Resources, amounts_milli: Mapping[str, int]) -> Resources | None:
    """Scalars of these amounts, reserved ones first: nobody else could use them. None when there is not enough of one.

    Volumes, shared and revocable resources are left alone: they are asked for by name, not by amount.
    """
    taken: list[Resource] = []
    for name, wanted_milli in amounts_milli.items():
        missing_milli = wanted_milli
        for resource, scalar in _scalars(offered, name):
            part_milli = min(missing_milli, scalar.milli)
            if part_milli:
                taken.append(replace(resource, value=Scalar(milli=part_milli)))
                missing_milli -= part_milli
        if missing_milli:
            return None
    return Resources.of(taken)


def _scalars(offered: Resources, name: str) -> Iterable[tuple[Resource, Scalar]]:
    found = [
        (resource, resource.value)
        for resource in offered
        if resource.name == name
        and isinstance(resource.value, Scalar)
        and resource.volume is None
        and not resource.shared
        and not resource.revocable
    ]
    return sorted(found, key=lambda pair: not pair[0].reservations)
