"""What the agent's machine wants done. The shell does it in order; see `Checkpoint` for what waits for what."""

from __future__ import annotations

from dataclasses import dataclass

from agentd.core.durable import DurableEntry
from agentd.core.exit_record import ExitRecord
from paddock.model.container import Container, ContainerConfig
from paddock.model.errors import PaddockError
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import ContainerId, FrameworkId, TaskId
from paddock.model.resources import Resources
from paddock.model.task import Reason, ResourceLimits, TaskInfo, TaskState, TaskStatus
from paddock.model.volumes import DestroyedVolume, VolumeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Write this down. Every effect after it, of this event and of later ones, waits until it is durable, except Prepare.

    `relaxed`: nothing waits for it, because something else durable says the same.
    """

    entry: DurableEntry
    relaxed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Make the sandbox and ask every isolator for its plan. Not visible outside, so it does not wait for the checkpoint."""

    config: ContainerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrangeVolumes:
    """Make directories that were never there, and look at the disk: `expect` were there once, `leaving` are to go.

    In order with Prepare, and like it not visible outside: it does not wait for the checkpoint. Answered by VolumesArranged.
    """

    make: tuple[VolumeKey, ...]
    expect: tuple[VolumeKey, ...]
    leaving: tuple[VolumeKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveVolume:
    """Put its directory where nobody reaches it, durably. Nothing there: done. Answered by VolumeRemoved."""

    removal: DestroyedVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class SendVolumesRemoved:
    """To the master: these DESTROYs are carried out. Said again until they are told no more."""

    destroy_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SendVolumesFound:
    """To the master: where the disk and its list do not agree, all of it."""

    troubled: tuple[tuple[VolumeKey, str], ...]
    unknown: tuple[VolumeKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Bring the command's URIs into the sandbox. Visible to others, so it waits for the checkpoint. Answered by Fetched."""

    config: ContainerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelFetch:
    """Nobody wants it any more. The fetch still answers, soon."""

    container_id: ContainerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Hand the prepared plan to the launcher."""

    container_id: ContainerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """Ask the shim: this signal, and after the grace SIGKILL to everything in the container. A later one may only shorten."""

    container_id: ContainerId
    signal: int
    grace_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Ask a shim that did not answer once more, or end what a dead one left. Answered by Started, Ended or Held."""

    container_id: ContainerId


@dataclass(frozen=True, slots=True, kw_only=True)
class FindHolders:
    """Of a container that does not end: who is in it, and waits for what. Answered by HoldersFound, or not at all."""

    container_id: ContainerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """Have the shim write the limits of this config, all or none of them. Answered by Resized."""

    config: ContainerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Ask the isolators when to ask them, and do so."""

    container_id: ContainerId


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckHealth:
    """Check it then (the clock of `now_ns`), once; answered by HealthChecked, or by nothing when it is cancelled.

    `pid`: the command's, in whose network it may have to be asked.
    """

    config: ContainerConfig
    at_ns: int
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelHealthCheck:
    """Nobody wants to know any more; a command that checks is killed."""

    container_id: ContainerId


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeCheck:
    """As CheckHealth, of the check that only informs; answered by CheckMade."""

    config: ContainerConfig
    at_ns: int
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelCheck:
    """As CancelHealthCheck, of the check that only informs."""

    container_id: ContainerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclude:
    """Make sure that nothing remains, take the isolators' evidence, and let them clean up. Answered by Concluded or Held.

    `launched` False: the launcher never heard of it, so there is nothing in the kernel.
    """

    config: ContainerConfig
    record: ExitRecord | None
    launched: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """The log says all of it now: the exit record may go."""

    container_id: ContainerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """A container has changed."""

    version: int
    container: Container


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A task as the agent knows it; the newest status last."""

    framework_id: FrameworkId
    task: TaskInfo
    container_id: ContainerId
    statuses: tuple[TaskStatus, ...]
    unacknowledged_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishTask:
    """A task has changed."""

    version: int
    task: TaskView


@dataclass(frozen=True, slots=True, kw_only=True)
class SendStatus:
    """To the master; it is sent again until it is acknowledged."""

    framework_id: FrameworkId
    status: TaskStatus
    latest_state: TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class SendStandalone:
    """To the master: what standalone containers use now."""

    resources: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class SendTaskResized:
    """To the master: what is in force of a task. `error`: what was wanted is not."""

    framework_id: FrameworkId
    task_id: TaskId
    resources: Resources
    limits: ResourceLimits
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendProblem:
    """To the master: why no new work is taken. It waits for no checkpoint: mostly it tells that there can be none."""

    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendLaunchRefused:
    """To the master: these tasks no longer fit here, or no new work is taken."""

    framework_id: FrameworkId
    task_ids: tuple[TaskId, ...]
    reason: Reason
    message: str
    at_once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """To the caller who waits under this number; `error` None: it is done.

    `at_once`, here and elsewhere: it tells nothing that a restart would not know, so it waits for no checkpoint.
    """

    request_id: int
    error: PaddockError | None = None
    at_once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeAt:
    """TimePassed is wanted then (the clock of `now_ns`), or earlier."""

    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredTask:
    """One task of a registration."""

    framework_id: FrameworkId
    task: TaskInfo
    state: TaskState
    container_id: ContainerId
    resizing: Resources
    """The size that is being tried; empty: none."""
    limits: ResourceLimits
    """In force; those of `task` are as they were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What the agent tells a master first: all it still answers for. (Read with `recovery.registration`, not emitted.)"""

    tasks: tuple[RegisteredTask, ...]
    frameworks: tuple[FrameworkInfo, ...]
    standalone: Resources
    problem: str
    """Why no new work is taken."""


CheckEffect = CheckHealth | CancelHealthCheck | MakeCheck | CancelCheck

ContainerEffect = Launch | Look | Kill | FindHolders | Resize | Watch | CheckEffect | Conclude
"""What is done with a container that exists."""

Effect = (
    ContainerEffect
    | Checkpoint
    | Prepare
    | ArrangeVolumes
    | RemoveVolume
    | Fetch
    | CancelFetch
    | Discard
    | Publish
    | PublishTask
    | SendStatus
    | SendStandalone
    | SendLaunchRefused
    | SendProblem
    | SendVolumesRemoved
    | SendVolumesFound
    | SendTaskResized
    | Answer
    | WakeAt
)
