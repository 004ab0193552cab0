"""The roles: a tree ordered by DRF, and within each role its frameworks, ordered by DRF too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from masterd.allocator.drf import Sorter
from masterd.allocator.shares import WEIGHT_ONE_MILLI, ClusterTotals
from paddock.model.ids import FrameworkId
from paddock.model.resources import DEFAULT_ROLE

_NO_WEIGHTS: Mapping[str, int] = {}


def role_line(path: str) -> tuple[str, ...]:
    """The roles whose reservations a role may use: `*`, then each ancestor, then itself."""
    if path == DEFAULT_ROLE:
        return (DEFAULT_ROLE,)
    components = path.split("/")
    return (DEFAULT_ROLE, *("/".join(components[:depth]) for depth in range(1, len(components) + 1)))


class Role:
    """A role with members or with something allocated. It outlives membership while anything is held in it."""

    __slots__ = ("active_count", "frameworks", "line", "members", "path")

    def __init__(self, path: str, totals: ClusterTotals) -> None:
        self.path = path
        self.line = role_line(path)
        self.members: set[FrameworkId] = set()
        self.active_count = 0
        self.frameworks = Sorter(totals, _NO_WEIGHTS)


class Roles:
    """All roles. A framework is a client of each of its roles, active where it wants offers.

    A framework that has left a role is still charged there until what it holds came back.
    """

    __slots__ = ("_by_path", "_sorter", "_totals", "weights_milli")

    def __init__(self, totals: ClusterTotals) -> None:
        self._totals = totals
        self._by_path: dict[str, Role] = {}
        self.weights_milli: dict[str, int] = {}
        self._sorter = Sorter(totals, self.weights_milli)

    def get(self, path: str) -> Role | None:
        """The role, when it has members or something allocated."""
        return self._by_path.get(path)

    def paths(self) -> list[str]:
        """All known roles, sorted."""
        return sorted(self._by_path)

    def _ensure(self, path: str) -> Role:
        role = self._by_path.get(path)
        if role is None:
            role = self._by_path[path] = Role(path, self._totals)
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
        if active:
            role.frameworks.activate(framework_id)
        else:
            role.frameworks.deactivate(framework_id)
        role.active_count += 1 if active else -1
        if role.active_count == (1 if active else 0):
            (self._sorter.activate if active else self._sorter.deactivate)(path)

    def charge(self, path: str, framework_id: FrameworkId, scalars_milli: Mapping[str, int]) -> None:
        """The framework got this in the role."""
        role = self._ensure(path)
        role.frameworks.add(framework_id)
        role.frameworks.charge(framework_id, scalars_milli)
        self._sorter.charge(path, scalars_milli)

    def discharge(self, path: str, framework_id: FrameworkId, scalars_milli: Mapping[str, int], *, last: bool) -> None:
        """It came back; `last`: the framework holds nothing more in this role, on any agent."""
        role = self._by_path[path]
        role.frameworks.discharge(framework_id, scalars_milli)
        self._sorter.discharge(path, scalars_milli)
        if last:
            self._tidy(role, framework_id)

    def _tidy(self, role: Role, framework_id: FrameworkId) -> None:
        if framework_id not in role.members:
            role.frameworks.remove(framework_id)
        if not role.members and not len(role.frameworks):
            self._sorter.remove(role.path)
            del self._by_path[role.path]

    def set_weights(self, weights_milli: Mapping[str, int]) -> None:
        """For paths, present or not yet; a weight of 1 is the default and forgotten."""
        for path, weight_milli in weights_milli.items():
            if weight_milli == WEIGHT_ONE_MILLI:
                self.weights_milli.pop(path, None)
            else:
                self.weights_milli[path] = weight_milli
        self._sorter.reweigh()

    def order(self) -> Iterator[Role]:
        """Roles that want offers, first who is to be served first. Lazy, as `Sorter.order`."""
        by_path = self._by_path
        for path in self._sorter.order():
            yield by_path[path]

    def share(self, path: str) -> Fraction | None:
        """The role's weighted share with all below it; None for a role that nobody is in."""
        return self._sorter.share(path) if path in self._by_path else None

    def framework_share(self, path: str, framework_id: FrameworkId) -> Fraction:
        """The framework's part in the role, of the whole cluster."""
        role = self._by_path.get(path)
        if role is None or framework_id not in role.frameworks:
            return Fraction(0)
        return role.frameworks.share(framework_id)
