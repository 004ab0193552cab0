"""How much there is of one kind of resource: numbers, ranges and sets, added and taken away."""

from __future__ import annotations

from paddock.model.resources import Items, Ranges

Amount = int | Ranges | Items
"""Scalars are plain integers in 1/1000 of their unit, or counts of what is whole; ranges and sets are the model's own."""


def is_some(amount: Amount) -> bool:
    """Whether there is anything of it."""
    match amount:
        case int():
            return amount > 0
        case Ranges(spans=spans):
            return bool(spans)
        case Items(names=names):
            return bool(names)


def sum_of(one: Amount, two: Amount) -> Amount:
    """Both together."""
    if isinstance(one, int) and isinstance(two, int):
        return one + two
    if isinstance(one, Ranges) and isinstance(two, Ranges):
        return Ranges.of((*one.spans, *two.spans))
    if isinstance(one, Items) and isinstance(two, Items):
        return Items(names=one.names | two.names)
    raise TypeError(f"{one!r} and {two!r} are of different kinds")


def rest_of(one: Amount, two: Amount) -> Amount:
    """Without the other, never below nothing."""
    if isinstance(one, int) and isinstance(two, int):
        return max(0, one - two)
    if isinstance(one, Ranges) and isinstance(two, Ranges):
        return one.minus(two)
    if isinstance(one, Items) and isinstance(two, Items):
        return Items(names=one.names - two.names)
    raise TypeError(f"{one!r} and {two!r} are of different kinds")


def covers(one: Amount, two: Amount) -> bool:
    """Whether the other can be taken out of it."""
    if isinstance(one, int) and isinstance(two, int):
        return one >= two
    if isinstance(one, Ranges) and isinstance(two, Ranges):
        return one.contains(two)
    if isinstance(one, Items) and isinstance(two, Items):
        return one.names >= two.names
    raise TypeError(f"{one!r} and {two!r} are of different kinds")
