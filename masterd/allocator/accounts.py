"""What counts against quotas, for every role and all above it: reservations, what was given away, and what is owed.

Everything is kept current with each change, so that a run asks and never adds up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from masterd.allocator.quantities import Quantities
from masterd.allocator.quota import NO_QUOTA, Quota, consumed
from masterd.allocator.reservations import ancestors

_NOTHING: Quantities = {}


class Account:
    """One role's, with all below it. `need`: what has to stay free so that its guarantees, and those below, can be met.

    `owed` and `room` are kept: what is missing of its own guarantees, and what is left of its own limits.
    """

    __slots__ = (
        "charged",
        "children",
        "children_need",
        "in_use",
        "is_full",
        "need",
        "owed",
        "parent",
        "path",
        "quota",
        "reserved",
        "role_is_known",
        "room",
    )

    def __init__(self, path: str, parent: Account | None) -> None:
        self.path = path
        self.parent = parent
        self.children: dict[str, Account] = {}
        self.quota = NO_QUOTA
        self.reserved: dict[str, int] = {}
        self.charged: dict[str, int] = {}
        self.in_use: dict[str, int] = {}
        self.need: Quantities = _NOTHING
        self.children_need: dict[str, int] = {}
        self.is_full = False
        self.owed: Quantities = _NOTHING
        self.room: Quantities = _NOTHING
        self.role_is_known = False

    def consumed(self, name: str) -> int:
        """What counts against its quota: reserved (used or not), and given away of what anybody may have."""
        return self.reserved.get(name, 0) + self.charged.get(name, 0)

    def missing(self) -> Quantities:
        """The part of its own guarantees that it does not have."""
        reserved, charged = self.reserved, self.charged
        return {
            name: rest
            for name, milli in self.quota.guarantees_milli.items()
            if (rest := milli - reserved.get(name, 0) - charged.get(name, 0)) > 0
        }

    def left(self) -> Quantities:
        """How much more its own limits allow."""
        reserved, charged = self.reserved, self.charged
        return {
            name: rest if (rest := milli - reserved.get(name, 0) - charged.get(name, 0)) > 0 else 0
            for name, milli in self.quota.limits_milli.items()
        }

    def excess(self) -> dict[str, int]:
        """By how much it is above its own limits."""
        limits = self.quota.limits_milli
        return {name: over for name, milli in limits.items() if (over := self.consumed(name) - milli) > 0}

    def line(self) -> Iterator[Account]:
        """Itself and all above it, but not the root."""
        account: Account = self
        while account.parent is not None:
            yield account
            account = account.parent

    def below(self) -> Iterator[Account]:
        """Itself and all below it."""
        pending = [self]
        while pending:
            account = pending.pop()
            yield account
            pending.extend(account.children.values())


def _add(sums: dict[str, int], amounts_milli: Quantities, sign: int) -> None:
    for name, milli in amounts_milli.items():
        _change(sums, name, sign * milli)


def _change(sums: dict[str, int], name: str, by_milli: int) -> None:
    rest = sums.get(name, 0) + by_milli
    if rest:
        sums[name] = rest
    else:
        sums.pop(name, None)


class Accounts:
    """The tree. `nested`: a quota binds everything below its role too; without it (Mesos) only offers to the role itself.

    `turned` collects the accounts that became full or owed, or ceased to be; whoever orders roles empties it.
    """

    def __init__(self, *, nested: bool, minimum: Sequence[Quantities]) -> None:
        self.nested = nested
        self.root = Account("", None)
        self.plain_milli: dict[str, int] = {}
        self.turned: list[Account] = []
        self.limit_count = 0
        self.guarantee_count = 0
        self._minimum = minimum
        self._by_path: dict[str, Account] = {}

    def get(self, path: str) -> Account | None:
        """The role's, when there is anything in it."""
        return self._by_path.get(path)

    def paths(self) -> list[str]:
        """All that have one, sorted."""
        return sorted(self._by_path)

    def ensure(self, path: str) -> Account:
        """The role's; made, with all above it, when it is missing."""
        account = self._by_path.get(path)
        if account is not None:
            return account
        parent = self.root
        for role in (*reversed(ancestors(path)), path):
            account = self._by_path.get(role)
            if account is None:
                account = self._by_path[role] = parent.children[role] = Account(role, parent)
            parent = account
        return parent

    def tidy(self, account: Account) -> None:
        """Forget it, and those above it, when nothing is left to remember."""
        while account.parent is not None and not (
            account.role_is_known or account.children or account.quota or account.reserved or account.charged
        ):
            parent = account.parent
            parent.children.pop(account.path, None)
            self._by_path.pop(account.path, None)
            account = parent

    def copy(self) -> Accounts:
        """Others in the same state: what is charged there is not charged here."""
        other = Accounts(nested=self.nested, minimum=self._minimum)
        other.limit_count, other.guarantee_count = self.limit_count, self.guarantee_count
        other.plain_milli = dict(self.plain_milli)
        for mine in self.root.below():
            theirs = other.ensure(mine.path) if mine.path else other.root
            theirs.quota, theirs.is_full, theirs.need = mine.quota, mine.is_full, mine.need
            theirs.owed, theirs.room = mine.owed, mine.room
            theirs.reserved, theirs.charged = dict(mine.reserved), dict(mine.charged)
            theirs.children_need = dict(mine.children_need)
            theirs.role_is_known = mine.role_is_known
        return other

    # --- changes ---

    def change_plain(self, amounts_milli: Quantities, sign: int) -> None:
        """What anybody may have, in the whole cluster, grew or shrank."""
        _add(self.plain_milli, amounts_milli, sign)

    def reserve(self, path: str, amounts_milli: Quantities, sign: int) -> None:
        """Reserved for the role on some agent, or no longer."""
        if not amounts_milli:
            return
        account = self.ensure(path)
        for each in account.line():
            _add(each.reserved, amounts_milli, sign)
        self._settle(account)
        self.tidy(account)

    def charge(self, account: Account, amounts_milli: Quantities) -> None:
        """Given to a framework in the role."""
        each: Account | None = account
        while each is not None:
            charged = each.charged
            for name, milli in amounts_milli.items():
                charged[name] = charged.get(name, 0) + milli
            each = each.parent
        if self.limit_count or self.guarantee_count:
            self._settle(account)

    def discharge(self, account: Account, amounts_milli: Quantities) -> None:
        """Came back."""
        for each in account.line():
            _add(each.charged, amounts_milli, -1)
        _add(self.root.charged, amounts_milli, -1)
        if self.limit_count or self.guarantee_count:
            self._settle(account)

    def use(self, account: Account, amounts_milli: Quantities, sign: int) -> None:
        """What was offered is used now, or what was used came back."""
        for each in account.line():
            _add(each.in_use, amounts_milli, sign)

    def set_quota(self, path: str, quota: Quota) -> None:
        """Replace the role's quota; an empty one removes it."""
        account = self.ensure(path)
        self.limit_count += bool(quota.limits_milli) - bool(account.quota.limits_milli)
        self.guarantee_count += bool(quota.guarantees_milli) - bool(account.quota.guarantees_milli)
        account.quota = quota
        self._settle(account)
        self.turned.append(account)
        self.tidy(account)

    def _settle(self, account: Account) -> None:
        """Bring what follows from the sums in line with them, from the account upwards."""
        for each in account.line():
            quota = each.quota
            owed = each.missing() if quota.guarantees_milli else _NOTHING
            room = each.left() if quota.limits_milli else _NOTHING
            full = bool(room) and not self._is_worthwhile(room)
            if full != each.is_full or bool(owed) != bool(each.owed):
                self.turned.append(each)
            each.is_full, each.owed, each.room = full, owed, room
            if self.guarantee_count or each.need:
                self._settle_need(each)

    def _settle_need(self, account: Account) -> None:
        above, owed, children_need = account.parent, account.owed, account.children_need
        assert above is not None
        before, need = account.need, owed
        if children_need:
            need = {name: max(owed.get(name, 0), children_need.get(name, 0)) for name in {*owed, *children_need}}
        if need != before:
            account.need = need
            for name in before.keys() | need.keys():
                _change(above.children_need, name, need.get(name, 0) - before.get(name, 0))

    def _is_worthwhile(self, room: Quantities) -> bool:
        """Whether the limits leave enough for an offer that is worth sending, as far as the account alone decides."""
        for wanted in self._minimum:
            for name, milli in wanted.items():
                if name in room and room[name] < milli:
                    break
            else:
                return True
        return not self._minimum

    # --- questions ---

    def is_full(self, account: Account) -> bool:
        """Whether no offer of unreserved resources can be within the limits."""
        if not self.nested or account.parent is self.root:
            return account.is_full
        return any(each.is_full for each in account.line())

    def is_owed(self, account: Account) -> bool:
        """Whether a guarantee that the role can draw on is not met."""
        if not self.nested or account.parent is self.root:
            return bool(account.owed)
        return any(each.owed for each in account.line())

    def is_owed_some(self, account: Account, names: Collection[str]) -> bool:
        """Whether one of these resources may be owed to the role: False is certain."""
        if not self.nested or account.parent is self.root:
            return not account.owed.keys().isdisjoint(names)
        return any(not each.owed.keys().isdisjoint(names) for each in account.line())

    def room(self, account: Account) -> Quantities:
        """How much more the limits allow, by name; names that are not in it are unlimited."""
        if not self.nested or account.parent is self.root:
            return account.room
        room: dict[str, int] = {}
        for each in account.line():
            for name, left in each.room.items():
                room[name] = min(left, room.get(name, left))
        return room

    def entitlement(self, account: Account) -> Quantities:
        """What the guarantees owe the role. What is owed to others below the same role above is theirs."""
        if not self.nested or (account.parent is self.root and not account.children):
            return account.owed
        owed: dict[str, int] = {}
        for each in account.line():
            reserved_for_others = _needs_besides(each, account)
            for name, milli in each.owed.items():
                owed[name] = max(owed.get(name, 0), milli - reserved_for_others.get(name, 0))
        for name, left in self.room(account).items():
            if name in owed:
                owed[name] = min(owed[name], left)
        return {name: milli for name, milli in owed.items() if milli > 0}

    def surplus(self, name: str) -> int:
        """How much is free in the cluster beyond what the guarantees need; below 0 when they cannot be met."""
        available = self.plain_milli.get(name, 0) - self.root.charged.get(name, 0)
        return available - self.root.children_need.get(name, 0)

    def headroom(self, name: str) -> int | None:
        """As `surplus`, never below 0; None where no guarantee needs the resource, so that anybody may take all of it."""
        if name not in self.root.children_need:
            return None
        return max(0, self.surplus(name))

    def shown_consumption(self, path: str) -> Mapping[str, int]:
        """For people: reservations and what is used besides; what is only offered does not count."""
        account = self._by_path.get(path)
        return consumed(account.reserved, account.in_use) if account is not None else {}


def _needs_besides(account: Account, child: Account) -> dict[str, int]:
    """What the children of the account need, but not the one that leads to `child`."""
    needs = dict(account.children_need)
    for each in account.children.values():
        if each is child or child.path.startswith(f"{each.path}/"):
            _add(needs, each.need, -1)
    return needs
