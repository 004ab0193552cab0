"""What an allocator is to the master: it is told of agents and frameworks, and answers with grants.

The calls that change something never grant: they only note which agents a run should look at, and `run` does. Whoever
drives it (the master's core, a test, a simulation) decides when, by `wants_run`, and passes the time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from paddock.model.framework import FrameworkCapability
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import Resources

Held = Mapping[tuple[FrameworkId, str], Resources]
"""What frameworks, each in a role, already have of an agent."""

T = TypeVar("T")


class Shuffler(Protocol):
    """A source of randomness: `random.Random(seed)` is one."""

    def sample(self, population: Sequence[T], k: int) -> list[T]:
        """`k` of them in random order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocatorSettings:
    """`minimum`: an offer must have all of at least one of these quantities (milli-units). Empty: anything.

    `run_on_recovery`: resources that came back are worth a run at once; Mesos waits for the timer.
    """

    interval_ns: int = 1_000_000_000
    minimum: tuple[Mapping[str, int], ...] = ({"cpus": 10}, {"mem": 32_000})
    excluded_from_shares: frozenset[str] = frozenset()
    filter_gpus: bool = True
    run_on_recovery: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """All that is free on the agent for the framework in the role; becomes one offer. Not marked as allocated."""

    framework_id: FrameworkId
    role: str
    agent_id: AgentId
    resources: Resources


class Allocator(Protocol):
    """The seam. An id that is not known is a KeyError, except where it says otherwise: the core is to know."""

    @property
    def wants_run(self) -> bool:
        """Something happened that may lead to new grants."""
        ...

    def run(self, *, now_ns: int, shuffler: Shuffler, batch: bool) -> tuple[Grant, ...]:
        """Grant. `batch`: the timer's run over all agents; else over those that events have named since."""
        ...

    def add_agent(self, agent_id: AgentId, total: Resources, held: Held, withheld: Resources) -> None:
        """A new agent. `withheld` is what nobody may be offered (standalone containers)."""
        ...

    def update_agent(self, agent_id: AgentId, total: Resources, *, changed: bool) -> None:
        """A new whole; `changed`: attributes or capabilities differ, so that refusals no longer say anything."""
        ...

    def remove_agent(self, agent_id: AgentId) -> None:
        """It is gone with everything on it: nobody is charged for it any more. Unknown: no effect."""
        ...

    def set_agent_active(self, agent_id: AgentId, *, active: bool) -> None:
        """Whether it may be offered. What is held there stays charged, and its whole stays in the totals."""
        ...

    def withhold(self, agent_id: AgentId, resources: Resources) -> None:
        """Replace what nobody may be offered of the agent."""
        ...

    def shortage(self, agent_id: AgentId) -> Resources:
        """What has been given away or withheld beyond the agent's whole; empty as long as all fits."""
        ...

    def add_framework(
        self,
        framework_id: FrameworkId,
        *,
        roles: Collection[str],
        suppressed_roles: Collection[str],
        capabilities: frozenset[FrameworkCapability],
        active: bool,
    ) -> None:
        """A new framework; what it already holds came with the agents."""
        ...

    def update_framework(
        self,
        framework_id: FrameworkId,
        *,
        roles: Collection[str],
        suppressed_roles: Collection[str],
        capabilities: frozenset[FrameworkCapability],
    ) -> None:
        """Replaces all three. What it holds in roles that it left stays charged there."""
        ...

    def remove_framework(self, framework_id: FrameworkId) -> None:
        """Forget it. What it still holds stays charged until it is recovered. Unknown: no effect."""
        ...

    def set_framework_active(self, framework_id: FrameworkId, *, active: bool) -> None:
        """Connected or not. Deactivating drops its refusals; activating does not un-suppress."""
        ...

    def suppress(self, framework_id: FrameworkId, roles: Collection[str]) -> None:
        """No offers in these of its roles. No roles: in all."""
        ...

    def revive(self, framework_id: FrameworkId, roles: Collection[str]) -> None:
        """Offers again, and refusals forgotten, in these of its roles. No roles: in all."""
        ...

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
        """Resources came back, declined for `refuse_ms` (0: not declined). An agent that is gone: no effect.

        ValueError when the framework does not have them there: nothing is ever counted twice.
        """
        ...

    def hold(self, framework_id: FrameworkId, role: str, agent_id: AgentId, resources: Resources) -> None:
        """Charge what the framework turns out to have already (a task of a returning agent)."""
        ...

    def update_weights(self, weights_milli: Mapping[str, int]) -> None:
        """Weights of role paths in thousandths."""
        ...
