"""An agent as the allocator sees it: its whole, who has what of it, what is left, and who refused it."""

from __future__ import annotations

from collections.abc import Iterable

from masterd.allocator.bundle import NOTHING, Bundle
from masterd.allocator.filters import Filter
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import DEFAULT_ROLE

Holder = tuple[FrameworkId, str]
"""A framework in one of its roles."""

NEVER_NS = 2**63


class AllocatorAgent:
    """`free` is always total minus used minus withheld, computed when it is next asked for.

    `barren_at`: the allocator's count of openings when a run last found nobody to offer this agent to; while nothing
    has changed since, a run need not look again before `wake_ns`, when the first of its filters may end.
    """

    __slots__ = (
        "_free",
        "_parts",
        "active",
        "agent_id",
        "barren_at",
        "filters",
        "has_gpus",
        "total",
        "used",
        "wake_ns",
        "withheld",
    )

    def __init__(self, agent_id: AgentId, total: Bundle) -> None:
        self.agent_id = agent_id
        self.active = True
        self.used: dict[Holder, Bundle] = {}
        self.withheld = NOTHING
        self.filters: dict[Holder, list[Filter]] = {}
        self.barren_at = -1
        self.wake_ns = NEVER_NS
        self._free: Bundle | None = None
        self._parts: dict[str, Bundle] = {}
        self.set_total(total)

    def set_total(self, total: Bundle) -> None:
        """Its whole changed. What is given away stays given away, even when it is now more than the whole."""
        self.total = total
        self.has_gpus = total.scalars.get("gpus", 0) > 0
        self.touch()

    def touch(self) -> None:
        """Something about it changed: compute again, look again."""
        self._free = None
        self.barren_at = -1

    def give(self, holder: Holder, bundle: Bundle) -> None:
        """To the holder."""
        self.used[holder] = self.used.get(holder, NOTHING).plus(bundle)
        everything = bundle is self._free
        self.touch()
        if everything:
            self._free, self._parts = NOTHING, {}

    def take_back(self, holder: Holder, bundle: Bundle) -> None:
        """From the holder. ValueError when it does not have it: something would be counted twice."""
        present = self.used.get(holder, NOTHING)
        if not present.contains(bundle):
            raise ValueError(
                f"agent {self.agent_id}: {holder} gives back {bundle.resources()} of {present.resources()}"
            )
        rest = present.minus(bundle)
        if rest:
            self.used[holder] = rest
        else:
            self.used.pop(holder, None)
        self.touch()

    @property
    def free(self) -> Bundle:
        """What is left. Never negative: an agent that shrank has nothing free until enough came back."""
        if self._free is None:
            rest = self.total.minus(self.withheld)
            for bundle in self.used.values():
                rest = rest.minus(bundle)
            self._free = rest
            self._parts = rest.by_role()
        return self._free

    def free_for(self, role_line: Iterable[str]) -> Bundle:
        """What is left for a role: unreserved parts, and those reserved for it or a role above it."""
        if not self.free:
            return NOTHING
        parts = self._parts
        if len(parts) == 1:
            (role,) = parts
            return parts[role] if role == DEFAULT_ROLE or role in role_line else NOTHING
        found = NOTHING
        for role in role_line:
            part = parts.get(role)
            if part is not None:
                found = found.plus(part)
        return found

    def refuse(self, holder: Holder, new: Filter) -> None:
        """Remember a refusal."""
        self.filters.setdefault(holder, []).append(new)
        self.wake_ns = min(self.wake_ns, new.expires_ns)

    def is_refused(self, holder: Holder, candidate: Bundle, *, now_ns: int, batch_count: int) -> bool:
        """Whether a living filter hides the candidate. Forgets those that are over."""
        filters = self.filters.get(holder)
        if filters is None:
            return False
        living = [each for each in filters if not each.is_over(now_ns=now_ns, batch_count=batch_count)]
        if not living:
            del self.filters[holder]
            return False
        if len(living) != len(filters):
            self.filters[holder] = living
        return any(each.hides(candidate) for each in living)

    def forget_refusals(self, holder: Holder) -> bool:
        """Drop the holder's filters; whether there were any."""
        if self.filters.pop(holder, None) is None:
            return False
        self.barren_at = -1
        return True

    def mark_barren(self, openings: int) -> None:
        """A run found nobody for it."""
        self.barren_at = openings
        self.wake_ns = min((each.expires_ns for filters in self.filters.values() for each in filters), default=NEVER_NS)
