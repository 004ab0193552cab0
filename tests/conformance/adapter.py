"""What run_cases.py drives: for each operation of the schema the product's call, and what was seen."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

from masterd.allocator import constraints, drf, filling, filters, quantities, quota, reservations, roles, shares
from masterd.allocator.bundle import NOTHING, Bundle
from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings, Conversion
from masterd.core.authorizer import Action
from masterd.core.events import Caller
from masterd.core.state import Settings
from masterd.simulation.by_hand import Frameworks, Scheduler
from masterd.simulation.cluster import Cluster, new_master
from masterd.simulation.expectations import Expectations
from masterd.simulation.offer_cycle import OfferCycle
from masterd.simulation.operators import Operator, RoleQuota
from paddock.model.errors import PermissionRefused
from paddock.model.ids import AgentId, FrameworkId, check_role
from paddock.model.resources import Milli, milli_of
from tests.conformance.words import MESOS, Case, Operation, Words, answer, bundle_of, call, units

MAY_ONLY_ROLE1: Any = SimpleNamespace(
    allows=lambda caller, action, role: (
        role == "role1" or (caller.user, action) != ("may-only-role1", Action.UPDATE_QUOTA)
    )
)
ORDER = ("tie_break", "on_no_fit")  # all shares of the fluid form rise together
ONE_AGENT = AgentId("A")


class Sorter:
    def __init__(self, exclude: frozenset[str] = frozenset()) -> None:
        self.totals, self.agents = shares.ClusterTotals(exclude), dict[str, Bundle]()
        self.weights_milli: dict[str, int] = {}
        self.drf = drf.Sorter(self.totals, self.weights_milli)
        self.contains, self.count, self.order = self.drf.__contains__, self.drf.__len__, self.drf.order
        self.share = self.drf.client_share

    def __getattr__(self, operation: str) -> Operation:
        change = getattr(self.drf, operation)
        return lambda clients: [change(client) for client in clients]

    def join(self, clients: list[str]) -> None:
        self.add(clients)
        self.activate(clients)

    def agent(self, agent_id: str, total: Bundle = NOTHING) -> None:
        before = self.agents.get(agent_id, NOTHING)
        self.totals.change(added=total.quantities_of_scalars, removed=before.quantities_of_scalars)
        self.agents[agent_id] = total

    def allocate(self, client: str, resources: Bundle, agent_id: AgentId = ONE_AGENT) -> None:
        self.drf.charge(client, *roles.shares_of(agent_id, resources))

    def unallocate(self, client: str, resources: Bundle, agent_id: AgentId = ONE_AGENT) -> None:
        self.drf.discharge(client, *roles.shares_of(agent_id, resources))

    def update(self, client: str, consumed: Bundle, converted: Bundle, agent_id: AgentId = ONE_AGENT) -> None:
        gone, came = roles.shares_of(agent_id, consumed), roles.shares_of(agent_id, converted)
        self.drf.exchange(client, gone=gone, came=came)

    def weights(self, of_clients: Mapping[str, Milli]) -> None:
        self.weights_milli.update(of_clients)
        self.drf.reweigh()

    def allocated_quantities(self, client: str | None) -> Any:
        return units(self.drf.allocated_milli(client))


class Allocator:
    def __init__(self, seed: int, settings: AllocatorSettings) -> None:
        self.settings = settings
        self.cycle: Any = OfferCycle(DrfAllocator(settings), random.Random(seed), interval_ns=settings.interval_ns)

    def __getattr__(self, operation: str) -> Any:
        return getattr(self.cycle if hasattr(OfferCycle, operation) else self.cycle.allocator, operation)

    def settled(self, answer: Any) -> Any:
        self.cycle.settle()
        return answer

    def atomically(self, steps: list[Any]) -> None:
        for step in steps:
            for operation, said in step.items():
                call(getattr(self, operation), said)

    def allocate(self, agents: Any) -> None:
        self.request_run(None if agents is True else agents)

    def operator_reserve(self, agent_id: AgentId, conversion: Conversion, ok: bool = True) -> Any:
        return self.convert_free(agent_id, [conversion])

    operator_unreserve = operator_reserve

    def remove_framework(self, framework_id: FrameworkId) -> None:
        """As of a master's, all that it has comes back first."""
        for agent_id in self.ledger.agents:
            for (name, role), resources in self.held(agent_id).items():
                if name == framework_id:
                    self.finish(framework_id, role, agent_id, resources)
        self.cycle.allocator.remove_framework(framework_id)

    def recover_master(self, expected_agents: int, quotas: Mapping[str, quota.Quota]) -> None:
        self.cycle.allocator = DrfAllocator(self.settings)
        self.recover_quotas(quotas, expected_agent_count=expected_agents, now_ns=self.cycle.now_ns)

    def drain_offers(self) -> list[Words]:
        return [{**asked(each), "role": each.role, "resources": bundle_of(each.resources)} for each in self.take()]

    def drain_inverse_offers(self) -> list[Words]:
        return [asked(each) for each in self.take_inverse_grants()]

    def role_share(self, role: str) -> Any:
        return self.own_share(role)

    def filter_count(self, role: str) -> Any:
        return self.cycle.allocator.filter_count(role, now_ns=self.cycle.now_ns)

    def run_count(self) -> Any:
        return self.cycle.allocator.run_count

    def quota_consumed(self, role: str) -> Any:
        return units(self.quota_consumption(role))

    def cluster_totals(self, which: str) -> Any:
        return units({"total": self.total, "offered_or_used": self.total_held}[which]())


class Master:
    def __init__(self, seed: int, settings: Settings) -> None:
        master = new_master(settings=settings, allocator_settings=AllocatorSettings(**MESOS), seed=seed)
        self.cluster = Cluster(master, authorizer=MAY_ONLY_ROLE1)
        expectations = Expectations(self.cluster)
        self.frameworks = Frameworks(self.cluster, expectations)
        self.hearers = (self, self.frameworks, expectations, self.cluster)

    def settled(self, seen: Any) -> Any:
        self.cluster.settle()
        return seen or True

    def call(
        self, name: str, expect: str, args: Any = None, api: str = "operator", who: str = "root", force: bool = False
    ) -> Any:
        operator = Operator(self.cluster, Caller(uid=0, user=who))
        scheduler = Scheduler(self.frameworks, self.cluster, who)
        target = getattr(operator if api == "operator" else scheduler, name.lower())
        _, error = answer(target, args, **({"force": force} if force else {}))
        seen = "ok" if error is None else "forbidden" if isinstance(error, PermissionRefused) else "bad_request"
        return seen == expect or f"{seen} {error}"


def asked(grant: Any) -> Words:
    return {"framework": grant.framework_id, "agent": grant.agent_id}


def is_valid(target: Operation, said: Any) -> bool:
    return answer(target, said)[1] is None


def contains(bundle: Bundle, part: Bundle) -> bool:
    return bundle.contains(part)


def consumed(reserved: quantities.Quantities, allocated: Bundle) -> Any:
    return units(quota.consumed(reserved, allocated.charged))


FUNCTIONS: dict[str, Operation] = {
    "role_valid": lambda role: is_valid(check_role, role),
    "role_ancestors": reservations.ancestors,
    "role_is_strict_subrole": lambda pair: reservations.is_strict_subrole(*pair),
    "role_list_parse": lambda text: answer(reservations.parse_roles, text)[0],
    "weight_valid": lambda said: is_valid(shares.checked_weight, said),
    "scalar_canonical": lambda number: units(milli_of(number)),
    "bundle_contains": contains,
    "quantities_contain": quantities.contain,
    "limits_contain": quantities.limits_contain,
    "quantities_subtract": lambda said: units(call(quantities.minus, said)),
    "shrink_to_quantities": lambda said: bundle_of(call(quantities.shrink_to_quantities, said).resources()),
    "shrink_to_limits": lambda said: bundle_of(call(quantities.shrink_to_limits, said).resources()),
    "quota_valid": lambda said: is_valid(lambda words: call(RoleQuota, words).checked(nested=False), said),
    "quota_consumed": consumed,
    "constraint_excludes": constraints.exclude,
    "min_allocatable_met": quantities.minimum_met,
    "offerable_to": reservations.is_offerable,
    "filter_seconds": lambda said: units(call(filters.refusal_ms, said)),
}


def make(seed: int) -> SimpleNamespace:
    return SimpleNamespace(
        sorter=lambda config: Case(call(Sorter, config)),
        allocator=lambda config: Case(Allocator(seed, call(AllocatorSettings, config, **MESOS))),
        master=lambda config: Case(*Master(seed, call(Settings, config)).hearers),
        progressive=lambda config: asdict(call(filling.progressive, config)),
        fluid=lambda config: asdict(call(filling.fluid, {word: config[word] for word in config if word not in ORDER})),
        function=lambda name, said: call(FUNCTIONS[name], said),
    )
