"""Time as an argument: monotonic for durations, wall clock for records."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Given to what needs time; tests give one that they turn themselves."""

    def monotonic_s(self) -> float:
        """Never goes back; only differences mean something."""

    def monotonic_ns(self) -> int:
        """The same, exact."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970; may jump. For what people and other machines read."""


class SystemClock:
    """The kernel's clocks."""

    def monotonic_s(self) -> float:
        """CLOCK_MONOTONIC."""
        return time.monotonic()

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """CLOCK_REALTIME."""
        return time.time_ns()
