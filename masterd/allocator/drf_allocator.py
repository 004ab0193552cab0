"""The built-in allocator: weighted hierarchical DRF over roles, then over the frameworks in a role, after guarantees."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from masterd.allocator.agents import AllocatorAgent
from masterd.allocator.backoff import patience_ns
from masterd.allocator.filters import Filter, life_ns, refusal_ms
from masterd.allocator.frameworks import AllocatorFramework
from masterd.allocator.interface import (
    AWAY,
    NO_RESOURCES,
    NOTHING_HELD,
    AgentTraits,
    Conversion,
    FrameworkTraits,
    Held,
    Inactivity,
)
from masterd.allocator.quota import Quota
from masterd.allocator.runs import Runs
from masterd.allocator.visibility import is_ordinary
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import Resources

NO_AGENT_TRAITS = AgentTraits()
"""An agent about which nothing special is known."""


class DrfAllocator(Runs):
    """See `interface.Allocator` for what each call means."""

    # --- agents ---

    def add_agent(
        self,
        agent_id: AgentId,
        total: Resources,
        held: Held = NOTHING_HELD,
        withheld: Resources = NO_RESOURCES,
        traits: AgentTraits = NO_AGENT_TRAITS,
        unavailable_at_ns: int | None = None,
    ) -> None:
        """A new agent; replaces one of the same id."""
        self.remove_agent(agent_id)
        ledger = self.ledger
        agent = AllocatorAgent(agent_id, ledger.kinds.bundle(total), traits, allowed=self._is_allowed(traits))
        agent.is_ordinary = is_ordinary(agent, self.settings)
        agent.unavailable_at_ns = unavailable_at_ns
        ledger.enter(agent)
        ledger.withhold(agent, ledger.kinds.bundle(withheld))
        ledger.hold_all(agent, held)
        self.agenda.note_agent_count(len(ledger.agents))
        self.agenda.consider(agent_id)

    def update_agent(
        self,
        agent_id: AgentId,
        total: Resources | None = None,
        *,
        changed: bool = False,
        traits: AgentTraits | None = None,
    ) -> None:
        """A new whole, new traits."""
        ledger = self.ledger
        agent = ledger.agents[agent_id]
        if traits is not None and traits != agent.traits:
            changed = True
            agent.set_traits(traits)
            agent.allowed = self._is_allowed(traits)
        if changed:
            for holder in list(agent.filters):
                ledger.forget_refusals(agent, holder)
        resized = total is not None and ledger.resize(agent, ledger.kinds.bundle(total))
        if changed or resized:
            agent.is_ordinary = is_ordinary(agent, self.settings)
            agent.touch()
            self.agenda.consider(agent_id)

    def grow_agent(self, agent_id: AgentId, added: Resources = NO_RESOURCES, held: Held = NOTHING_HELD) -> None:
        """More of it."""
        ledger = self.ledger
        agent = ledger.agents[agent_id]
        ledger.resize(agent, agent.total.plus(ledger.kinds.bundle(added)))
        agent.is_ordinary = is_ordinary(agent, self.settings)
        ledger.hold_all(agent, held)

    def remove_agent(self, agent_id: AgentId) -> None:
        """It is gone with everything on it."""
        agent = self.ledger.agents.get(agent_id)
        if agent is not None:
            self.ledger.leave(agent)
            self.agenda.forget(agent_id)

    def set_agent_active(self, agent_id: AgentId, *, active: bool, why: Collection[Inactivity] = AWAY) -> None:
        """Whether it may be offered, and why not."""
        agent = self.ledger.agents[agent_id]
        agent.active = active
        agent.inactivity = frozenset() if active else frozenset(why)
        if active:
            agent.touch()
            self._consider_if_prompt(agent_id)

    def set_whitelist(self, hostnames: Collection[str] | None) -> None:
        """Only these hosts are offered."""
        self.whitelist = None if hostnames is None else frozenset(hostnames)
        for agent in self.ledger.agents.values():
            agent.allowed = self._is_allowed(agent.traits)

    def _is_allowed(self, traits: AgentTraits) -> bool:
        return self.whitelist is None or traits.place.hostname in self.whitelist

    def set_unavailability(self, agent_id: AgentId, unavailable_at_ns: int | None = None) -> None:
        """Who was asked to leave the agent for the old plan will be asked for the new one."""
        agent = self.ledger.agents[agent_id]
        agent.unavailable_at_ns = unavailable_at_ns
        agent.asked_back.clear()
        self.agenda.consider(agent_id)

    def withhold(self, agent_id: AgentId, resources: Resources) -> None:
        """Replace what nobody may be offered of the agent."""
        agent = self.ledger.agents[agent_id]
        if self.ledger.withhold(agent, self.ledger.kinds.bundle(resources)):
            self._consider_if_prompt(agent_id)

    # --- frameworks ---

    def add_framework(
        self,
        framework_id: FrameworkId,
        traits: FrameworkTraits,
        *,
        active: bool = True,
        held: Mapping[tuple[AgentId, str], Resources] | None = None,
    ) -> None:
        """A new framework."""
        ledger = self.ledger
        if framework_id in ledger.frameworks:
            raise ValueError(f"framework {framework_id} was added twice")
        framework = ledger.frameworks[framework_id] = AllocatorFramework(framework_id, traits, active=active)
        for role in traits.roles:
            ledger.roles.join(role, framework_id)
        self._count_minimums(traits, 1)
        for (agent_id, role), resources in (held or {}).items():
            agent = ledger.agents.get(agent_id)
            if agent is not None and (framework_id, role) not in agent.held:
                ledger.hold_all(agent, {(framework_id, role): resources})
        self._show(framework)
        if active:
            self._open()

    def update_framework(self, framework_id: FrameworkId, traits: FrameworkTraits) -> None:
        """Replaces all that it says of itself."""
        ledger = self.ledger
        framework = ledger.frameworks[framework_id]
        before = framework.traits
        self._count_minimums(before, -1)
        for role in before.roles - traits.roles:
            ledger.forget_refusals_in(framework, role)
            ledger.roles.leave(role, framework_id, holds=(framework_id, role) in ledger.held_on)
        for role in traits.roles - before.roles:
            ledger.roles.join(role, framework_id)
        framework.set_traits(traits)
        self._count_minimums(traits, 1)
        self._show(framework)
        ledger.openings += 1

    def _count_minimums(self, traits: FrameworkTraits, sign: int) -> None:
        for path in traits.minimums.keys() & traits.roles:
            role = self.ledger.roles.get(path)
            assert role is not None, "its member was told to join"
            role.choosy_count += sign
            self._choosy_count += sign
            self.ledger.roles.place(role)

    def remove_framework(self, framework_id: FrameworkId) -> None:
        """Forget it; what it holds stays charged until it comes back."""
        ledger = self.ledger
        framework = ledger.frameworks.get(framework_id)
        if framework is None:
            return
        for role in list(framework.refused_agents):
            ledger.forget_refusals_in(framework, role)
        self._count_minimums(framework.traits, -1)
        for role in framework.traits.roles:
            ledger.roles.leave(role, framework_id, holds=(framework_id, role) in ledger.held_on)
        del ledger.frameworks[framework_id]

    def set_framework_active(self, framework_id: FrameworkId, *, active: bool) -> None:
        """Connected or not."""
        framework = self.ledger.frameworks[framework_id]
        framework.active = active
        self._show(framework)
        if active:
            self._open()
        else:
            for role in list(framework.refused_agents):
                self.ledger.forget_refusals_in(framework, role)

    def suppress(self, framework_id: FrameworkId, roles: Collection[str] = ()) -> None:
        """No offers in these roles."""
        framework = self.ledger.frameworks[framework_id]
        framework.suppressed_roles |= set(roles or framework.traits.roles) & framework.traits.roles
        self._show(framework)

    def revive(self, framework_id: FrameworkId, roles: Collection[str] = ()) -> None:
        """Offers again in these roles."""
        framework = self.ledger.frameworks[framework_id]
        chosen = set(roles or framework.traits.roles)
        framework.suppressed_roles -= chosen
        for role in chosen:
            self.ledger.forget_refusals_in(framework, role)
            framework.idle_rounds.pop(role, None)
        self._show(framework)
        self._open()

    def _show(self, framework: AllocatorFramework) -> None:
        for role in framework.traits.roles:
            wants = framework.wants(role)
            self.ledger.roles.set_active(role, framework.framework_id, active=wants)
            if not wants:
                self.ledger.uncover(framework, role)

    # --- resources going back and forth ---

    def recover(
        self,
        framework_id: FrameworkId,
        role: str,
        agent_id: AgentId,
        resources: Resources,
        *,
        refuse_ms: int | None,
        now_ns: int,
        in_use: bool = False,
    ) -> None:
        """Resources came back, perhaps refused."""
        ledger = self.ledger
        agent = ledger.agents.get(agent_id)
        if agent is None:
            return
        holder = (framework_id, role)
        bundle = ledger.bundle_of(agent, holder, resources)
        if not bundle:
            return
        ledger.take_back(agent, holder, bundle, in_use=in_use)
        framework = ledger.frameworks.get(framework_id)
        if refuse_ms is not None and framework is not None and framework.active and role in framework.traits.roles:
            life = max(
                life_ns(refusal_ms(refuse_ms), self.settings.interval_ns), patience_ns(framework, role, self.settings)
            )
            if life:
                new = Filter(refused=bundle, expires_ns=now_ns + life, born_batch=self.agenda.batch_count)
                known_role = ledger.roles.get(role)
                assert known_role is not None, "the framework is in it"
                agent.refuse(holder, new, known_role.line)
                framework.refused_agents.setdefault(role, set()).add(agent_id)
                if not framework.wants(role):
                    agent.covered.discard(holder)
        self._consider_if_prompt(agent_id)

    def hold(self, framework_id: FrameworkId, role: str, agent_id: AgentId, resources: Resources) -> None:
        """Charge what the framework already has."""
        self.ledger.hold_all(self.ledger.agents[agent_id], {(framework_id, role): resources})

    def use(self, framework_id: FrameworkId, role: str, agent_id: AgentId, resources: Resources) -> None:
        """What was offered is used now."""
        agent, bundle = self.ledger.agents[agent_id], self.ledger.kinds.bundle(resources)
        holder = (framework_id, role)
        self.ledger.add_copies(agent, holder, bundle)
        self.ledger.use(agent, holder, bundle)
        framework = self.ledger.frameworks.get(framework_id)
        if framework is not None:
            framework.idle_rounds.pop(role, None)
            framework.offered_roles.discard(role)

    def convert(
        self, framework_id: FrameworkId, role: str, agent_id: AgentId, conversions: Sequence[Conversion]
    ) -> None:
        """What the framework holds becomes something else."""
        self.ledger.convert(self.ledger.agents[agent_id], (framework_id, role), conversions)

    def convert_free(self, agent_id: AgentId, conversions: Sequence[Conversion]) -> bool:
        """What nobody holds becomes something else."""
        try:
            self.ledger.convert_free(self.ledger.agents[agent_id], conversions)
        except ValueError:
            return False
        self._consider_if_prompt(agent_id)
        return True

    # --- policy ---

    def recover_quotas(self, quotas: Mapping[str, Quota], *, expected_agent_count: int, now_ns: int) -> None:
        """Wait for most of the agents when there are quotas to honour."""
        for role, quota in quotas.items():
            self.set_quota(role, quota)
        if quotas:
            deadline_ns = now_ns + self.settings.recovery_timeout_ns
            self.agenda.wait_for(expected_agent_count, self.settings.recovery_share, deadline_ns)

    def update_weights(self, weights_milli: Mapping[str, int]) -> None:
        """Weights of role paths in thousandths. No run follows: the master decides whether to take offers back."""
        self.ledger.roles.set_weights(weights_milli)

    def set_quota(self, role: str, quota: Quota) -> None:
        """Replace the role's quota. No run follows, as with weights."""
        accounts = self.ledger.accounts
        had_limits = accounts.limit_count > 0
        accounts.set_quota(role, quota)
        if had_limits != (accounts.limit_count > 0):
            self.ledger.roles.place_all()
        self.ledger.roles.place_turned()
        self.ledger.openings += 1
