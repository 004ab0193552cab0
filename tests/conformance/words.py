"""The schema's words for the product's values, both ways. Nothing is added up here.

READERS says what reads which words, and how the product calls each; a word that is not in it has the same name in both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import partial
from math import ceil
from typing import Any, ClassVar

from masterd.allocator.interface import Conversion
from paddock.model.offer_terms import Constraint, Predicate
from paddock.model.resource_text import Attribute, format_label, format_value
from paddock.model.resources import DiskVolume, Ranges, Reservation, Resource, Resources, Scalar, milli_of

Words = Mapping[str, Any]
Operation = Callable[..., Any]
KEY = re.compile(r"(?P<name>[A-Za-z_][\w.-]*?)(?:@(?P<stack>[^!~#&]+))?(?P<flags>(?:[!~&]|#(?P<volume>[\w.-]+))*)")
MESOS: dict[str, Any] = dict.fromkeys(("run_on_recovery", "nested_quota", "decline_backoff"), False)


def value_of(size: float | str) -> Any:
    if not isinstance(size, str):
        return Scalar(milli=milli_of(size))
    spans = [part.partition("-") for part in size.replace(" ", "").split(",") if part]
    return Ranges.of((int(begin), int(end or begin)) for begin, _, end in spans)


def resource_of(key: str, size: float | str = 1) -> Resource:
    found = KEY.fullmatch(key)
    assert found is not None, f"bad resource key {key!r}"
    return Resource(
        name=found["name"],
        value=value_of(size),
        reservations=tuple(Reservation(role=role.strip()) for role in (found["stack"] or "").split(">") if role),
        volume=DiskVolume(persistence_id=found["volume"]) if found["volume"] else None,
        revocable="!" in found["flags"],
        shared="&" in found["flags"],
        indivisible="~" in found["flags"],
    )


def resources_of(bundle: Words) -> Resources:
    """Zeros are kept, and what is below: what becomes of them is the product's word."""
    found: list[Resource] = []
    for key, said in bundle.items():
        size, copies = (said["size"], said["copies"]) if isinstance(said, dict) else (said, 1)
        found += [resource_of(key, size)] * copies
    return Resources(tuple(found))


def bundle_of(found: Iterable[Resource]) -> Words:
    bundle: dict[str, Any] = {}
    for resource, copies in Counter(found).items():
        key = re.sub(r"\((.*)\)", r"@\1", format_label(resource))
        assert key not in bundle, f"the cases have no word for two of {key}"
        value = resource.value
        size = value.milli / 1000 if isinstance(value, Scalar) else format_value(value).strip("[]")
        bundle[key] = {"size": size, "copies": copies} if resource.shared else size
    return bundle


def each(read: Operation, words: Any) -> Any:
    """Whatever is in mappings and lists, however deep."""
    if isinstance(words, Mapping):
        return {key: each(read, part) for key, part in words.items()}
    return tuple(each(read, part) for part in words) if isinstance(words, list) else read(words)


def made(target: Operation, words: Any, *first: Any, kind: str = "", **known: Any) -> Any:
    """Called with what is said by name, an `id` being the kind's; what is null was not said. Or with all of it."""
    if not isinstance(words, Mapping):
        return target(*first, words, **known)
    for word, part in words.items():
        name, reader = FIELDS.get(word, (f"{kind}_id" if word == "id" else word, lambda same: same))
        known |= {} if part is None else {name: reader(part)}
    return target(*first, **known)


def all_made(target: Operation) -> Operation:
    return lambda said: tuple(made(target, words) for words in said)


def attribute(name: str, value: float | str) -> Attribute:
    return Attribute(name=name, value=value if isinstance(value, str) else value_of(value))


def constraint(select: str, predicate: Predicate, value: object = "") -> Constraint:
    return Constraint(select=select, predicate=predicate, value=str(value))


def ns(seconds: float) -> int:
    return round(seconds * 10**9)


def ms(seconds: float) -> int:
    return ceil(seconds * 1000)


milli = partial(each, milli_of)
units = partial(each, lambda amount: amount / 1000)
fractions = partial(each, lambda number: Fraction(str(number)))
groups_of = all_made(all_made(constraint))
READERS: tuple[tuple[Operation, str], ...] = (
    (resources_of, "total add:added from:consumed to:converted launch:launched resources offered"),
    (lambda used: {(one, role): resources_of(b) for one, of in used.items() for role, b in of.items()}, "used:held"),
    (ns, "allocation_interval:interval_ns recovery_timeout:recovery_timeout_ns"),
    (ns, "start:unavailable_at_ns unavailable_at:unavailable_at_ns"),
    (ms, "refuse_seconds:refuse_ms offer_timeout:offer_timeout_ms failover_timeout:failover_timeout_ms"),
    (milli, "min_allocatable:minimum guarantees:guarantees_milli limits:limits_milli"),
    (fractions, "recovery_factor:recovery_share demand max_tasks:task_limit"),
    (frozenset, "fair_sharing_excluded:excluded_from_shares suppressed:suppressed_roles roles_whitelist:roles"),
    (tuple, "roles"),
    (lambda said: {role: groups_of(groups) for role, groups in said.items()}, "constraints"),
    (all_made(Conversion), "operations:conversions"),
    (all_made(attribute), "attributes"),
    (Predicate, "is:predicate"),
    (str, "agent:agent_id framework:framework_id task:task_id as:who"),
)
FIELDS = {
    word: (name or word, reader)
    for reader, row in READERS
    for word, _, name in (part.partition(":") for part in row.split())
}


class Case:
    """Does its operations: those in `plain` with what the runner gives, the others with the product's values of it."""

    plain: ClassVar[Mapping[str, Operation]]
    by_name: ClassVar[Mapping[str, Operation]]

    def __getattr__(self, operation: str) -> Operation:
        if operation not in self.plain and operation not in self.by_name:
            raise AttributeError(f"there is no operation {operation}")
        return lambda *words: self.settled(self.perform(operation, *words))

    def perform(self, operation: str, *words: Any) -> Any:
        if operation in self.plain:
            return self.plain[operation](self, *words)
        return made(self.by_name[operation], *words, self, kind=operation.rpartition("_")[2])

    def settled(self, answer: Any) -> Any:
        return answer
