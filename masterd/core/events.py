"""What can happen to a master, its form checked at the edge. `stream`: the number of a connection, never used twice."""

from __future__ import annotations

from dataclasses import dataclass

from masterd.allocator.quota import Quota, QuotaChange
from masterd.core.configuration_events import WhitelistChanged
from paddock.model.agent import AgentInfo
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, ContainerId, FrameworkId, OfferId, TaskId
from paddock.model.offer import Change, Filters, Operation, Unavailability
from paddock.model.resources import Resources
from paddock.model.task import KillPolicy, ResourceLimits, TaskInfo, TaskState, TaskStatus
from paddock.model.volumes import VolumeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls: the kernel's word for it (SO_PEERCRED). uid 0 may do everything, another uid what is its own."""

    uid: int
    user: str

    def __str__(self) -> str:
        """For people, with the number: names are given anew."""
        return f"{self.user or 'somebody'} (uid {self.uid})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredTask:
    """A task that a registering agent answers for. `resizing`: the size tried there, or none; `limits`: None: `task`'s."""

    framework_id: FrameworkId
    task: TaskInfo
    state: TaskState
    container_id: ContainerId
    resizing: Resources = Resources()
    limits: ResourceLimits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRegistered:
    """An agent's first message, refused while another stream of this id is alive. `problem`: why it takes no new work."""

    stream: int
    agent: AgentInfo
    tasks: tuple[RegisteredTask, ...] = ()
    frameworks: tuple[FrameworkInfo, ...] = ()
    standalone: Resources = Resources()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStreamLost:
    """The connection ended, for whatever reason."""

    stream: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAnswered:
    """Pong."""

    stream: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReported:
    """A status from an agent. `latest_state` may be further on: an older status can still wait for its acknowledgement."""

    stream: int
    framework_id: FrameworkId
    status: TaskStatus
    latest_state: TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneChanged:
    """What the agent's standalone containers use now."""

    stream: int
    resources: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemReported:
    """Why the agent takes no new work; empty: it does again."""

    stream: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumesRemoved:
    """The agent has carried out these DESTROYs, durably."""

    stream: int
    destroy_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumesFound:
    """Where disk and list differ: volumes that it cannot give to tasks, and why, and those not on the list. All, each time."""

    stream: int
    troubled: tuple[tuple[VolumeKey, str], ...]
    unknown: tuple[VolumeKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResized:
    """What is in force of a task on its agent. `error`: what was wanted is not."""

    stream: int
    framework_id: FrameworkId
    task_id: TaskId
    resources: Resources
    limits: ResourceLimits
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRefused:
    """The agent had no room any more for these tasks, or takes no new work."""

    stream: int
    framework_id: FrameworkId
    task_ids: tuple[TaskId, ...]
    reason: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """A framework begins or takes over its stream of events."""

    stream: int
    caller: Caller
    framework: FrameworkInfo
    suppressed_roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameworkStreamLost:
    """The connection ended, or its reader was too slow. Not `was_told`: before it could hear that it is subscribed."""

    stream: int
    was_told: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameworkCall:
    """What every call of a framework carries: who calls, and in which subscription."""

    caller: Caller
    framework_id: FrameworkId
    subscription_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept(FrameworkCall):
    """Use offers of one agent and role; what is left over is declined with the filters."""

    offer_ids: tuple[OfferId, ...]
    operations: tuple[Operation, ...] = ()
    filters: Filters = Filters()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decline(FrameworkCall):
    """Give offers back. Those that are not held any more are passed over: a rescind may have crossed the call."""

    offer_ids: tuple[OfferId, ...]
    filters: Filters = Filters()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(FrameworkCall):
    """Another size for a running task. `resources`: amounts in the place of those of their names."""

    task_id: TaskId
    resources: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill(FrameworkCall):
    """Stop a task. No policy: the task's own. No agent: wherever it is."""

    task_id: TaskId
    agent_id: AgentId = AgentId("")
    kill_policy: KillPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge(FrameworkCall):
    """The framework has taken note of a status."""

    agent_id: AgentId
    task_id: TaskId
    uuid: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile(FrameworkCall):
    """What does the master know of these tasks; of all when there is none. An agent id may be empty."""

    tasks: tuple[tuple[TaskId, AgentId], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Revive(FrameworkCall):
    """Offers again in these roles (none: all), refusals forgotten."""

    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppress(FrameworkCall):
    """No offers in these roles (none: all)."""

    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Teardown(FrameworkCall):
    """The framework ends for good: its tasks are killed, its id is never accepted again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseOfferAnswered(FrameworkCall):
    """Whether the framework will leave the agent in time."""

    agent_id: AgentId
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorResize:
    """An operator wants another size for a running task: `resources` by their names; `limits`: changed at its agent already."""

    caller: Caller
    framework_id: FrameworkId
    task_id: TaskId
    resources: Resources
    limits: ResourceLimits = ResourceLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorKill:
    """An operator stops a task."""

    caller: Caller
    framework_id: FrameworkId
    task_id: TaskId
    kill_policy: KillPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsChanged:
    """Weights of role paths in thousandths."""

    weights_milli: tuple[tuple[str, int], ...]
    caller: Caller = Caller(uid=0, user="root")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotasChanged:
    """New quotas of roles, each checked by itself already; an empty one removes. `force`: even what cannot be honoured."""

    caller: Caller
    quotas: tuple[tuple[str, Quota], ...]
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotasUpdated:
    """As QuotasChanged; what a change leaves out stays as it is when the event is handled."""

    caller: Caller
    changes: tuple[QuotaChange, ...]
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesChanged:
    """An operator reserves, or makes volumes, or undoes it, on what nobody uses."""

    caller: Caller
    agent_id: AgentId
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentActivated:
    """An operator takes an agent out of use, or back into it."""

    caller: Caller
    agent_id: AgentId
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceUpdated:
    """Hosts get a window, or lose theirs."""

    caller: Caller
    windows: tuple[tuple[str, Unavailability], ...] = ()
    cancelled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTeardown:
    """An operator ends a framework for good."""

    caller: Caller
    framework_id: FrameworkId


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMarkedGone:
    """An operator says that the agent will never come back, nor its tasks."""

    agent_id: AgentId
    caller: Caller = Caller(uid=0, user="root")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainAgent:
    """An operator wants nothing to run on an agent any more; a later one replaces an earlier one."""

    caller: Caller
    agent_id: AgentId
    max_grace_ms: int | None = None
    mark_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelDrain:
    """The agent is to be used again."""

    caller: Caller
    agent_id: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleDue:
    """Time to allocate. `batch`: the timer's run over all agents."""

    batch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passed: pings, heartbeats, deadlines. Wanted about once a second. `takes_nobody`: no framework can come back now."""

    takes_nobody: bool = False


Event = (
    AgentRegistered
    | AgentStreamLost
    | AgentAnswered
    | StatusReported
    | StandaloneChanged
    | LaunchRefused
    | ProblemReported
    | VolumesRemoved
    | VolumesFound
    | TaskResized
    | Resize
    | OperatorResize
    | Subscribe
    | FrameworkStreamLost
    | Accept
    | Decline
    | Kill
    | Acknowledge
    | Reconcile
    | Revive
    | Suppress
    | Teardown
    | OperatorKill
    | WeightsChanged
    | QuotasChanged
    | QuotasUpdated
    | ResourcesChanged
    | AgentActivated
    | MaintenanceUpdated
    | OperatorTeardown
    | InverseOfferAnswered
    | AgentMarkedGone
    | DrainAgent
    | CancelDrain
    | WhitelistChanged
    | CycleDue
    | Tick
)
