"""What run_cases.py drives: the cases' operations for the product's calls, by their names, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from inspect import signature
from types import SimpleNamespace
from typing import Any, ClassVar

from masterd.allocator import constraints, filling, filters, interface, quantities, quota, reservations, roles, shares
from masterd.allocator.bundle import Bundle, Kinds
from masterd.allocator.drf import Sorter
from masterd.allocator.drf_allocator import DrfAllocator
from masterd.simulation.offer_cycle import OfferCycle
from paddock.model import errors, ids
from tests.conformance.master import MasterCase
from tests.conformance.words import (
    BEYOND_MESOS,
    Case,
    Operation,
    Words,
    agent_traits,
    bundle_of,
    checked_quota,
    conversions_of,
    counted,
    fractions,
    framework_traits,
    groups_of,
    made,
    milli,
    ms,
    ns,
    read,
    resource_of,
    units,
)

# --- sorter and allocator ---


def of_each(*calls: str) -> Operation:
    return lambda case, clients: [getattr(case.sorter, call)(client) for call in calls for client in clients]


class SorterCase(Case):
    table: ClassVar = {
        "add": of_each("add"),
        "activate": of_each("activate"),
        "join": of_each("add", "activate"),
        "deactivate": of_each("deactivate"),
        "remove": of_each("remove"),
        "allocate": lambda case, words: case.sorter.charge(words["client"], *case.shares(words, "resources")),
        "unallocate": lambda case, words: case.sorter.discharge(words["client"], *case.shares(words, "resources")),
        "update": lambda case, words: case.sorter.exchange(
            words["client"], gone=case.shares(words, "from"), came=case.shares(words, "to")
        ),
        "order": lambda case: list(case.sorter.order()),
        "count": lambda case: len(case.sorter),
        "contains": lambda case, client: client in case.sorter,
        "share": lambda case, client: case.sorter.client_share(client),
        "allocated_quantities": lambda case, client: units(case.sorter.allocated_milli(client)),
    }

    def __init__(self, config: Words) -> None:
        self.kinds, self.totals = Kinds(), shares.ClusterTotals(config.get("exclude", ()))
        self.weights_milli: dict[str, int] = {}
        self.sorter = Sorter(self.totals, self.weights_milli)
        self.agents: dict[str, Mapping[str, int]] = {}

    def shares(self, words: Words, field: str) -> Any:
        return roles.shares_of(words.get("agent", "A"), counted(words[field], self.kinds))

    def agent(self, words: Words) -> None:
        total = counted(words["total"], self.kinds).quantities_of_scalars
        self.totals.change(added=total, removed=self.agents.get(words["id"], {}))
        self.agents[words["id"]] = total

    def weights(self, weights: Words) -> None:
        self.weights_milli.update(milli(weights))
        self.sorter.reweigh()


WHOLES: dict[str, Callable[[Words], Any]] = {
    "traits": lambda words: framework_traits(words) if "roles" in words else agent_traits(words),
    "conversions": lambda words: conversions_of([words] if "from" in words else words["operations"]),
    "quota": lambda words: made(quota.Quota, words),
}
KEPT = ("roles", "capabilities", "attributes", "hostname", "region", "zone")
"""Whatever else an update does not say is as if it had never been said."""


@cache
def arguments_of(kind: type, method: str) -> tuple[str, ...]:
    return tuple(signature(getattr(kind, method)).parameters)[1:]


def call(name: str, **constants: Any) -> Operation:
    """A call of the cycle's or the allocator's: its arguments are fields, or made of all of them, or the words themselves."""

    def made_call(case: AllocatorCase, words: Any) -> Any:
        driven: Any = case.cycle if hasattr(case.cycle, name) else case.allocator
        method, names = getattr(driven, name), arguments_of(driven.__class__, name)
        if not isinstance(words, dict):
            return method(*[words][: len(names)], **constants)
        said = case.remember(name, words) if "id" in words else words
        found = read(said, names)
        found |= {argument: make(said) for argument, make in WHOLES.items() if argument in names}
        return method(**found, **constants)

    return made_call


class AllocatorCase(Case):
    """Each operation is followed by the run that it asks for."""

    table: ClassVar = {
        **{name: call(name) for name in ("grow_agent", "remove_agent", "set_whitelist", "set_unavailability")},
        **{name: call(name) for name in ("add_agent", "update_agent", "add_framework", "update_framework")},
        **{name: call(name) for name in ("suppress", "revive", "set_quota", "accept", "pause", "resume")},
        "deactivate_agent": call("set_agent_active", active=False),
        "activate_agent": call("set_agent_active", active=True),
        "deactivate_framework": call("set_framework_active", active=False),
        "activate_framework": call("set_framework_active", active=True),
        "decline": call("give_back"),
        "finish": call("give_back", in_use=True),
        "operator_reserve": call("convert_free"),
        "operator_unreserve": call("convert_free"),
        "update_weights": lambda case, weights: case.allocator.update_weights(milli(weights)),
        "advance": lambda case, seconds: case.cycle.advance(ns(seconds)),
        "allocate": lambda case, agents: case.allocator.request_run(None if agents is True else agents),
        "drain_offers": lambda case: [grant_words(grant) for grant in case.cycle.take()],
        "drain_inverse_offers": lambda case: [grant_words(each) for each in case.allocator.take_inverse_grants()],
        "role_share": call("own_share"),
        "framework_share": lambda case, role, name: case.allocator.framework_share(role, name),
        "filter_count": lambda case, role: case.allocator.filter_count(role, now_ns=case.cycle.now_ns),
        "run_count": lambda case: case.allocator.run_count,
        "quota_consumed": lambda case, role: units(case.allocator.quota_consumption(role)),
        "cluster_totals": lambda case, which: units(
            case.allocator.total() if which == "total" else case.allocator.total_held()
        ),
    }

    def __init__(self, seed: int, config: Words) -> None:
        self.settings = made(interface.AllocatorSettings, config, **BEYOND_MESOS)
        self.cycle = OfferCycle(DrfAllocator(self.settings), random.Random(seed), interval_ns=self.settings.interval_ns)
        self.known: dict[tuple[str, str], Words] = {}
        self.is_collecting = False

    @property
    def allocator(self) -> Any:
        return self.cycle.allocator

    def settled(self, answer: Any) -> Any:
        if not self.is_collecting:
            self.cycle.settle()
        return answer

    def remember(self, call_name: str, words: Words) -> Words:
        """With what an update need not repeat."""
        verb, _, kind = call_name.partition("_")
        before = self.known.get((kind, words["id"]), {}) if verb == "update" else {}
        said = {**{field: before[field] for field in KEPT if field in before}, **words, f"{kind}_id": words["id"]}
        if verb in {"add", "update"}:
            self.known[kind, words["id"]] = said
        return said

    def remove_framework(self, name: str) -> None:
        self.allocator.recover_all(name)
        self.settled(self.allocator.remove_framework(name))

    def atomically(self, steps: Iterable[Words]) -> None:
        self.is_collecting = True
        for step in steps:
            for operation, words in step.items():
                getattr(self, operation)(words)
        self.is_collecting = False
        self.settled(None)

    def recover_master(self, words: Words) -> None:
        self.cycle.allocator = DrfAllocator(self.settings)
        quotas = {role: made(quota.Quota, said) for role, said in (words.get("quotas") or {}).items()}
        count, now_ns = words["expected_agents"], self.cycle.now_ns
        self.allocator.recover_quotas(quotas, expected_agent_count=count, now_ns=now_ns)


# --- functions ---


def accepted(check: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What the product makes of it; None when it does not take it."""
    try:
        return check(*arguments, **named)
    except errors.PaddockError:
        return None


def contains(words: Words) -> bool:
    kinds = Kinds()
    return counted(words["bundle"], kinds).contains(counted(words["part"], kinds))


def shrunk(shrink: Callable[..., Bundle], words: Words) -> Words:
    return bundle_of(shrink(counted(words["bundle"]), milli(words["target"])).resources())


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "role_valid": lambda role: accepted(ids.check_role, role) is not None,
    "role_ancestors": reservations.ancestors,
    "role_is_strict_subrole": lambda pair: reservations.is_strict_subrole(*pair),
    "role_list_parse": lambda text: accepted(reservations.parse_roles, text),
    "weight_valid": lambda w: accepted(shares.checked_weight, w.get("role", ""), w.get("weight", "")) is not None,
    "scalar_canonical": lambda number: units(milli(number)),
    "bundle_contains": contains,
    "quantities_contain": lambda w: quantities.contain(milli(w["have"]), milli(w["want"])),
    "limits_contain": lambda w: quantities.limits_contain(milli(w["limits"]), milli(w["quantities"])),
    "quantities_subtract": lambda w: units(quantities.minus(milli(w["a"]), milli(w["b"]))),
    "shrink_to_quantities": partial(shrunk, quantities.shrink_to_quantities),
    "shrink_to_limits": partial(shrunk, quantities.shrink_to_limits),
    "quota_valid": lambda w: accepted(checked_quota, w) is not None,
    "quota_consumed": lambda w: units(quota.consumed(milli(w["reserved"]), counted(w["allocated"]).charged)),
    "constraint_excludes": lambda w: constraints.exclude(groups_of(w["groups"]), made(constraints.Place, w)),
    "min_allocatable_met": lambda w: quantities.minimum_met(counted(w["bundle"]), milli(w["minimums"])),
    "offerable_to": lambda w: reservations.is_offerable(resource_of(w["resource"], 1), w["role"]),
    "filter_seconds": lambda seconds: filters.refusal_ms(ms(seconds)) / 1000,
}

# --- all of it ---


def grant_words(grant: Any) -> Words:
    words = {"framework": grant.framework_id, "agent": grant.agent_id}
    return (
        {**words, "role": grant.role, "resources": bundle_of(grant.resources)}
        if isinstance(grant, interface.Grant)
        else words
    )


def users_of(config: Words) -> dict[str, filling.User]:
    def user(words: Words) -> Any:
        weight = words.get("weight", 1)
        weights = weight if isinstance(weight, dict) else dict.fromkeys(config["totals"], weight)
        return made(filling.User, words, weights=fractions(weights))

    return {name: user(words) for name, words in config["users"].items()}


def progressive(config: Words) -> Words:
    stop, first = config.get("on_no_fit") == "stop", config.get("tie_break", ())
    end = filling.progressive(fractions(config["totals"]), users_of(config), tie_break=first, stop_at_misfit=stop)
    trace = [{"pick": pick.user, "shares": pick.shares} for pick in end.picks]
    order = [pick.user for pick in end.picks]
    return {"tasks": end.tasks, "order": order, "shares": end.shares, "used": end.used, "trace": trace}


def fluid(config: Words) -> Words:
    end = filling.fluid(fractions(config["totals"]), users_of(config))
    return {"tasks": end.tasks, "shares": end.shares}


def make(seed: int) -> SimpleNamespace:
    return SimpleNamespace(
        sorter=SorterCase,
        allocator=partial(AllocatorCase, seed),
        master=partial(MasterCase, seed),
        progressive=progressive,
        fluid=fluid,
        function=lambda name, given: FUNCTIONS[name](given),
    )
