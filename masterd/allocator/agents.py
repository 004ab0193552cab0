"""An agent as the allocator sees it: its whole, who has what of it, what is left, and who refused it."""

from __future__ import annotations

from masterd.allocator.bundle import NOTHING, Bundle
from masterd.allocator.filters import Filter
from masterd.allocator.interface import AgentTraits, Inactivity
from paddock.model.ids import AgentId, FrameworkId

Holder = tuple[FrameworkId, str]
"""A framework in one of its roles."""

NEVER_NS = 2**63


class AllocatorAgent:
    """`free` is always total minus held minus withheld, computed when it is next asked for; a shared volume stays free
    however often it is held.

    `known_free` is None when it has to be computed.
    `inactivity`: why it is not active.
    `is_ordinary`: nothing of the agent itself hides it from anybody. `allowed`: by the whitelist.
    `barren_at`: the allocator's count of openings when a run last found nobody to offer this agent to; while nothing
    has changed since, a run need not look again before `wake_ns`, when the first of its filters may end.
    `covered`: holders whose refusals hide all that was free in `_covered_free`; once all that want offers are in it, nobody
    need be asked.
    """

    __slots__ = (
        "_covered_free",
        "active",
        "agent_id",
        "allowed",
        "asked_back",
        "barren_at",
        "covered",
        "filters",
        "has_gpus",
        "held",
        "in_use",
        "inactivity",
        "is_ordinary",
        "known_free",
        "total",
        "traits",
        "unavailable_at_ns",
        "wake_ns",
        "withheld",
    )

    def __init__(self, agent_id: AgentId, total: Bundle, traits: AgentTraits, *, allowed: bool) -> None:
        self.agent_id = agent_id
        self.active = True
        self.inactivity: frozenset[Inactivity] = frozenset()
        self.allowed = allowed
        self.is_ordinary = True
        self.held: dict[Holder, Bundle] = {}
        self.in_use: dict[Holder, Bundle] = {}
        self.withheld = NOTHING
        self.filters: dict[Holder, tuple[Filter, ...]] = {}
        self.covered: set[Holder] = set()
        self.unavailable_at_ns: int | None = None
        self.asked_back: set[FrameworkId] = set()
        self.barren_at = -1
        self.wake_ns = NEVER_NS
        self._covered_free = NOTHING
        self.known_free: Bundle | None = None
        self.set_traits(traits)
        self.set_total(total)

    def copy(self) -> AllocatorAgent:
        """Another one in the same state: what is done to it is not done to this one."""
        other = AllocatorAgent(self.agent_id, self.total, self.traits, allowed=self.allowed)
        other.active, other.inactivity, other.is_ordinary = self.active, self.inactivity, self.is_ordinary
        other.held, other.in_use, other.withheld = dict(self.held), dict(self.in_use), self.withheld
        other.filters = dict(self.filters)
        return other

    def set_traits(self, traits: AgentTraits) -> None:
        """What it is said to be."""
        self.traits = traits
        self.touch()

    def set_total(self, total: Bundle) -> None:
        """Its whole changed. What is given away stays given away, even when it is now more than the whole."""
        self.total = total
        self.has_gpus = total.scalars.get("gpus", 0) > 0
        self.touch()

    def touch(self) -> None:
        """Something about it changed: compute again, look again."""
        self.known_free = None
        self.barren_at = -1

    def give(self, holder: Holder, bundle: Bundle) -> None:
        """To the holder."""
        present = self.held.get(holder)
        self.held[holder] = bundle if present is None else present.plus(bundle)
        self.barren_at = -1
        free = self.known_free
        if free is None or bundle.shared or free.shared:
            self.known_free = None
        else:
            self.known_free = NOTHING if bundle is free else free.without_part(bundle)

    def give_part(self, holder: Holder, given: Bundle, rest: Bundle) -> None:
        """A part of what is free, and nothing of that shared; the rest is known."""
        held = self.held
        held[holder] = held[holder].plus(given) if holder in held else given
        self.known_free = rest
        self.barren_at = -1

    def take_back(self, holder: Holder, bundle: Bundle) -> None:
        """From the holder. ValueError when it does not have it: something would be counted twice."""
        present = self.held.get(holder, NOTHING)
        if not present.contains(bundle):
            raise ValueError(
                f"agent {self.agent_id}: {holder} gives back {bundle.resources()} of {present.resources()}"
            )
        rest = NOTHING if present is bundle else present.minus(bundle)
        if rest.amounts:
            self.held[holder] = rest
        else:
            self.held.pop(holder, None)
        self.touch()

    def use(self, holder: Holder, bundle: Bundle) -> None:
        """What the holder was offered is used now."""
        self.in_use[holder] = self.in_use.get(holder, NOTHING).plus(bundle)

    def end_use(self, holder: Holder, bundle: Bundle) -> Bundle:
        """What the holder used and gives back; the part of it that was in use."""
        present = self.in_use.get(holder, NOTHING)
        rest = present.minus(bundle)
        if rest.amounts:
            self.in_use[holder] = rest
        else:
            self.in_use.pop(holder, None)
        return present.minus(rest)

    @property
    def free(self) -> Bundle:
        """What is left. Never negative: an agent that shrank has nothing free until enough came back."""
        free = self.known_free
        if free is None:
            free = self.total.minus(self.withheld)
            for bundle in self.held.values():
                free = free.minus(bundle)
            if self.total.shared:
                missing = [kind for kind in self.total.shared if kind not in free.amounts]
                free = free.plus(self.total.only(missing))
            self.known_free = free
        return free

    # --- refusals ---

    def refuse(self, holder: Holder, new: Filter, line: tuple[str, ...]) -> None:
        """Remember a refusal. `line`: the roles whose reservations the holder may use."""
        self.filters[holder] = (*self.filters.get(holder, ()), new)
        self.wake_ns = min(self.wake_ns, new.expires_ns)
        free = self.free
        if free is not self._covered_free:
            if not self._covered_free.contains(free):
                self.covered.clear()
            self._covered_free = free
        if new.hides(free.of_roles(line)):
            self.covered.add(holder)

    def is_refused(self, holder: Holder, candidate: Bundle, *, now_ns: int, batch_count: int) -> bool:
        """Whether a living filter hides the candidate. Forgets those that are over."""
        filters = self.filters.get(holder)
        if filters is None:
            return False
        living = tuple(each for each in filters if not each.is_over(now_ns=now_ns, batch_count=batch_count))
        if len(living) != len(filters):
            self.covered.discard(holder)
            if not living:
                del self.filters[holder]
                return False
            self.filters[holder] = living
        return any(each.hides(candidate) for each in living)

    def forget_refusals(self, holder: Holder) -> bool:
        """Drop the holder's filters; whether there were any."""
        self.covered.discard(holder)
        if self.filters.pop(holder, None) is None:
            return False
        self.barren_at = -1
        return True

    def take_refusals_of(self, other: AllocatorAgent) -> None:
        """The same refusals as another agent, which is like this one in all that is free."""
        self.filters = dict(other.filters)
        self.covered = set(other.covered)
        self._covered_free = other._covered_free
        self.wake_ns = other.wake_ns
        self.barren_at = -1

    def check_cover(self) -> None:
        """Before a visit: refusals that cover less than what is free now say nothing for certain."""
        free = self.free
        if free is not self._covered_free and not self._covered_free.contains(free):
            self.covered.clear()

    def mark_barren(self, openings: int) -> None:
        """A run found nobody for it."""
        self.barren_at = openings
        self.wake_ns = min((each.expires_ns for filters in self.filters.values() for each in filters), default=NEVER_NS)
