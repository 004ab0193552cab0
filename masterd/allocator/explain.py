"""Why a framework is not offered an agent in a role: asked on demand, of the state as it is, and nothing is stored for it.

The order of the reasons is fixed, and documented in docs/allocation.md: the first that holds is the answer; all that hold
are listed. No reason is given where a run over that agent alone would make an offer now, nor where an offer is out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from masterd.allocator.agents import AllocatorAgent
from masterd.allocator.books import Books
from masterd.allocator.bundle import NOTHING, Bundle
from masterd.allocator.cycle import Portion, chargeable
from masterd.allocator.frameworks import AllocatorFramework
from masterd.allocator.interface import Inactivity
from masterd.allocator.quantities import Quantities, shrink_to_limits
from masterd.allocator.rehearsal import rehearse
from masterd.allocator.reservations import role_line
from masterd.allocator.visibility import Hidden, hidden, presentable, understands, worth_offering
from paddock.model.ids import AgentId, FrameworkId


class Reason(Enum):
    """In their order: who asks, the agent, what the agent has, what of it the role may have, whose turn it is."""

    NOT_SUBSCRIBED = "the framework is not subscribed with the role"
    DISCONNECTED = "the framework is not connected"
    SUPPRESSED = "the framework has suppressed the role"
    RECOVERING = "the master waits for its agents before it honours quotas"
    AGENT_INACTIVE = "the agent is not connected"
    AGENT_DEACTIVATED = "an operator has taken the agent out of use"
    DRAINING = "the agent is drained"
    MAINTENANCE = "the agent's host is under maintenance"
    AGENT_PROBLEM = "the agent takes no new work; `paddock agents` says why"
    WHITELIST = "the agent's host is not on the whitelist"
    MULTI_ROLE = "the agent does not know frameworks with several roles"
    HIERARCHICAL_ROLE = "the agent does not know roles below others"
    GPU = "the agent has gpus, and the framework has not said that it uses them"
    REGION = "the agent is in another region, and the framework has not said that it goes there"
    CONSTRAINT = "the framework's constraints rule the agent out"
    NOTHING_FREE = "nothing is free on the agent"
    TOO_SMALL = "what is free is less than the smallest offer"
    RESERVED = "what is free is reserved for other roles"
    NOT_UNDERSTOOD = "what is free is of kinds that the framework does not understand"
    QUOTA_LIMIT = "the role is at its limit"
    HEADROOM = "what is free is kept for guarantees"
    FILTERED = "the framework has refused as much"
    BEHIND = "others are first"


_OF_INACTIVITY = {
    Inactivity.DISCONNECTED: Reason.AGENT_INACTIVE,
    Inactivity.DEACTIVATED: Reason.AGENT_DEACTIVATED,
    Inactivity.DRAINING: Reason.DRAINING,
    Inactivity.MAINTENANCE: Reason.MAINTENANCE,
    Inactivity.PROBLEM: Reason.AGENT_PROBLEM,
}

_OF_HIDDEN = {
    Hidden.MULTI_ROLE: Reason.MULTI_ROLE,
    Hidden.HIERARCHICAL_ROLE: Reason.HIERARCHICAL_ROLE,
    Hidden.GPU: Reason.GPU,
    Hidden.REGION: Reason.REGION,
    Hidden.CONSTRAINT: Reason.CONSTRAINT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A reason with what belongs to it: resource names, the roles for which something is kept, the end of a refusal, and
    of those who are first both shares of the role.
    """

    reason: Reason
    names: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    until_ns: int | None = None
    first: tuple[FrameworkId, str] | None = None
    first_share: Fraction | None = None
    own_share: Fraction | None = None


def explain(
    books: Books, *, framework_id: FrameworkId, role: str, agent_id: AgentId, now_ns: int
) -> tuple[Finding, ...]:
    """All reasons that hold, in their order; none where there is an offer, or where a run over this agent would make one now.
    A run over several may yet end otherwise: what it gives of others before counts in the shares, and towards limits.

    KeyError for a framework or an agent that is not known.
    """
    framework, agent = books.ledger.frameworks[framework_id], books.ledger.agents[agent_id]
    holder = (framework_id, role)
    if agent.held.get(holder, NOTHING).minus(agent.in_use.get(holder, NOTHING)):
        return ()
    portions: list[Portion] = []
    if agent.active and agent.allowed and not books.agenda.is_paused:
        portions = rehearse(books, agent, now_ns=now_ns)
        if any((taker.framework_id, taken.path) == holder for taken, taker, _, _ in portions):
            return ()
    found = (
        *_of_framework(books, framework, role),
        *_of_agent(books, agent, framework, role),
        *_of_resources(books, agent, framework, role, now_ns),
    )
    return found or tuple(_behind(books, portions, role))


def _of_framework(books: Books, framework: AllocatorFramework, role: str) -> Iterator[Finding]:
    if role not in framework.traits.roles:
        yield Finding(reason=Reason.NOT_SUBSCRIBED)
    if not framework.active:
        yield Finding(reason=Reason.DISCONNECTED)
    if role in framework.suppressed_roles:
        yield Finding(reason=Reason.SUPPRESSED)
    if books.agenda.is_paused:
        yield Finding(reason=Reason.RECOVERING)


def _of_agent(books: Books, agent: AllocatorAgent, framework: AllocatorFramework, role: str) -> Iterator[Finding]:
    yield from of_inactivity(agent.inactivity)
    if not agent.allowed:
        yield Finding(reason=Reason.WHITELIST)
    why = hidden(agent, framework, role, books.settings)
    if why is not None:
        yield Finding(reason=_OF_HIDDEN[why])


def of_inactivity(why: Collection[Inactivity]) -> Iterator[Finding]:
    """In the reasons' order."""
    return (Finding(reason=reason) for each, reason in _OF_INACTIVITY.items() if each in why)


def _of_resources(
    books: Books, agent: AllocatorAgent, framework: AllocatorFramework, role: str, now_ns: int
) -> Iterator[Finding]:
    """What is missing first hides what comes after it: of nothing nobody can say whether it was refused."""

    def enough(bundle: Bundle) -> bool:
        return worth_offering(bundle, framework, role, books.settings)

    free, line = agent.free, role_line(role)
    mine = free.of_roles(line)
    shown = presentable(mine, framework)
    if not enough(free):
        reason = Reason.TOO_SMALL if free else Reason.NOTHING_FREE
        yield Finding(reason=reason, names=tuple(sorted(free.quantities)))
    elif not enough(mine):
        yield Finding(reason=Reason.RESERVED, roles=tuple(sorted(free.parts.keys() - set(line))))
    elif not enough(shown):
        names = {kind.name for kind in mine.amounts if not understands(framework, kind)}
        yield Finding(reason=Reason.NOT_UNDERSTOOD, names=tuple(sorted(names)))
    else:
        limits = _room(books, role)
        headroom = {name: left for name in shown.charged if (left := books.ledger.accounts.headroom(name)) is not None}
        within_limits, within_headroom = _bounded(shown, limits), _bounded(shown, headroom)
        within_both = _bounded(within_limits, headroom)
        both_bind = enough(within_limits) and enough(within_headroom) and not enough(within_both)
        if not enough(within_limits) or both_bind:
            yield Finding(reason=Reason.QUOTA_LIMIT, names=tuple(sorted(limits)))
        if not enough(within_headroom) or both_bind:
            yield Finding(reason=Reason.HEADROOM, names=tuple(sorted(headroom)), roles=_needy(books))
        candidate = within_both if enough(within_both) else shown
        yield from _refused(books, agent, (framework.framework_id, role), candidate, now_ns)


def _room(books: Books, role: str) -> Quantities:
    account = books.ledger.accounts.get(role)
    return books.ledger.accounts.room(account) if account is not None else {}


def _bounded(bundle: Bundle, bounds: Quantities) -> Bundle:
    part = chargeable(bundle)
    return bundle.minus(part).plus(shrink_to_limits(part, bounds))


def _needy(books: Books) -> tuple[str, ...]:
    accounts = books.ledger.accounts
    return tuple(path for path in accounts.paths() if (account := accounts.get(path)) and account.owed)


def _refused(
    books: Books, agent: AllocatorAgent, holder: tuple[FrameworkId, str], candidate: Bundle, now_ns: int
) -> Iterator[Finding]:
    living = [
        each
        for each in agent.filters.get(holder, ())
        if not each.is_over(now_ns=now_ns, batch_count=books.agenda.batch_count) and each.hides(candidate)
    ]
    if living:
        yield Finding(reason=Reason.FILTERED, until_ns=max(each.expires_ns for each in living))


def _behind(books: Books, portions: list[Portion], role: str) -> Iterator[Finding]:
    for taken, taker, _, _ in portions:
        yield Finding(
            reason=Reason.BEHIND,
            first=(taker.framework_id, taken.path),
            first_share=books.role_share(taken.path),
            own_share=books.role_share(role),
        )
