"""What master and agent tell about themselves: model values, and the wire's own message as JSON text for `-o json`.

`document` keeps the wire's field names and enum names, so that it reads the same as what grpcurl prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paddock.model.agent import AgentInfo, MasterInfo
from paddock.model.container import Termination
from paddock.model.docker import DockerInfo
from paddock.model.framework import FrameworkInfo
from paddock.model.health import HealthCheck, HealthEvidence
from paddock.model.offer import Offer, Unavailability
from paddock.model.resources import Resources
from paddock.model.statistics import EffectiveLimit, ResourceStatistics
from paddock.model.task import KillPolicy, ResourceLimits, TaskInfo, TaskState, TaskStatus

AWAITED = "not back since the master's start"
"""Of a state's agents and frameworks: known from the registry, and not heard of yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A task as the master knows it; `statuses` go oldest first. `container_id` is empty before the agent named one."""

    task: TaskInfo
    state: TaskState
    statuses: tuple[TaskStatus, ...]
    framework_id: str
    framework_name: str
    role: str
    agent_id: str
    hostname: str
    container_id: str
    agent_unix_address: str
    agent_tcp_address: str
    limits: ResourceLimits
    """In force; those of `task` are as they were asked for."""
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainView:
    """How an agent is drained. `max_grace_ms` None: each task has its own grace period."""

    asked_by: str
    max_grace_ms: int | None
    mark_gone: bool
    is_done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """An agent as the master knows it; `state` is active, draining, drained, disconnected or unreachable.

    `problem`: why it takes no new work.
    """

    info: AgentInfo
    state: str
    used: Resources
    offered: Resources
    standalone: Resources
    problem: str
    registered_ns: int
    document: str
    deactivated: bool = False
    unavailability: Unavailability | None = None
    drain: DrainView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameworkView:
    """A framework as the master knows it."""

    info: FrameworkInfo
    active: bool
    connected: bool
    used: Resources
    offered: Resources
    subscribed_ns: int
    task_count: int
    offer_count: int
    suppressed_roles: tuple[str, ...]
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferView:
    """An offer that a framework holds now."""

    offer: Offer
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateView:
    """A master in numbers, by name in the order in which to tell them; resources in thousandths.

    `special_agents` are among the `agents`.
    """

    master: MasterInfo
    started_ns: int
    agents: Mapping[str, int]
    special_agents: Mapping[str, int]
    frameworks: Mapping[str, int]
    tasks: Mapping[str, int]
    role_count: int
    offer_count: int
    recovering: bool
    problem: str
    total_milli: Mapping[str, int]
    used_milli: Mapping[str, int]
    standalone_milli: Mapping[str, int]
    offered_milli: Mapping[str, int]
    free_milli: Mapping[str, int]
    reserved_milli: Mapping[str, int]
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KillView:
    """How a task is killed. `waits_for_agent`: its agent is away, and hears of it when it is back."""

    policy: KillPolicy
    waits_for_agent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """A container as its agent knows it. Times are wall clock, 0 where not yet."""

    container_id: str
    state: str
    framework_id: str
    task_id: str
    name: str
    pid: int
    shim_pid: int
    user: str
    sandbox: str
    cgroup_paths: tuple[str, ...]
    created_ns: int
    started_ns: int
    ended_ns: int
    termination: Termination | None
    stuck: str
    unapplied: tuple[str, ...]
    resources: Resources
    limits: ResourceLimits
    document: str
    health_check: HealthCheck | None = None
    healthy: bool | None = None
    health: HealthEvidence | None = None
    docker: DockerInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsView:
    """What a container uses."""

    container_id: str
    statistics: ResourceStatistics
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """One asked resource and what the kernel enforces for it."""

    limit: EffectiveLimit
    document: str
