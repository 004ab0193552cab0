"""Amounts by name: the arithmetic of quotas, limits and minimums. Scalars are thousandths; a name that is absent is 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from masterd.allocator.amounts import Amount
from masterd.allocator.bundle import NOTHING, Bundle
from masterd.allocator.kind import Kind
from paddock.model.resources import Milli

Quantities = Mapping[str, Milli]


def minus(one: Quantities, two: Quantities) -> dict[str, int]:
    """Never below 0; what is used up is left out; names that only `two` has say nothing."""
    return {name: rest for name, milli in one.items() if (rest := milli - two.get(name, 0)) > 0}


def contain(have: Quantities, want: Quantities) -> bool:
    """Whether there is enough of everything that is wanted."""
    return all(have.get(name, 0) >= milli for name, milli in want.items())


def limits_contain(limits: Quantities, quantities: Quantities) -> bool:
    """Whether nothing is above its limit. No limit for a name: as much as one likes."""
    return all(milli <= limits[name] for name, milli in quantities.items() if name in limits)


def minimum_met(bundle: Bundle, minimum: Sequence[Quantities]) -> bool:
    """Whether an offer of this is worth sending: all quantities of one alternative; anything when there is none."""
    if bundle.asked_minimum is minimum:
        return bundle.meets_minimum
    bundle.asked_minimum = minimum
    bundle.meets_minimum = _meets(bundle, minimum)
    return bundle.meets_minimum


def _meets(bundle: Bundle, minimum: Sequence[Quantities]) -> bool:
    if not minimum:
        return bool(bundle.amounts)
    scalars = bundle.scalars
    for wanted in minimum:
        for name, milli in wanted.items():
            # Most ask for scalars; counting ports is the longer way.
            if scalars.get(name, 0) < milli and bundle.quantities.get(name, 0) < milli:
                break
        else:
            return bool(bundle.amounts)
    return False


def shrink_to_quantities(bundle: Bundle, bounds: Quantities) -> Bundle:
    """At most the bound of each name, nothing of names without one. What is whole and does not fit is left out."""
    return _shrink(bundle, bounds, otherwise=False)


def shrink_to_limits(bundle: Bundle, bounds: Quantities) -> Bundle:
    """At most the bound of each name; names without one stay as they are."""
    return _shrink(bundle, bounds, otherwise=True)


def _shrink(bundle: Bundle, bounds: Quantities, *, otherwise: bool) -> Bundle:
    """The whole ones first, the largest first, and the divisible rest of the name is cut: nothing more could fit."""
    left = dict(bounds)
    kept: dict[Kind, Amount] = {}
    items = list(bundle.amounts.items())
    has_whole = any(kind.size_milli for kind, _ in items)
    same = True
    for kind, amount in sorted(items, key=_whole_first) if has_whole else items:
        bound = left.get(kind.name)
        if bound is None:
            if otherwise:
                kept[kind] = amount
            else:
                same = False
        elif isinstance(amount, int):
            fits = _fitting(kind, amount, bound)
            same = same and fits == amount
            if fits:
                kept[kind] = fits
                left[kind.name] = bound - kind.milli(fits)
        else:
            same = False
    if same:
        return bundle
    if has_whole:
        kept = {kind: kept[kind] for kind, _ in items if kind in kept}
    return Bundle(kept) if kept else NOTHING


def _whole_first(item: tuple[Kind, Amount]) -> int:
    return -item[0].size_milli


def _fitting(kind: Kind, amount: int, bound_milli: int) -> int:
    """How much of it fits into the bound: thousandths, or how many of what is whole."""
    if not kind.size_milli:
        return max(0, min(amount, bound_milli))
    if kind.shared:
        return amount if kind.size_milli <= bound_milli else 0
    return min(amount, max(0, bound_milli) // kind.size_milli)
