"""The built-in allocator: weighted hierarchical DRF over roles, then over the frameworks in a role."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction

from masterd.allocator.agents import AllocatorAgent, Holder
from masterd.allocator.bundle import Bundle, Kinds
from masterd.allocator.cycle import AllocatorFramework, Portion, Run, visit
from masterd.allocator.filters import Filter, life_ns
from masterd.allocator.interface import AllocatorSettings, Grant, Held, Shuffler
from masterd.allocator.roles import Roles
from masterd.allocator.shares import ClusterTotals
from paddock.model.framework import FrameworkCapability
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import Resources


class DrfAllocator:
    """See `interface.Allocator` for what each call means."""

    def __init__(self, settings: AllocatorSettings) -> None:
        self._settings = settings
        self._kinds = Kinds()
        self._totals = ClusterTotals(settings.excluded_from_shares)
        self._roles = Roles(self._totals)
        self._agents: dict[AgentId, AllocatorAgent] = {}
        self._frameworks: dict[FrameworkId, AllocatorFramework] = {}
        self._held_on: dict[Holder, set[AgentId]] = {}
        self._candidates: set[AgentId] = set()
        self._all_are_candidates = False
        self._openings = 0
        self._batch_count = 0

    # --- runs ---

    @property
    def wants_run(self) -> bool:
        """Something happened that may lead to new grants."""
        return self._all_are_candidates or bool(self._candidates)

    def run(self, *, now_ns: int, shuffler: Shuffler, batch: bool) -> tuple[Grant, ...]:
        """Visit the candidates in random order."""
        if batch or self._all_are_candidates:
            candidates = list(self._agents.values())
        else:
            candidates = [self._agents[agent_id] for agent_id in sorted(self._candidates) if agent_id in self._agents]
        self._candidates.clear()
        self._all_are_candidates = False
        run = Run(
            roles=self._roles,
            frameworks=self._frameworks,
            settings=self._settings,
            now_ns=now_ns,
            batch_count=self._batch_count,
            openings=self._openings,
        )
        portions: list[Portion] = []
        for agent in shuffler.sample(candidates, len(candidates)):
            portions.extend(visit(agent, run))
        if batch:
            self._batch_count += 1
        return tuple(self._grant(portion) for portion in portions)

    def _grant(self, portion: Portion) -> Grant:
        self._held_on.setdefault(portion.holder, set()).add(portion.agent.agent_id)
        framework_id, role = portion.holder
        resources = portion.bundle.resources()
        return Grant(framework_id=framework_id, role=role, agent_id=portion.agent.agent_id, resources=resources)

    def _open(self) -> None:
        """Somebody may now take what nobody took before, on any agent."""
        self._openings += 1
        self._all_are_candidates = True

    # --- agents ---

    def add_agent(self, agent_id: AgentId, total: Resources, held: Held, withheld: Resources) -> None:
        """A new agent; replaces one of the same id."""
        self.remove_agent(agent_id)
        agent = self._agents[agent_id] = AllocatorAgent(agent_id, self._kinds.bundle(total))
        self._totals.change(added=agent.total.scalars, removed={})
        agent.withheld = self._kinds.bundle(withheld)
        for (framework_id, role), resources in held.items():
            self.hold(framework_id, role, agent_id, resources)
        self._candidates.add(agent_id)

    def update_agent(self, agent_id: AgentId, total: Resources, *, changed: bool) -> None:
        """A new whole."""
        agent = self._agents[agent_id]
        before, after = agent.total, self._kinds.bundle(total)
        if changed:
            for holder in list(agent.filters):
                self._forget_refusals(holder, agent)
        if before != after:
            agent.set_total(after)
            self._totals.change(added=after.scalars, removed=before.scalars)
        if changed or before != after:
            agent.touch()
            self._candidates.add(agent_id)

    def remove_agent(self, agent_id: AgentId) -> None:
        """It is gone with everything on it."""
        agent = self._agents.pop(agent_id, None)
        if agent is None:
            return
        for holder in list(agent.filters):
            self._forget_refusals(holder, agent)
        for holder, bundle in list(agent.used.items()):
            self._uncharge(agent, holder, bundle)
        self._totals.change(added={}, removed=agent.total.scalars)
        self._candidates.discard(agent_id)

    def set_agent_active(self, agent_id: AgentId, *, active: bool) -> None:
        """Whether it may be offered."""
        agent = self._agents[agent_id]
        agent.active = active
        if active:
            agent.touch()
            self._candidates.add(agent_id)

    def withhold(self, agent_id: AgentId, resources: Resources) -> None:
        """Replace what nobody may be offered of the agent."""
        agent = self._agents[agent_id]
        withheld = self._kinds.bundle(resources)
        if withheld == agent.withheld:
            return
        agent.withheld = withheld
        agent.touch()
        self._candidates.add(agent_id)

    def shortage(self, agent_id: AgentId) -> Resources:
        """Withheld and given away, minus the whole."""
        agent = self._agents[agent_id]
        wanted = agent.withheld
        for bundle in agent.used.values():
            wanted = wanted.plus(bundle)
        return wanted.minus(agent.total).resources()

    # --- frameworks ---

    def add_framework(
        self,
        framework_id: FrameworkId,
        *,
        roles: Collection[str],
        suppressed_roles: Collection[str],
        capabilities: frozenset[FrameworkCapability],
        active: bool,
    ) -> None:
        """A new framework."""
        if framework_id in self._frameworks:
            raise ValueError(f"framework {framework_id} was added twice")
        framework = self._frameworks[framework_id] = AllocatorFramework(
            framework_id=framework_id,
            roles=set(roles),
            suppressed_roles=set(suppressed_roles),
            capabilities=capabilities,
            active=active,
        )
        for role in framework.roles:
            self._roles.join(role, framework_id)
        self._show(framework)
        if active:
            self._open()

    def update_framework(
        self,
        framework_id: FrameworkId,
        *,
        roles: Collection[str],
        suppressed_roles: Collection[str],
        capabilities: frozenset[FrameworkCapability],
    ) -> None:
        """Replaces roles, suppressed roles and capabilities."""
        framework = self._frameworks[framework_id]
        for role in framework.roles - set(roles):
            self._forget_refusals_in(framework, role)
            self._roles.leave(role, framework_id, holds=(framework_id, role) in self._held_on)
        for role in set(roles) - framework.roles:
            self._roles.join(role, framework_id)
        framework.roles = set(roles)
        framework.suppressed_roles = set(suppressed_roles)
        framework.capabilities = capabilities
        self._show(framework)
        self._openings += 1

    def remove_framework(self, framework_id: FrameworkId) -> None:
        """Forget it; what it holds stays charged until it comes back."""
        framework = self._frameworks.pop(framework_id, None)
        if framework is None:
            return
        for role in list(framework.refused_agents):
            self._forget_refusals_in(framework, role)
        for role in framework.roles:
            self._roles.leave(role, framework_id, holds=(framework_id, role) in self._held_on)

    def set_framework_active(self, framework_id: FrameworkId, *, active: bool) -> None:
        """Connected or not."""
        framework = self._frameworks[framework_id]
        framework.active = active
        self._show(framework)
        if active:
            self._open()
        else:
            for role in list(framework.refused_agents):
                self._forget_refusals_in(framework, role)

    def suppress(self, framework_id: FrameworkId, roles: Collection[str]) -> None:
        """No offers in these roles."""
        framework = self._frameworks[framework_id]
        framework.suppressed_roles |= set(roles or framework.roles) & framework.roles
        self._show(framework)

    def revive(self, framework_id: FrameworkId, roles: Collection[str]) -> None:
        """Offers again in these roles."""
        framework = self._frameworks[framework_id]
        chosen = set(roles or framework.roles)
        framework.suppressed_roles -= chosen
        for role in chosen:
            self._forget_refusals_in(framework, role)
        self._show(framework)
        self._open()

    def _show(self, framework: AllocatorFramework) -> None:
        for role in framework.roles:
            wants = framework.active and role not in framework.suppressed_roles
            self._roles.set_active(role, framework.framework_id, active=wants)

    # --- resources going back and forth ---

    def recover(
        self,
        framework_id: FrameworkId,
        role: str,
        agent_id: AgentId,
        resources: Resources,
        *,
        refuse_ms: int,
        now_ns: int,
    ) -> None:
        """Resources came back, perhaps refused."""
        agent = self._agents.get(agent_id)
        bundle = self._kinds.bundle(resources)
        if agent is None or not bundle:
            return
        holder = (framework_id, role)
        self._uncharge(agent, holder, bundle)
        framework = self._frameworks.get(framework_id)
        life = life_ns(refuse_ms, self._settings.interval_ns)
        if life and framework is not None and framework.active and role in framework.roles:
            agent.refuse(holder, Filter(refused=bundle, expires_ns=now_ns + life, born_batch=self._batch_count))
            framework.refused_agents.setdefault(role, set()).add(agent_id)
        self._came_back(agent)

    def hold(self, framework_id: FrameworkId, role: str, agent_id: AgentId, resources: Resources) -> None:
        """Charge what the framework already has."""
        bundle = self._kinds.bundle(resources)
        if not bundle:
            return
        holder = (framework_id, role)
        self._agents[agent_id].give(holder, bundle)
        self._held_on.setdefault(holder, set()).add(agent_id)
        self._roles.charge(role, framework_id, bundle.scalars)

    def _uncharge(self, agent: AllocatorAgent, holder: Holder, bundle: Bundle) -> None:
        agent.take_back(holder, bundle)
        framework_id, role = holder
        if holder not in agent.used:
            self._held_on[holder].discard(agent.agent_id)
        last = not self._held_on[holder]
        if last:
            del self._held_on[holder]
        self._roles.discharge(role, framework_id, bundle.scalars, last=last)

    def _came_back(self, agent: AllocatorAgent) -> None:
        if self._settings.run_on_recovery:
            self._candidates.add(agent.agent_id)

    def _forget_refusals(self, holder: Holder, agent: AllocatorAgent) -> None:
        agent.forget_refusals(holder)
        framework = self._frameworks.get(holder[0])
        if framework is not None and holder[1] in framework.refused_agents:
            framework.refused_agents[holder[1]].discard(agent.agent_id)

    def _forget_refusals_in(self, framework: AllocatorFramework, role: str) -> None:
        for agent_id in framework.refused_agents.pop(role, ()):
            agent = self._agents.get(agent_id)
            if agent is not None:
                agent.forget_refusals((framework.framework_id, role))

    def update_weights(self, weights_milli: Mapping[str, int]) -> None:
        """Weights of role paths in thousandths. No run follows: the master decides whether to take offers back."""
        self._roles.set_weights(weights_milli)

    # --- what it knows, for operators, tests and explanations ---

    def role_share(self, role: str) -> Fraction | None:
        """The role's weighted dominant share; None when nobody is in it."""
        return self._roles.share(role)

    def framework_share(self, role: str, framework_id: FrameworkId) -> Fraction:
        """The framework's dominant share in the role, of the whole cluster."""
        return self._roles.framework_share(role, framework_id)

    def filter_count(self, role: str, *, now_ns: int) -> int:
        """How many refusals are alive in the role."""
        return sum(
            not each.is_over(now_ns=now_ns, batch_count=self._batch_count)
            for agent in self._agents.values()
            for (_, filter_role), filters in agent.filters.items()
            if filter_role == role
            for each in filters
        )

    def free(self, agent_id: AgentId) -> Resources:
        """What is left on the agent."""
        return self._agents[agent_id].free.resources()

    def held(self, agent_id: AgentId) -> dict[Holder, Resources]:
        """Who has what on the agent, offered or in use."""
        return {holder: bundle.resources() for holder, bundle in self._agents[agent_id].used.items()}

    def total(self) -> Mapping[str, int]:
        """The cluster's scalars in milli-units."""
        return dict(self._totals.amounts_milli)
