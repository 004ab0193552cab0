"""Dominant shares as exact integers: the whole cluster's totals, and a key that orders shares as fractions would.

Mesos divides doubles, and two shares that are equal on paper may differ in the last bit. Here share/weight is
floor(allocated · 2^192 / (total · weight)): equal fractions give equal keys, and two different ones a/b and c/d
differ by at least 1/(b·d), hence in their keys, as long as total · weight stays below 2^96. Totals are below 2^66
(65,000 agents of the largest scalar that the model admits) and weights in thousandths below 2^30.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

SHIFT_BITS = 192
WEIGHT_ONE_MILLI = 1_000
WEIGHT_LIMIT_MILLI = 10**9


class ClusterTotals:
    """The sum over all known agents, free or not, active or not: the denominator of every share.

    `version` grows with each change, so that orders computed before know that they are stale.
    """

    __slots__ = ("_excluded", "amounts_milli", "version")

    def __init__(self, excluded: Iterable[str] = ()) -> None:
        """`excluded` names never count in a share (Mesos: fair_sharing_excluded_resource_names)."""
        self._excluded = frozenset(excluded)
        self.amounts_milli: dict[str, int] = {}
        self.version = 0

    def change(self, *, added: Mapping[str, int], removed: Mapping[str, int]) -> None:
        """An agent came, went or changed."""
        if added == removed:
            return
        for name, milli in added.items():
            self.amounts_milli[name] = self.amounts_milli.get(name, 0) + milli
        for name, milli in removed.items():
            self.amounts_milli[name] = self.amounts_milli.get(name, 0) - milli
            if not self.amounts_milli[name]:
                del self.amounts_milli[name]
        self.version += 1

    def key(self, allocated_milli: Mapping[str, int], weight_milli: int) -> int:
        """The dominant share divided by the weight, as an integer that orders exactly as the fraction does."""
        best = 0
        totals = self.amounts_milli
        for name, milli in allocated_milli.items():
            total = totals.get(name)
            if milli and total and name not in self._excluded:
                part = (milli << SHIFT_BITS) // (total * weight_milli)
                best = max(best, part)
        return best

    def share(self, allocated_milli: Mapping[str, int], weight_milli: int) -> Fraction:
        """The same as a fraction, for people and tests."""
        shares = [
            Fraction(milli * WEIGHT_ONE_MILLI, total * weight_milli)
            for name, milli in allocated_milli.items()
            if (total := self.amounts_milli.get(name)) and name not in self._excluded
        ]
        return max(shares, default=Fraction(0))
