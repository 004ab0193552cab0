"""The cases' names for pure functions, and the product's functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any

from masterd.allocator.bundle import Kinds
from masterd.allocator.constraints import Constraint, Groups, Place, Predicate, exclude
from masterd.allocator.filters import refusal_ms
from masterd.allocator.quantities import (
    contain,
    limits_contain,
    minimum_met,
    minus,
    shrink_to_limits,
    shrink_to_quantities,
)
from masterd.allocator.quota import checked_quota, consumed
from masterd.allocator.reservations import ancestors, is_offerable, is_strict_subrole, parse_roles
from masterd.allocator.shares import checked_weight
from paddock.model.errors import PaddockError
from paddock.model.ids import check_role
from paddock.model.resource_text import Attribute
from paddock.model.resources import Scalar, milli_of
from tests.conformance.bundles import bundle_of, counted, milli, resource_of, resources_of, units


def answer(name: str, given: Any) -> Any:
    return FUNCTIONS[name](given)


def accepted(check: Callable[[], object]) -> bool:
    """Whether the product takes it; whatever it is that it will not take."""
    try:
        check()
    except PaddockError:
        return False
    return True


def place_of(words: Mapping[str, Any]) -> Place:
    return Place(
        hostname=words.get("hostname") or "",
        region=words.get("region") or "",
        zone=words.get("zone") or "",
        attributes=tuple(
            Attribute(
                name=each["name"],
                value=each["value"] if isinstance(each["value"], str) else Scalar(milli=milli_of(each["value"])),
            )
            for each in words.get("attributes") or ()
        ),
    )


def groups_of(words: Sequence[Sequence[Mapping[str, Any]]]) -> Groups:
    return tuple(
        tuple(
            Constraint(select=each["select"], predicate=Predicate(each["is"]), value=str(each.get("value", "")))
            for each in group
        )
        for group in words
    )


def _roles(text: str) -> list[str] | None:
    try:
        return list(parse_roles(text))
    except PaddockError:
        return None


def _quota_valid(given: Mapping[str, Any]) -> bool:
    return accepted(
        lambda: checked_quota(
            given["role"], resources_of(given.get("guarantees")), resources_of(given.get("limits")), nested=False
        )
    )


def _contains(given: Mapping[str, Any]) -> bool:
    kinds = Kinds()
    return counted(given["bundle"], kinds).contains(counted(given["part"], kinds))


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "role_valid": lambda role: accepted(lambda: check_role(role)),
    "role_ancestors": lambda role: list(ancestors(role)),
    "role_is_strict_subrole": lambda pair: is_strict_subrole(*pair),
    "role_list_parse": _roles,
    "weight_valid": lambda given: accepted(lambda: checked_weight(given.get("role", ""), given.get("weight", ""))),
    "scalar_canonical": lambda number: milli_of(number) / 1000,
    "bundle_contains": _contains,
    "quantities_contain": lambda given: contain(milli(given["have"]), milli(given["want"])),
    "limits_contain": lambda given: limits_contain(milli(given["limits"]), milli(given["quantities"])),
    "quantities_subtract": lambda given: units(minus(milli(given["a"]), milli(given["b"]))),
    "shrink_to_quantities": lambda given: bundle_of(
        shrink_to_quantities(counted(given["bundle"]), milli(given["target"])).resources()
    ),
    "shrink_to_limits": lambda given: bundle_of(
        shrink_to_limits(counted(given["bundle"]), milli(given["target"])).resources()
    ),
    "quota_valid": _quota_valid,
    "quota_consumed": lambda given: units(consumed(milli(given["reserved"]), counted(given["allocated"]).charged)),
    "constraint_excludes": lambda given: exclude(groups_of(given["groups"]), place_of(given)),
    "min_allocatable_met": lambda given: minimum_met(
        counted(given["bundle"]), tuple(milli(each) for each in given["minimums"])
    ),
    "offerable_to": lambda given: is_offerable(resource_of(given["resource"], Scalar(milli=1)), given["role"]),
    "filter_seconds": lambda seconds: refusal_ms(ceil(seconds * 1000)) / 1000,
}
