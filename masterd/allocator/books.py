"""What an allocator knows and tells: shares, filters, who has what. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from masterd.allocator.agenda import Agenda
from masterd.allocator.agents import Holder
from masterd.allocator.drf import Sorter
from masterd.allocator.interface import AllocatorSettings
from masterd.allocator.ledger import Ledger
from masterd.allocator.shares import ClusterTotals
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import Resources


class Books:
    """The state of an allocator, for its own calls, for operators, tests and explanations."""

    def __init__(self, settings: AllocatorSettings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings, self.make_sorter)
        self.agenda = Agenda()
        self.whitelist: frozenset[str] | None = None

    def make_sorter(self, totals: ClusterTotals, weights_milli: Mapping[str, int], *, list_count: int) -> Sorter:
        """What orders roles, and in each role its frameworks."""
        return Sorter(totals, weights_milli, list_count=list_count)

    @property
    def run_count(self) -> int:
        """How many runs there were."""
        return self.agenda.run_count

    def own_share(self, role: str) -> Fraction | None:
        """As `role_share`, without what the roles below it have."""
        return self.ledger.roles.own_share(role)

    def quota_consumption(self, role: str) -> Mapping[str, int]:
        """What counts against the role's quota, but for what is only offered."""
        return self.ledger.accounts.shown_consumption(role)

    def quota_excess(self, role: str) -> Mapping[str, int]:
        """By how much the role, with what it is offered, is above its limits."""
        account = self.ledger.accounts.get(role)
        return account.excess() if account is not None else {}

    def guarantee_shortfall(self) -> Mapping[str, int]:
        """How much more would have to be free so that all guarantees could be met."""
        accounts = self.ledger.accounts
        return {name: -left for name in accounts.root.children_need if (left := accounts.surplus(name)) < 0}

    def over_quota(self, role: str, resources: Resources) -> tuple[frozenset[str], frozenset[str]]:
        """Were the role given this too: of what it would be above its limits, and of what the guarantees would be met less."""
        accounts = self.ledger.accounts
        account = accounts.get(role)
        if account is None:
            return frozenset(), frozenset()
        charged, before = self.ledger.kinds.bundle(resources).charged, dict(self.guarantee_shortfall())
        accounts.charge(account, charged)
        try:
            beyond = frozenset(name for name, milli in account.excess().items() if milli > 0 and name in charged)
            after = self.guarantee_shortfall()
            return beyond, frozenset(name for name in charged if after.get(name, 0) > before.get(name, 0))
        finally:
            accounts.discharge(account, charged)

    def role_share(self, role: str) -> Fraction | None:
        """The role's weighted dominant share; None when nobody is in it."""
        return self.ledger.roles.share(role)

    def framework_share(self, role: str, framework_id: FrameworkId) -> Fraction:
        """The framework's dominant share in the role, of the whole cluster."""
        return self.ledger.roles.framework_share(role, framework_id)

    def filter_count(self, role: str, *, now_ns: int) -> int:
        """How many refusals are alive in the role."""
        return sum(
            not each.is_over(now_ns=now_ns, batch_count=self.agenda.batch_count)
            for agent in self.ledger.agents.values()
            for (_, filter_role), filters in agent.filters.items()
            if filter_role == role
            for each in filters
        )

    def free(self, agent_id: AgentId) -> Resources:
        """What is left on the agent."""
        return self.ledger.agents[agent_id].free.resources()

    def held(self, agent_id: AgentId) -> dict[Holder, Resources]:
        """Who has what on the agent, offered or in use."""
        return {holder: bundle.resources() for holder, bundle in self.ledger.agents[agent_id].held.items()}

    def total(self) -> Mapping[str, int]:
        """The cluster's scalars in milli-units."""
        return dict(self.ledger.totals.amounts_milli)

    def total_held(self) -> Mapping[str, int]:
        """What of them is offered or in use."""
        sums: dict[str, int] = {}
        for agent in self.ledger.agents.values():
            for bundle in agent.held.values():
                for name, milli in bundle.quantities_of_scalars.items():
                    sums[name] = sums.get(name, 0) + milli
        return sums

    def shortage(self, agent_id: AgentId) -> Resources:
        """Withheld and given away, minus the whole."""
        agent = self.ledger.agents[agent_id]
        wanted = agent.withheld
        for bundle in agent.held.values():
            wanted = wanted.plus(bundle.only(kind for kind in bundle.amounts if not kind.shared))
        return wanted.minus(agent.total).resources()
