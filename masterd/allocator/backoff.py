"""Patience: a framework that is offered things again and again and uses nothing is asked less and less often (ours)."""

from __future__ import annotations

from masterd.allocator.frameworks import AllocatorFramework
from masterd.allocator.interface import AllocatorSettings

FREE_ROUNDS = 5
"""As many batch runs with offers, and nothing used, change nothing."""

LONGEST_INTERVALS = 60


def patience_ns(framework: AllocatorFramework, role: str, settings: AllocatorSettings) -> int:
    """For how long at least what it refuses now is not offered to it again: twice as long with each idle round."""
    idle = framework.idle_rounds.get(role, 0) - FREE_ROUNDS
    if idle <= 0 or not settings.decline_backoff:
        return 0
    return min(LONGEST_INTERVALS, 1 << min(idle, 10)) * settings.interval_ns
