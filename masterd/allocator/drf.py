"""The DRF order: a tree of clients, always sorted by (weighted share, number of allocations, path).

A charge moves one entry in each sorted list on its path (binary search, one insertion). A change of the totals
marks all lists stale, and each is sorted again when it is next read.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction

from masterd.allocator.branch import Branch, Entry, Shared, Shares, add_copies
from masterd.allocator.shares import SHIFT_BITS, WEIGHT_ONE_MILLI, ClusterTotals, Weighed

VIRTUAL = "."
"""The last component of the leaf that stands for an inner branch's own client (`a/.`)."""


class Sorter:
    """Clients by path (`eng/web`), ordered by DRF at every level of the tree.

    A client whose descendants are clients too competes with its own children as the leaf `path/.` of weight 1.
    The number of charges only grows; a client's starts from 0 when it is added again, a branch keeps its own for as long
    as anybody is below it, and hands it down when its last client below goes (all as Mesos does).

    A client appears in the lists of which it was made a member; list 0 is that of the active ones. There can be further
    ones, so that a run which serves only some need not step over all the others.
    """

    __slots__ = ("_leaves", "_list_count", "_root", "_totals", "_weights_milli")

    def __init__(self, totals: ClusterTotals, weights_milli: Mapping[str, int], *, list_count: int = 1) -> None:
        """`totals` and `weights_milli` are shared with the owner; call `reweigh` after a weight has changed."""
        self._totals = totals
        self._weights_milli = weights_milli
        self._list_count = list_count
        self._root = Branch("", None, list_count)
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
                child = branch.children[component] = Branch("/".join(components[:depth]), branch, self._list_count)
            branch = child
        if branch.children:
            virtual = Branch(f"{client}/{VIRTUAL}", branch, self._list_count)
            branch.children[VIRTUAL] = virtual
            branch = virtual
        branch.client = client
        self._leaves[client] = branch

    def _make_room_below(self, branch: Branch) -> None:
        """A leaf gets its first child: what it stood for moves into its virtual leaf."""
        assert branch.client is not None
        leaf = branch.children[VIRTUAL] = Branch(f"{branch.path}/{VIRTUAL}", branch, self._list_count)
        leaf.client, branch.client = branch.client, None
        leaf.take_over(branch)
        self._leaves[leaf.client] = leaf
        branch.version = -1

    def remove(self, client: str) -> None:
        """Forget the client, its allocation and its count. No effect when it is not there."""
        leaf = self._leaves.get(client)
        if leaf is None:
            return
        for which in range(self._list_count):
            self.set_member(client, which, member=False)
        shared = [(place, kind, copies) for (place, kind), copies in leaf.copies.items()]
        scalars = dict(leaf.allocated_milli)
        for _, kind, _ in shared:
            scalars[kind.name] -= kind.size_milli
        self.discharge(client, scalars, shared)
        del self._leaves[client]
        leaf.client = None
        branch: Branch = leaf
        while branch.parent is not None and not branch.children and branch.client is None:
            parent = branch.parent
            del parent.children[branch.path.rpartition("/")[2]]
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
        branch.version = -1

    def is_member(self, client: str, which: int = 0) -> bool:
        """Whether it appears in the list."""
        return bool(self._leaves[client].member_counts[which])

    def is_active(self, client: str) -> bool:
        """Whether it appears in the order."""
        return self.is_member(client)

    def activate(self, client: str) -> None:
        """Let it appear in the order."""
        self.set_member(client, 0, member=True)

    def deactivate(self, client: str) -> None:
        """Take it out of the order; its allocation still weighs on its parents."""
        self.set_member(client, 0, member=False)

    def set_member(self, client: str, which: int, *, member: bool) -> None:
        """Let it appear in a list, or take it out."""
        leaf = self._leaves[client]
        if bool(leaf.member_counts[which]) == member:
            return
        change = 1 if member else -1
        branch: Branch | None = leaf
        while branch is not None:
            was = branch.member_counts[which]
            branch.member_counts[which] += change
            if bool(was) != bool(branch.member_counts[which]):
                self._appear(branch, which, appears=member)
            branch = branch.parent

    def _appear(self, branch: Branch, which: int, *, appears: bool) -> None:
        """Into its parent's list, or out of it, unless that has to be sorted anew anyway."""
        parent = branch.parent
        if parent is None or parent.version != self._totals.version:
            return
        if which not in parent.built:
            return
        entries = parent.lists[which]
        if branch.entry is None:
            branch.entry = self._entry(branch)
        if appears:
            insort(entries, branch.entry)
        else:
            del entries[bisect_left(entries, branch.entry)]

    def charge(self, client: str, scalars_milli: Mapping[str, int], shared: Shared = ()) -> None:
        """The client was allocated this; counts as one allocation."""
        if not shared:
            self.charge_weighed(client, self._totals.weigh(scalars_milli))
            return
        branch = self._leaves[client]
        while branch.parent is not None:
            allocated = branch.allocated_milli
            for name, milli in scalars_milli.items():
                allocated[name] = allocated.get(name, 0) + milli
            branch.count += 1
            add_copies(branch, shared)
            self._place(branch)
            branch = branch.parent

    def charge_weighed(self, client: str, weighed: Weighed) -> None:
        """As `charge`, of what `ClusterTotals.weigh` made: nothing shared. The hot loop's: no call but the two bisections."""
        branch = self._leaves[client]
        version, weights_milli = self._totals.version, self._weights_milli
        _, top, rise = weighed
        while (parent := branch.parent) is not None:
            if branch.bulk is weighed:
                branch.bulk_count += 1
            else:
                branch.begin_bulk(weighed)
            count = branch.count = branch.count + 1
            old = branch.entry
            if old is None or parent.version != version:
                branch.entry = None
            else:
                if branch.top == top or not branch.best:
                    # What weighs most there is what weighs most of this: the share rises by just that.
                    best = branch.best = branch.best + rise
                    branch.top = top
                else:
                    self._find_top(branch)
                    best = branch.best
                path = branch.path
                if weights_milli:
                    best = (best << SHIFT_BITS) // weights_milli.get(path, WEIGHT_ONE_MILLI)
                new = branch.entry = (best, count, path, branch)
                for which in parent.built:
                    if branch.member_counts[which]:
                        entries = parent.lists[which]
                        del entries[0 if entries[0] is old else bisect_left(entries, old)]
                        if entries and new < entries[-1]:
                            insort(entries, new)
                        else:  # among equals whoever was served is the last one now
                            entries.append(new)
            branch = parent

    def discharge(self, client: str, scalars_milli: Mapping[str, int], shared: Shared = ()) -> None:
        """This came back from the client. The number of allocations stays."""
        branch = self._leaves[client]
        while branch.parent is not None:
            allocated = branch.allocated_milli
            for name, milli in scalars_milli.items():
                allocated[name] = allocated.get(name, 0) - milli
            for place, kind, copies in shared:
                branch.copies[place, kind] -= copies
                if not branch.copies[place, kind]:
                    del branch.copies[place, kind]
                    allocated[kind.name] -= kind.size_milli
            self._place(branch)
            branch = branch.parent

    def exchange(self, client: str, *, gone: Shares, came: Shares) -> None:
        """What the client has was turned into something else: no new allocation."""
        self.discharge(client, *gone)
        self.charge(client, *came)
        branch = self._leaves[client]
        while branch.parent is not None:
            branch.count -= 1
            self._place(branch)
            branch = branch.parent

    @contextmanager
    def trial(self, client: str) -> Iterator[None]:
        """What the client is charged meanwhile is forgotten afterwards, and that it was."""
        line, branch = [], self._leaves[client]
        while branch.parent is not None:
            line.append((branch, branch.state()))
            branch = branch.parent
        try:
            yield
        finally:
            for each, state in line:
                each.restore(state)

    def reweigh(self) -> None:
        """Weights have changed: every order is stale."""
        pending = [self._root]
        while pending:
            branch = pending.pop()
            branch.version = -1
            pending.extend(branch.children.values())

    def _entry(self, branch: Branch) -> Entry:
        """Where nobody has a weight of its own, the numerators themselves are in order."""
        self._find_top(branch)
        key, weights_milli = branch.best, self._weights_milli
        if weights_milli:
            key = (key << SHIFT_BITS) // weights_milli.get(branch.path, WEIGHT_ONE_MILLI)
        return (key, branch.count, branch.path, branch)

    def _find_top(self, branch: Branch) -> None:
        branch.best, branch.top = self._totals.dominant(branch.allocated_milli)

    def _place(self, branch: Branch) -> None:
        """Put it where it now belongs among its siblings; nothing to do where their order is stale anyway."""
        parent = branch.parent
        if branch.entry is None or parent is None or parent.version != self._totals.version:
            branch.entry = None
        else:
            self._move(branch, parent, self._entry(branch))

    @staticmethod
    def _move(branch: Branch, parent: Branch, new: Entry) -> None:
        """From the place of its old entry to that of the new one, in each list where it appears."""
        old, member_counts = branch.entry, branch.member_counts
        assert old is not None
        branch.entry = new
        for which in parent.built:
            if member_counts[which]:
                entries = parent.lists[which]
                del entries[0 if entries[0] is old else bisect_left(entries, old)]
                insort(entries, new)

    def _sorted(self, branch: Branch, which: int) -> list[Entry]:
        if branch.version != self._totals.version:
            branch.refresh(self._totals.version)
        if which not in branch.built:
            entries = []
            for child in branch.children.values():
                if child.member_counts[which]:
                    if child.entry is None:
                        child.entry = self._entry(child)
                    entries.append(child.entry)
            entries.sort()
            branch.lists[which] = entries
            branch.built = (*branch.built, which)
        return branch.lists[which]

    def first(self) -> str | None:
        """The active client that is to be served first."""
        branch, version = self._root, self._totals.version
        while branch.client is None:
            current = branch.version == version and 0 in branch.built
            entries = branch.lists[0] if current else self._sorted(branch, 0)
            if not entries:
                return None
            branch = entries[0][3]
        return branch.client

    def order(self, which: int = 0) -> Iterator[str]:
        """The members of a list, first who is to be served first. All of a branch's leaves come before its next sibling's.

        Lazy: charges must wait until the caller is done with it (the cycle charges after each agent).
        """
        pending = [iter(self._sorted(self._root, which))]
        while pending:
            for _, _, _, branch in pending[-1]:
                if branch.client is None:
                    pending.append(iter(self._sorted(branch, which)))
                    break
                yield branch.client
            else:
                pending.pop()

    def precedence(self, client: str) -> list[tuple[int, int, str]]:
        """Sorts clients as the order does, without going through all of it."""
        branch = self._leaves[client]
        levels = []
        while branch.parent is not None:
            self._sorted(branch.parent, 0)
            entry = branch.entry or self._entry(branch)
            levels.append(entry[:3])
            branch = branch.parent
        return levels[::-1]

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

    def allocated_milli(self, client: str | None) -> dict[str, int]:
        """What the client itself has, by name, or all of them together; names with nothing left are left out."""
        branches = [self._leaves[client]] if client is not None else list(self._root.children.values())
        sums: dict[str, int] = {}
        for branch in branches:
            for name, milli in branch.allocated_milli.items():
                sums[name] = sums.get(name, 0) + milli
        return {name: milli for name, milli in sums.items() if milli}

    def count(self, client: str) -> int:
        """How many times it was charged since it was added."""
        return self._leaves[client].count
