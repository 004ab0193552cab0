"""The cases of kind `sorter`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from masterd.allocator.branch import Shares
from masterd.allocator.bundle import Kinds
from masterd.allocator.drf import Sorter
from masterd.allocator.roles import shares_of
from masterd.allocator.shares import ClusterTotals
from paddock.model.ids import AgentId
from tests.conformance.bundles import counted, milli, units

Words = Mapping[str, Any]


class SorterCase:
    def __init__(self, config: Words) -> None:
        self._kinds = Kinds()
        self._totals = ClusterTotals(config.get("exclude", ()))
        self._weights: dict[str, int] = {}
        self._sorter = Sorter(self._totals, self._weights)
        self._agents: dict[str, Mapping[str, int]] = {}

    def agent(self, words: Words) -> None:
        total = counted(words["total"], self._kinds).quantities_of_scalars
        self._totals.change(added=total, removed=self._agents.get(words["id"], {}))
        self._agents[words["id"]] = total

    def add(self, clients: Sequence[str]) -> None:
        for client in clients:
            self._sorter.add(client)

    def activate(self, clients: Sequence[str]) -> None:
        for client in clients:
            self._sorter.activate(client)

    def join(self, clients: Sequence[str]) -> None:
        self.add(clients)
        self.activate(clients)

    def deactivate(self, clients: Sequence[str]) -> None:
        for client in clients:
            self._sorter.deactivate(client)

    def remove(self, clients: Sequence[str]) -> None:
        for client in clients:
            self._sorter.remove(client)

    def _shares(self, words: Words, key: str) -> Shares:
        return shares_of(AgentId(words.get("agent", "A")), counted(words[key], self._kinds))

    def allocate(self, words: Words) -> None:
        self._sorter.charge(words["client"], *self._shares(words, "resources"))

    def unallocate(self, words: Words) -> None:
        self._sorter.discharge(words["client"], *self._shares(words, "resources"))

    def update(self, words: Words) -> None:
        self._sorter.exchange(words["client"], gone=self._shares(words, "from"), came=self._shares(words, "to"))

    def weights(self, weights: Words) -> None:
        self._weights.update(milli(weights))
        self._sorter.reweigh()

    def order(self) -> list[str]:
        return list(self._sorter.order())

    def count(self) -> int:
        return len(self._sorter)

    def contains(self, client: str) -> bool:
        return client in self._sorter

    def share(self, client: str) -> Fraction:
        return self._sorter.client_share(client)

    def allocated_quantities(self, client: str | None) -> Words:
        return units(self._sorter.allocated_milli(client))
