"""What operators see: values, made from the state when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from masterd.allocator.quota import Quota
from paddock.model.agent import AgentInfo
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, ContainerId, FrameworkId
from paddock.model.offer import Unavailability
from paddock.model.resources import Resources
from paddock.model.task import ResourceLimits, TaskInfo, TaskState, TaskStatus


class AgentState(Enum):
    """RECOVERED: known from the registry only, not heard of since the master started."""

    RECOVERED = "recovered"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    UNREACHABLE = "unreachable"


class FrameworkState(Enum):
    """RECOVERED: known from the registry or an agent, not heard of since the master started."""

    RECOVERED = "recovered"
    SUBSCRIBED = "subscribed"
    DISCONNECTED = "disconnected"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """An operator's wish that nothing runs on an agent any more. `max_grace_ms` None: each task's own grace period.

    `is_done`: no task is left. `mark_gone`: the agent is given up then.
    """

    asked_by: str
    max_grace_ms: int | None = None
    mark_gone: bool = False
    is_done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A task with where it is; `statuses` oldest first."""

    task: TaskInfo
    framework_id: FrameworkId
    framework_name: str
    role: str
    agent_id: AgentId
    hostname: str
    unix_address: str
    tcp_address: str
    container_id: ContainerId
    state: TaskState
    statuses: tuple[TaskStatus, ...]
    limits: ResourceLimits
    """In force; those of `task` are as they were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """An agent with what is taken of it. `registered_ns` is wall clock, 0 when it has not registered here."""

    info: AgentInfo
    state: AgentState
    used: Resources
    offered: Resources
    standalone: Resources
    problem: str
    registered_ns: int
    drain: Drain | None
    deactivated: bool = False
    unavailability: Unavailability | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleView:
    """A role with its subtree's sums, in thousandths by name. `used` and `offered` are its own members' only.

    `share`: the weighted dominant one, None when nobody is in it.
    """

    role: str
    weight_milli: int
    quota: Quota
    consumed_milli: Mapping[str, int]
    reserved_milli: Mapping[str, int]
    used: Resources
    offered: Resources
    framework_ids: tuple[FrameworkId, ...]
    share: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameworkView:
    """A framework with what it has."""

    info: FrameworkInfo
    state: FrameworkState
    suppressed_roles: tuple[str, ...]
    used: Resources
    offered: Resources
    task_count: int
    offer_count: int
    subscribed_ns: int
