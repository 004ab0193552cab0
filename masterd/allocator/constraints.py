"""Offer constraints: which agents a framework wants offers of, said once instead of by declining."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from masterd.allocator.patterns import Pattern, PatternError
from paddock.model.errors import InvalidRequest
from paddock.model.resource_text import Attribute

HOSTNAME, REGION, ZONE = "$hostname", "$region", "$zone"
"""What can be selected besides an attribute's name."""


class Predicate(Enum):
    """What must be true of the selected attribute. A text predicate is true of an attribute that is not a text."""

    EXISTS = "exists"
    NOT_EXISTS = "not_exists"
    TEXT_EQUALS = "text_equals"
    TEXT_NOT_EQUALS = "text_not_equals"
    TEXT_MATCHES = "text_matches"
    TEXT_NOT_MATCHES = "text_not_matches"


_NEGATIVE = frozenset({Predicate.NOT_EXISTS, Predicate.TEXT_NOT_EQUALS, Predicate.TEXT_NOT_MATCHES})
_PATTERNS = frozenset({Predicate.TEXT_MATCHES, Predicate.TEXT_NOT_MATCHES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One predicate on one attribute. `value`: the text or the pattern, which has to match the whole."""

    select: str
    predicate: Predicate
    value: str = ""


Groups = tuple[tuple[Constraint, ...], ...]
"""An agent is wanted when all constraints of one of the groups hold; no groups: every agent is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What constraints look at. Of several attributes with the same name the first counts."""

    hostname: str = ""
    region: str = ""
    zone: str = ""
    attributes: tuple[Attribute, ...] = ()

    def selected(self, select: str) -> object:
        """The attribute's value, or None when there is none."""
        special = {HOSTNAME: self.hostname, REGION: self.region, ZONE: self.zone}
        if select in special:
            return special[select] or None
        return next((attribute.value for attribute in self.attributes if attribute.name == select), None)


def check_groups(groups: Groups, field: str) -> Groups:
    """From outside. Raises InvalidRequest for an empty group and for a pattern that is none."""
    for group in groups:
        if not group:
            raise InvalidRequest(field, "", "a group of constraints needs at least one")
        for constraint in group:
            if constraint.predicate in _PATTERNS:
                _check_pattern(constraint.value, field)
    return groups


def _check_pattern(pattern: str, field: str) -> None:
    try:
        _compiled(pattern)
    except PatternError as error:
        raise InvalidRequest(field, pattern, f"this is no pattern that the master takes: {error}") from None


def exclude(groups: Groups, place: Place) -> bool:
    """Whether the groups rule the agent out."""
    return bool(groups) and not any(all(_holds(each, place) for each in group) for group in groups)


def _holds(constraint: Constraint, place: Place) -> bool:
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
    same = _compiled(constraint.value).matches(value) if predicate in _PATTERNS else value == constraint.value
    return same != (predicate in _NEGATIVE)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Pattern:
    return Pattern(pattern)
