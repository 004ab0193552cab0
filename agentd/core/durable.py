"""What survives the agent: the entries of its log. Applied in order they give the durable part of its state again."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.model.container import ContainerConfig, Termination
from paddock.model.framework import FrameworkInfo
from paddock.model.health import HealthEvidence
from paddock.model.ids import ContainerId, FrameworkId, TaskId
from paddock.model.resources import Resources
from paddock.model.statistics import Limitation
from paddock.model.task import KillPolicy, Reason, ResourceLimits, TaskInfo, TaskStatus
from paddock.model.volumes import DestroyedVolume, VolumeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerLaunched:
    """Written before the launcher hears of it. `boot_id`: pids of another boot are never trusted."""

    config: ContainerConfig
    created_ns: int
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStopping:
    """Why it is being ended: a limitation, or else somebody's wish (`by` says whose, `reason` what kind of wish)."""

    container_id: ContainerId
    policy: KillPolicy
    limitation: Limitation | None = None
    by: str = ""
    reason: Reason = Reason.KILL_REQUESTED


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerResizing:
    """Written before the kernel hears of the new size, whole: an agent that dies in between does it again. `by` says whose
    wish it is.
    """

    container_id: ContainerId
    resources: Resources
    limits: ResourceLimits
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerResized:
    """The new size is in force, or (`applied` False) the old one still is."""

    container_id: ContainerId
    applied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerHealth:
    """What its checks have said last. Of a task's container the task's statuses say it, and this is not written."""

    container_id: ContainerId
    healthy: bool
    evidence: HealthEvidence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEnded:
    """Nothing of it remains. May be written after it was told: the exit record says the same."""

    container_id: ContainerId
    pid: int
    shim_pid: int
    started_ns: int
    ended_ns: int
    termination: Termination


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerForgotten:
    """One of the oldest ended containers made room."""

    container_id: ContainerId


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAccepted:
    """`container_id` is empty when the task could not even get one."""

    framework: FrameworkInfo
    task: TaskInfo
    container_id: ContainerId


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWithdrawn:
    """The master was told that it was never launched."""

    framework_id: FrameworkId
    task_id: TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusQueued:
    """Written before it is sent."""

    framework_id: FrameworkId
    status: TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAcknowledged:
    """The framework has it. After the terminal one the task is forgotten."""

    framework_id: FrameworkId
    task_id: TaskId
    uuid: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumesTold:
    """All persistent volumes that this agent has, by its master's word, and the DESTROYs that are to be carried out or are not
    known to be confirmed. Written before anything is removed.
    """

    volumes: Resources
    destroyed: tuple[DestroyedVolume, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumesMade:
    """Their directories are there, durably."""

    volumes: tuple[VolumeKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeGone:
    """A DESTROY is carried out: the directory is out of everybody's reach. Written before the master hears of it."""

    destroy_id: str


DurableEntry = (
    ContainerLaunched
    | ContainerStopping
    | ContainerResizing
    | ContainerResized
    | ContainerHealth
    | ContainerEnded
    | ContainerForgotten
    | TaskAccepted
    | TaskWithdrawn
    | StatusQueued
    | StatusAcknowledged
    | VolumesTold
    | VolumesMade
    | VolumeGone
)
