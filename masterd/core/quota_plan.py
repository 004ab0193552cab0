"""What a change of quotas would do, before it is done: why it cannot be honoured, and who could get more or less than now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from masterd.allocator.books import Books
from masterd.allocator.outlook import Outlook, outlooks
from masterd.allocator.quota import NO_QUOTA, Quota, QuotaChange, total_guarantees
from masterd.allocator.reservations import is_strict_subrole
from masterd.core.state import MasterState
from masterd.core.views import AgentState
from paddock.model.errors import InvalidRequest
from paddock.model.resource_text import format_scalar
from paddock.model.resources import DEFAULT_ROLE, Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlookChange:
    """Of one role and one resource name, in thousandths."""

    role: str
    name: str
    reach_before_milli: int
    reach_after_milli: int
    owed_before_milli: int
    owed_after_milli: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaPlan:
    """`problems` in the order in which a call would name them; `changes` by role and name, only where something changes."""

    problems: tuple[InvalidRequest, ...]
    changes: tuple[OutlookChange, ...]


def merged(state: MasterState, changes: Iterable[QuotaChange]) -> dict[str, Quota]:
    """The quotas that the roles would have. Raises InvalidRequest for what could never be one."""
    quotas: dict[str, Quota] = {}
    for index, change in enumerate(changes):
        where = f"changes[{index}]"
        if change.role == DEFAULT_ROLE:
            raise InvalidRequest(f"{where}.role", change.role, "what is everybody's has no quota; name a role")
        if change.role in quotas:
            raise InvalidRequest(f"{where}.role", change.role, "name each role once")
        quotas[change.role] = change.applied_to(state.quotas.get(change.role, Quota()), where)
    return quotas


def plan(state: MasterState, changed: Mapping[str, Quota]) -> QuotaPlan:
    """Changes nothing. An allocator that keeps no books like ours has problems only."""
    books = state.allocator
    changes: tuple[OutlookChange, ...] = ()
    if isinstance(books, Books):
        accounts = books.ledger.accounts
        roles = sorted({*accounts.paths(), *state.quotas, *changed})
        before = outlooks(accounts, state.quotas, roles)
        after = outlooks(accounts, after_change(state.quotas, changed), roles)
        changes = tuple(_differences(before, after))
    return QuotaPlan(problems=tuple(problems(state, changed)), changes=changes)


def _differences(before: Mapping[str, Outlook], after: Mapping[str, Outlook]) -> Iterator[OutlookChange]:
    for role, now in before.items():
        then = after[role]
        for name in sorted({*now.reach_milli, *then.reach_milli, *now.owed_milli, *then.owed_milli}):
            change = OutlookChange(
                role=role,
                name=name,
                reach_before_milli=now.reach_milli.get(name, 0),
                reach_after_milli=then.reach_milli.get(name, 0),
                owed_before_milli=now.owed_milli.get(name, 0),
                owed_after_milli=then.owed_milli.get(name, 0),
            )
            same_reach = change.reach_before_milli == change.reach_after_milli
            if not same_reach or change.owed_before_milli != change.owed_after_milli:
                yield change


def after_change(quotas: Mapping[str, Quota], changed: Mapping[str, Quota]) -> dict[str, Quota]:
    """All quotas, were these changed; an empty one removes."""
    return {role: quota for role, quota in {**quotas, **changed}.items() if quota}


def problems(state: MasterState, changed: Mapping[str, Quota]) -> Iterator[InvalidRequest]:
    """Why the cluster as it is cannot honour them. The first is what a call without `force` is refused with."""
    after = after_change(state.quotas, changed)
    capacity = capacity_milli(state)
    for role, quota in changed.items():
        known = state.quotas.get(role, NO_QUOTA).limits_milli
        new_limits = {name: milli for name, milli in quota.limits_milli.items() if known.get(name) != milli}
        yield from _unknown_names(role, new_limits, capacity)
        yield from _limits_below_use(state, role, new_limits)
    for name, milli in total_guarantees(after).items():
        if milli > capacity.get(name, 0) and any(name in quota.guarantees_milli for quota in changed.values()):
            remedy = (
                f"the cluster has {format_scalar(capacity.get(name, 0))} for all guarantees; use force to set it anyway"
            )
            yield InvalidRequest(f"quotas.guarantees.{name}", format_scalar(milli), remedy)
    yield from _guarantees_above_limits(after, changed)


def _unknown_names(role: str, limits_milli: Mapping[str, int], capacity: Mapping[str, int]) -> Iterator[InvalidRequest]:
    """A guarantee of what nobody has is above the cluster's capacity anyway; a limit would be a mistyped name."""
    for name in limits_milli:
        if capacity and name not in capacity:
            remedy = f"agents have {', '.join(sorted(capacity))}; use force to limit what may come later"
            yield InvalidRequest(f"quotas.{role}.limits.{name}", name, remedy)


def _limits_below_use(state: MasterState, role: str, limits_milli: Mapping[str, int]) -> Iterator[InvalidRequest]:
    consumed = state.allocator.quota_consumption(role)
    for name, limit_milli in limits_milli.items():
        if consumed.get(name, 0) > limit_milli:
            remedy = f"the role has {format_scalar(consumed[name])}; set a limit that is not below, or use force"
            yield InvalidRequest(f"quotas.{role}.limits.{name}", format_scalar(limit_milli), remedy)


def _guarantees_above_limits(after: Mapping[str, Quota], changed: Mapping[str, Quota]) -> Iterator[InvalidRequest]:
    """What is guaranteed to the roles below another can only be had within that one's limits."""
    for above, quota in sorted(after.items()):
        below = {role: each for role, each in after.items() if is_strict_subrole(role, above)}
        if not below or not (above in changed or changed.keys() & below.keys()):
            continue
        for name, milli in total_guarantees(below).items():
            limit_milli = quota.limits_milli.get(name)
            if limit_milli is not None and milli > limit_milli:
                remedy = f"role {above} has a limit of {format_scalar(limit_milli)}; raise it, or use force"
                yield InvalidRequest(f"quotas.guarantees.{name}", format_scalar(milli), remedy)


def capacity_milli(state: MasterState) -> dict[str, int]:
    """Of the agents that have registered, connected or not: whatever is not revocable."""
    sums: dict[str, int] = {}
    for agent in state.agents.values():
        if agent.state in {AgentState.CONNECTED, AgentState.DISCONNECTED}:
            for resource in agent.info.resources:
                if isinstance(resource.value, Scalar) and not resource.revocable:
                    sums[resource.name] = sums.get(resource.name, 0) + resource.value.milli
    return sums
