"""An allocator alone, in virtual time: for whoever writes one, and for tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from masterd.allocator.conversions import converted, left_over
from masterd.allocator.interface import (
    NOTHING_HELD,
    AgentTraits,
    Allocator,
    Conversion,
    FrameworkTraits,
    Grant,
    Held,
    Minimum,
    Shuffler,
)
from masterd.simulation.timeline import NS_PER_S
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer_terms import Groups
from paddock.model.resource_text import Attribute
from paddock.model.resources import Resources

NO_AGENT_TRAITS = AgentTraits()


class OfferCycle:
    """Runs the allocator when a master would, and tells it what a master does, in Mesos' words. Grants wait in it until they
    are taken. What is not here is said to `allocator` itself.
    """

    def __init__(
        self, allocator: Allocator, shuffler: Shuffler, *, interval_ns: int = NS_PER_S, now_ns: int = 0
    ) -> None:
        self.allocator = allocator
        self.now_ns = now_ns
        self._shuffler = shuffler
        self._interval_ns = interval_ns
        self._grants: list[Grant] = []
        self._agents: dict[AgentId, AgentTraits] = {}
        self._frameworks: dict[FrameworkId, FrameworkTraits] = {}

    def take(self) -> list[Grant]:
        """Those of the runs since the last call."""
        taken, self._grants = self._grants, []
        return taken

    def _run(self, *, batch: bool) -> None:
        self._grants += self.allocator.run(now_ns=self.now_ns, shuffler=self._shuffler, batch=batch)

    def settle(self) -> None:
        """The run that what has happened asks for, if it does. Several events before it make one run."""
        if self.allocator.wants_run:
            self._run(batch=False)

    def advance(self, duration_ns: int) -> None:
        """With the timer's run at each multiple of the interval, the last moment included."""
        end_ns, interval_ns = self.now_ns + duration_ns, self._interval_ns
        for now_ns in range((self.now_ns // interval_ns + 1) * interval_ns, end_ns + 1, interval_ns):
            self.now_ns = now_ns
            self._run(batch=True)
        self.now_ns = end_ns

    # --- agents ---

    def add_agent(
        self,
        agent_id: AgentId,
        total: Resources,
        held: Held = NOTHING_HELD,
        traits: AgentTraits = NO_AGENT_TRAITS,
        unavailable_at_ns: int | None = None,
    ) -> None:
        """Its host has its name unless the traits say another."""
        place = traits.place if traits.place.hostname else replace(traits.place, hostname=agent_id)
        self._agents[agent_id] = replace(traits, place=place)
        self.allocator.add_agent(
            agent_id, total, held, traits=self._agents[agent_id], unavailable_at_ns=unavailable_at_ns
        )

    def update_agent(
        self,
        agent_id: AgentId,
        total: Resources | None = None,
        capabilities: frozenset[str] | None = None,
        attributes: tuple[Attribute, ...] | None = None,
    ) -> None:
        """What it does not say again (None) is as it was."""
        traits = self._agents[agent_id]
        if capabilities is not None:
            traits = replace(traits, capabilities=capabilities)
        if attributes is not None:
            traits = replace(traits, place=replace(traits.place, attributes=attributes))
        self._agents[agent_id] = traits
        self.allocator.update_agent(agent_id, total, traits=traits)

    def activate_agent(self, agent_id: AgentId) -> None:
        """It may be offered again."""
        self.allocator.set_agent_active(agent_id, active=True)

    def deactivate_agent(self, agent_id: AgentId) -> None:
        """It may not be offered."""
        self.allocator.set_agent_active(agent_id, active=False)

    # --- frameworks ---

    def add_framework(
        self,
        framework_id: FrameworkId,
        traits: FrameworkTraits,
        *,
        active: bool = True,
        held: Mapping[tuple[AgentId, str], Resources] | None = None,
    ) -> None:
        """See `Allocator.add_framework`."""
        self._frameworks[framework_id] = traits
        self.allocator.add_framework(framework_id, traits, active=active, held=held or {})

    def update_framework(
        self,
        framework_id: FrameworkId,
        roles: frozenset[str] | None = None,
        suppressed_roles: Collection[str] = (),
        minimums: Mapping[str, Minimum] | None = None,
        constraints: Mapping[str, Groups] | None = None,
    ) -> None:
        """What it wants of agents is said anew; what it understands, and its roles (None), stay as they were."""
        known = self._frameworks[framework_id]
        self._frameworks[framework_id] = FrameworkTraits(
            roles=known.roles if roles is None else roles,
            suppressed_roles=frozenset(suppressed_roles),
            capabilities=known.capabilities,
            minimums=minimums or {},
            constraints=constraints or {},
        )
        self.allocator.update_framework(framework_id, self._frameworks[framework_id])

    def activate_framework(self, framework_id: FrameworkId) -> None:
        """It is connected."""
        self.allocator.set_framework_active(framework_id, active=True)

    def deactivate_framework(self, framework_id: FrameworkId) -> None:
        """It is not connected."""
        self.allocator.set_framework_active(framework_id, active=False)

    # --- resources ---

    def decline(
        self,
        framework_id: FrameworkId,
        role: str,
        agent_id: AgentId,
        resources: Resources,
        refuse_ms: int | None = None,
    ) -> None:
        """Of what was offered; None: without a refusal."""
        self.allocator.recover(
            framework_id, role, agent_id, resources, refuse_ms=refuse_ms, now_ns=self.now_ns, in_use=False
        )

    def finish(
        self,
        framework_id: FrameworkId,
        role: str,
        agent_id: AgentId,
        resources: Resources,
        refuse_ms: int | None = None,
    ) -> None:
        """A task has ended that used this."""
        self.allocator.recover(
            framework_id, role, agent_id, resources, refuse_ms=refuse_ms, now_ns=self.now_ns, in_use=True
        )

    def accept(
        self,
        framework_id: FrameworkId,
        role: str,
        agent_id: AgentId,
        offered: Resources,
        operations: Sequence[Conversion],
        launch: Resources,
        refuse_ms: int | None = None,
    ) -> None:
        """Some of what was offered becomes something else, some is used, the rest comes back."""
        rest = left_over(converted(offered, operations), launch)
        self.allocator.convert(framework_id, role, agent_id, operations)
        self.allocator.use(framework_id, role, agent_id, launch)
        self.decline(framework_id, role, agent_id, rest, refuse_ms)
