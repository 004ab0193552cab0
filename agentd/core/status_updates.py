"""The stream of one task's statuses to its framework: in order, one in flight, sent again until acknowledged.

At least once on the wire, each under one UUID that never changes. The first repetition comes after 10 s, each further one
after twice the time, 10 minutes at most; a new connection begins with 10 s again.

What waits is bounded, however long the master is away: of many statuses of one state that follow each other, the newest are
kept. Every state that the task had is told, in its order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from paddock.model.task import TaskStatus

RETRY_FIRST_NS = 10 * 10**9
RETRY_LIMIT_NS = 600 * 10**9
PENDING_LIMIT_COUNT = 64
"""Of one task."""


@dataclass(slots=True)
class StatusStream:
    """What waits for its acknowledgement. The head alone is ever in flight."""

    pending: list[TaskStatus] = field(default_factory=list)
    retry_at_ns: int | None = None
    """When the head is sent again; None while nothing is in flight."""
    _delay_ns: int = RETRY_FIRST_NS

    @property
    def head(self) -> TaskStatus | None:
        """The one that is, or is to be, in flight."""
        return self.pending[0] if self.pending else None

    def append(self, status: TaskStatus) -> None:
        """Behind all others. Beyond the bound the oldest that only repeats its state goes; never the head, which was sent."""
        self.pending.append(status)
        if len(self.pending) <= PENDING_LIMIT_COUNT:
            return
        repeated = (
            at for at in range(1, len(self.pending) - 1) if self.pending[at].state is self.pending[at + 1].state
        )
        at = next(repeated, None)
        if at is not None:
            del self.pending[at]

    def pause(self) -> None:
        """The master is away."""
        self.retry_at_ns = None
        self._delay_ns = RETRY_FIRST_NS

    def take_due(self, now_ns: int) -> TaskStatus | None:
        """The head, if it must be sent now (never sent on this connection, or its time has come). It is then in flight."""
        head = self.head
        if head is None or (self.retry_at_ns is not None and now_ns < self.retry_at_ns):
            return None
        if self.retry_at_ns is not None:
            self._delay_ns = min(2 * self._delay_ns, RETRY_LIMIT_NS)
        self.retry_at_ns = now_ns + self._delay_ns
        return head

    def awaits(self, uuid: bytes) -> bool:
        """Whether this acknowledgement is for the head: others are late repetitions, and mean nothing."""
        return self.head is not None and self.head.uuid == uuid

    def remove(self, uuid: bytes) -> None:
        """It was acknowledged; the next one may go at once. An older agent's log may acknowledge what had no room here."""
        self.pending = [status for status in self.pending if status.uuid != uuid]
        self.retry_at_ns = None
        self._delay_ns = RETRY_FIRST_NS
