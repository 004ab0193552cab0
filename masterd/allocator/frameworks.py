"""A framework as the allocator sees it."""

from __future__ import annotations

from masterd.allocator.constraints import Wanted
from masterd.allocator.interface import FrameworkTraits, Minimum
from paddock.model.framework import FrameworkCapability
from paddock.model.ids import AgentId, FrameworkId


class AllocatorFramework:
    """`refused_agents`: where it has refusals, by role. `idle_rounds`: how many batch runs in a row brought it offers in a
    role of which it used nothing; `offered_roles`: those in which it was offered something since the last one.
    """

    __slots__ = (
        "active",
        "framework_id",
        "holders",
        "idle_rounds",
        "is_picky",
        "offered_roles",
        "refused_agents",
        "suppressed_roles",
        "traits",
        "wanted",
    )

    def __init__(self, framework_id: FrameworkId, traits: FrameworkTraits, *, active: bool) -> None:
        self.framework_id = framework_id
        self.active = active
        self.refused_agents: dict[str, set[AgentId]] = {}
        self.idle_rounds: dict[str, int] = {}
        self.offered_roles: set[str] = set()
        self.set_traits(traits)

    def set_traits(self, traits: FrameworkTraits) -> None:
        """What it says of itself now. `is_picky`: some agents may be hidden from it that are not from others.

        `holders`: it in each of its roles, made once, and not for each agent on which it is given something.
        """
        self.traits = traits
        self.suppressed_roles = set(traits.suppressed_roles)
        self.wanted = {role: Wanted(groups) for role, groups in traits.constraints.items()}
        self.is_picky = bool(self.wanted)
        self.holders = {role: (self.framework_id, role) for role in traits.roles}

    def can(self, capability: FrameworkCapability) -> bool:
        """Whether it has said that it understands this."""
        return capability in self.traits.capabilities

    def wants(self, role: str) -> bool:
        """Whether it is to be offered anything in the role."""
        return self.active and role in self.traits.roles and role not in self.suppressed_roles

    def minimum(self, role: str, general: Minimum) -> Minimum:
        """What an offer in the role must have."""
        return self.traits.minimums.get(role, general)
