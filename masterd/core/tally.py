"""What has happened, in numbers, since this master began: counted where it happens, read by whoever shows metrics.

Nothing decides by it. All of it is bounded: by the states and reasons that are known, and by the frameworks and their roles.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from paddock.model.ids import FrameworkId
from paddock.model.task import Reason, StatusSource, TaskState, TaskStatus


class OfferEnd(Enum):
    """How an offer ended. INVALID: it was accepted together with what makes the whole acceptance void."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    INVALID = "invalid"
    RESCINDED = "rescinded"
    TIMED_OUT = "timed_out"


class StatusKind(NamedTuple):
    """What statuses are counted by. A reason that this version does not know is None: strangers cannot make up kinds."""

    state: TaskState
    reason: Reason | None
    source: StatusSource


_REASONS: dict[int, Reason] = {int(reason): reason for reason in Reason}


def kind_of(status: TaskStatus) -> StatusKind:
    """Its kind."""
    return StatusKind(status.state, _REASONS.get(status.reason), status.source)


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts, and since when frameworks want offers."""

    offers_made_count: int = 0
    offers_ended: dict[OfferEnd, int] = field(default_factory=lambda: dict.fromkeys(OfferEnd, 0))
    tasks_launched_count: int = 0
    statuses: dict[StatusKind, int] = field(default_factory=dict)
    """All that agents reported and the master said itself, repetitions too."""
    tasks_ended: dict[StatusKind, int] = field(default_factory=dict)
    """Each task once, with the status that told its end."""
    offered_ns: dict[str, int] = field(default_factory=dict)
    """When somebody in the role got an offer last; of roles that somebody wants offers in."""
    _wishes: dict[FrameworkId, dict[str, int]] = field(default_factory=dict)
    _wish_counts: dict[str, int] = field(default_factory=dict)

    def counted(self, status: TaskStatus) -> TaskStatus:
        """The same, counted."""
        kind = kind_of(status)
        self.statuses[kind] = self.statuses.get(kind, 0) + 1
        return status

    def count_end(self, status: TaskStatus) -> None:
        """A task has ended with this."""
        kind = kind_of(status)
        self.tasks_ended[kind] = self.tasks_ended.get(kind, 0) + 1

    def note_wishes(self, framework_id: FrameworkId, roles: Collection[str], now_ns: int) -> None:
        """In these roles the framework wants offers from now on, and in no other. What it wanted before it goes on wanting."""
        before = self._wishes.get(framework_id, {})
        wishes = {role: before.get(role, now_ns) for role in roles}
        for role in wishes.keys() - before.keys():
            self._wish_counts[role] = self._wish_counts.get(role, 0) + 1
        for role in before.keys() - wishes.keys():
            self._wish_counts[role] -= 1
            if not self._wish_counts[role]:
                del self._wish_counts[role]
                self.offered_ns.pop(role, None)
        if wishes:
            self._wishes[framework_id] = wishes
        else:
            self._wishes.pop(framework_id, None)

    def wishes(self) -> Iterator[tuple[str, int]]:
        """Roles, and since when a framework wants offers in each; a role comes once for each such framework."""
        for wishes in self._wishes.values():
            yield from wishes.items()
