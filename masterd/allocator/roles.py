"""The roles: a tree ordered by DRF, and within each role its frameworks, ordered by DRF too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import Protocol

from masterd.allocator.accounts import Account, Accounts
from masterd.allocator.branch import Shares
from masterd.allocator.bundle import Bundle
from masterd.allocator.drf import Sorter
from masterd.allocator.reservations import role_line
from masterd.allocator.shares import WEIGHT_ONE_MILLI, ClusterTotals, Weighed
from paddock.model.ids import AgentId, FrameworkId

WANTING, OPEN, OWED_OPEN = range(3)
"""The lists of roles: those that want offers; of these, those whose limits leave room; of these, those that a guarantee is
owed to.
"""

_NO_WEIGHTS: Mapping[str, int] = {}


class SorterMaker(Protocol):
    """Makes what orders clients: by shares, or otherwise."""

    def __call__(self, totals: ClusterTotals, weights_milli: Mapping[str, int], *, list_count: int) -> Sorter:
        """As `Sorter` takes them."""
        ...


class Role:
    """A role with members or with something allocated. It outlives membership while anything is held in it.

    `choosy_count`: how many members have a minimum of their own for an offer.
    """

    __slots__ = ("account", "active_count", "choosy_count", "frameworks", "line", "members", "path")

    def __init__(self, path: str, frameworks: Sorter, account: Account) -> None:
        self.path = path
        self.line = role_line(path)
        self.account = account
        self.members: set[FrameworkId] = set()
        self.active_count = 0
        self.choosy_count = 0
        self.frameworks = frameworks

    def first(self) -> FrameworkId:
        """The framework that is to be served first. Only of a role that is in an order: somebody in it wants offers."""
        return self.frameworks.first()  # type: ignore[return-value]  # its clients are frameworks, one is there


def shares_of(agent_id: AgentId, bundle: Bundle) -> Shares:
    """What a bundle on an agent weighs in shares."""
    if not bundle.shared:
        return bundle.scalars, ()
    shared = tuple((agent_id, kind, _copies(bundle, kind)) for kind in bundle.shared)
    return bundle.scalars, shared


def _copies(bundle: Bundle, kind: object) -> int:
    amount = next(amount for each, amount in bundle.amounts.items() if each is kind)
    assert isinstance(amount, int)
    return amount


class Roles:
    """All roles. A framework is a client of each of its roles, active where it wants offers.

    A framework that has left a role is still charged there until what it holds came back.
    """

    __slots__ = ("_accounts", "_by_path", "_make_sorter", "_sorter", "_totals", "wanting_count", "weights_milli")

    def __init__(self, totals: ClusterTotals, accounts: Accounts, make_sorter: SorterMaker) -> None:
        self._make_sorter = make_sorter
        self._totals = totals
        self._accounts = accounts
        self._by_path: dict[str, Role] = {}
        self.weights_milli: dict[str, int] = {}
        self.wanting_count = 0
        self._sorter = make_sorter(totals, self.weights_milli, list_count=3)

    def get(self, path: str) -> Role | None:
        """The role, when it has members or something allocated."""
        return self._by_path.get(path)

    def paths(self) -> list[str]:
        """All known roles, sorted."""
        return sorted(self._by_path)

    def _ensure(self, path: str) -> Role:
        role = self._by_path.get(path)
        if role is None:
            account = self._accounts.ensure(path)
            account.role_is_known = True
            role = self._by_path[path] = Role(path, self._make_sorter(self._totals, _NO_WEIGHTS, list_count=1), account)
            self._sorter.add(path)
        return role

    def join(self, path: str, framework_id: FrameworkId) -> None:
        """The framework subscribed with the role; inactive there until `set_active`."""
        role = self._ensure(path)
        role.members.add(framework_id)
        role.frameworks.add(framework_id)

    def leave(self, path: str, framework_id: FrameworkId, *, holds: bool) -> None:
        """The framework gave the role up; `holds`: it still has something in it, be it ports only."""
        role = self._by_path.get(path)
        if role is None or framework_id not in role.members:
            return
        self.set_active(path, framework_id, active=False)
        role.members.discard(framework_id)
        if not holds:
            self._tidy(role, framework_id)

    def set_active(self, path: str, framework_id: FrameworkId, *, active: bool) -> None:
        """Whether the framework wants offers in the role."""
        role = self._by_path[path]
        was = role.frameworks.is_active(framework_id)
        if was == active:
            return
        change = 1 if active else -1
        role.frameworks.set_member(framework_id, 0, member=active)
        role.active_count += change
        self.wanting_count += change
        if role.active_count == (1 if active else 0):
            self.place(role)

    def place(self, role: Role) -> None:
        """Into the lists where it belongs now."""
        wants, accounts = role.active_count > 0, self._accounts
        is_open = role.choosy_count > 0 or not accounts.is_full(role.account)
        is_owed = wants and accounts.is_owed(role.account)
        in_lists = (wants, wants and accounts.limit_count > 0 and is_open, is_owed and is_open)
        for which, member in enumerate(in_lists):
            self._sorter.set_member(role.path, which, member=member)

    def place_turned(self) -> None:
        """After the accounts have changed; not while somebody reads an order."""
        turned = self._accounts.turned
        if not turned:
            return
        self._accounts.turned = []
        paths = {account.path for account in turned}
        if self._accounts.nested:
            paths.update(each.path for account in turned if account.children for each in account.below())
        for path in paths:
            role = self._by_path.get(path)
            if role is not None:
                self.place(role)

    def place_all(self) -> None:
        """When the first limit came or the last one went: whether there is a list of open roles at all."""
        self._accounts.turned = []
        for role in self._by_path.values():
            self.place(role)

    def charge(self, role: Role, framework_id: FrameworkId, agent_id: AgentId, bundle: Bundle) -> None:
        """The framework got this in the role. The role's account is charged apart, and at once."""
        if bundle.shared:
            shares = shares_of(agent_id, bundle)
            role.frameworks.charge(framework_id, *shares)
            self._sorter.charge(role.path, *shares)
        else:
            self.charge_weighed(role, framework_id, self._totals.weighed(bundle))

    def charge_weighed(self, role: Role, framework_id: FrameworkId, weighed: Weighed) -> None:
        """As `charge`, of what is not shared."""
        role.frameworks.charge_weighed(framework_id, weighed)
        self._sorter.charge_weighed(role.path, weighed)

    @contextmanager
    def trial(self, role: Role, framework_id: FrameworkId, agent_id: AgentId, bundle: Bundle) -> Iterator[None]:
        """Meanwhile all is in the order in which it would be, had the framework got this."""
        with role.frameworks.trial(framework_id), self._sorter.trial(role.path):
            self.charge(role, framework_id, agent_id, bundle)
            yield

    def hold(self, path: str, framework_id: FrameworkId, agent_id: AgentId, bundle: Bundle) -> None:
        """The framework has this in the role already, whether or not it is a member."""
        role = self._ensure(path)
        role.frameworks.add(framework_id)
        self.charge(role, framework_id, agent_id, bundle)
        self._accounts.charge(role.account, bundle.charged)

    def give_back(self, path: str, framework_id: FrameworkId, agent_id: AgentId, bundle: Bundle, *, last: bool) -> None:
        """It came back; `last`: the framework holds nothing more in this role, on any agent."""
        role = self._by_path[path]
        shares = shares_of(agent_id, bundle)
        role.frameworks.discharge(framework_id, *shares)
        self._sorter.discharge(path, *shares)
        self._accounts.discharge(role.account, bundle.charged)
        if last:
            self._tidy(role, framework_id)

    def exchange(self, path: str, framework_id: FrameworkId, agent_id: AgentId, *, gone: Bundle, came: Bundle) -> None:
        """What the framework has was turned into something else; that is no new allocation."""
        role = self._by_path[path]
        before, after = shares_of(agent_id, gone), shares_of(agent_id, came)
        role.frameworks.exchange(framework_id, gone=before, came=after)
        self._sorter.exchange(path, gone=before, came=after)
        self._accounts.discharge(role.account, gone.charged)
        self._accounts.charge(role.account, came.charged)

    def use(self, path: str, bundle: Bundle, sign: int) -> None:
        """What was offered is used now (1), or what was used came back (-1)."""
        self._accounts.use(self._by_path[path].account, bundle.charged, sign)

    def _tidy(self, role: Role, framework_id: FrameworkId) -> None:
        if framework_id not in role.members:
            role.frameworks.remove(framework_id)
        if not role.members and not len(role.frameworks):
            self._sorter.remove(role.path)
            del self._by_path[role.path]
            role.account.role_is_known = False
            self._accounts.tidy(role.account)

    def set_weights(self, weights_milli: Mapping[str, int]) -> None:
        """For paths, present or not yet; a weight of 1 is the default and forgotten."""
        for path, weight_milli in weights_milli.items():
            if weight_milli == WEIGHT_ONE_MILLI:
                self.weights_milli.pop(path, None)
            else:
                self.weights_milli[path] = weight_milli
        self._sorter.reweigh()

    def first(self) -> Role | None:
        """The role that is to be served first."""
        path = self._sorter.first()
        return None if path is None else self._by_path[path]

    def order(self, which: int = WANTING) -> Iterator[Role]:
        """Roles that want offers, first who is to be served first. Lazy, as `Sorter.order`."""
        return map(self._by_path.__getitem__, self._sorter.order(which))

    def order_with(self, which: int, others: Iterable[Role]) -> Iterator[Role]:
        """The members of a list, and these others, each once, in the order of all."""
        waiting = self.in_order(role for role in others if not self._sorter.is_member(role.path, which))
        return self._merged(which, waiting) if waiting else self.order(which)

    def _merged(self, which: int, waiting: list[Role]) -> Iterator[Role]:
        for role in self.order(which):
            while waiting and self._sorter.precedence(waiting[0].path) < self._sorter.precedence(role.path):
                yield waiting.pop(0)
            yield role
        yield from waiting

    def below(self, path: str) -> list[Role]:
        """The role and those below it that want offers, in no order."""
        account = self._accounts.get(path)
        if account is None:
            return []
        if not account.children:
            role = self._by_path.get(path)
            return [role] if role is not None and role.active_count else []
        found = (self._by_path.get(each.path) for each in account.below())
        return [role for role in found if role is not None and role.active_count]

    def in_order(self, roles: Iterable[Role]) -> list[Role]:
        """These, first who is to be served first."""
        found = list(roles)
        if len(found) > 1:
            found.sort(key=lambda role: self._sorter.precedence(role.path))
        return found

    def share(self, path: str) -> Fraction | None:
        """The role's weighted share with all below it; None for a role that nobody is in."""
        return self._sorter.share(path) if path in self._by_path else None

    def own_share(self, path: str) -> Fraction | None:
        """The role's weighted share without what is below it; None for a role that nobody is in."""
        return self._sorter.client_share(path) if path in self._by_path else None

    def framework_share(self, path: str, framework_id: FrameworkId) -> Fraction:
        """The framework's part in the role, of the whole cluster."""
        role = self._by_path.get(path)
        if role is None or framework_id not in role.frameworks:
            return Fraction(0)
        return role.frameworks.share(framework_id)
