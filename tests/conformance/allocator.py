"""The cases of kind `allocator`."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Any

from masterd.allocator.conversions import converted, left_over
from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AgentTraits, AllocatorSettings, Conversion, FrameworkTraits, Held
from paddock.model.framework import FrameworkCapability
from paddock.model.ids import AgentId, FrameworkId
from tests.conformance.bundles import bundle_of, milli, quota_of, resources_of, units
from tests.conformance.functions import groups_of, place_of

Words = Mapping[str, Any]
SECOND_NS = 1_000_000_000


class AllocatorCase:
    """Beyond Mesos switched off; time stands still but for `advance`."""

    def __init__(self, config: Words, shuffler: random.Random) -> None:
        minimum = config.get("min_allocatable", [{"cpus": 0.01}, {"mem": 32}])
        self._settings = AllocatorSettings(
            interval_ns=_ns(config.get("allocation_interval", 1)),
            minimum=tuple(milli(each) for each in minimum),
            excluded_from_shares=frozenset(config.get("fair_sharing_excluded", ())),
            filter_gpus=config.get("filter_gpus", True),
            master_region=config.get("master_region") or "",
            recovery_share=Fraction(str(config.get("recovery_factor", 0.8))),
            recovery_timeout_ns=_ns(config.get("recovery_timeout", 600)),
            run_on_recovery=False,
            nested_quota=False,
            decline_backoff=False,
        )
        self._allocator = DrfAllocator(self._settings)
        self._shuffler = shuffler
        self._now_ns = 0
        self._is_collecting = False
        self._agents: dict[str, dict[str, Any]] = {}
        self._frameworks: dict[str, dict[str, Any]] = {}
        self._offers: list[Words] = []

    def _run(self, *, batch: bool) -> None:
        for grant in self._allocator.run(now_ns=self._now_ns, shuffler=self._shuffler, batch=batch):
            words = {"framework": grant.framework_id, "role": grant.role, "agent": grant.agent_id}
            self._offers.append({**words, "resources": bundle_of(grant.resources)})

    def _run_if_wanted(self) -> None:
        if self._allocator.wants_run and not self._is_collecting:
            self._run(batch=False)

    def drain_offers(self) -> list[Words]:
        drained, self._offers = self._offers, []
        return drained

    def drain_inverse_offers(self) -> list[Words]:
        grants = self._allocator.take_inverse_grants()
        return [{"framework": grant.framework_id, "agent": grant.agent_id} for grant in grants]

    # --- agents ---

    def add_agent(self, words: Words) -> None:
        self._agents[words["id"]] = dict(words)
        at_s = words.get("unavailable_at")
        total, held = resources_of(words["total"]), _held(words.get("used"))
        at_ns = None if at_s is None else _ns(at_s)
        self._allocator.add_agent(AgentId(words["id"]), total, held, resources_of({}), self._traits(words["id"]), at_ns)
        self._run_if_wanted()

    def _traits(self, agent_id: str) -> AgentTraits:
        words = self._agents[agent_id]
        capabilities = words.get("capabilities", ("MULTI_ROLE", "HIERARCHICAL_ROLE"))
        return AgentTraits(
            place=place_of({"hostname": agent_id, **words}),
            multi_role="MULTI_ROLE" in capabilities,
            hierarchical_role="HIERARCHICAL_ROLE" in capabilities,
        )

    def grow_agent(self, words: Words) -> None:
        self._allocator.grow_agent(AgentId(words["id"]), resources_of(words.get("add")), _held(words.get("used")))

    def update_agent(self, words: Words) -> None:
        self._agents[words["id"]].update(words)
        total = resources_of(words["total"]) if "total" in words else None
        self._allocator.update_agent(AgentId(words["id"]), total, changed=False, traits=self._traits(words["id"]))
        self._run_if_wanted()

    def remove_agent(self, agent_id: str) -> None:
        self._allocator.remove_agent(AgentId(agent_id))

    def deactivate_agent(self, agent_id: str) -> None:
        self._allocator.set_agent_active(AgentId(agent_id), active=False)

    def activate_agent(self, agent_id: str) -> None:
        self._allocator.set_agent_active(AgentId(agent_id), active=True)

    def set_whitelist(self, hostnames: Sequence[str] | None) -> None:
        self._allocator.set_whitelist(hostnames)

    def set_unavailability(self, words: Words) -> None:
        start_s = words.get("start")
        self._allocator.set_unavailability(AgentId(words["agent"]), None if start_s is None else _ns(start_s))
        self._run_if_wanted()

    # --- frameworks ---

    def add_framework(self, words: Words) -> None:
        self._frameworks[words["id"]] = dict(words)
        held = {
            (AgentId(agent_id), role): resources_of(bundle)
            for agent_id, roles in (words.get("used") or {}).items()
            for role, bundle in roles.items()
        }
        active = words.get("active", True)
        self._allocator.add_framework(FrameworkId(words["id"]), _framework_traits(words), active=active, held=held)
        self._run_if_wanted()

    def update_framework(self, words: Words) -> None:
        """What is not said is as if it had never been said, but for what a framework is: roles and capabilities."""
        before = self._frameworks[words["id"]]
        words = {"roles": before["roles"], "capabilities": before.get("capabilities", ()), **words}
        self._frameworks[words["id"]] = words
        self._allocator.update_framework(FrameworkId(words["id"]), _framework_traits(words))

    def remove_framework(self, framework_id: str) -> None:
        self._allocator.recover_all(FrameworkId(framework_id))
        self._allocator.remove_framework(FrameworkId(framework_id))

    def deactivate_framework(self, framework_id: str) -> None:
        self._allocator.set_framework_active(FrameworkId(framework_id), active=False)

    def activate_framework(self, framework_id: str) -> None:
        self._allocator.set_framework_active(FrameworkId(framework_id), active=True)
        self._run_if_wanted()

    def suppress(self, words: Words) -> None:
        self._allocator.suppress(FrameworkId(words["framework"]), words.get("roles") or ())

    def revive(self, words: Words) -> None:
        self._allocator.revive(FrameworkId(words["framework"]), words.get("roles") or ())
        self._run_if_wanted()

    # --- offers ---

    def _recover(
        self, framework_id: str, role: str, agent_id: str, resources: Any, refuse_s: float | None, *, in_use: bool
    ) -> None:
        self._allocator.recover(
            FrameworkId(framework_id),
            role,
            AgentId(agent_id),
            resources,
            refuse_ms=None if refuse_s is None else ceil(refuse_s * 1000),
            now_ns=self._now_ns,
            in_use=in_use,
        )

    def decline(self, words: Words) -> None:
        resources, refuse_s = resources_of(words["resources"]), words.get("refuse_seconds")
        self._recover(words["framework"], words["role"], words["agent"], resources, refuse_s, in_use=False)

    def finish(self, words: Words) -> None:
        resources, refuse_s = resources_of(words["resources"]), words.get("refuse_seconds")
        self._recover(words["framework"], words["role"], words["agent"], resources, refuse_s, in_use=True)

    def accept(self, words: Words) -> None:
        where = (FrameworkId(words["framework"]), words["role"], AgentId(words["agent"]))
        conversions = [_conversion(each) for each in words["operations"]]
        offered, launched = resources_of(words["offered"]), resources_of(words["launch"])
        rest = left_over(converted(offered, conversions), launched)
        self._allocator.convert(*where, conversions)
        self._allocator.use(*where, launched)
        self._recover(*where, rest, words.get("refuse_seconds"), in_use=False)

    def operator_reserve(self, words: Words) -> bool:
        return self._allocator.convert_free(AgentId(words["agent"]), [_conversion(words)])

    operator_unreserve = operator_reserve

    # --- policy and time ---

    def set_quota(self, words: Words) -> None:
        self._allocator.set_quota(words["role"], quota_of(words))

    def update_weights(self, weights: Words) -> None:
        self._allocator.update_weights(milli(weights))

    def advance(self, seconds: float) -> None:
        end_ns, interval_ns = self._now_ns + _ns(seconds), self._settings.interval_ns
        for now_ns in range((self._now_ns // interval_ns + 1) * interval_ns, end_ns + 1, interval_ns):
            self._now_ns = now_ns
            self._run(batch=True)
        self._now_ns = end_ns

    def allocate(self, agents: Sequence[str] | bool) -> None:
        self._allocator.request_run(None if isinstance(agents, bool) else [AgentId(each) for each in agents])
        self._run_if_wanted()

    def atomically(self, steps: Sequence[Words]) -> None:
        self._is_collecting = True
        for step in steps:
            ((name, words),) = step.items()
            getattr(self, name)(words)
        self._is_collecting = False
        self._run_if_wanted()

    def pause(self, _: Any) -> None:
        self._allocator.pause()

    def resume(self, _: Any) -> None:
        self._allocator.resume()

    def recover_master(self, words: Words) -> None:
        self._allocator = DrfAllocator(self._settings)
        quotas = {role: quota_of(each) for role, each in (words.get("quotas") or {}).items()}
        count = words["expected_agents"]
        self._allocator.recover_quotas(quotas, expected_agent_count=count, now_ns=self._now_ns)

    # --- questions ---

    def role_share(self, role: str) -> Fraction | None:
        return self._allocator.own_share(role)

    def framework_share(self, role: str, framework_id: str) -> Fraction:
        return self._allocator.framework_share(role, FrameworkId(framework_id))

    def filter_count(self, role: str) -> int:
        return self._allocator.filter_count(role, now_ns=self._now_ns)

    def run_count(self) -> int:
        return self._allocator.run_count

    def quota_consumed(self, role: str) -> Words:
        return units(self._allocator.quota_consumption(role))

    def cluster_totals(self, which: str) -> Words:
        return units(self._allocator.total() if which == "total" else self._allocator.total_held())


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)


def _conversion(words: Words) -> Conversion:
    return Conversion(consumed=resources_of(words["from"]), converted=resources_of(words["to"]))


def _held(used: Words | None) -> Held:
    return {
        (FrameworkId(framework_id), role): resources_of(bundle)
        for framework_id, roles in (used or {}).items()
        for role, bundle in roles.items()
    }


def _framework_traits(words: Words) -> FrameworkTraits:
    minimums, constraints = words.get("min_allocatable") or {}, words.get("constraints") or {}
    return FrameworkTraits(
        roles=frozenset(words["roles"]),
        suppressed_roles=frozenset(words.get("suppressed") or ()),
        capabilities=frozenset(FrameworkCapability[name] for name in words.get("capabilities") or ()),
        minimums={role: tuple(milli(each) for each in minimum) for role, minimum in minimums.items()},
        constraints={role: groups_of(groups) for role, groups in constraints.items()},
    )
