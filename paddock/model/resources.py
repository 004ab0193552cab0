"""Resources and their exact arithmetic: scalars are integers of 1/1000 of their unit, ranges and sets are exact.

cpus are milli-CPUs; mem and disk milli-MiB. No float is ever added: marathon #1719 lost tasks to 0.09999 + 0.00001.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated, Self

from paddock.model.errors import InvalidRequest

MILLI = 1000
MILLI_LIMIT = 10**15
"""1e12 of any unit, Mesos' bound; keeps every sum far inside 64 bits."""

Milli = Annotated[int, "_milli"]
"""Thousandths of a unit, where no name says so: whoever reads it from outside reads units."""

DEFAULT_ROLE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """An amount. `milli` ≥ 0, in 1/1000 of the resource's unit."""

    milli: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Whole numbers, as inclusive spans: sorted, disjoint, never adjacent. Build it with `Ranges.of`."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, spans: Iterable[tuple[int, int]]) -> Self:
        """Sort and coalesce: [1-3],[4-5] becomes [1-5]."""
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(spans):
            if merged and begin <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        return cls(spans=tuple(merged))

    def minus(self, other: Ranges) -> Ranges:
        """What is in self and not in other."""
        rest = list(self.spans)
        for begin, end in other.spans:
            cut: list[tuple[int, int]] = []
            for first, last in rest:
                if last < begin or end < first:
                    cut.append((first, last))
                    continue
                if first < begin:
                    cut.append((first, begin - 1))
                if end < last:
                    cut.append((end + 1, last))
            rest = cut
        return Ranges(spans=tuple(rest))

    def contains(self, other: Ranges) -> bool:
        """Whether every number of other is in self."""
        return not other.minus(self).spans

    @property
    def count(self) -> int:
        """How many numbers."""
        return sum(end - begin + 1 for begin, end in self.spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A set of names."""

    names: frozenset[str] = frozenset()


Value = Scalar | Ranges | Items


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """One level of a reservation; `dynamic` is false when the agent's configuration made it.

    `expires_ms`: its lease ends then, Unix time; 0: it stays until somebody ends it.
    """

    role: str
    principal: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    dynamic: bool = False
    expires_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskVolume:
    """A persistent volume: disk that outlives the task."""

    persistence_id: str
    principal: str = ""
    container_path: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A value under a name, with everything that tells it from others of that name.

    `reservations` goes bottom first; `allocation_role` is empty when it is not allocated. `indivisible`: a disk of its
    own, given away whole or not at all (Mesos: MOUNT).
    """

    name: str
    value: Value
    allocation_role: str = ""
    reservations: tuple[Reservation, ...] = ()
    volume: DiskVolume | None = None
    revocable: bool = False
    shared: bool = False
    provider_id: str = ""
    indivisible: bool = False

    @property
    def reserved_role(self) -> str:
        """The role that alone may use it; `*` when anybody may."""
        return self.reservations[-1].role if self.reservations else DEFAULT_ROLE

    def like(self, other: Resource) -> bool:
        """Whether the two differ in their value only, so that the values may be added. What is whole or nothing (volumes,
        shared and indivisible ones) never may.
        """
        return (
            self.name == other.name
            and type(self.value) is type(other.value)
            and self.volume is other.volume is None
            and not self.shared
            and not other.shared
            and not self.indivisible
            and not other.indivisible
            and self.allocation_role == other.allocation_role
            and self.reservations == other.reservations
            and self.revocable == other.revocable
            and self.provider_id == other.provider_id
        )

    def amounting(self, value: Value) -> Resource:
        """The same with another value: what dataclasses.replace does, in half the time; each launch asks a dozen times."""
        return Resource(
            name=self.name,
            value=value,
            allocation_role=self.allocation_role,
            reservations=self.reservations,
            volume=self.volume,
            revocable=self.revocable,
            shared=self.shared,
            provider_id=self.provider_id,
            indivisible=self.indivisible,
        )

    def is_empty(self) -> bool:
        """Nothing of it."""
        match self.value:
            case Scalar(milli=milli):
                return milli == 0
            case Ranges(spans=spans):
                return not spans
            case Items(names=names):
                return not names


def _add(one: Value, two: Value) -> Value:
    match one, two:
        case Scalar(), Scalar():
            return Scalar(milli=one.milli + two.milli)
        case Ranges(), Ranges():
            return Ranges.of((*one.spans, *two.spans))
        case Items(), Items():
            return Items(names=one.names | two.names)
    raise TypeError(f"{one} and {two} are of different kinds")


def subtracted(one: Value, two: Value) -> Value:
    """What is left; of amounts, what may be below zero. Raises TypeError for two kinds."""
    match one, two:
        case Scalar(), Scalar():
            return Scalar(milli=one.milli - two.milli)
        case Ranges(), Ranges():
            return one.minus(two)
        case Items(), Items():
            return Items(names=one.names - two.names)
    raise TypeError(f"{one} and {two} are of different kinds")


def _contains(one: Value, two: Value) -> bool:
    match one, two:
        case Scalar(), Scalar():
            return one.milli >= two.milli
        case Ranges(), Ranges():
            return one.contains(two)
        case Items(), Items():
            return one.names >= two.names
    return False


@dataclass(frozen=True, slots=True)
class Resources:
    """A bag of resources, normalised: like ones added up, empty ones left out, in the order they came.

    `a - b` needs `a.contains(b)`: what is not there cannot be taken (ValueError names it).
    """

    items: tuple[Resource, ...] = ()

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> Resources:
        """Add up the like ones."""
        bag: list[Resource] = []
        for resource in resources:
            if resource.is_empty():
                continue
            for index, present in enumerate(bag):
                if present.like(resource):
                    bag[index] = present.amounting(_add(present.value, resource.value))
                    break
            else:
                bag.append(resource)
        return cls(tuple(bag))

    @classmethod
    def scalars(cls, amounts_milli: Mapping[str, int]) -> Resources:
        """Unreserved, unallocated scalars: `Resources.scalars({"cpus": 250, "mem": 64_000})`."""
        return cls.of(Resource(name=name, value=Scalar(milli=milli)) for name, milli in amounts_milli.items())

    def __iter__(self) -> Iterator[Resource]:
        """Each resource."""
        return iter(self.items)

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.items)

    def __eq__(self, other: object) -> bool:
        """Equal whatever the order."""
        return isinstance(other, Resources) and (
            self.items == other.items or (self.contains(other) and other.contains(self))
        )

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Resources) -> Resources:
        """Both together."""
        return Resources.of((*self.items, *other.items))

    def __sub__(self, other: Resources) -> Resources:
        """What is left; ValueError when other is not contained."""
        bag = list(self.items)
        for resource in other.items:
            index = self._index_in(bag, resource)
            if index is None:
                raise ValueError(f"{resource} is not contained in {self}")
            rest = (
                None if bag[index] == resource else bag[index].amounting(subtracted(bag[index].value, resource.value))
            )
            if rest is None or rest.is_empty():
                del bag[index]
            else:
                bag[index] = rest
        return Resources(tuple(bag))

    @staticmethod
    def _index_in(bag: list[Resource], wanted: Resource) -> int | None:
        for index, present in enumerate(bag):
            if present == wanted or (present.like(wanted) and _contains(present.value, wanted.value)):
                return index
        return None

    def contains(self, other: Resources) -> bool:
        """Whether other can be taken out of self."""
        bag = list(self.items)
        for resource in other.items:
            index = self._index_in(bag, resource)
            if index is None:
                return False
            if bag[index] == resource:
                del bag[index]
            else:
                bag[index] = bag[index].amounting(subtracted(bag[index].value, resource.value))
        return True

    def scalar_milli(self, name: str) -> int:
        """The sum of all scalars of this name, whoever they are reserved for. 0 when there is none."""
        return sum(r.value.milli for r in self.items if r.name == name and isinstance(r.value, Scalar))

    def quantities_milli(self) -> dict[str, int]:
        """Name → amount: scalars as they are, ranges and sets as 1000 times their count (Mesos: cardinality)."""
        totals: dict[str, int] = {}
        for resource in self.items:
            match resource.value:
                case Scalar(milli=amount):
                    pass
                case Ranges() as ranges:
                    amount = ranges.count * MILLI
                case Items(names=names):
                    amount = len(names) * MILLI
            totals[resource.name] = totals.get(resource.name, 0) + amount
        return totals

    def allocated_to(self, role: str) -> Resources:
        """The same, marked as allocated to the role; the empty role takes the mark away."""
        if all(resource.allocation_role == role for resource in self.items):
            return self
        return Resources.of(replace(resource, allocation_role=role) for resource in self.items)

    def unallocated(self) -> Resources:
        """The same without the allocation mark."""
        return self.allocated_to("")


def excess(wanted: Resources, held: Resources) -> Resources:
    """How much more of each divisible amount is wanted than held. Ranges, sets, volumes and shared resources do not count."""
    found = []
    for resource in wanted:
        if isinstance(resource.value, Scalar) and resource.like(resource):
            there_milli = sum(
                other.value.milli for other in held if isinstance(other.value, Scalar) and other.like(resource)
            )
            found.append(resource.amounting(Scalar(milli=max(resource.value.milli - there_milli, 0))))
    return Resources.of(found)


def milli_of(number: float | str) -> int:
    """A number of units as thousandths, three decimals kept, half rounded up. Raises InvalidRequest for what is none."""
    try:
        amount = Decimal(str(number)) * MILLI
        return int(amount.to_integral_value(rounding=ROUND_HALF_UP))
    except (InvalidOperation, OverflowError, ValueError):
        raise InvalidRequest("number", number, "write a finite decimal number") from None


def check_resources(resources: Resources, field: str) -> Resources:
    """What came from outside: names, bounds and kinds. Raises InvalidRequest naming `field[i]`."""
    kinds: dict[str, type] = {}
    for index, resource in enumerate(resources.items):
        where = f"{field}[{index}]"
        if (
            not resource.name
            or len(resource.name) > 128
            or not resource.name.isprintable()
            or set(resource.name) & set(" :;()[]{},")
        ):
            raise InvalidRequest(
                f"{where}.name", resource.name, "use 1 to 128 printable characters without :;()[]{}, or blanks"
            )
        if kinds.setdefault(resource.name, type(resource.value)) is not type(resource.value):
            raise InvalidRequest(f"{where}.value", resource.name, "one name must always be a scalar, a range or a set")
        match resource.value:
            case Scalar(milli=milli) if not 0 <= milli <= MILLI_LIMIT:
                raise InvalidRequest(f"{where}.{resource.name}", milli, "a scalar lies between 0 and 1e12 of its unit")
            case Ranges(spans=spans) if any(not 0 <= begin <= end < 2**63 for begin, end in spans):
                raise InvalidRequest(f"{where}.{resource.name}", spans, "a range goes upwards from 0, below 2**63")
            case _:
                pass
    return resources
