"""What operators do to a simulated master: each call has the name that Mesos' operator API has for it, in small letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from masterd.allocator.quota import Quota, checked_quota
from masterd.allocator.shares import checked_weight
from masterd.core.events import (
    AgentActivated,
    AgentMarkedGone,
    Caller,
    CancelDrain,
    DrainAgent,
    OperatorTeardown,
    QuotasChanged,
    ResourcesChanged,
    WeightsChanged,
)
from masterd.simulation.cluster import ROOT, Cluster
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer import Reserve, Unreserve
from paddock.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleQuota:
    """The whole quota that a role is to have; nothing said: none."""

    role: str
    guarantees: Resources = Resources()
    limits: Resources = Resources()

    def checked(self, *, nested: bool, where: str = "quota") -> Quota:
        """Raises InvalidRequest naming the first fault. `nested`: roles below others may have one."""
        return checked_quota(self.role, self.guarantees, self.limits, nested=nested, where=where)


class Operator:
    """One who calls. Raises PaddockError when the master refuses it: nothing has changed then."""

    def __init__(self, cluster: Cluster, caller: Caller = ROOT) -> None:
        self._cluster = cluster
        self._caller = caller

    def update_quota(self, quotas: tuple[RoleQuota, ...], *, force: bool = False) -> None:
        """All or none. Roles below others can have one if the allocator honours it."""
        nested = self._cluster.allocator_settings.nested_quota
        checked = [each.checked(nested=nested, where=f"quotas[{index}]") for index, each in enumerate(quotas)]
        changed = tuple((each.role, quota) for each, quota in zip(quotas, checked, strict=True))
        self._cluster.do(QuotasChanged(caller=self._caller, quotas=changed, force=force))

    def update_weights(self, weights: Mapping[str, float | str]) -> None:
        """By role."""
        checked = tuple((role, checked_weight(role, weight, f"weights.{role}")) for role, weight in weights.items())
        self._cluster.do(WeightsChanged(caller=self._caller, weights_milli=checked))

    def reserve_resources(self, agent_id: AgentId, resources: Resources) -> None:
        """`resources` as they are to be."""
        change = Reserve(resources=Resources.of(resources))
        self._cluster.do(ResourcesChanged(caller=self._caller, agent_id=agent_id, change=change))

    def unreserve_resources(self, agent_id: AgentId, resources: Resources) -> None:
        """`resources` as they are."""
        change = Unreserve(resources=Resources.of(resources))
        self._cluster.do(ResourcesChanged(caller=self._caller, agent_id=agent_id, change=change))

    def drain_agent(self, agent_id: AgentId, max_grace_ms: int | None = None, *, mark_gone: bool = False) -> None:
        """Nothing is to run there any more."""
        event = DrainAgent(caller=self._caller, agent_id=agent_id, max_grace_ms=max_grace_ms, mark_gone=mark_gone)
        self._cluster.do(event)

    def cancel_drain(self, agent_id: AgentId) -> None:
        """It is to be used again."""
        self._cluster.do(CancelDrain(caller=self._caller, agent_id=agent_id))

    def deactivate_agent(self, agent_id: AgentId) -> None:
        """No offers of it; what runs there goes on."""
        self._cluster.do(AgentActivated(caller=self._caller, agent_id=agent_id, active=False))

    def reactivate_agent(self, agent_id: AgentId) -> None:
        """Offers of it again."""
        self._cluster.do(AgentActivated(caller=self._caller, agent_id=agent_id, active=True))

    def mark_agent_gone(self, agent_id: AgentId) -> None:
        """It will never come back, nor what ran there."""
        self._cluster.do(AgentMarkedGone(caller=self._caller, agent_id=agent_id))

    def teardown(self, framework_id: FrameworkId) -> None:
        """It ends for good."""
        self._cluster.do(OperatorTeardown(caller=self._caller, framework_id=framework_id))
