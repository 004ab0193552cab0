"""What can happen to an agent. Everything that its machine may know comes in here; nothing is asked."""

from __future__ import annotations

from dataclasses import dataclass

from agentd.core.exit_record import ExitRecord
from paddock.model.container import ContainerConfig
from paddock.model.errors import PaddockError
from paddock.model.framework import FrameworkInfo
from paddock.model.health import HealthEvidence
from paddock.model.ids import ContainerId, FrameworkId, TaskId
from paddock.model.resources import Resources
from paddock.model.statistics import Limitation
from paddock.model.task import Evidence, KillPolicy, LaunchFailure, Reason, ResourceLimits, TaskInfo
from paddock.model.volumes import DestroyedVolume, VolumeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchStandalone:
    """An operator wants a container. Answered under `request_id` when it is durable and every isolator agreed, or refused."""

    request_id: int
    config: ContainerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLaunch:
    """One task with its container's configuration, or the reason why it can have none (a user that does not exist)."""

    task: TaskInfo
    config: ContainerConfig | None
    problem: LaunchFailure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchTasks:
    """The master launches. Tasks that are known already are left alone: the message may come twice."""

    framework: FrameworkInfo
    launches: tuple[TaskLaunch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Sandbox and plan are there."""

    container_id: ContainerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Nothing of the fetch runs any more. `failure` None: all URIs are in the sandbox."""

    container_id: ContainerId
    failure: LaunchFailure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchProgressed:
    """A launch that takes its time has come so far: an image that is being pulled."""

    container_id: ContainerId
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRefused:
    """`error` is what a direct caller gets."""

    container_id: ContainerId
    failure: LaunchFailure
    error: PaddockError


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The command exists, in the host's numbering."""

    container_id: ContainerId
    pid: int
    shim_pid: int
    started_ns: int
    cgroup_paths: tuple[str, ...]
    unapplied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchFailed:
    """The launcher or the shim could not."""

    container_id: ContainerId
    failure: LaunchFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end is known. `record` None: there is neither a shim nor a record, so the launch never arrived."""

    container_id: ContainerId
    record: ExitRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Concluded:
    """The isolators have said what they saw, and have cleaned up; nothing remains."""

    container_id: ContainerId
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Something remains, in words for the operator."""

    container_id: ContainerId
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldersFound:
    """Who does not die of SIGKILL, and what the kernel lets them wait for."""

    container_id: ContainerId
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """An isolator saw a limit met. `evidence`: what was measured just then."""

    limitation: Limitation
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChecked:
    """A check that was asked for has been made."""

    container_id: ContainerId
    evidence: HealthEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckMade:
    """A check that only informs, and was asked for, has been made."""

    container_id: ContainerId
    evidence: HealthEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class KillContainer:
    """An operator's kill. `policy` None: the container's own. `by` names who asked."""

    request_id: int
    container_id: ContainerId
    policy: KillPolicy | None
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeContainer:
    """Another size for a running container: `resources` names what changes, a limit that is None stays. Answered under
    `request_id` when the new size is in force and durable, or refused.
    """

    request_id: int
    container_id: ContainerId
    resources: Resources
    limits: ResourceLimits
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeTask:
    """The master has accounted for another size of a task: `resources` is all that it is to have. May come again."""

    framework_id: FrameworkId
    task_id: TaskId
    resources: Resources
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """The size that was tried is in force; with `error` the one before it still is."""

    container_id: ContainerId
    error: PaddockError | None = None
    unapplied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KillTask:
    """A kill through the master: the framework's, an operator's, or the master's own; `by` says whose."""

    framework_id: FrameworkId
    task_id: TaskId
    policy: KillPolicy | None
    by: str = "the framework"
    reason: Reason = Reason.KILL_REQUESTED


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgeStatus:
    """The framework has this status."""

    framework_id: FrameworkId
    task_id: TaskId
    uuid: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileTask:
    """The master believes that this task is here."""

    framework_id: FrameworkId
    task_id: TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFramework:
    """Kill all its tasks and forget it."""

    framework_id: FrameworkId


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterConnected:
    """The master has registered this agent. `problem`: what the registration said of new work."""

    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterDisconnected:
    """Statuses wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterVolumes:
    """The master's whole list of this agent's volumes, and the DESTROYs that it has not heard the end of."""

    volumes: Resources
    destroyed: tuple[DestroyedVolume, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumesArranged:
    """The disk as it is now: `made` are there, durably; of the others that should be there `troubled` says what is wrong."""

    made: tuple[VolumeKey, ...]
    troubled: tuple[tuple[VolumeKey, str], ...] = ()
    unknown: tuple[VolumeKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRemoved:
    """Its directory is out of everybody's reach; with `problem` it is where it was."""

    destroy_id: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryEnded:
    """Every restored container was found alive, found ended, or not found, and the machine has been told of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChanged:
    """The Docker engine answers again, or does not any more. `words`: one line about it."""

    reachable: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBlocked:
    """Nothing can be made durable: `problem` says why, and may change. Empty: everything is durable again.

    `unwritten`: containers of which nothing is durable yet. Nothing was done for them but their preparation.
    """

    problem: str
    unwritten: tuple[ContainerId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """A wish of WakeAt came true, or nothing at all: it is level-triggered."""


Event = (
    LaunchStandalone
    | LaunchTasks
    | Prepared
    | Fetched
    | LaunchProgressed
    | PrepareRefused
    | Started
    | LaunchFailed
    | Ended
    | Concluded
    | Held
    | HoldersFound
    | Limited
    | HealthChecked
    | CheckMade
    | KillContainer
    | ResizeContainer
    | ResizeTask
    | Resized
    | KillTask
    | AcknowledgeStatus
    | ReconcileTask
    | RemoveFramework
    | MasterConnected
    | MasterDisconnected
    | MasterVolumes
    | VolumesArranged
    | VolumeRemoved
    | RecoveryEnded
    | EngineChanged
    | LogBlocked
    | TimePassed
)
