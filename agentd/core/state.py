"""The agent's state: one object, changed by its machine only, and what survives of it through the ledger only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from agentd.core.durable import ContainerHealth, ContainerResizing, ContainerStopping
from agentd.core.effects import TaskView
from agentd.core.exit_record import ExitRecord
from agentd.core.health import HealthWatch
from agentd.core.status_updates import StatusStream
from agentd.core.volume_book import VolumeBook
from paddock.model.container import Container, ContainerConfig, ContainerState, Termination
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, ContainerId, FrameworkId, TaskId
from paddock.model.resources import Resources
from paddock.model.task import LaunchFailure, TaskInfo, TaskState, TaskStatus

STATUSES_KEPT_COUNT = 64
"""Of one task, for its view. What is not acknowledged is kept apart from this."""


COMMAND_SHOWN_BYTES = 16 * 1024
"""Of a command and its environment, for views and after the end. Whole they may have 2 MiB, a thousand times over."""


def shown_config(config: ContainerConfig) -> ContainerConfig:
    """The config for who only looks at it: the same, unless the command is long; then cut, and without environment and URIs."""
    command = config.command
    variables = (word for pair in command.environment for word in pair)
    words = (command.value, *command.arguments, *variables, *(uri.value for uri in command.uris))
    if len("".join(words).encode()) + len(words) <= COMMAND_SHOWN_BYTES:
        return config
    room = COMMAND_SHOWN_BYTES // 4  # a character has up to four bytes
    arguments = []
    for argument in command.arguments:
        arguments.append(argument if len(argument) < room else f"{argument[:room]}…")
        room -= len(argument) + 1
        if room <= 0:
            break
    value = command.value if len(command.value) <= room else f"{command.value[: max(room, 0)]}…"
    return replace(config, command=replace(command, value=value, arguments=tuple(arguments), environment=(), uris=()))


@dataclass(slots=True, kw_only=True)
class ContainerEntry:
    """One container. `launched`: the launcher may have heard of it."""

    config: ContainerConfig
    created_ns: int
    boot_id: str
    counted: Resources
    """What it took off `free`: all it asked for, unless the operator made the agent smaller than what lives on it."""
    state: ContainerState = ContainerState.PREPARING
    request_id: int = 0
    """Of who waits for its launch."""
    is_prepared: bool = False
    launched: bool = False
    pid: int = 0
    shim_pid: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    cgroup_paths: tuple[str, ...] = ()
    unapplied: tuple[str, ...] = ()
    stopping: ContainerStopping | None = None
    resizing: ContainerResizing | None = None
    """A size that is being tried. Until its outcome is known the larger of old and new is taken off `free`."""
    resize_request_id: int = 0
    owes_limits: bool = False
    """New ones came into force while no master was connected: a registration without them may have been on its way."""
    health: HealthWatch | None = None
    """While its health is being checked."""
    health_told: ContainerHealth | None = None
    is_checked: bool = False
    """While the check that only informs is being made, again and again."""
    kill_overdue_ns: int | None = None
    """When a kill that has shown no end is called stuck, or a stuck one is tried again."""
    retry_delay_ns: int = 0
    end_known: bool = False
    record: ExitRecord | None = None
    failure: LaunchFailure | None = None
    stuck: str = ""
    termination: Termination | None = None
    shown: ContainerConfig | None = None
    """What `view` shows of the config, once it was asked."""

    @property
    def is_ended(self) -> bool:
        """Nothing of it remains."""
        return self.state is ContainerState.TERMINATED

    def age_ns(self, wall_ns: int) -> int:
        """Of its command."""
        return max(wall_ns - self.started_ns, 0) if self.started_ns else 0

    def view(self) -> Container:
        """As it is now, for readers; a long command is cut."""
        if self.shown is None:
            self.shown = shown_config(self.config)
        return self._with(self.shown)

    def whole(self) -> Container:
        """As it is now, with all that its isolators and an exec need."""
        return self._with(self.config)

    def forget_command(self) -> None:
        """It will never run again."""
        self.config = self.shown = shown_config(self.config)

    def _with(self, config: ContainerConfig) -> Container:
        return Container(
            config=config,
            state=self.state,
            pid=self.pid,
            shim_pid=self.shim_pid,
            cgroup_paths=self.cgroup_paths,
            created_ns=self.created_ns,
            started_ns=self.started_ns,
            ended_ns=self.ended_ns,
            termination=self.termination,
            stuck=self.stuck,
            unapplied=self.unapplied,
            healthy=self.health_told.healthy if self.health_told else None,
            health=self.health_told.evidence if self.health_told else None,
        )


@dataclass(slots=True, kw_only=True)
class TaskEntry:
    """One task, until its terminal status is acknowledged."""

    framework_id: FrameworkId
    info: TaskInfo
    container_id: ContainerId
    state: TaskState = TaskState.STAGING
    statuses: list[TaskStatus] = field(default_factory=list)
    stream: StatusStream = field(default_factory=StatusStream)

    def view(self) -> TaskView:
        """As it is now, for readers."""
        return TaskView(
            framework_id=self.framework_id,
            task=self.info,
            container_id=self.container_id,
            statuses=tuple(self.statuses),
            unacknowledged_count=len(self.stream.pending),
        )


TaskKey = tuple[FrameworkId, TaskId]


@dataclass(slots=True, kw_only=True)
class AgentState:
    """Everything the agent knows. `free` = `total` less what its volumes and its living containers took off it."""

    agent_id: AgentId
    boot_id: str
    total: Resources
    free: Resources
    standalone: Resources = field(default_factory=Resources)
    """What containers that no framework asked for hold, those that have not ended."""
    ended_limit_count: int = 1000
    containers: dict[ContainerId, ContainerEntry] = field(default_factory=dict)
    ended: dict[ContainerId, None] = field(default_factory=dict)
    """The ended ones, in the order of their ends."""
    tasks: dict[TaskKey, TaskEntry] = field(default_factory=dict)
    frameworks: dict[FrameworkId, FrameworkInfo] = field(default_factory=dict)
    volumes: VolumeBook = field(default_factory=VolumeBook)
    version: int = 0
    """Grows by one with each change that watchers see. Not durable: a new agent starts above all that an older one gave."""
    connected: bool = False
    recovered: bool = False
    problem: str = ""
    """Why no new work is taken; empty: it is."""

    def task_of(self, config: ContainerConfig) -> TaskEntry | None:
        """The task that a container runs, if it is still somebody's."""
        return self.tasks.get((config.framework_id, config.task_id)) if config.task_id else None

    def live(self) -> list[ContainerEntry]:
        """Those that have not ended, oldest first."""
        return [entry for entry in self.containers.values() if not entry.is_ended]


def new_state(
    *, agent_id: AgentId, boot_id: str, total: Resources, ended_limit_count: int = 1000, version: int = 0
) -> AgentState:
    """An agent that knows nothing yet."""
    return AgentState(
        agent_id=agent_id,
        boot_id=boot_id,
        total=total,
        free=total,
        ended_limit_count=ended_limit_count,
        version=version,
    )
