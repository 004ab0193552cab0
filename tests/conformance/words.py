"""The cases' words for the product's values, both ways; nothing is added up here.

READERS says what reads which fields of the schema, and how the product calls each: values are made, and calls are sent, by it.
What is not in it has the same name in both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import partial
from math import ceil
from typing import Any, ClassVar

from masterd.allocator import constraints, interface, quota
from masterd.allocator.bundle import Bundle, Kinds
from paddock.model import offer_terms, resources
from paddock.model.framework import FrameworkCapability
from paddock.model.resource_text import Attribute, format_label, format_value
from paddock.model.resources import Resource, Resources, Scalar, milli_of

Words = Mapping[str, Any]
KEY = re.compile(r"([A-Za-z_][\w.-]*?)(?:@([^!~#&]+))?((?:!|~|#[\w.-]+|&)*)")
BEYOND_MESOS: dict[str, Any] = dict.fromkeys(("run_on_recovery", "nested_quota", "decline_backoff"), False)


def value_of(words: float | str) -> Any:
    if not isinstance(words, str):
        return Scalar(milli=milli_of(words))
    spans = [part.partition("-") for part in words.replace(" ", "").split(",") if part]
    return resources.Ranges.of((int(begin), int(end or begin)) for begin, _, end in spans)


def resource_of(key: str, size: float | str) -> Resource:
    match = KEY.fullmatch(key)
    assert match is not None, f"bad resource key {key!r}"
    name, stack, flags = match.groups()
    volume = re.search(r"#([\w.-]+)", flags)
    return Resource(
        name=name,
        value=value_of(size),
        reservations=tuple(resources.Reservation(role=role.strip()) for role in stack.split(">")) if stack else (),
        volume=resources.DiskVolume(persistence_id=volume[1]) if volume else None,
        revocable="!" in flags,
        shared="&" in flags,
        indivisible="~" in flags,
    )


def resources_of(bundle: Words | None) -> Resources:
    """Zeros are kept, and what is below: what becomes of them is the product's word."""
    found: list[Resource] = []
    for key, words in (bundle or {}).items():
        size, copies = (words["size"], words["copies"]) if isinstance(words, dict) else (words, 1)
        found += [resource_of(key, size)] * copies
    return Resources(tuple(found))


def bundle_of(found: Iterable[Resource]) -> dict[str, Any]:
    bundle: dict[str, Any] = {}
    for resource, copies in Counter(found).items():
        key = re.sub(r"\((.*)\)", r"@\1", format_label(resource))
        assert key not in bundle, f"the cases have no word for two of {key}"
        value = resource.value
        size = value.milli / 1000 if isinstance(value, Scalar) else format_value(value).strip("[]")
        bundle[key] = {"size": size, "copies": copies} if resource.shared else size
    return bundle


def each(read: Callable[[Any], Any], words: Any) -> Any:
    """Whatever is in mappings and lists, however deep."""
    if isinstance(words, Mapping):
        return {key: each(read, part) for key, part in words.items()}
    return tuple(each(read, part) for part in words) if isinstance(words, list) else read(words)


milli = partial(each, milli_of)
units = partial(each, lambda amount: amount / 1000)
fractions = partial(each, lambda number: Fraction(str(number)))


def counted(bundle: Words, kinds: Kinds | None = None) -> Bundle:
    return (kinds or Kinds()).bundle(resources_of(bundle))


def ns(seconds: float) -> int:
    return round(seconds * 10**9)


def ms(seconds: float) -> int:
    return ceil(seconds * 1000)


def held_of(used: Words) -> Any:
    return {(who, role): resources_of(part) for who, parts in used.items() for role, part in parts.items()}


def groups_of(groups: Iterable[Iterable[Words]]) -> offer_terms.Groups:
    def constraint(words: Words) -> Any:
        return made(offer_terms.Constraint, words, value=str(words.get("value", "")))

    return tuple(tuple(map(constraint, group)) for group in groups)


def conversions_of(operations: Iterable[Words]) -> list[interface.Conversion]:
    return [made(interface.Conversion, words) for words in operations]


READERS: tuple[tuple[Callable[[Any], Any], dict[str, str]], ...] = (
    (resources_of, {"total": "total", "add": "added", "from": "consumed", "to": "converted", "launch": "launched"}),
    (resources_of, {"resources": "resources", "offered": "offered"}),
    (ns, {"allocation_interval": "interval_ns", "recovery_timeout": "recovery_timeout_ns"}),
    (ns, {"start": "unavailable_at_ns", "unavailable_at": "unavailable_at_ns"}),
    (
        ms,
        {"refuse_seconds": "refuse_ms", "offer_timeout": "offer_timeout_ms", "failover_timeout": "failover_timeout_ms"},
    ),
    (milli, {"min_allocatable": "minimum", "guarantees": "guarantees_milli", "limits": "limits_milli"}),
    (fractions, {"recovery_factor": "recovery_share", "demand": "demand", "max_tasks": "task_limit"}),
    (frozenset, {"fair_sharing_excluded": "excluded_from_shares", "suppressed": "suppressed_roles"}),
    (frozenset, {"roles_whitelist": "roles"}),
    (tuple, {"roles": "roles"}),
    (str, {"agent": "agent_id", "framework": "framework_id", "task": "task_id"}),
    (held_of, {"used": "held"}),
    (offer_terms.Predicate, {"is": "predicate"}),
    (lambda names: frozenset(FrameworkCapability[name] for name in names), {"capabilities": "capabilities"}),
    (lambda said: {role: groups_of(groups) for role, groups in said.items()}, {"constraints": "constraints"}),
    (lambda said: tuple(made(Attribute, words) for words in said), {"attributes": "attributes"}),
    (lambda said: said if isinstance(said, str) else value_of(said), {"value": "value"}),
)
FIELDS = {field: (name, reader) for reader, names in READERS for field, name in names.items()}


def read(words: Words, names: Iterable[str]) -> dict[str, Any]:
    """Of what is said, what has one of these names in the product. What is null is as if it had not been said."""
    found = {field: FIELDS.get(field, (field, lambda same: same)) for field in words if words[field] is not None}
    return {name: reader(words[field]) for field, (name, reader) in found.items() if name in names}


def made(kind: Any, words: Words, **known: Any) -> Any:
    return kind(**{**read(words, kind.__dataclass_fields__), **known})


def agent_traits(words: Words) -> interface.AgentTraits:
    known = words.get("capabilities", ("MULTI_ROLE", "HIERARCHICAL_ROLE"))
    place = made(constraints.Place, {"hostname": words["id"], **words})
    has = {name.lower(): name in known for name in ("MULTI_ROLE", "HIERARCHICAL_ROLE")}
    return interface.AgentTraits(place=place, **has)


def framework_traits(words: Words) -> Any:
    minimums = milli(words.get("min_allocatable") or {})
    return made(interface.FrameworkTraits, words, roles=frozenset(words["roles"]), minimums=minimums)


def checked_quota(words: Words) -> quota.Quota:
    guarantees, limits = (resources_of(words.get(name)) for name in ("guarantees", "limits"))
    return quota.checked_quota(words["role"], guarantees, limits, nested=False)


Operation = Callable[..., Any]


class Case:
    """Operations that a table has are done by it; `settled` says what comes of each."""

    table: ClassVar[Mapping[str, Operation]]

    def __getattr__(self, operation: str) -> Operation:
        if operation not in self.table:
            raise AttributeError(operation)
        return lambda *words: self.settled(self.table[operation](self, *words))

    def settled(self, answer: Any) -> Any:
        return answer
