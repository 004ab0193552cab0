"""What the core wants done. The shell carries effects out in their order; what follows a Save waits until it is durable."""

from __future__ import annotations

from dataclasses import dataclass, field

from masterd.allocator.quota import Quota
from masterd.core.views import Drain, TaskView
from paddock.model.errors import PaddockError
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId, OfferId, TaskId
from paddock.model.offer import Offer, Unavailability
from paddock.model.resources import Resources
from paddock.model.task import KillPolicy, Reason, TaskInfo, TaskStatus
from paddock.model.volumes import DestroyedVolume

# --- to an agent ---


@dataclass(frozen=True, slots=True, kw_only=True)
class TellRegistered:
    """The agent is admitted, and this was made durable."""

    agent_id: AgentId
    ping_interval_ms: int
    ping_limit_count: int
    volumes: Resources = field(default_factory=Resources)
    destroyed: tuple[DestroyedVolume, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TellVolumes:
    """All its volumes, and the DESTROYs that it has not confirmed."""

    volumes: Resources
    destroyed: tuple[DestroyedVolume, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TellLaunch:
    """Start these tasks."""

    framework: FrameworkInfo
    tasks: tuple[TaskInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TellKill:
    """Stop this task. `asked_by`: in words for its status."""

    framework_id: FrameworkId
    task_id: TaskId
    kill_policy: KillPolicy
    asked_by: str
    reason: Reason = Reason.KILL_REQUESTED


@dataclass(frozen=True, slots=True, kw_only=True)
class TellResize:
    """Give this task all of these resources, and no others. What it grows by is reserved."""

    framework_id: FrameworkId
    task_id: TaskId
    resources: Resources
    asked_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TellAcknowledged:
    """The status need not be sent again."""

    framework_id: FrameworkId
    task_id: TaskId
    uuid: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TellPing:
    """Are you there."""

    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TellFrameworkGone:
    """Kill what is left of the framework and forget it."""

    framework_id: FrameworkId


@dataclass(frozen=True, slots=True, kw_only=True)
class TellReconcile:
    """Do you have this task? Its status is the answer."""

    framework_id: FrameworkId
    task_id: TaskId


AgentMessage = (
    TellRegistered
    | TellVolumes
    | TellLaunch
    | TellKill
    | TellResize
    | TellAcknowledged
    | TellPing
    | TellFrameworkGone
    | TellReconcile
)

# --- to a framework ---


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSubscribed:
    """The first event of a subscription."""

    framework_id: FrameworkId
    subscription_id: str
    heartbeat_interval_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteOffers:
    """New offers."""

    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRescinded:
    """The offer is no longer valid."""

    offer_id: OfferId


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteStatus:
    """A task's status; wants an acknowledgement when it has a uuid."""

    status: TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteAgentFailed:
    """An agent is out of reach."""

    agent_id: AgentId
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteError:
    """The subscription is over."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteHeartbeat:
    """The stream is alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteOperation:
    """What became of an operation; `error` is empty when it was done."""

    operation_id: str
    agent_id: AgentId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteInverseOffer:
    """Leave the agent in time."""

    agent_id: AgentId
    hostname: str
    unavailability: Unavailability


FrameworkMessage = (
    NoteSubscribed
    | NoteOffers
    | NoteRescinded
    | NoteStatus
    | NoteAgentFailed
    | NoteOperation
    | NoteInverseOffer
    | NoteError
    | NoteHeartbeat
)

# --- effects ---


@dataclass(frozen=True, slots=True, kw_only=True)
class ToAgent:
    """Send on the agent's stream."""

    stream: int
    message: AgentMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class ToFramework:
    """Send on the framework's stream."""

    stream: int
    message: FrameworkMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAgentStream:
    """End it with the error, after what was sent before."""

    stream: int
    error: PaddockError


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseFrameworkStream:
    """End it, after what was sent before."""

    stream: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveAgent:
    """The agent was admitted, or is out of reach: `unreachable_ns`, wall clock, is then set."""

    agent_id: AgentId
    hostname: str
    unix_address: str
    tcp_address: str
    unreachable_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetAgent:
    """The agent was out of reach, or gone, for so long that nobody asks for it any more; or too many others are."""

    agent_id: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveFramework:
    """The framework subscribed, lost its stream (`failover_deadline_ns`, wall clock, is then set), or has ended."""

    framework: FrameworkInfo
    failover_deadline_ns: int | None
    completed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveWeights:
    """All weights that are not 1, in thousandths."""

    weights_milli: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveQuotas:
    """All quotas that there are."""

    quotas: tuple[tuple[str, Quota], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveAgentGone:
    """The agent is never admitted again."""

    agent_id: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveAgentResources:
    """What of the agent is reserved and made volumes, and what it was when it was configured. `lost`: for the log.
    `destroyed`: what it has not confirmed.
    """

    agent_id: AgentId
    configured: Resources
    resources: Resources
    lost: Resources = field(default_factory=Resources)
    destroyed: tuple[DestroyedVolume, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDeactivated:
    """An operator has taken the agent out of use, or back into it."""

    agent_id: AgentId
    deactivated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveMaintenance:
    """All windows that there are, by host."""

    windows: tuple[tuple[str, Unavailability], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDrain:
    """The agent is being drained, has been, or (None) is not any more."""

    agent_id: AgentId
    drain: Drain | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChanged:
    """For whoever watches tasks. `version` grows by one with each."""

    version: int
    task: TaskView


Save = (
    SaveAgent
    | ForgetAgent
    | SaveAgentGone
    | SaveDrain
    | SaveAgentResources
    | SaveDeactivated
    | SaveMaintenance
    | SaveFramework
    | SaveWeights
    | SaveQuotas
)
Effect = ToAgent | ToFramework | CloseAgentStream | CloseFrameworkStream | Save | TaskChanged
