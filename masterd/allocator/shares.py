"""Dominant shares as exact integers: the whole cluster's totals, and a key that orders shares as fractions would.

Mesos divides doubles, and two shares that are equal on paper may differ in the last bit. Here all totals are brought to one
denominator L, their least common multiple, so that a share is the integer numerator over it: allocated · (L / total). The
key is floor(numerator · 2^60 / weight): equal fractions give equal keys, and two different ones n/v and m/w differ by at
least 1/(v·w), hence in their keys, because weights in thousandths stay below 2^30.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import lcm

from masterd.allocator.bundle import Bundle
from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_role
from paddock.model.resources import milli_of

SHIFT_BITS = 60
WEIGHT_ONE_MILLI = 1_000
WEIGHT_LIMIT_MILLI = 10**9


def checked_weight(role: str, weight: float | str, field: str = "weight") -> int:
    """A weight from outside, in thousandths. Raises InvalidRequest for a role or a weight that is none."""
    check_role(role, f"{field}.role")
    weight_milli = milli_of(weight)
    if not 1 <= weight_milli <= WEIGHT_LIMIT_MILLI:
        remedy = f"a weight is a number between 0.001 and {WEIGHT_LIMIT_MILLI // WEIGHT_ONE_MILLI}"
        raise InvalidRequest(field, weight, remedy)
    return weight_milli


Weighed = tuple[Sequence[tuple[str, int]], str, int]
"""Amounts by name, which of them is the greatest part of the cluster (empty: none counts), and how many L-ths that is."""


class ClusterTotals:
    """The sum over all known agents, free or not, active or not: the denominator of every share.

    `version` grows with each change, so that orders computed before know that they are stale.
    """

    __slots__ = ("_excluded", "_factors", "_factors_version", "amounts_milli", "version")

    def __init__(self, excluded: Iterable[str] = ()) -> None:
        """`excluded` names never count in a share (Mesos: fair_sharing_excluded_resource_names)."""
        self._excluded = frozenset(excluded)
        self.amounts_milli: dict[str, int] = {}
        self.version = 0
        self._factors: dict[str, int] = {}
        self._factors_version = 0

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

    @property
    def factors(self) -> Mapping[str, int]:
        """By name, how many L-ths of the cluster one thousandth is; only names that count."""
        if self._factors_version != self.version:
            counted = {
                name: total for name, total in self.amounts_milli.items() if total > 0 and name not in self._excluded
            }
            denominator = lcm(*counted.values())
            self._factors = {name: denominator // total for name, total in counted.items()}
            self._factors_version = self.version
        return self._factors

    def dominant(self, allocated_milli: Mapping[str, int]) -> tuple[int, str]:
        """The dominant share in L-ths, and of which resource it is."""
        factors = self.factors
        return max(
            ((milli * factors[name], name) for name, milli in allocated_milli.items() if name in factors),
            default=(0, ""),
        )

    def weigh(self, scalars_milli: Mapping[str, int]) -> Weighed:
        """For as long as `version` stays."""
        best, top = self.dominant(scalars_milli)
        return tuple(scalars_milli.items()), top, best

    def weighed(self, bundle: Bundle) -> Weighed:
        """As `weigh`, remembered with the bundle, which must be of the same allocator's kinds (or empty)."""
        known = bundle.weighed
        if known is None or known[0] != self.version:
            known = bundle.weighed = (self.version, self.weigh(bundle.scalars))
        return known[1]

    def key(self, allocated_milli: Mapping[str, int], weight_milli: int) -> int:
        """The dominant share divided by the weight, as an integer that orders exactly as the fraction does."""
        return (self.dominant(allocated_milli)[0] << SHIFT_BITS) // weight_milli

    def share(self, allocated_milli: Mapping[str, int], weight_milli: int) -> Fraction:
        """The same as a fraction, for people and tests."""
        shares = [
            Fraction(milli * WEIGHT_ONE_MILLI, self.amounts_milli[name] * weight_milli)
            for name, milli in allocated_milli.items()
            if name in self.factors
        ]
        return max(shares, default=Fraction(0))
