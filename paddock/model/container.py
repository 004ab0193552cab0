"""A container on an agent: what is asked of the containerizer, and what it is now."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from paddock.model.health import Check, HealthCheck, HealthEvidence
from paddock.model.ids import NO_FRAMEWORK_ID, NO_TASK_ID, AgentId, ContainerId, FrameworkId, TaskId
from paddock.model.resources import Resources
from paddock.model.task import (
    DEFAULT_LOG_POLICY,
    CommandInfo,
    ContainerInfo,
    Evidence,
    KillPolicy,
    LogPolicy,
    ResourceLimits,
    TaskState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIdentity:
    """A user of this host, looked up before the launch: numbers, home and supplementary groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerConfig:
    """Everything about one container that isolators and containerizers may ask. `sandbox` is an absolute path that
    exists.

    `framework_id` and `task_id` are empty for a standalone container. `log_policy` leaves nothing to a default.
    """

    container_id: ContainerId
    agent_id: AgentId
    command: CommandInfo
    resources: Resources
    user: UserIdentity
    sandbox: str
    limits: ResourceLimits = field(default_factory=ResourceLimits)
    container: ContainerInfo = field(default_factory=ContainerInfo)
    kill_policy: KillPolicy = field(default_factory=KillPolicy)
    max_completion_time_ms: int = 0
    framework_id: FrameworkId = NO_FRAMEWORK_ID
    task_id: TaskId = NO_TASK_ID
    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    health_check: HealthCheck | None = None
    check: Check | None = None
    log_policy: LogPolicy = DEFAULT_LOG_POLICY


class ContainerState(Enum):
    """The containerizer's states; the transitions are one table in agentd.core.container_states."""

    PREPARING = "preparing"
    FETCHING = "fetching"
    LAUNCHING = "launching"
    RUNNING = "running"
    DESTROYING = "destroying"
    STUCK = "stuck"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination:
    """How it ended. `wait_status` as waitpid gives it, None when nobody knows; `state`: what a task of it ends with."""

    wait_status: int | None
    state: TaskState
    reason: int
    message: str
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container as it is now. Times are wall clock, 0 where not yet. `pid` in the host's numbering, 0 before it
    exists.

    `stuck` says what the kernel still holds when destroying did not finish; it is tried again. `healthy` None: no check has
    said anything that counts; `health`: what the check that changed it has found.
    """

    config: ContainerConfig
    state: ContainerState
    pid: int = 0
    shim_pid: int = 0
    cgroup_paths: tuple[str, ...] = ()
    created_ns: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    termination: Termination | None = None
    stuck: str = ""
    unapplied: tuple[str, ...] = ()
    healthy: bool | None = None
    health: HealthEvidence | None = None
