"""Cutting what a task asks out of what an offer holds, with the marks that the master wants to see again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from paddock.model.resources import Ranges, Resource, Resources, Scalar


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


def take_ports(offered: Resources, wanted: Sequence[int]) -> tuple[Resources, tuple[int, ...]] | None:
    """These of the offer's ports, and for each 0 another one, with the ports in the order in which they were wanted. None when
    one is not offered.
    """
    if not wanted:
        return Resources(), ()
    there = dict(_ports(offered))
    chosen: list[int] = []
    others = (port for port in there if port not in wanted)
    for port in wanted:
        found = port or next(others, 0)
        if found not in there:
            return None
        chosen.append(found)
    single = (there[port].amounting(Ranges.of([(port, port)])) for port in dict.fromkeys(chosen))
    return Resources.of(single), tuple(chosen)


def _ports(offered: Resources) -> Iterator[tuple[int, Resource]]:
    """Each with the resource that it is of; of two that have it the reserved one comes last, and so counts."""
    found = [(resource, resource.value) for resource in offered if resource.name == "ports" and _is_plain(resource)]
    for resource, value in sorted(found, key=lambda pair: bool(pair[0].reservations)):
        if isinstance(value, Ranges):
            for begin, end in value.spans:
                yield from ((port, resource) for port in range(max(begin, 1), min(end, 65_535) + 1))


def _is_plain(resource: Resource) -> bool:
    return resource.volume is None and not resource.shared and not resource.revocable


def _scalars(offered: Resources, name: str) -> Iterable[tuple[Resource, Scalar]]:
    found = [
        (resource, resource.value)
        for resource in offered
        if resource.name == name and isinstance(resource.value, Scalar) and _is_plain(resource)
    ]
    return sorted(found, key=lambda pair: not pair[0].reservations)
