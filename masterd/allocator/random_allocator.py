"""The other built-in allocator: whose turn it is decides a lot, weighted; all else (quotas, refusals…) is as with DRF.

For clusters where exact shares matter less than that nobody can predict, and thereby game, the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log2

from masterd.allocator.branch import Branch, Entry, Shared
from masterd.allocator.drf import Sorter
from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings, Grant, Shuffler
from masterd.allocator.shares import WEIGHT_ONE_MILLI, ClusterTotals, Weighed

_MASK = 2**64 - 1
_STEP = 2**40


class Lots:
    """A stream of random numbers (splitmix64). Each run plants a new seed, so that all depends on the run's own source."""

    def __init__(self) -> None:
        self.seed = 0

    def wait(self, weight_milli: int) -> int:
        """How long until somebody of this weight is drawn again: exponentially distributed, in proportion to 1 / weight."""
        self.seed = (self.seed + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((self.seed ^ (self.seed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        uniform = ((mixed ^ (mixed >> 31)) >> 11) + 1
        return int((53 - log2(uniform)) * _STEP) * WEIGHT_ONE_MILLI // weight_milli


class RandomSorter(Sorter):
    """Each client has a time at which it is drawn next; who is drawn waits anew. The waits being exponential, whoever is first
    was chosen with a probability in proportion to its weight, whatever was drawn before.
    """

    __slots__ = ("_lots",)

    def __init__(self, totals: ClusterTotals, weights_milli: Mapping[str, int], lots: Lots, *, list_count: int) -> None:
        """`lots` is shared by all sorters of an allocator."""
        super().__init__(totals, weights_milli, list_count=list_count)
        self._lots = lots

    def charge(self, client: str, scalars_milli: Mapping[str, int], shared: Shared = ()) -> None:
        """The client was drawn."""
        super().charge(client, scalars_milli, shared)
        if shared:
            self._draw_again(client)

    def charge_weighed(self, client: str, weighed: Weighed) -> None:
        """The client was drawn."""
        branch = self._leaves[client]
        while branch.parent is not None:
            for name, milli in weighed[0]:
                branch.allocated_milli[name] = branch.allocated_milli.get(name, 0) + milli
            branch.count += 1
            branch = branch.parent
        self._draw_again(client)

    def _draw_again(self, client: str) -> None:
        branch = self._leaves[client]
        while branch.parent is not None:
            self._find_top(branch)
            branch.best += self._wait(branch)
            self._place(branch)
            branch = branch.parent

    def _wait(self, branch: Branch) -> int:
        return self._lots.wait(self._weights_milli.get(branch.path, WEIGHT_ONE_MILLI))

    def _entry(self, branch: Branch) -> Entry:
        self._find_top(branch)
        return (branch.best, 0, branch.path, branch)

    def _find_top(self, branch: Branch) -> None:
        """Who is new begins at the time that is reached, not at the beginning: that would be ahead of everybody."""
        if not branch.top:
            branch.top = "drawn"
            others = branch.parent.children.values() if branch.parent is not None else ()
            branch.best = min((other.best for other in others if other.top and other is not branch), default=0)
            branch.best += self._wait(branch)


class RandomAllocator(DrfAllocator):
    """See `interface.Allocator` for what each call means."""

    def __init__(self, settings: AllocatorSettings) -> None:
        self._lots = Lots()
        super().__init__(settings)

    def make_sorter(self, totals: ClusterTotals, weights_milli: Mapping[str, int], *, list_count: int) -> Sorter:
        """By lot."""
        return RandomSorter(totals, weights_milli, self._lots, list_count=list_count)

    def run(self, *, now_ns: int, shuffler: Shuffler, batch: bool) -> tuple[Grant, ...]:
        """With lots of the run's own."""
        self._lots.seed = shuffler.sample(range(2**62), 1)[0]
        return super().run(now_ns=now_ns, shuffler=shuffler, batch=batch)
