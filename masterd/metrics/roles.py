"""Samples of roles. A framework may bring as many roles as it likes, so only some have series of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from masterd.allocator.books import Books
from masterd.allocator.quota import NO_QUOTA
from masterd.core.state import MasterState
from masterd.metrics import families
from paddock.metrics.families import Family, Sample
from paddock.model.resources import MILLI

OTHER = "other"
_NS_PER_S = 1e9


@dataclass(slots=True, kw_only=True)
class RoleFigures:
    """Of one role, or of many: then amounts are sums, and share and starvation those of the one that is worst off."""

    amounts: dict[tuple[Family, str], int] = field(default_factory=dict)
    share: float | None = None
    starved_s: float | None = None

    def add(self, family: Family, milli: Mapping[str, int]) -> None:
        """By resource name, in thousandths."""
        for name, amount in milli.items():
            self.amounts[family, name] = self.amounts.get((family, name), 0) + amount

    def take(self, other: RoleFigures) -> None:
        """Another role's too."""
        for key, amount in other.amounts.items():
            self.amounts[key] = self.amounts.get(key, 0) + amount
        self.share = _worst(min, self.share, other.share)
        self.starved_s = _worst(max, self.starved_s, other.starved_s)

    def samples(self, role: str) -> Iterator[Sample]:
        """Under this name."""
        for (family, resource), milli in self.amounts.items():
            yield family.sample(milli / MILLI, role, resource)
        if self.share is not None:
            yield families.ROLE_SHARE.sample(self.share, role)
        if self.starved_s is not None:
            yield families.ROLE_STARVED.sample(self.starved_s, role)


def _worst(choose: Callable[[Iterable[float]], float], one: float | None, other: float | None) -> float | None:
    known = [each for each in (one, other) if each is not None]
    return choose(known) if known else None


def samples(state: MasterState, *, now_ns: int, limit_count: int) -> Iterator[Sample]:
    """Those with a quota or a weight first: an operator has named them. Then by name."""
    starved = starvation(state, now_ns=now_ns)
    books = state.allocator if isinstance(state.allocator, Books) else None
    known = set(starved) | set(state.quotas)
    if books is not None:
        known.update(books.ledger.roles.paths(), books.ledger.accounts.paths())
    named = state.quotas.keys() | state.weights_milli.keys()
    ordered = sorted(known, key=lambda role: (role not in named, role))
    others = RoleFigures()
    for place, role in enumerate(ordered):
        figures = _figures(state, books, role)
        figures.starved_s = starved.get(role)
        if place < limit_count:
            yield from figures.samples(role)
        else:
            others.take(figures)
    yield from others.samples(OTHER)
    yield families.ROLES_CUT.sample(max(len(ordered) - limit_count, 0))


def _figures(state: MasterState, books: Books | None, role: str) -> RoleFigures:
    figures = RoleFigures()
    quota = state.quotas.get(role, NO_QUOTA)
    figures.add(families.ROLE_GUARANTEE, quota.guarantees_milli)
    figures.add(families.ROLE_LIMIT, quota.limits_milli)
    if books is not None:
        account = books.ledger.accounts.get(role)
        if account is not None:
            figures.add(families.ROLE_ALLOCATED, account.charged)
            figures.add(families.ROLE_RESERVED, account.reserved)
        share = books.role_share(role)
        figures.share = None if share is None else float(share)
    return figures


def starvation(state: MasterState, *, now_ns: int) -> dict[str, float]:
    """Of each role in which somebody wants offers: seconds since it got one, or since somebody wants. 0 while it holds one."""
    tally = state.tally
    since: dict[str, int] = {}
    for role, wanted_ns in tally.wishes():
        since[role] = min(since.get(role, wanted_ns), wanted_ns)
    holding = {entry.offer.role for entry in state.offers.values()}
    return {
        role: 0.0 if role in holding else (now_ns - max(wanted_ns, tally.offered_ns.get(role, 0))) / _NS_PER_S
        for role, wanted_ns in since.items()
    }
