"""Histograms that cost a fraction of a microsecond: for the paths that are measured themselves."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

TIME_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""From the quickest launch's parts to what nobody waits for any more."""


class Histogram:
    """Counts by upper bounds, the last of which is infinity. One thread observes; others may read: they see a value of the
    moment before or after.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = TIME_BOUNDS_S) -> None:
        """`bounds` rise."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more. A bound belongs to its own bucket."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """How many were at most each bound; the last is infinity, and all."""
        return list(zip((*self.bounds, float("inf")), accumulate(self.counts), strict=True))

    def quantile(self, part: float) -> float:
        """The upper bound of the bucket in which this part of all ends; 0 when there was none. Infinity is told as the largest
        bound: a number that a dashboard can draw.
        """
        wanted = part * self.count
        if not wanted:
            return 0.0
        return next(min(bound, self.bounds[-1]) for bound, count in self.cumulative() if count >= wanted)
