"""One run: first what guarantees owe, then fair shares of the rest; on each agent in the order of shares."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from masterd.allocator.accounts import Account, Accounts
from masterd.allocator.agents import AllocatorAgent
from masterd.allocator.bundle import NOTHING, Bundle, Kinds
from masterd.allocator.frameworks import AllocatorFramework
from masterd.allocator.interface import AllocatorSettings
from masterd.allocator.kind import Kind
from masterd.allocator.quantities import minimum_met, shrink_to_limits, shrink_to_quantities
from masterd.allocator.roles import OPEN, OWED_OPEN, WANTING, Role, Roles
from masterd.allocator.shares import ClusterTotals
from masterd.allocator.visibility import hidden, presentable, worth_offering
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import DEFAULT_ROLE

Portion = tuple[Role, AllocatorFramework, AllocatorAgent, Bundle]
"""A grant, as the allocator counts. A plain tuple: there are as many of them as agents, in every run."""


@dataclass(slots=True, kw_only=True)
class Run:
    """What one run looks at and what it has granted. `openings` counts the events that may make somebody take what nobody
    took before. `handed`: shared volumes go to a framework once in a run, though they are never used up. `cuts`: see `_cut`;
    with each the bundle that was cut, so that nothing else gets its id.
    """

    kinds: Kinds
    totals: ClusterTotals
    roles: Roles
    accounts: Accounts
    frameworks: Mapping[FrameworkId, AllocatorFramework]
    settings: AllocatorSettings
    now_ns: int
    batch_count: int
    openings: int
    choosy: bool
    is_simple: bool = field(init=False)
    portions: list[Portion] = field(default_factory=list)
    handed: set[tuple[FrameworkId, AgentId, Kind]] = field(default_factory=set)
    cuts: dict[tuple[int, tuple[int, ...]], tuple[Bundle, Bundle]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """`is_simple`: no quota and no framework's own minimum has to be looked at."""
        self.is_simple = not (self.choosy or self.accounts.limit_count or self.accounts.guarantee_count)

    # --- first stage ---

    def honour(self, agent: AllocatorAgent) -> None:
        """Give of the agent what guarantees owe, to whom they owe it."""
        if self._is_hopeless(agent):
            return
        begin = len(self.portions)
        is_owed_some, minimum = self.accounts.is_owed_some, self.settings.minimum
        free = agent.free
        anybodys = open_part(free)
        names = anybodys.charged.keys()
        for role in self._owed_order_for(free):
            if not names:
                break
            if not is_owed_some(self.account_of(role), names):
                continue
            if self.choosy or minimum_met(anybodys, minimum) or role.path in free.parts:
                self._honour_role(agent, role)
                free = agent.free
                anybodys = open_part(free)
                names = anybodys.charged.keys()
            elif len(free.parts) == 1:
                break
        self._settle(begin)

    def _honour_role(self, agent: AllocatorAgent, role: Role) -> None:
        offer = self._owed_offer(agent, role)
        if not offer.amounts:
            return
        for client in role.frameworks.order():
            framework = self.frameworks[FrameworkId(client)]
            if self._may_not_see(agent, framework, role):
                continue
            if not worth_offering(offer, framework, role.path, self.settings):
                continue
            if not self._offer(agent, role, framework, offer):
                continue
            if role.active_count == 1:
                break
            offer = self._owed_offer(agent, role)
            if not offer.amounts:
                break

    def _owed_offer(self, agent: AllocatorAgent, role: Role) -> Bundle:
        """What is due, what rides along, and what limits and head-room allow of the rest. Nothing is due: nothing."""
        free, owed = agent.free, self.accounts.entitlement(self.account_of(role))
        anybodys = open_part(free)
        own = free.parts.get(role.path, NOTHING) if role.path != DEFAULT_ROLE else NOTHING
        if anybodys.is_divisible:
            divided = self._divided(anybodys, role, owed)
            return self.kinds.interned(divided.plus(own)) if divided and own else divided
        charged, alongside = anybodys.by_charge
        due = shrink_to_quantities(charged, owed)
        if not due:
            return NOTHING
        burst = charged.minus(due)
        if burst.amounts:
            bounds = self._bounds(burst, role, taken=due.charged)
            burst = shrink_to_limits(burst, bounds) if bounds else burst
        return self.kinds.interned(due.plus(burst).plus(alongside).plus(own))

    def _divided(self, anybodys: Bundle, role: Role, owed: Mapping[str, int]) -> Bundle:
        """The same where nothing is whole or nothing: each amount by itself, without sums and differences."""
        room, headroom = self.accounts.room(self.account_of(role)), self.accounts.headroom
        measures: list[int] = []
        is_due = False
        for name, amount in anybodys.charged.items():
            most, due = amount, min(amount, owed.get(name, 0))
            is_due = is_due or due > 0
            if name in room:
                most = min(most, max(due, room[name]))
            if most > due and (left := headroom(name)) is not None:
                most = min(most, due + left)
            measures.append(most)
        return self._cut(anybodys, tuple(measures)) if is_due else NOTHING

    def _cut(self, bundle: Bundle, measures: tuple[int, ...]) -> Bundle:
        """So much of what counts against quotas, in its order, and all else. Many are owed the same of like agents."""
        key = (id(bundle), measures)
        known = self.cuts.get(key)
        if known is None:
            left = dict(zip(bundle.charged, measures, strict=True))
            amounts = {kind: left[kind.name] if kind.charged else amount for kind, amount in bundle.amounts.items()}
            cut = self.kinds.interned(Bundle({kind: amount for kind, amount in amounts.items() if amount}))
            known = self.cuts[key] = bundle, cut
        return known[1]

    # --- second stage ---

    def share(self, agent: AllocatorAgent) -> None:
        """Offer all that is left on the agent, in the order before the visit (Mesos sorts once per agent)."""
        if self._is_hopeless(agent):
            return
        begin = len(self.portions)
        free = agent.free
        asked: list[str] = []
        if self._suits_anybody(free):
            for role in self._order_for(free):
                asked.append(role.path)
                if self._serve(agent, role):
                    free = agent.free
                    if not self._suits_anybody(free):
                        break
        if free.amounts:
            self.share_reserved(agent, asked)
        self.end_visit(agent, begin)

    def end_visit(self, agent: AllocatorAgent, begin: int) -> None:
        """Charge what came of it since `begin`; or remember that nothing did."""
        if len(self.portions) > begin:
            self._settle(begin)
        else:
            agent.mark_barren(self.openings)

    def share_reserved(self, agent: AllocatorAgent, asked: Collection[str]) -> None:
        """Where only what is reserved makes an offer, only the roles that may use it need be asked."""
        reserved = [path for path in agent.free.parts if path != DEFAULT_ROLE]
        if not reserved:
            return
        entitled = {role.path: role for path in reserved for role in self.roles.below(path) if role.path not in asked}
        for role in self.roles.in_order(entitled.values()):
            self._serve(agent, role)

    def _order_for(self, free: Bundle) -> Iterator[Role]:
        """Those that may have some of it: who is at a limit only where something is reserved for it, or can be revoked."""
        if not self.accounts.limit_count or any(kind.revocable for kind in free.amounts):
            return self.roles.order(WANTING)
        entitled = {role.path: role for path in free.parts if path != DEFAULT_ROLE for role in self.roles.below(path)}
        return self.roles.order_with(OPEN, entitled.values())

    def _owed_order_for(self, free: Bundle) -> Iterator[Role]:
        """Who has no room for the smallest offer is passed over, unless something makes it larger that no limit counts: what is
        reserved for it here, or what can be revoked.
        """
        if any(kind.revocable for kind in free.amounts):
            return (role for role in self.roles.order(WANTING) if self.is_owed(role))
        own = [role for path in free.parts if (role := self.roles.get(path)) and self.is_owed(role)]
        return self.roles.order_with(OWED_OPEN, own)

    def is_owed(self, role: Role) -> bool:
        """Whether it wants offers and a guarantee that it can draw on is not met."""
        return role.active_count > 0 and self.accounts.is_owed(self.account_of(role))

    def _suits_anybody(self, free: Bundle) -> bool:
        """Whether roles without reservations there can have an offer of it."""
        anybodys = open_part(free)
        if not anybodys.amounts:
            return False
        if self.choosy:
            return True
        if self.accounts.guarantee_count:
            anybodys = self._within_headroom(anybodys)
        return minimum_met(anybodys, self.settings.minimum)

    def _within_headroom(self, bundle: Bundle) -> Bundle:
        bounds = {name: bound for name in bundle.charged if (bound := self.accounts.headroom(name)) is not None}
        if not bounds or all(bundle.charged[name] <= bound for name, bound in bounds.items()):
            return bundle
        part = chargeable(bundle)
        return bundle.minus(part).plus(shrink_to_limits(part, bounds))

    def _serve(self, agent: AllocatorAgent, role: Role) -> bool:
        """The frameworks of one role, in order, until nothing is left that the role may have; whether any took."""
        candidate = self.candidate(agent, role)
        minimum = self.settings.minimum
        choosy = role.choosy_count > 0
        if not choosy and not minimum_met(candidate, minimum):
            return False
        took = False
        for client in role.frameworks.order():
            framework = self.frameworks[FrameworkId(client)]
            if self._may_not_see(agent, framework, role):
                continue
            if not self._offer(agent, role, framework, candidate):
                continue
            took = True
            if not agent.free.amounts:
                break
            candidate = self.candidate(agent, role)
            if not choosy and not minimum_met(candidate, minimum):
                break
        return took

    def candidate(self, agent: AllocatorAgent, role: Role) -> Bundle:
        """What the agent has for the role, within limits and head-room."""
        bundle = agent.free.of_roles(role.line)
        if not (self.accounts.limit_count or self.accounts.guarantee_count):
            return bundle
        bounds = self._bounds(bundle, role, taken={})
        if not bounds:
            return bundle
        part = chargeable(bundle)
        within = shrink_to_limits(part, bounds)
        return bundle if within is part else self.kinds.interned(bundle.minus(part).plus(within))

    def _bounds(self, bundle: Bundle, role: Role, *, taken: Mapping[str, int]) -> dict[str, int]:
        """By name: the least of what the limits leave after `taken`, and of the head-room; only where it binds."""
        room = self.accounts.room(self.account_of(role))
        bounds: dict[str, int] = {}
        for name, milli in bundle.charged.items():
            bound = self.accounts.headroom(name)
            if name in room:
                left = max(0, room[name] - taken.get(name, 0))
                bound = left if bound is None else min(bound, left)
            if bound is not None and bound < milli:
                bounds[name] = bound
        return bounds

    # --- both ---

    def account_of(self, role: Role) -> Account:
        """What is charged for the role."""
        return role.account

    def _is_hopeless(self, agent: AllocatorAgent) -> bool:
        """Whether the last look was in vain and nothing has changed since, or everybody has refused."""
        if agent.barren_at == self.openings and self.now_ns < agent.wake_ns:
            return True
        if not agent.free.amounts:
            return True
        if agent.covered:
            agent.check_cover()
            return len(agent.covered) >= self.roles.wanting_count and self.now_ns < agent.wake_ns
        return False

    def _may_not_see(self, agent: AllocatorAgent, framework: AllocatorFramework, role: Role) -> bool:
        if agent.is_ordinary and not framework.is_picky:
            return False
        return hidden(agent, framework, role.path, self.settings) is not None

    def _offer(self, agent: AllocatorAgent, role: Role, framework: AllocatorFramework, candidate: Bundle) -> bool:
        """Grant it, unless the framework does not want it."""
        framework_id = framework.framework_id
        holder = framework.holders[role.path]
        if agent.filters and holder in agent.covered and self.now_ns < agent.wake_ns:
            return False
        offer = candidate
        if not candidate.is_plain:
            offer = presentable(candidate, framework)
            again = [kind for kind in offer.shared if (framework_id, agent.agent_id, kind) in self.handed]
            if again:
                offer = offer.only(kind for kind in offer.amounts if kind not in again)
        if (offer is not candidate or role.choosy_count) and not minimum_met(
            offer, framework.minimum(role.path, self.settings.minimum)
        ):
            return False
        if agent.filters and agent.is_refused(holder, offer, now_ns=self.now_ns, batch_count=self.batch_count):
            return False
        agent.give(holder, offer)
        if offer.shared:
            self.handed.update((framework_id, agent.agent_id, kind) for kind in offer.shared)
        self.accounts.charge(self.account_of(role), offer.charged)
        self.portions.append((role, framework, agent, offer))
        return True

    def _settle(self, begin: int) -> None:
        """Charge what the visit granted: the order must not change while it is read. Who is full now leaves lists first: there
        nothing has to be moved.
        """
        self.roles.place_turned()
        for role, framework, agent, bundle in self.portions[begin:]:
            self.roles.charge(role, framework.framework_id, agent.agent_id, bundle)


def open_part(free: Bundle) -> Bundle:
    """What is not reserved."""
    return free.parts.get(DEFAULT_ROLE, NOTHING)


def chargeable(bundle: Bundle) -> Bundle:
    """What counts against quotas."""
    return bundle.by_charge[0]
