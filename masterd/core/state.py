"""Everything that the master knows, in one object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from masterd.allocator.interface import Allocator, FrameworkTraits, Shuffler
from masterd.allocator.quota import Quota
from masterd.core.authorizer import AllowAll, Authorizer
from masterd.core.effects import AgentMessage, Effect, FrameworkMessage, TaskChanged, TellKill, ToAgent, ToFramework
from masterd.core.tally import Tally
from masterd.core.transitions import AGENT_TRANSITIONS, FRAMEWORK_TRANSITIONS, AgentEvent, FrameworkEvent
from masterd.core.views import AgentState, Drain, FrameworkState, TaskView
from paddock.model.agent import AgentInfo, DomainInfo, MasterInfo
from paddock.model.errors import InvalidTransition
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, ContainerId, FrameworkId, OfferId, TaskId
from paddock.model.offer import Offer, Unavailability
from paddock.model.resource_text import Attribute
from paddock.model.resources import Resources, excess
from paddock.model.task import ResourceLimits, StatusSource, TaskInfo, TaskState, TaskStatus
from paddock.model.volumes import DestroyedVolume, VolumeKey

NS_PER_MS = 1_000_000
STATUSES_LIMIT_COUNT = 20
"""Of one task; the first and the newest ones are kept."""

COMPLETED_TASKS_LIMIT_COUNT = 1_000
"""Remembered of one framework."""

COMPLETED_FRAMEWORKS_LIMIT_COUNT = 50
"""Remembered with their tasks."""

REFUSED_IDS_LIMIT_COUNT = 10_000
"""Ids of frameworks that have ended, here and in the registry. An older one would begin anew, with nothing of its own."""

ALIKE_LIMIT_COUNT = 10_000
"""Different attributes and domains that are looked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The numbers of Mesos, where it has them. `offer_timeout_ms` 0: offers do not end by themselves.

    `roles`: only these may be subscribed with, or have a quota or a weight; None: all.
    """

    ping_interval_ms: int = 15_000
    ping_limit_count: int = 5
    reregister_timeout_ms: int = 600_000
    resubscribe_grace_ms: int = 60_000
    framework_limit_count: int = 10_000
    heartbeat_interval_ms: int = 15_000
    offer_timeout_ms: int = 0
    unreachable_age_limit_ms: int = 1_209_600_000
    unreachable_limit_count: int = 102_400
    roles: frozenset[str] | None = None

    @property
    def silence_limit_ns(self) -> int:
        """An agent that was not heard for so long is out of reach."""
        return self.ping_interval_ms * self.ping_limit_count * NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Resizing:
    """All that a task is to have, reserved beside what it has, until its agent has said what is in force."""

    resources: Resources
    asked_by: str


@dataclass(slots=True, kw_only=True)
class TaskEntry:
    """A task. `released`: its resources went back; that happens once, at the first terminal state that is seen.

    `duplicate`: an agent came back with it while its framework has the same id elsewhere. It is killed; nobody hears of it.
    """

    info: TaskInfo
    framework_id: FrameworkId
    role: str
    agent_id: AgentId
    state: TaskState
    limits: ResourceLimits
    """In force, as its agent said last; `info` keeps those that were asked for."""
    container_id: ContainerId = ContainerId("")
    statuses: list[TaskStatus] = field(default_factory=list)
    released: bool = False
    duplicate: bool = False
    resizing: Resizing | None = None
    resize_error: str = ""
    """Why the last size that was wanted is not in force; empty: it is, or there was none."""

    @property
    def held(self) -> Resources:
        """What the accounts have for it: all that it has, and what it may be growing by just now."""
        own = self.info.resources.unallocated()
        return own if self.resizing is None else own + excess(self.resizing.resources.unallocated(), own)

    def note(self, status: TaskStatus) -> None:
        """Keep the status; in the middle of a long history the oldest but one goes."""
        if any(status.uuid and status.uuid == known.uuid for known in self.statuses):
            return
        self.statuses.append(status)
        if len(self.statuses) > STATUSES_LIMIT_COUNT:
            del self.statuses[1]


TaskKey = tuple[FrameworkId, TaskId]


@dataclass(slots=True, kw_only=True)
class AgentEntry:
    """An agent. `stream` is None unless CONNECTED; at `deadline_ns` silence becomes UNREACHABLE, and that is forgotten.

    `configured`: its resources as it last said them; `info` has them with what was reserved and made volumes since.
    """

    info: AgentInfo
    state: AgentState
    stream: int | None = None
    tasks: dict[TaskKey, TaskEntry] = field(default_factory=dict)
    offers: dict[OfferId, None] = field(default_factory=dict)
    standalone: Resources = field(default_factory=Resources)
    configured: Resources = field(default_factory=Resources)
    pending_kills: dict[TaskKey, TellKill] = field(default_factory=dict)
    drain: Drain | None = None
    problem: str = ""
    """Why it takes no new work, in its own words."""
    destroyed: dict[str, DestroyedVolume] = field(default_factory=dict)
    """By their ids: the DESTROYs that it has not confirmed."""
    volume_problems: dict[VolumeKey, str] = field(default_factory=dict)
    unknown_volumes: tuple[VolumeKey, ...] = ()
    """What it said last of its disk."""
    registered_ns: int = 0
    ping_sequence: int = 0
    answered_sequence: int = 0
    missed_count: int = 0
    next_ping_ns: int = 0
    deadline_ns: int = 0

    def move(self, event: AgentEvent) -> None:
        """By the table, or InvalidTransition."""
        after = AGENT_TRANSITIONS.get((self.state, event))
        if after is None:
            raise InvalidTransition(f"agent {self.info.agent_id}", self.state.value, event.value)
        self.state = after

    @property
    def living_task_count(self) -> int:
        """Those that have not ended."""
        return sum(not task.state.is_terminal for task in self.tasks.values())


@dataclass(slots=True, kw_only=True)
class FrameworkEntry:
    """A framework. `stream` is None unless SUBSCRIBED. `unreachable` tasks may come back with their agent.

    `deadline_is_saved`: of one that has not come back since the start, the next start will know how long it has left.
    `unanswered`: tasks that this subscription asked for, by the agent that must be back before anybody can say.
    `asked_for_all`: it asked for all its tasks while agents were not back. `named_on_stream`: where it hears of the id that it
    was given; nobody else knows it.
    """

    info: FrameworkInfo
    state: FrameworkState
    stream: int | None = None
    named_on_stream: int | None = None
    subscription_id: str = ""
    suppressed_roles: set[str] = field(default_factory=set)
    tasks: dict[TaskId, TaskEntry] = field(default_factory=dict)
    unreachable: dict[TaskId, TaskEntry] = field(default_factory=dict)
    completed: dict[TaskId, TaskEntry] = field(default_factory=dict)
    offers: dict[OfferId, None] = field(default_factory=dict)
    unanswered: dict[AgentId, dict[TaskId, None]] = field(default_factory=dict)
    asked_for_all: bool = False
    subscribed_ns: int = 0
    deadline_ns: int = 0
    deadline_is_saved: bool = False
    next_heartbeat_ns: int = 0

    def move(self, event: FrameworkEvent) -> None:
        """By the table, or InvalidTransition."""
        after = FRAMEWORK_TRANSITIONS.get((self.state, event))
        if after is None:
            raise InvalidTransition(f"framework {self.info.framework_id}", self.state.value, event.value)
        self.state = after

    @property
    def is_partition_aware(self) -> bool:
        """Understands UNREACHABLE, DROPPED, GONE…; others are told LOST."""
        return FrameworkCapability.PARTITION_AWARE in self.info.capabilities

    def as_it_understands(self, state: TaskState) -> TaskState:
        """The state in the framework's words."""
        return state if self.is_partition_aware or state not in _AWARE_ONLY else TaskState.LOST

    def finish(self, task: TaskEntry) -> None:
        """The task is over and nobody waits for it: into the bounded history."""
        self.tasks.pop(task.info.task_id, None)
        self.unreachable.pop(task.info.task_id, None)
        self.completed.pop(task.info.task_id, None)
        self.completed[task.info.task_id] = task
        if len(self.completed) > COMPLETED_TASKS_LIMIT_COUNT:
            del self.completed[next(iter(self.completed))]


_AWARE_ONLY = frozenset(
    {TaskState.DROPPED, TaskState.UNREACHABLE, TaskState.GONE, TaskState.GONE_BY_OPERATOR, TaskState.UNKNOWN}
)


def traits_of(info: FrameworkInfo, suppressed_roles: Iterable[str] = ()) -> FrameworkTraits:
    """What the allocator is to know of a framework."""
    return FrameworkTraits(
        roles=frozenset(info.roles),
        suppressed_roles=frozenset(suppressed_roles),
        capabilities=info.capabilities,
        minimums={
            terms.role: tuple(map(dict, terms.minimum)) for terms in info.offer_terms if terms.minimum is not None
        },
        constraints={terms.role: terms.constraints for terms in info.offer_terms if terms.constraints},
    )


class OfferEntry(NamedTuple):
    """An offer that waits for its answer. `resources` are without the allocation mark, as the allocator counts."""

    offer: Offer
    resources: Resources
    created_ns: int


@dataclass(slots=True, kw_only=True)
class MasterState:
    """The whole. Changed by the core's machine only; read by operators' calls between two events.

    `leases_ms`: when the first lease of a reservation ends, by agent. `maintenance`: by host; of the hosts in
    `begun_hostnames` the window has begun. `nobody_fails_before_ns`: until then frameworks could not come back, or have had
    too little time for it.
    """

    master: MasterInfo
    settings: Settings
    allocator: Allocator
    shuffler: Shuffler
    agents: dict[AgentId, AgentEntry] = field(default_factory=dict)
    frameworks: dict[FrameworkId, FrameworkEntry] = field(default_factory=dict)
    completed_frameworks: dict[FrameworkId, FrameworkEntry] = field(default_factory=dict)
    refused_framework_ids: dict[FrameworkId, None] = field(default_factory=dict)
    alike: dict[tuple[tuple[Attribute, ...], DomainInfo], tuple[tuple[Attribute, ...], DomainInfo]] = field(
        default_factory=dict
    )
    offers: dict[OfferId, OfferEntry] = field(default_factory=dict)
    agent_of_stream: dict[int, AgentId] = field(default_factory=dict)
    framework_of_stream: dict[int, FrameworkId] = field(default_factory=dict)
    weights_milli: dict[str, int] = field(default_factory=dict)
    quotas: dict[str, Quota] = field(default_factory=dict)
    gone_agent_ids: dict[AgentId, None] = field(default_factory=dict)
    leases_ms: dict[AgentId, int] = field(default_factory=dict)
    deactivated_agent_ids: dict[AgentId, None] = field(default_factory=dict)
    maintenance: dict[str, Unavailability] = field(default_factory=dict)
    begun_hostnames: set[str] = field(default_factory=set)
    inverse_answers: dict[tuple[str, AgentId, FrameworkId], bool] = field(default_factory=dict)
    authorizer: Authorizer = field(default_factory=AllowAll)
    framework_count: int = 0
    offer_count: int = 0
    subscription_count: int = 0
    destroy_count: int = 0
    nobody_fails_before_ns: int = 0
    task_version: int = 0
    tally: Tally = field(default_factory=Tally)

    def view(self, task: TaskEntry) -> TaskView:
        """The task for operators."""
        agent = self.agents.get(task.agent_id)
        framework = self.framework(task.framework_id)
        return TaskView(
            task=task.info,
            framework_id=task.framework_id,
            framework_name=framework.info.name if framework else "",
            role=task.role,
            agent_id=task.agent_id,
            hostname=agent.info.hostname if agent else "",
            unix_address=agent.info.unix_address if agent else "",
            tcp_address=agent.info.tcp_address if agent else "",
            container_id=task.container_id,
            state=task.state,
            statuses=tuple(task.statuses),
            limits=task.limits,
        )

    def sharing_what_is_alike(self, info: AgentInfo) -> AgentInfo:
        """With the attributes and the domain of an agent that said the same: offers of both are then written from one copy."""
        if len(self.alike) >= ALIKE_LIMIT_COUNT:
            self.alike.clear()
        said = (info.attributes, info.domain)
        attributes, domain = self.alike.setdefault(said, said)
        return replace(info, attributes=attributes, domain=domain)

    def refuse_from_now_on(self, framework_id: FrameworkId) -> None:
        """The framework has ended."""
        self.refused_framework_ids[framework_id] = None
        if len(self.refused_framework_ids) > REFUSED_IDS_LIMIT_COUNT:
            del self.refused_framework_ids[next(iter(self.refused_framework_ids))]

    def framework(self, framework_id: FrameworkId) -> FrameworkEntry | None:
        """Living or completed."""
        return self.frameworks.get(framework_id) or self.completed_frameworks.get(framework_id)


@dataclass(slots=True, kw_only=True)
class Turn:
    """The handling of one event: the state, the two clocks, and the effects so far."""

    state: MasterState
    now_ns: int
    wall_ns: int
    effects: list[Effect] = field(default_factory=list)

    def tell(self, agent: AgentEntry, message: AgentMessage) -> None:
        """To the agent, when it is connected."""
        if agent.stream is not None:
            self.effects.append(ToAgent(stream=agent.stream, message=message))

    def note(self, framework: FrameworkEntry, message: FrameworkMessage) -> None:
        """To the framework, when it is subscribed."""
        if framework.stream is not None:
            self.effects.append(ToFramework(stream=framework.stream, message=message))

    def changed(self, task: TaskEntry) -> None:
        """Tell whoever watches."""
        self.state.task_version += 1
        self.effects.append(TaskChanged(version=self.state.task_version, task=self.state.view(task)))

    def status(self, task_id: TaskId, agent_id: AgentId, state: TaskState, reason: int, message: str) -> TaskStatus:
        """A status of the master's own: without uuid, so it is not acknowledged and not repeated."""
        said = TaskStatus(
            task_id=task_id,
            agent_id=agent_id,
            state=state,
            source=StatusSource.MASTER,
            reason=reason,
            message=message,
            timestamp_ns=self.wall_ns,
        )
        return self.state.tally.counted(said)

    def release(self, task: TaskEntry) -> None:
        """Its resources go back, once, without a filter."""
        if task.released:
            return
        task.released = True
        self.state.allocator.recover(
            task.framework_id,
            task.role,
            task.agent_id,
            task.held,
            refuse_ms=None,
            now_ns=self.now_ns,
            in_use=True,
        )
        task.resizing = None
