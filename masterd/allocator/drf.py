"""The DRF order: a tree of clients, always sorted by (weighted share, number of allocations, path).

A charge moves one entry in each sorted list on its path (binary search, one insertion). A change of the totals
marks all lists stale, and each is sorted again when it is next read.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from fractions import Fraction

from masterd.allocator.shares import WEIGHT_ONE_MILLI, ClusterTotals

VIRTUAL = "."
"""The last component of the leaf that stands for an inner branch's own client (`a/.`)."""

_Entry = tuple[int, int, str, "Branch"]


class Branch:
    """A path's place in the tree: the sum of what is allocated below it, and its children in order."""

    __slots__ = (
        "active_count",
        "allocated_milli",
        "children",
        "client",
        "count",
        "entries",
        "entry",
        "parent",
        "path",
        "version",
    )

    def __init__(self, path: str, parent: Branch | None) -> None:
        self.path = path
        self.parent = parent
        self.children: dict[str, Branch] = {}
        self.client: str | None = None
        self.active_count = 0
        self.allocated_milli: dict[str, int] = {}
        self.count = 0
        self.entry: _Entry | None = None
        self.entries: list[_Entry] = []
        self.version = -1


class Sorter:
    """Clients by path (`eng/web`), ordered by DRF at every level of the tree.

    A client whose descendants are clients too competes with its own children as the leaf `path/.` of weight 1.
    The number of charges only grows; a client's starts from 0 when it is added again, a branch keeps its own for as long
    as anybody is below it, and hands it down when its last client below goes (all as Mesos does).
    """

    __slots__ = ("_leaves", "_root", "_totals", "_weights_milli")

    def __init__(self, totals: ClusterTotals, weights_milli: Mapping[str, int]) -> None:
        """`totals` and `weights_milli` are shared with the owner; call `reweigh` after a weight has changed."""
        self._totals = totals
        self._weights_milli = weights_milli
        self._root = Branch("", None)
        self._leaves: dict[str, Branch] = {}

    def __contains__(self, client: str) -> bool:
        """Whether it was added, active or not."""
        return client in self._leaves

    def __len__(self) -> int:
        """How many clients, active or not."""
        return len(self._leaves)

    def add(self, client: str) -> None:
        """A new client, inactive. No effect when it is there."""
        if client in self._leaves:
            return
        branch = self._root
        components = client.split("/")
        for depth, component in enumerate(components, start=1):
            if branch.client is not None:
                self._make_room_below(branch)
            child = branch.children.get(component)
            if child is None:
                child = branch.children[component] = Branch("/".join(components[:depth]), branch)
            branch = child
        if branch.children:
            virtual = Branch(f"{client}/{VIRTUAL}", branch)
            branch.children[VIRTUAL] = virtual
            branch = virtual
        branch.client = client
        self._leaves[client] = branch

    def _make_room_below(self, branch: Branch) -> None:
        """A leaf gets its first child: what it stood for moves into its virtual leaf."""
        assert branch.client is not None
        leaf = branch.children[VIRTUAL] = Branch(f"{branch.path}/{VIRTUAL}", branch)
        leaf.client, branch.client = branch.client, None
        leaf.allocated_milli = dict(branch.allocated_milli)
        leaf.count = branch.count
        leaf.active_count = branch.active_count
        self._leaves[leaf.client] = leaf
        branch.version = -1

    def remove(self, client: str) -> None:
        """Forget the client, its allocation and its count. No effect when it is not there."""
        leaf = self._leaves.get(client)
        if leaf is None:
            return
        self.deactivate(client)
        self._add_along(leaf, {name: -milli for name, milli in leaf.allocated_milli.items()}, count=0)
        del self._leaves[client]
        leaf.client = None
        branch: Branch = leaf
        while branch.parent is not None and not branch.children and branch.client is None:
            parent = branch.parent
            del parent.children[branch.path.rpartition("/")[2]]
            parent.version = -1
            branch = parent
        self._collapse(branch)

    def _collapse(self, branch: Branch) -> None:
        """A branch whose only child is its own virtual leaf becomes a leaf again."""
        if branch.parent is None or list(branch.children) != [VIRTUAL]:
            return
        virtual = branch.children.pop(VIRTUAL)
        assert virtual.client is not None
        branch.client = virtual.client
        self._leaves[branch.client] = branch
        branch.entries.clear()
        branch.version = -1

    def is_active(self, client: str) -> bool:
        """Whether it appears in the order."""
        return bool(self._leaves[client].active_count)

    def activate(self, client: str) -> None:
        """Let it appear in the order."""
        leaf = self._leaves[client]
        if not leaf.active_count:
            self._count_active(leaf, 1)

    def deactivate(self, client: str) -> None:
        """Take it out of the order; its allocation still weighs on its parents."""
        leaf = self._leaves[client]
        if leaf.active_count:
            self._count_active(leaf, -1)

    def _count_active(self, leaf: Branch, change: int) -> None:
        branch: Branch | None = leaf
        while branch is not None:
            was = branch.active_count
            branch.active_count += change
            if branch.parent is not None and bool(was) != bool(branch.active_count):
                self._place(branch)
            branch = branch.parent

    def charge(self, client: str, scalars_milli: Mapping[str, int]) -> None:
        """The client was allocated this; counts as one allocation."""
        self._add_along(self._leaves[client], scalars_milli, count=1)

    def discharge(self, client: str, scalars_milli: Mapping[str, int]) -> None:
        """This came back from the client. The number of allocations stays."""
        self._add_along(self._leaves[client], {name: -milli for name, milli in scalars_milli.items()}, count=0)

    def _add_along(self, leaf: Branch, scalars_milli: Mapping[str, int], *, count: int) -> None:
        branch = leaf
        while branch.parent is not None:
            allocated = branch.allocated_milli
            for name, milli in scalars_milli.items():
                allocated[name] = allocated.get(name, 0) + milli
            branch.count += count
            if branch.active_count:
                self._place(branch)
            branch = branch.parent

    def reweigh(self) -> None:
        """Weights have changed: every order is stale."""
        pending = [self._root]
        while pending:
            branch = pending.pop()
            branch.version = -1
            pending.extend(branch.children.values())

    def _entry(self, branch: Branch) -> _Entry:
        weight_milli = self._weights_milli.get(branch.path, WEIGHT_ONE_MILLI)
        return (self._totals.key(branch.allocated_milli, weight_milli), branch.count, branch.path, branch)

    def _place(self, branch: Branch) -> None:
        """Put it where it now belongs among its siblings; nothing to do when their order is stale anyway."""
        parent = branch.parent
        assert parent is not None
        if parent.version != self._totals.version:
            return
        entries = parent.entries
        if branch.entry is not None:
            del entries[bisect_left(entries, branch.entry)]
            branch.entry = None
        if branch.active_count:
            branch.entry = self._entry(branch)
            insort(entries, branch.entry)

    def _sorted(self, branch: Branch) -> list[_Entry]:
        if branch.version != self._totals.version:
            for child in branch.children.values():
                child.entry = self._entry(child) if child.active_count else None
            branch.entries = sorted(child.entry for child in branch.children.values() if child.entry is not None)
            branch.version = self._totals.version
        return branch.entries

    def order(self) -> Iterator[str]:
        """Active clients, first who is to be served first. All of a branch's leaves come before its next sibling's.

        Lazy: charges must wait until the caller is done with it (the cycle charges after each agent).
        """
        pending = [iter(self._sorted(self._root))]
        while pending:
            entry = next(pending[-1], None)
            if entry is None:
                pending.pop()
                continue
            branch = entry[3]
            if branch.client is not None:
                yield branch.client
            else:
                pending.append(iter(self._sorted(branch)))

    def share(self, path: str) -> Fraction:
        """The weighted dominant share of a client, or of the whole branch where the client's path has children."""
        branch = self._root
        for component in path.split("/"):
            branch = branch.children[component]
        return self._totals.share(branch.allocated_milli, self._weights_milli.get(branch.path, WEIGHT_ONE_MILLI))

    def client_share(self, client: str) -> Fraction:
        """The weighted share of the client alone, without what its children have."""
        leaf = self._leaves[client]
        return self._totals.share(leaf.allocated_milli, self._weights_milli.get(leaf.path, WEIGHT_ONE_MILLI))

    def allocated_milli(self, client: str) -> dict[str, int]:
        """What the client itself has, by name; names with nothing left are left out."""
        return {name: milli for name, milli in self._leaves[client].allocated_milli.items() if milli}

    def count(self, client: str) -> int:
        """How many times it was charged since it was added."""
        return self._leaves[client].count
