"""A place in the tree of clients: what is allocated below it, and its children in order."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from masterd.allocator.kind import Kind
from masterd.allocator.shares import Weighed

Shared = Sequence[tuple[Hashable, Kind, int]]
"""Shared resources that were given or came back: on which agent, which one, how many copies. Several weigh as one."""

Shares = tuple[Mapping[str, int], Shared]

Entry = tuple[int, int, str, "Branch"]

State = tuple[dict[str, int], dict[tuple[Hashable, Kind], int], int, int, str]

NO_WEIGHT: Weighed = ((), "", 0)


class Branch:
    """A path's place in the tree: the sum of what is allocated below it, and its children in order.

    `lists`: the children that have members of each list below them, sorted; only those that are `built`. They, and the
    children's entries, are of the totals' `version`. An `entry` is None when it has to be computed; `best` is the numerator of
    the dominant share that it was made of, `top` the dominant resource. The last `bulk_count` charges were of the same amounts,
    `bulk`, and are added up when `allocated_milli` is next asked for: in a run most charges are alike.
    """

    __slots__ = (
        "_allocated_milli",
        "best",
        "built",
        "bulk",
        "bulk_count",
        "children",
        "client",
        "copies",
        "count",
        "entry",
        "lists",
        "member_counts",
        "parent",
        "path",
        "top",
        "version",
    )

    def __init__(self, path: str, parent: Branch | None, list_count: int) -> None:
        self.path = path
        self.parent = parent
        self.children: dict[str, Branch] = {}
        self.client: str | None = None
        self._allocated_milli: dict[str, int] = {}
        self.bulk: Weighed = NO_WEIGHT
        self.bulk_count = 0
        self.best = 0
        self.top = ""
        self.copies: dict[tuple[Hashable, Kind], int] = {}
        self.count = 0
        self.entry: Entry | None = None
        self.lists: list[list[Entry]] = [[] for _ in range(list_count)]
        self.built: tuple[int, ...] = ()
        self.member_counts = [0] * list_count
        self.version = -1

    @property
    def allocated_milli(self) -> dict[str, int]:
        """The sums by name, to be read and changed."""
        if self.bulk_count:
            self._add_up()
        return self._allocated_milli

    def take_over(self, other: Branch) -> None:
        """What the other has, counts included, is had here as well."""
        self._allocated_milli = dict(other.allocated_milli)
        self.copies = dict(other.copies)
        self.count = other.count
        self.member_counts = list(other.member_counts)

    def state(self) -> State:
        """What charges change."""
        return dict(self.allocated_milli), dict(self.copies), self.count, self.best, self.top

    def restore(self, state: State) -> None:
        """As it was. Where it belongs among its siblings is computed when somebody next asks."""
        self._allocated_milli, self.copies, self.count, self.best, self.top = state
        self.bulk_count = 0
        self.entry = None
        if self.parent is not None:
            self.parent.built = ()

    def begin_bulk(self, weighed: Weighed) -> None:
        """A charge of other amounts than the last ones."""
        if self.bulk_count:
            self._add_up()
        self.bulk = weighed
        self.bulk_count = 1

    def _add_up(self) -> None:
        allocated, count = self._allocated_milli, self.bulk_count
        for name, milli in self.bulk[0]:
            allocated[name] = allocated.get(name, 0) + milli * count
        self.bulk_count = 0

    def refresh(self, version: int) -> None:
        """The totals or a weight have changed: whatever was computed is stale."""
        self.version = version
        self.built = ()
        for child in self.children.values():
            child.entry = None


def add_copies(branch: Branch, shared: Shared) -> None:
    """The first copy of a shared resource weighs, the others do not."""
    allocated = branch.allocated_milli
    for place, kind, copies in shared:
        if (place, kind) not in branch.copies:
            allocated[kind.name] = allocated.get(kind.name, 0) + kind.size_milli
        branch.copies[place, kind] = branch.copies.get((place, kind), 0) + copies
