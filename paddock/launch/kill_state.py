"""How far a container's end has come: asked, in its grace period, killed. Later requests may only hasten it."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.plan import KillPolicy


class KillState:
    """One request to end, perhaps hastened. Durations by the monotonic clock, `requested_ns` by the wall clock."""

    __slots__ = ("_asked_at_ns", "deadline_ns", "ended_at_ns", "escalated", "requested_ns", "signal")

    def __init__(self, policy: KillPolicy) -> None:
        self._asked_at_ns = time.monotonic_ns()
        self.requested_ns = time.time_ns()
        self.signal = policy.signal
        self.deadline_ns = self._asked_at_ns + policy.grace_ms * 1_000_000
        self.escalated = False
        self.ended_at_ns = 0

    def shorten(self, policy: KillPolicy) -> None:
        """A later request: the earlier deadline of the two holds."""
        self.deadline_ns = min(self.deadline_ns, time.monotonic_ns() + policy.grace_ms * 1_000_000)

    def is_due(self) -> bool:
        """Whether the grace period is over and nothing has been done about it."""
        return not self.escalated and time.monotonic_ns() >= self.deadline_ns

    @property
    def grace_ms(self) -> int:
        """The grace that was really given."""
        return max(self.deadline_ns - self._asked_at_ns, 0) // 1_000_000

    def to_json(self) -> dict[str, object]:
        """For the record and for `state`."""
        end_ns = self.ended_at_ns or time.monotonic_ns()
        return {
            "signal": self.signal,
            "grace_ms": self.grace_ms,
            "requested_ns": self.requested_ns,
            "escalated": self.escalated,
            "took_ms": (end_ns - self._asked_at_ns) // 1_000_000,
        }
