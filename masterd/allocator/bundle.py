"""Resources as the allocator counts them: interned kinds and plain integers, so that a grant costs microseconds.

`Resources` compares whole values to find like ones; a cycle over 10,000 agents cannot. Here everything about a resource
but its amount is one interned `Kind`, compared by identity. What is whole or nothing (volumes, shared ones, disks of their
own) has its size in the kind, and its amount is how many of it there are: 1, or for a shared one the copies that are held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

from masterd.allocator.amounts import Amount, covers, is_some, rest_of, sum_of
from masterd.allocator.kind import Kind, is_whole
from paddock.model.resources import DEFAULT_ROLE, MILLI, Items, Ranges, Resource, Resources, Scalar


class Kinds:
    """The table of kinds of one allocator. It grows with the distinct kinds that the cluster has ever shown.

    Equal bundles of agents that are alike are one object, so that what was computed for one serves for all.
    """

    __slots__ = ("_bundles", "_known")

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Kind] = {}
        self._bundles: WeakValueDictionary[frozenset[tuple[Kind, Amount]], Bundle] = WeakValueDictionary()

    def of(self, resource: Resource) -> Kind:
        """The kind of this resource. The allocation mark is not part of it: that is what the allocator decides."""
        whole = is_whole(resource)
        key = (
            resource.name,
            resource.value if whole else type(resource.value),
            resource.reservations,
            resource.volume,
            resource.revocable,
            resource.shared,
            resource.indivisible,
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
            if resource.is_empty():
                continue
            kind = self.of(resource)
            value = resource.value
            amount: Amount = (1 if kind.size_milli else value.milli) if isinstance(value, Scalar) else value
            present = amounts.get(kind)
            amounts[kind] = amount if present is None else sum_of(present, amount)
        return self.interned(Bundle(amounts))

    def interned(self, bundle: Bundle) -> Bundle:
        """The one among equal bundles for which everything may have been computed already."""
        key = frozenset(bundle.amounts.items())
        known = self._bundles.get(key)
        if known is None:
            known = self._bundles[key] = bundle
            bundle.replace_parts(self.interned)
        return known


class Bundle:
    """An immutable bag of amounts by kind; nothing in it is empty. What is asked of it is computed once.

    `asked_minimum` and `meets_minimum`: the last question whether it is worth an offer, and the answer. `weighed`: see
    `ClusterTotals.weighed`.
    """

    __slots__ = (
        "__weakref__",
        "_by_charge",
        "_charged",
        "_is_divisible",
        "_is_plain",
        "_is_simple",
        "_last",
        "_parts",
        "_quantities",
        "_resources",
        "_scalars",
        "_shared",
        "_splits",
        "amounts",
        "asked_minimum",
        "marked",
        "meets_minimum",
        "weighed",
    )

    def __init__(self, amounts: Mapping[Kind, Amount]) -> None:
        """The mapping is kept, not copied: who gives it must not change it afterwards."""
        self.amounts = amounts
        self.asked_minimum: object = None
        self.meets_minimum = False
        self.weighed: tuple[int, tuple[Sequence[tuple[str, int]], str, int]] | None = None
        self.marked: dict[str, tuple[Resources, Resources]] = {}
        self._by_charge: tuple[Bundle, Bundle] | None = None
        self._charged: Mapping[str, int] | None = None
        self._is_divisible: bool | None = None
        self._is_plain: bool | None = None
        self._is_simple: bool | None = None
        self._parts: Mapping[str, Bundle] | None = None
        self._quantities: Mapping[str, int] | None = None
        self._resources: Resources | None = None
        self._scalars: Mapping[str, int] | None = None
        self._shared: tuple[Kind, ...] | None = None
        self._splits: dict[tuple[str, ...], tuple[Bundle, Bundle]] = {}
        self._last: tuple[Bundle, Bundle] | None = None

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
            amounts[kind] = amount if present is None else sum_of(present, amount)
        return Bundle(amounts)

    def minus(self, other: Bundle) -> Bundle:
        """What is left, never below nothing: an agent that shrank may have less than what it has given away."""
        if not other.amounts:
            return self
        if other is self:
            return NOTHING
        amounts = dict(self.amounts)
        for kind, amount in other.amounts.items():
            present = amounts.get(kind)
            if present is None:
                continue
            rest = rest_of(present, amount)
            if is_some(rest):
                amounts[kind] = rest
            else:
                del amounts[kind]
        return Bundle(amounts) if amounts else NOTHING

    def contains(self, other: Bundle) -> bool:
        """Whether other can be taken out of self."""
        if other is self:
            return True
        amounts = self.amounts
        for kind, amount in other.amounts.items():
            present = amounts.get(kind)
            if present is None or not covers(present, amount):
                return False
        return True

    @property
    def scalars(self) -> Mapping[str, int]:
        """Name → milli-units of the scalars but the shared ones, summed over reservations: what shares are made of."""
        if self._scalars is None:
            self._scalars, self._charged = self._sums_of_scalars()
        return self._scalars

    @property
    def charged(self) -> Mapping[str, int]:
        """Name → milli-units of what counts against quotas when it is given away."""
        if self._charged is None:
            self._scalars, self._charged = self._sums_of_scalars()
        return self._charged

    def _sums_of_scalars(self) -> tuple[dict[str, int], dict[str, int]]:
        """All but the shared ones, and what counts against quotas: who asks for one soon asks for the other."""
        scalars: dict[str, int] = {}
        charged: dict[str, int] = {}
        for kind, amount in self.amounts.items():
            if isinstance(amount, int) and not kind.shared:
                name, milli = kind.name, kind.size_milli * amount or amount
                scalars[name] = scalars.get(name, 0) + milli
                if kind.charged:
                    charged[name] = charged.get(name, 0) + milli
        return scalars, charged

    @property
    def is_divisible(self) -> bool:
        """Whether all that counts against quotas can be cut to measure, each name by itself."""
        if self._is_divisible is None:
            kinds = [kind for kind in self.amounts if kind.charged]
            self._is_divisible = len(self.charged) == len(kinds) and not any(kind.size_milli for kind in kinds)
        return self._is_divisible

    @property
    def by_charge(self) -> tuple[Bundle, Bundle]:
        """What counts against quotas, and what does not."""
        if self._by_charge is None:
            chargeable = self.only(kind for kind in self.amounts if kind.charged)
            self._by_charge = chargeable, self.only(kind for kind in self.amounts if not kind.charged)
        return self._by_charge

    @property
    def is_plain(self) -> bool:
        """Whether every framework understands all of it."""
        if self._is_plain is None:
            self._is_plain = all(kind.plain for kind in self.amounts)
        return self._is_plain

    @property
    def is_simple(self) -> bool:
        """Whether any framework may have, and understands, all of it."""
        if self._is_simple is None:
            self._is_simple = self.is_plain and all(kind.role == DEFAULT_ROLE for kind in self.amounts)
        return self._is_simple

    @property
    def shared(self) -> tuple[Kind, ...]:
        """The shared kinds in it."""
        if self._shared is None:
            self._shared = tuple(kind for kind in self.amounts if kind.shared)
        return self._shared

    @property
    def quantities_of_scalars(self) -> Mapping[str, int]:
        """As `scalars`, with the shared ones, each once."""
        if not self.shared:
            return self.scalars
        return _sums(self.amounts, (kind for kind in self.amounts if kind.scalar))

    @property
    def quantities(self) -> Mapping[str, int]:
        """All scalars, and ranges and sets as 1000 times their count."""
        if self._quantities is None:
            sums = _sums(self.amounts, (kind for kind in self.amounts if kind.scalar))
            for kind, amount in self.amounts.items():
                if isinstance(amount, Ranges):
                    sums[kind.name] = sums.get(kind.name, 0) + amount.count * MILLI
                elif isinstance(amount, Items):
                    sums[kind.name] = sums.get(kind.name, 0) + len(amount.names) * MILLI
            self._quantities = sums
        return self._quantities

    def only(self, kinds: Iterable[Kind]) -> Bundle:
        """The part of these kinds, which must be there."""
        amounts = {kind: self.amounts[kind] for kind in kinds}
        if len(amounts) == len(self.amounts):
            return self
        return Bundle(amounts) if amounts else NOTHING

    @property
    def parts(self) -> Mapping[str, Bundle]:
        """The parts by the role for which they are reserved; what anybody may have is under `*`."""
        if self._parts is None:
            if all(kind.role == DEFAULT_ROLE for kind in self.amounts):
                self._parts = {DEFAULT_ROLE: self} if self.amounts else {}
            else:
                parts: dict[str, dict[Kind, Amount]] = {}
                for kind, amount in self.amounts.items():
                    parts.setdefault(kind.role, {})[kind] = amount
                self._parts = {role: Bundle(amounts) for role, amounts in parts.items()}
        return self._parts

    def replace_parts(self, interned: Callable[[Bundle], Bundle]) -> None:
        """By the known ones: the open part of an agent with reservations is all of one without."""
        if len(self.parts) > 1:
            self._parts = {role: interned(part) for role, part in self.parts.items()}

    def split(self, line: tuple[str, ...]) -> tuple[Bundle, Bundle]:
        """The parts that are reserved for one of the roles in the line, together, and what is left without them."""
        if not self.amounts:
            return NOTHING, NOTHING
        found = self._splits.get(line)
        if found is None:
            parts = self.parts
            mine = [role for role in parts if role in line]
            rest = [role for role in parts if role not in line]
            found = self._splits[line] = self._joined(mine), self._joined(rest)
        return found

    def _joined(self, roles: Sequence[str]) -> Bundle:
        if len(roles) == 1:
            return self.parts[roles[0]]
        return self.only(kind for kind in self.amounts if kind.role in roles)

    def without_part(self, given: Bundle) -> Bundle:
        """As `minus`; what is left is known when it was split off just so, or taken last: of agents that are alike the same
        is taken again and again.
        """
        if self._last is not None and self._last[0] is given:
            return self._last[1]
        for mine, rest in self._splits.values():
            if mine is given:
                return rest
        rest = self.minus(given)
        if rest is not self:
            self._last = given, rest
        return rest

    def of_roles(self, line: tuple[str, ...]) -> Bundle:
        """The parts that are reserved for one of the roles in the line, together."""
        return self.split(line)[0]

    def resources(self) -> Resources:
        """As the model has it, without allocation marks."""
        if self._resources is None:
            self._resources = Resources(tuple(self._each("")))
        return self._resources

    def is_of(self, resources: Resources) -> bool:
        """Whether these very resources were made of it."""
        return resources is self._resources

    def resources_for(self, role: str) -> tuple[Resources, Resources]:
        """As the model has it: without allocation marks, and marked as allocated to the role."""
        found = self.marked.get(role)
        if found is None:
            found = self.marked[role] = self.resources(), Resources(tuple(self._each(role)))
        return found

    def _each(self, role: str) -> Iterator[Resource]:
        for kind, amount in self.amounts.items():
            if not isinstance(amount, int):
                yield kind.resource(amount, role)
            elif kind.size_milli:
                single = kind.resource(Scalar(milli=kind.size_milli), role)
                yield from (single for _ in range(amount))
            else:
                yield kind.resource(Scalar(milli=amount), role)


def _sums(amounts: Mapping[Kind, Amount], kinds: Iterable[Kind]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for kind in kinds:
        amount = amounts[kind]
        if isinstance(amount, int):
            sums[kind.name] = sums.get(kind.name, 0) + kind.milli(amount)
    return sums


NOTHING = Bundle({})
"""An empty bundle. Bundles never change, so one is enough."""
