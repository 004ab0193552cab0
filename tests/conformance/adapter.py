"""What run_cases.py drives: for each operation of the schema the product's call, and what was seen."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from masterd.allocator import constraints, drf, filling, filters, interface, quota, reservations, roles, shares
from masterd.allocator import quantities as amounts
from masterd.allocator.bundle import Bundle, Kinds
from masterd.allocator.drf_allocator import DrfAllocator
from masterd.simulation.offer_cycle import OfferCycle
from paddock.model import errors, ids
from paddock.model.framework import FrameworkCapability
from paddock.model.resources import Resources
from tests.conformance.master import MasterCase, checked_quota
from tests.conformance.words import (
    MESOS,
    Case,
    Operation,
    Words,
    bundle_of,
    fractions,
    groups_of,
    made,
    milli,
    ms,
    ns,
    resource_of,
    resources_of,
    units,
)

OLD_AGENTS = ("MULTI_ROLE", "HIERARCHICAL_ROLE")
"""The capabilities of agents that decide something."""

TOTALS = {"total": DrfAllocator.total, "offered_or_used": DrfAllocator.total_held}

# --- sorter ---


def of_each(*calls: str) -> Operation:
    return lambda self, clients: [getattr(self.drf, call)(client) for call in calls for client in clients]


class SorterCase(Case):
    plain: ClassVar = {
        **{call: of_each(call) for call in ("add", "activate", "deactivate", "remove")},
        "join": of_each("add", "activate"),
        "weights": lambda self, weights: self.weights_milli.update(milli(weights)) or self.drf.reweigh(),
        "order": lambda self: list(self.drf.order()),
        "count": lambda self: len(self.drf),
        "contains": lambda self, client: client in self.drf,
        "share": lambda self, client: self.drf.client_share(client),
        "allocated_quantities": lambda self, client: units(self.drf.allocated_milli(client)),
    }
    by_name: ClassVar = {
        "agent": lambda self, agent_id, total=(): self.resize(agent_id, self.kinds.bundle(total).quantities_of_scalars),
        "allocate": lambda self, client, **what: self.drf.charge(client, *self.shares(**what)),
        "unallocate": lambda self, client, **what: self.drf.discharge(client, *self.shares(**what)),
        "update": lambda self, client, consumed, converted, **where: self.drf.exchange(
            client, gone=self.shares(consumed, **where), came=self.shares(converted, **where)
        ),
    }

    def __init__(self, exclude: Iterable[str] = ()) -> None:
        self.kinds, self.totals = Kinds(), shares.ClusterTotals(exclude)
        self.weights_milli: dict[str, int] = {}
        self.drf = drf.Sorter(self.totals, self.weights_milli)
        self.agents: dict[str, Mapping[str, int]] = {}

    def shares(self, resources: Resources, agent_id: str = "A") -> Any:
        return roles.shares_of(ids.AgentId(agent_id), self.kinds.bundle(resources))

    def resize(self, agent_id: str, total: Mapping[str, int]) -> None:
        self.totals.change(added=total, removed=self.agents.get(agent_id, {}))
        self.agents[agent_id] = total


# --- allocator ---


def call(name: str, **constants: Any) -> Operation:
    """A call of the cycle's or the allocator's."""

    def called(self: AllocatorCase, *alone: Any, **arguments: Any) -> Any:
        driven = self.cycle if hasattr(self.cycle, name) else self.allocator
        return getattr(driven, name)(*alone, **arguments, **constants)

    return called


def asked(grant: Any) -> Words:
    return {"framework": grant.framework_id, "agent": grant.agent_id}


class AllocatorCase(Case):
    """Each operation is followed by the run that it asks for."""

    plain: ClassVar = {
        **{name: call(name) for name in ("remove_agent", "set_whitelist", "framework_share")},
        "deactivate_agent": call("set_agent_active", active=False),
        "activate_agent": call("set_agent_active", active=True),
        "deactivate_framework": call("set_framework_active", active=False),
        "activate_framework": call("set_framework_active", active=True),
        "remove_framework": lambda self, name: (
            self.allocator.recover_all(name) or self.allocator.remove_framework(name)
        ),
        "update_weights": lambda self, weights: self.allocator.update_weights(milli(weights)),
        "advance": lambda self, seconds: self.cycle.advance(ns(seconds)),
        "allocate": lambda self, agents: self.allocator.request_run(None if agents is True else agents),
        "atomically": lambda self, steps: [self.perform(*each) for step in steps for each in step.items()],
        "pause": lambda self, _: self.allocator.pause(),
        "resume": lambda self, _: self.allocator.resume(),
        "drain_offers": lambda self: [
            {**asked(each), "role": each.role, "resources": bundle_of(each.resources)} for each in self.cycle.take()
        ],
        "drain_inverse_offers": lambda self: [asked(each) for each in self.allocator.take_inverse_grants()],
        "role_share": call("own_share"),
        "filter_count": lambda self, role: self.allocator.filter_count(role, now_ns=self.cycle.now_ns),
        "run_count": lambda self: self.allocator.run_count,
        "quota_consumed": lambda self, role: units(self.allocator.quota_consumption(role)),
        "cluster_totals": lambda self, which: units(TOTALS[which](self.allocator)),
    }
    by_name: ClassVar = {
        **{name: call(name) for name in ("grow_agent", "set_unavailability", "suppress", "revive", "accept")},
        "decline": call("give_back"),
        "finish": call("give_back", in_use=True),
        "set_quota": lambda self, role, **amounts: self.allocator.set_quota(role, quota.Quota(**amounts)),
        **{name: lambda self, **what: self.convert_free(**what) for name in ("operator_reserve", "operator_unreserve")},
        "add_agent": lambda self, agent_id, total, held=None, unavailable_at_ns=None, **traits: (
            self.allocator.add_agent(
                agent_id, total, held or {}, traits=self.agent(agent_id, **traits), unavailable_at_ns=unavailable_at_ns
            )
        ),
        "update_agent": lambda self, agent_id, total=None, **traits: self.allocator.update_agent(
            agent_id, total, traits=self.agent(agent_id, **{**self.agents.get(agent_id, {}), **traits})
        ),
        "add_framework": lambda self, framework_id, active=True, held=None, **traits: self.allocator.add_framework(
            framework_id, self.framework(framework_id, **traits), active=active, held=held
        ),
        "update_framework": lambda self, framework_id, **traits: self.allocator.update_framework(
            framework_id, self.framework(framework_id, **{**self.frameworks.get(framework_id, {}), **traits})
        ),
        "recover_master": lambda self, **words: self.recover(**words),
    }

    def __init__(self, seed: int, **settings: Any) -> None:
        self.settings = interface.AllocatorSettings(**settings, **MESOS)
        self.cycle = OfferCycle(DrfAllocator(self.settings), random.Random(seed), interval_ns=self.settings.interval_ns)
        self.agents: dict[str, Words] = {}
        self.frameworks: dict[str, Words] = {}

    @property
    def allocator(self) -> Any:
        return self.cycle.allocator

    def settled(self, answer: Any) -> Any:
        self.cycle.settle()
        return answer

    def agent(self, agent_id: str, capabilities: Iterable[str] = OLD_AGENTS, **place: Any) -> interface.AgentTraits:
        """Its traits; an update need not repeat what is remembered of them."""
        self.agents[agent_id] = {"capabilities": capabilities, **place}
        has = {name.lower(): name in capabilities for name in OLD_AGENTS}
        return interface.AgentTraits(place=constraints.Place(**{"hostname": agent_id, **place}), **has)

    def framework(
        self, framework_id: str, roles: Any, capabilities: Any = (), minimum: Any = None, **terms: Any
    ) -> Any:
        self.frameworks[framework_id] = {"roles": roles, "capabilities": capabilities}
        known = frozenset(FrameworkCapability[name] for name in capabilities)
        roles, minimums = frozenset(roles), minimum or {}
        return interface.FrameworkTraits(roles=roles, capabilities=known, minimums=minimums, **terms)

    def convert_free(self, agent_id: ids.AgentId, ok: bool = True, **both: Resources) -> Any:
        return self.allocator.convert_free(agent_id, [interface.Conversion(**both)])

    def recover(self, expected_agents: int, quotas: Words | None = None) -> None:
        self.cycle.allocator = DrfAllocator(self.settings)
        known = {role: made(quota.Quota, words) for role, words in (quotas or {}).items()}
        self.allocator.recover_quotas(known, expected_agent_count=expected_agents, now_ns=self.cycle.now_ns)


# --- functions, progressive and fluid ---


def accepted(check: Operation, *arguments: Any) -> Any:
    """What the product makes of it; None when it does not take it."""
    try:
        return check(*arguments)
    except errors.PaddockError:
        return None


def counted(bundle: Words, kinds: Kinds | None = None) -> Bundle:
    return (kinds or Kinds()).bundle(resources_of(bundle))


def contains(bundle: Words, part: Words) -> bool:
    kinds = Kinds()
    return counted(bundle, kinds).contains(counted(part, kinds))


FUNCTIONS: dict[str, Operation] = {
    "role_valid": lambda role: accepted(ids.check_role, role) is not None,
    "role_ancestors": reservations.ancestors,
    "role_is_strict_subrole": lambda pair: reservations.is_strict_subrole(*pair),
    "role_list_parse": lambda text: accepted(reservations.parse_roles, text),
    "weight_valid": lambda role="", weight="": accepted(shares.checked_weight, role, weight) is not None,
    "scalar_canonical": lambda number: units(milli(number)),
    "bundle_contains": contains,
    "quantities_contain": lambda have, want: amounts.contain(milli(have), milli(want)),
    "limits_contain": lambda limits, quantities: amounts.limits_contain(milli(limits), milli(quantities)),
    "quantities_subtract": lambda a, b: units(amounts.minus(milli(a), milli(b))),
    "shrink_to_quantities": lambda bundle, target: shrunk(amounts.shrink_to_quantities, bundle, target),
    "shrink_to_limits": lambda bundle, target: shrunk(amounts.shrink_to_limits, bundle, target),
    "quota_valid": lambda **words: accepted(lambda: checked_quota(**words)) is not None,
    "quota_consumed": lambda reserved, allocated: units(quota.consumed(milli(reserved), counted(allocated).charged)),
    "constraint_excludes": lambda groups, **place: constraints.exclude(
        groups_of(groups), made(constraints.Place, place)
    ),
    "min_allocatable_met": lambda bundle, minimums: amounts.minimum_met(counted(bundle), milli(minimums)),
    "offerable_to": lambda resource, role: reservations.is_offerable(resource_of(resource), role),
    "filter_seconds": lambda seconds: units(filters.refusal_ms(ms(seconds))),
}


def shrunk(shrink: Operation, bundle: Words, target: Words) -> Words:
    return bundle_of(shrink(counted(bundle), milli(target)).resources())


def user(totals: Iterable[str], weight: Any = 1, **wants: Any) -> filling.User:
    weights = weight if isinstance(weight, dict) else dict.fromkeys(totals, weight)
    return filling.User(weights=fractions(weights), **wants)


def filled(fill: Operation, totals: Words, users: Words, **how: Any) -> Words:
    end = fill(fractions(totals), {name: made(user, words, totals) for name, words in users.items()}, **how)
    trace = [{"pick": pick.user, "shares": pick.shares} for pick in end.picks]
    order = [pick.user for pick in end.picks]
    return {"tasks": end.tasks, "order": order, "shares": end.shares, "used": end.used, "trace": trace}


def progressive(totals: Words, users: Words, tie_break: Iterable[str] = (), on_no_fit: str = "skip_user") -> Words:
    return filled(filling.progressive, totals, users, tie_break=tie_break, stop_at_misfit=on_no_fit == "stop")


def fluid(totals: Words, users: Words, tie_break: Iterable[str] = (), on_no_fit: str = "") -> Words:
    """All shares rise together: there is no order."""
    return filled(filling.fluid, totals, users)


def make(seed: int) -> SimpleNamespace:
    return SimpleNamespace(
        sorter=lambda config: SorterCase(**config),
        allocator=lambda config: made(AllocatorCase, config, seed),
        master=lambda config: made(MasterCase, config, seed),
        progressive=lambda config: progressive(**config),
        fluid=lambda config: fluid(**config),
        function=lambda name, given: FUNCTIONS[name](**given) if isinstance(given, dict) else FUNCTIONS[name](given),
    )
