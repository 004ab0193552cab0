"""What an allocator is to the master: it is told of agents and frameworks, and answers with grants.

The calls that change something never grant: they only note which agents a run should look at, and `run` does. Whoever
drives it (the master's core, a test, a simulation) decides when, by `wants_run`, and passes the time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

from masterd.allocator.constraints import Place
from masterd.allocator.quota import Quota
from paddock.model.framework import FrameworkCapability
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer_terms import Groups
from paddock.model.resources import Milli, Resources

Held = Mapping[tuple[FrameworkId, str], Resources]
"""What frameworks, each in a role, already have of an agent."""

NOTHING_HELD: Held = MappingProxyType({})
NO_RESOURCES = Resources()

T = TypeVar("T")


class Shuffler(Protocol):
    """A source of randomness: `random.Random(seed)` is one."""

    def sample(self, population: Sequence[T], k: int) -> list[T]:
        """`k` of them in random order."""
        ...


Minimum = tuple[Mapping[str, Milli], ...]
"""An offer must have all quantities of at least one of these (thousandths; ranges count as their number). None: anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocatorSettings:
    """The numbers are Mesos'. What is ours alone can be switched off, and then it behaves as Mesos does:

    `run_on_recovery`: resources that came back are worth a run at once. `nested_quota`: a quota binds the roles below its
    own too. `decline_backoff`: a framework that only declines in a role is asked less and less often there.
    """

    interval_ns: int = 1_000_000_000
    minimum: Minimum = ({"cpus": 10}, {"mem": 32_000})
    excluded_from_shares: frozenset[str] = frozenset()
    filter_gpus: bool = True
    master_region: str = ""
    recovery_share: Fraction = Fraction(4, 5)
    recovery_timeout_ns: int = 600_000_000_000
    run_on_recovery: bool = True
    nested_quota: bool = True
    decline_backoff: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTraits:
    """What decides, besides its resources, who may be offered an agent. Old agents of Mesos lack one of the capabilities."""

    place: Place = Place()
    capabilities: frozenset[str] = frozenset({"MULTI_ROLE", "HIERARCHICAL_ROLE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameworkTraits:
    """What a framework says of itself. `minimums` and `constraints` are by role; a role without its own has the general."""

    roles: frozenset[str]
    suppressed_roles: frozenset[str] = frozenset()
    capabilities: frozenset[FrameworkCapability] = frozenset()
    minimums: Mapping[str, Minimum] = field(default_factory=dict)
    constraints: Mapping[str, Groups] = field(default_factory=dict)


class Grant(NamedTuple):
    """All that is free on the agent for the framework in the role; becomes one offer. `allocated` is marked as such.

    A named tuple: there is one for each agent in every run, and a frozen dataclass takes three times as long to make.
    """

    framework_id: FrameworkId
    role: str
    agent_id: AgentId
    resources: Resources
    allocated: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseGrant:
    """The agent will not be available from some time on, and the framework has something there: it is asked to leave."""

    framework_id: FrameworkId
    agent_id: AgentId
    unavailable_at_ns: int


class Inactivity(Enum):
    """Why an agent is not offered at all. Only who asks why there is no offer looks at it: any of them is enough."""

    DISCONNECTED = "disconnected"
    DEACTIVATED = "deactivated"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"
    PROBLEM = "takes no new work"


AWAY = frozenset({Inactivity.DISCONNECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """Resources turned into others in place: reserved, unreserved, made a volume and back. An empty side adds or removes."""

    consumed: Resources
    converted: Resources


class Allocator(Protocol):
    """The seam. An id that is not known is a KeyError, except where it says otherwise: the core is to know."""

    # --- runs ---

    @property
    def wants_run(self) -> bool:
        """Something happened that may lead to new grants."""
        ...

    def run(self, *, now_ns: int, shuffler: Shuffler, batch: bool) -> tuple[Grant, ...]:
        """Grant. `batch`: the timer's run over all agents; else over those that events have named since."""
        ...

    def take_inverse_grants(self) -> tuple[InverseGrant, ...]:
        """Those of the runs since the last call."""
        ...

    def recover_quotas(self, quotas: Mapping[str, Quota], *, expected_agent_count: int, now_ns: int) -> None:
        """A master that starts with quotas waits for most of its agents: what is absent would look free."""
        ...

    # --- agents ---

    def add_agent(
        self,
        agent_id: AgentId,
        total: Resources,
        held: Held = ...,
        withheld: Resources = ...,
        traits: AgentTraits = ...,
        unavailable_at_ns: int | None = None,
    ) -> None:
        """A new agent; what is held is in use. `withheld` is what nobody may be offered (standalone containers)."""
        ...

    def update_agent(
        self,
        agent_id: AgentId,
        total: Resources | None = None,
        *,
        changed: bool = False,
        traits: AgentTraits | None = None,
    ) -> None:
        """A new whole, new traits (None: as before). `changed`, or other traits: refusals no longer say anything."""
        ...

    def grow_agent(self, agent_id: AgentId, added: Resources = ..., held: Held = ...) -> None:
        """More of it, part of which is in use already."""
        ...

    def remove_agent(self, agent_id: AgentId) -> None:
        """It is gone with everything on it: nobody is charged for it any more. Unknown: no effect."""
        ...

    def set_agent_active(self, agent_id: AgentId, *, active: bool, why: Collection[Inactivity] = ...) -> None:
        """Whether it may be offered. What is held there stays charged, and its whole stays in the totals.

        `why` it may not, all of it; told again whenever it changes. Absent: it is disconnected.
        """
        ...

    def set_whitelist(self, hostnames: Collection[str] | None) -> None:
        """Only these hosts are offered; None: all, empty: none. Their totals count all the same."""
        ...

    def set_unavailability(self, agent_id: AgentId, unavailable_at_ns: int | None = None) -> None:
        """Maintenance is planned for then, or no longer."""
        ...

    def withhold(self, agent_id: AgentId, resources: Resources) -> None:
        """Replace what nobody may be offered of the agent."""
        ...

    def free(self, agent_id: AgentId) -> Resources:
        """What nobody has of the agent, and nothing withholds."""
        ...

    def shortage(self, agent_id: AgentId) -> Resources:
        """What has been given away or withheld beyond the agent's whole; empty as long as all fits."""
        ...

    # --- frameworks ---

    def add_framework(
        self,
        framework_id: FrameworkId,
        traits: FrameworkTraits,
        *,
        active: bool = True,
        held: Mapping[tuple[AgentId, str], Resources] = ...,
    ) -> None:
        """A new framework. `held`: what it says to have; counted where the agent is known and has not said so itself."""
        ...

    def update_framework(self, framework_id: FrameworkId, traits: FrameworkTraits) -> None:
        """Replaces all of them. What it holds in roles that it left stays charged there."""
        ...

    def remove_framework(self, framework_id: FrameworkId) -> None:
        """Forget it. What it still holds stays charged until it is recovered. Unknown: no effect."""
        ...

    def set_framework_active(self, framework_id: FrameworkId, *, active: bool) -> None:
        """Connected or not. Deactivating drops its refusals; activating does not un-suppress."""
        ...

    def suppress(self, framework_id: FrameworkId, roles: Collection[str] = ()) -> None:
        """No offers in these of its roles. No roles: in all."""
        ...

    def revive(self, framework_id: FrameworkId, roles: Collection[str] = ()) -> None:
        """Offers again, and refusals forgotten, in these of its roles. No roles: in all."""
        ...

    # --- resources ---

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
        """Resources came back: declined for `refuse_ms`, or not declined (None). An agent that is gone: no effect.

        `in_use`: they were not only offered. Below 0 means the default, 0 means to be asked again at once.

        ValueError when the framework does not have them there: nothing is ever counted twice.
        """
        ...

    def hold(self, framework_id: FrameworkId, role: str, agent_id: AgentId, resources: Resources) -> None:
        """Charge what the framework turns out to have already (a task of a returning agent)."""
        ...

    def use(self, framework_id: FrameworkId, role: str, agent_id: AgentId, resources: Resources) -> None:
        """What was offered is used now. Copies of shared resources beyond those that were offered are charged."""
        ...

    def convert(
        self, framework_id: FrameworkId, role: str, agent_id: AgentId, conversions: Sequence[Conversion]
    ) -> None:
        """What the framework holds, and the agent's whole with it. ValueError when it does not hold what is consumed."""
        ...

    def convert_free(self, agent_id: AgentId, conversions: Sequence[Conversion]) -> bool:
        """What nobody holds. False, and nothing changed, when what is consumed is not free."""
        ...

    # --- policy ---

    def update_weights(self, weights_milli: Mapping[str, int]) -> None:
        """Weights of role paths in thousandths."""
        ...

    def set_quota(self, role: str, quota: Quota) -> None:
        """Replace the role's quota; an empty one removes it. Nothing that was given is taken back."""
        ...

    def quota_consumption(self, role: str) -> Mapping[str, int]:
        """What counts against the role's quota, but for what is only offered."""
        ...

    def quota_excess(self, role: str) -> Mapping[str, int]:
        """By how much the role, with what it is offered, is above its limits."""
        ...

    def over_quota(self, role: str, resources: Resources) -> tuple[frozenset[str], frozenset[str]]:
        """Of what the role would be above its limits, and of what guarantees would be met less, had it this too. Changes
        nothing.
        """
        ...

    def guarantee_shortfall(self) -> Mapping[str, int]:
        """How much more would have to be free so that all guarantees could be met."""
        ...
