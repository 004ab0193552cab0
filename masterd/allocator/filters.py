"""Decline filters: what a framework refused on an agent is not offered to it there again for a while."""

from __future__ import annotations

from dataclasses import dataclass

from masterd.allocator.bundle import Bundle
from paddock.model.offer import DEFAULT_REFUSE_MS, REFUSE_LIMIT_MS

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """`refused` in one framework, role and agent. `born_batch` is the number of batch runs when it was made."""

    refused: Bundle
    expires_ns: int
    born_batch: int

    def is_over(self, *, now_ns: int, batch_count: int) -> bool:
        """Its time is up and it has outlived at least one batch run (MESOS-4302).

        Without the second half a refusal as long as the interval would end at the very run that it is meant for.
        """
        return now_ns >= self.expires_ns and batch_count > self.born_batch

    def hides(self, candidate: Bundle) -> bool:
        """The same or less was refused; more than that is worth a new offer."""
        return self.refused.contains(candidate)


def refusal_ms(asked_ms: int) -> int:
    """What a framework's word means: below 0 the default, at most 365 days; 0 is no refusal."""
    return DEFAULT_REFUSE_MS if asked_ms < 0 else min(asked_ms, REFUSE_LIMIT_MS)


def life_ns(refuse_ms: int, interval_ns: int) -> int:
    """How long a filter lives: 0 none, at least one allocation interval, at most 365 days."""
    if refuse_ms <= 0:
        return 0
    return max(refusal_ms(refuse_ms) * NS_PER_MS, interval_ns)
