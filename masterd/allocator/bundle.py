"""Resources as the allocator counts them: interned kinds and plain integers, so that a grant costs microseconds.

`Resources` compares whole values to find like ones; a cycle over 10,000 agents cannot. Here everything about a resource
but its amount is one interned `Kind`, compared by identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from paddock.model.resources import DEFAULT_ROLE, MILLI, Items, Ranges, Resource, Resources, Scalar

Amount = int | Ranges | Items
"""Scalars are plain integers in 1/1000 of their unit; ranges and sets are the model's own exact values."""


class Kind:
    """Everything that tells one resource from others of its name. Equal kinds are the same object (see `Kinds`)."""

    __slots__ = ("name", "plain", "role", "sample")

    def __init__(self, sample: Resource) -> None:
        """`sample` carries the fields; its value only says whether it is a scalar, a range or a set."""
        self.sample = sample
        self.name = sample.name
        self.role = sample.reserved_role
        self.plain = not (sample.revocable or sample.shared or len(sample.reservations) > 1)


class Kinds:
    """The table of kinds of one allocator. It grows with the distinct kinds that the cluster has ever shown."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Kind] = {}

    def of(self, resource: Resource) -> Kind:
        """The kind of this resource. The allocation mark is not part of it: that is what the allocator decides."""
        key = (
            resource.name,
            type(resource.value),
            resource.reservations,
            resource.volume,
            resource.revocable,
            resource.shared,
            resource.provider_id,
        )
        kind = self._known.get(key)
        if kind is None:
            kind = self._known[key] = Kind(replace(resource, allocation_role=""))
        return kind

    def bundle(self, resources: Iterable[Resource]) -> Bundle:
        """Resources as a bundle, allocation marks dropped."""
        amounts: dict[Kind, Amount] = {}
        for resource in resources:
            kind = self.of(resource)
            value = resource.value
            amount: Amount = value.milli if isinstance(value, Scalar) else value
            present = amounts.get(kind)
            amounts[kind] = amount if present is None else _plus(present, amount)
        return Bundle({kind: amount for kind, amount in amounts.items() if _is_some(amount)})


def _is_some(amount: Amount) -> bool:
    match amount:
        case int():
            return amount > 0
        case Ranges(spans=spans):
            return bool(spans)
        case Items(names=names):
            return bool(names)


def _plus(one: Amount, two: Amount) -> Amount:
    if isinstance(one, int) and isinstance(two, int):
        return one + two
    if isinstance(one, Ranges) and isinstance(two, Ranges):
        return Ranges.of((*one.spans, *two.spans))
    if isinstance(one, Items) and isinstance(two, Items):
        return Items(names=one.names | two.names)
    raise TypeError(f"{one!r} and {two!r} are of different kinds")


def _minus(one: Amount, two: Amount) -> Amount:
    if isinstance(one, int) and isinstance(two, int):
        return max(0, one - two)
    if isinstance(one, Ranges) and isinstance(two, Ranges):
        return one.minus(two)
    if isinstance(one, Items) and isinstance(two, Items):
        return Items(names=one.names - two.names)
    raise TypeError(f"{one!r} and {two!r} are of different kinds")


def _contains(one: Amount, two: Amount) -> bool:
    if isinstance(one, int) and isinstance(two, int):
        return one >= two
    if isinstance(one, Ranges) and isinstance(two, Ranges):
        return one.contains(two)
    if isinstance(one, Items) and isinstance(two, Items):
        return one.names >= two.names
    raise TypeError(f"{one!r} and {two!r} are of different kinds")


class Bundle:
    """An immutable bag of amounts by kind; nothing in it is empty."""

    __slots__ = ("_quantities", "_resources", "_scalars", "amounts")

    def __init__(self, amounts: Mapping[Kind, Amount]) -> None:
        """The mapping is kept, not copied: who gives it must not change it afterwards."""
        self.amounts = amounts
        self._quantities: Mapping[str, int] | None = None
        self._resources: Resources | None = None
        self._scalars: Mapping[str, int] | None = None

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.amounts)

    def __eq__(self, other: object) -> bool:
        """Equal whatever the order."""
        return isinstance(other, Bundle) and self.amounts == other.amounts

    __hash__ = None  # type: ignore[assignment]

    def plus(self, other: Bundle) -> Bundle:
        """Both together."""
        if not self.amounts:
            return other
        if not other.amounts:
            return self
        amounts = dict(self.amounts)
        for kind, amount in other.amounts.items():
            present = amounts.get(kind)
            amounts[kind] = amount if present is None else _plus(present, amount)
        return Bundle(amounts)

    def minus(self, other: Bundle) -> Bundle:
        """What is left, never below nothing: an agent that shrank may have less than what it has given away."""
        if not other.amounts:
            return self
        amounts = dict(self.amounts)
        for kind, amount in other.amounts.items():
            present = amounts.get(kind)
            if present is None:
                continue
            rest = _minus(present, amount)
            if _is_some(rest):
                amounts[kind] = rest
            else:
                del amounts[kind]
        return Bundle(amounts)

    def contains(self, other: Bundle) -> bool:
        """Whether other can be taken out of self."""
        amounts = self.amounts
        for kind, amount in other.amounts.items():
            present = amounts.get(kind)
            if present is None or not _contains(present, amount):
                return False
        return True

    @property
    def scalars(self) -> Mapping[str, int]:
        """Name → milli-units of the scalars, summed over reservations. Only these count in shares."""
        if self._scalars is None:
            sums: dict[str, int] = {}
            for kind, amount in self.amounts.items():
                if isinstance(amount, int):
                    sums[kind.name] = sums.get(kind.name, 0) + amount
            self._scalars = sums
        return self._scalars

    @property
    def quantities(self) -> Mapping[str, int]:
        """As `scalars`, with ranges and sets as 1000 times their count."""
        if self._quantities is None:
            sums = dict(self.scalars)
            for kind, amount in self.amounts.items():
                if isinstance(amount, Ranges):
                    sums[kind.name] = sums.get(kind.name, 0) + amount.count * MILLI
                elif isinstance(amount, Items):
                    sums[kind.name] = sums.get(kind.name, 0) + len(amount.names) * MILLI
            self._quantities = sums
        return self._quantities

    def by_role(self) -> dict[str, Bundle]:
        """The parts by the role for which they are reserved; what anybody may have is under `*`."""
        if all(kind.role == DEFAULT_ROLE for kind in self.amounts):
            return {DEFAULT_ROLE: self} if self.amounts else {}
        parts: dict[str, dict[Kind, Amount]] = {}
        for kind, amount in self.amounts.items():
            parts.setdefault(kind.role, {})[kind] = amount
        return {role: Bundle(amounts) for role, amounts in parts.items()}

    def resources(self) -> Resources:
        """As the model has it, without allocation marks."""
        if self._resources is None:
            self._resources = Resources(
                tuple(
                    replace(kind.sample, value=Scalar(milli=amount) if isinstance(amount, int) else amount)
                    for kind, amount in self.amounts.items()
                )
            )
        return self._resources


NOTHING = Bundle({})
"""An empty bundle. Bundles never change, so one is enough."""
