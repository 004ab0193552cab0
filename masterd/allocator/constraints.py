"""Offer constraints: which agents a framework wants offers of, said once instead of by declining."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from masterd.allocator.patterns import Pattern, PatternError
from paddock.model.errors import InvalidRequest
from paddock.model.offer_terms import CONTAINERIZERS, HOSTNAME, REGION, ZONE, Constraint, Groups, Predicate
from paddock.model.resource_text import Attribute

_NEGATIVE = frozenset({Predicate.NOT_EXISTS, Predicate.TEXT_NOT_EQUALS, Predicate.TEXT_NOT_MATCHES})
_PATTERNS = frozenset({Predicate.TEXT_MATCHES, Predicate.TEXT_NOT_MATCHES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What constraints look at. Of several attributes with the same name the first counts."""

    hostname: str = ""
    region: str = ""
    zone: str = ""
    containerizers: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()

    def selected(self, select: str) -> object:
        """The attribute's value, or None when there is none."""
        special = {
            HOSTNAME: self.hostname,
            REGION: self.region,
            ZONE: self.zone,
            CONTAINERIZERS: ",".join(self.containerizers),
        }
        if select in special:
            return special[select] or None
        return next((attribute.value for attribute in self.attributes if attribute.name == select), None)


class Wanted:
    """Groups made ready to be asked of agents again and again. Patterns are compiled here, once, and kept: a cycle asks of
    each agent for all frameworks, and no cache holds the patterns of all.
    """

    __slots__ = ("_groups",)

    def __init__(self, groups: Groups) -> None:
        """Raises PatternError, but not for groups that were checked."""
        self._groups = tuple(
            tuple((each, _compiled(each.value) if each.predicate in _PATTERNS else None) for each in group)
            for group in groups
        )

    def excludes(self, place: Place) -> bool:
        """Whether the groups rule the agent out."""
        return bool(self._groups) and not any(
            all(_holds(constraint, pattern, place) for constraint, pattern in group) for group in self._groups
        )


def check_groups(groups: Groups, field: str) -> Groups:
    """From outside. Raises InvalidRequest for an empty group and for a pattern that is none."""
    for index, group in enumerate(groups):
        if not group:
            raise InvalidRequest(f"{field}[{index}]", "", "a group of constraints needs at least one")
        for number, constraint in enumerate(group):
            if constraint.predicate in _PATTERNS:
                _check_pattern(constraint.value, f"{field}[{index}].constraints[{number}].value")
    return groups


def _check_pattern(pattern: str, field: str) -> None:
    try:
        _compiled(pattern)
    except PatternError as error:
        raise InvalidRequest(field, pattern, f"this is no pattern that the master takes: {error}") from None


def exclude(groups: Groups, place: Place) -> bool:
    """Whether the groups rule the agent out."""
    return Wanted(groups).excludes(place)


def _holds(constraint: Constraint, pattern: Pattern | None, place: Place) -> bool:
    value = place.selected(constraint.select)
    predicate = constraint.predicate
    if predicate is Predicate.EXISTS:
        return value is not None
    if value is None:
        return predicate in _NEGATIVE
    if predicate is Predicate.NOT_EXISTS:
        return False
    if not isinstance(value, str):
        return True
    same = value == constraint.value if pattern is None else pattern.matches(value)
    return same != (predicate in _NEGATIVE)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Pattern:
    """Frameworks that say the same share one."""
    return Pattern(pattern)
