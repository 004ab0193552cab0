"""Medians and paired ratios: a neighbour on the machine slows both halves of a pair, so only their ratio is quoted.

The order inside the pairs alternates: what one leaves behind (dying cgroups, warm caches) would else always hit the
same side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median

Measurement = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The values of both sides, in the order of measurement; the unit is the measurement's."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    def ratio(self) -> float:
        """The median of the ratios ours/theirs of each pair."""
        return median(mine / other for mine, other in zip(self.ours, self.theirs, strict=True))

    def our_median(self) -> float:
        """What one measurement of ours gives."""
        return median(self.ours)

    def their_median(self) -> float:
        """What one of theirs gives."""
        return median(self.theirs)

    def count(self) -> int:
        """How many pairs."""
        return len(self.ours)


async def measure_pairs(ours: Measurement, theirs: Measurement, *, count: int, pause_s: float = 0.0) -> Pairs:
    """Measure ``count`` pairs with ``pause_s`` before each measurement; one pair before them does not count."""
    mine: list[float] = []
    others: list[float] = []
    await ours()
    await theirs()
    for index in range(count):
        sides = [(ours, mine), (theirs, others)]
        for side, values in sides if index % 2 == 0 else reversed(sides):
            await asyncio.sleep(pause_s)
            values.append(await side())
    return Pairs(ours=tuple(mine), theirs=tuple(others))
