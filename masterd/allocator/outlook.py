"""What a role can still get, and what it is owed, under quotas as they are or might be. What is only offered counts as free:
it can be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from masterd.allocator.accounts import Accounts
from masterd.allocator.quota import NO_QUOTA, Quota
from masterd.allocator.reservations import ancestors


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """By resource name, in thousandths. `reach_milli`: how much more at most; `owed_milli`: guaranteed, and not had."""

    reach_milli: Mapping[str, int]
    owed_milli: Mapping[str, int]


def outlooks(accounts: Accounts, quotas: Mapping[str, Quota], roles: Iterable[str]) -> dict[str, Outlook]:
    """Of each of the roles, were these the quotas. Guarantees and limits bind everything below their role."""
    names = sorted(
        {
            *accounts.plain_milli,
            *(name for quota in quotas.values() for name in (*quota.guarantees_milli, *quota.limits_milli)),
        }
    )
    tree = _Tree(accounts, quotas)
    return {role: tree.outlook(role, names) for role in roles}


class _Tree:
    """The roles with quotas and all above them, with what has to be kept free for each."""

    def __init__(self, accounts: Accounts, quotas: Mapping[str, Quota]) -> None:
        self._accounts = accounts
        self._quotas = quotas
        self._children: dict[str, list[str]] = {}
        self._needs: dict[str, dict[str, int]] = {}
        paths = {each for role in quotas for each in (role, *ancestors(role))}
        for path in sorted(paths, key=lambda path: -path.count("/")):
            self._children.setdefault(_above(path), []).append(path)
            self._needs[path] = self._need(path)

    def _consumed(self, path: str) -> Mapping[str, int]:
        return self._accounts.shown_consumption(path)

    def _need(self, path: str) -> dict[str, int]:
        """Its children's first: they are deeper, and were looked at before."""
        need: dict[str, int] = {}
        for child in self._children.get(path, ()):
            _add(need, self._needs[child])
        for name, milli in self._owed(path).items():
            need[name] = max(need.get(name, 0), milli)
        return need

    def _owed(self, path: str) -> dict[str, int]:
        consumed = self._consumed(path)
        guarantees = self._quotas.get(path, NO_QUOTA).guarantees_milli
        return {name: rest for name, milli in guarantees.items() if (rest := milli - consumed.get(name, 0)) > 0}

    def outlook(self, role: str, names: Iterable[str]) -> Outlook:
        """All but what is kept for others; and its guarantees in any case, its own and those above it, as far as anything is
        free: those are granted even when not all of them can be.
        """
        line = (role, *ancestors(role))
        kept: dict[str, int] = {}
        promised: dict[str, int] = {}
        for path in (*line, ""):
            others: dict[str, int] = {}
            for child in self._children.get(path, ()):
                if child not in line:
                    _add(others, self._needs[child])
            _add(kept, others)
            for name, milli in (self._owed(path) if path else {}).items():
                promised[name] = max(promised.get(name, 0), milli - others.get(name, 0))
        reach: dict[str, int] = {}
        for name in names:
            free_milli = self._free_milli(name)
            reach[name] = max(free_milli - kept.get(name, 0), min(free_milli, promised.get(name, 0)))
            for path in line:
                limits = self._quotas.get(path, NO_QUOTA).limits_milli
                if name in limits:
                    reach[name] = min(reach[name], limits[name] - self._consumed(path).get(name, 0))
            reach[name] = max(reach[name], 0)
        return Outlook(reach_milli=reach, owed_milli=self._owed(role))

    def _free_milli(self, name: str) -> int:
        used_milli = sum(account.in_use.get(name, 0) for account in self._accounts.root.children.values())
        return self._accounts.plain_milli.get(name, 0) - used_milli


def _above(path: str) -> str:
    return next(iter(ancestors(path)), "")


def _add(sums: dict[str, int], amounts_milli: Mapping[str, int]) -> None:
    for name, milli in amounts_milli.items():
        sums[name] = sums.get(name, 0) + milli
