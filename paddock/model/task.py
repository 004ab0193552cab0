"""A task: what is asked, and the truth about what became of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import Enum, IntEnum

from paddock.model.docker import DockerInfo
from paddock.model.health import Check, CheckStatus, HealthCheck, HealthEvidence
from paddock.model.ids import NO_AGENT_ID, NO_CONTAINER_ID, AgentId, ContainerId, TaskId
from paddock.model.resources import Resources
from paddock.model.uri import CommandUri

DEFAULT_KILL_SIGNAL = 15
DEFAULT_KILL_GRACE_MS = 3_000
"""Mesos' DEFAULT_KILL_GRACE."""


class TaskState(IntEnum):
    """Mesos' states. The numbers are the wire's."""

    STAGING = 1
    STARTING = 2
    RUNNING = 3
    KILLING = 4
    FINISHED = 5
    FAILED = 6
    KILLED = 7
    ERROR = 8
    LOST = 9
    DROPPED = 10
    UNREACHABLE = 11
    GONE = 12
    GONE_BY_OPERATOR = 13
    UNKNOWN = 14

    @property
    def is_terminal(self) -> bool:
        """No state follows. UNREACHABLE and UNKNOWN are not terminal: the task may come back."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        TaskState.FINISHED,
        TaskState.FAILED,
        TaskState.KILLED,
        TaskState.ERROR,
        TaskState.LOST,
        TaskState.DROPPED,
        TaskState.GONE,
        TaskState.GONE_BY_OPERATOR,
    }
)


class StatusSource(IntEnum):
    """Who says so."""

    MASTER = 1
    AGENT = 2
    EXECUTOR = 3


class Reason(IntEnum):
    """Why. Below 100 Mesos' reasons, from 100 on ours; the numbers are the wire's. The wire may carry others: they
    survive as plain ints.
    """

    UNSPECIFIED = 0
    COMMAND_EXECUTOR_FAILED = 1
    CONTAINER_LAUNCH_FAILED = 2
    CONTAINER_LIMITATION = 3
    CONTAINER_LIMITATION_DISK = 4
    CONTAINER_LIMITATION_MEMORY = 5
    CONTAINER_PREEMPTED = 6
    CONTAINER_UPDATE_FAILED = 7
    MAX_COMPLETION_TIME_REACHED = 8
    EXECUTOR_REGISTRATION_TIMEOUT = 9
    EXECUTOR_REREGISTRATION_TIMEOUT = 10
    EXECUTOR_TERMINATED = 11
    EXECUTOR_UNREGISTERED = 12
    FRAMEWORK_REMOVED = 13
    GC_ERROR = 14
    INVALID_FRAMEWORKID = 15
    INVALID_OFFERS = 16
    IO_SWITCHBOARD_EXITED = 17
    MASTER_DISCONNECTED = 18
    RECONCILIATION = 19
    RESOURCES_UNKNOWN = 20
    AGENT_DISCONNECTED = 21
    AGENT_DRAINING = 22
    AGENT_REMOVED = 23
    AGENT_REMOVED_BY_OPERATOR = 24
    AGENT_REREGISTERED = 25
    AGENT_RESTARTED = 26
    AGENT_UNKNOWN = 27
    TASK_KILLED_DURING_LAUNCH = 28
    TASK_CHECK_STATUS_UPDATED = 29
    TASK_HEALTH_CHECK_STATUS_UPDATED = 30
    TASK_GROUP_INVALID = 31
    TASK_GROUP_UNAUTHORIZED = 32
    TASK_INVALID = 33
    TASK_UNAUTHORIZED = 34
    TASK_UNKNOWN = 35
    COMMAND_EXITED = 100
    COMMAND_SIGNALED = 101
    KILL_REQUESTED = 102
    KILL_GRACE_EXPIRED = 103
    SUPERVISOR_LOST = 104
    AGENT_REBOOTED = 105
    HEALTH_CHECK_FAILED = 106
    TASK_RESIZED = 107
    AGENT_PROBLEM = 108
    IMAGE_NOT_FOUND = 110
    IMAGE_ACCESS_DENIED = 111
    IMAGE_PULL_FAILED = 112
    IMAGE_PULLING = 113
    ENGINE_UNRESPONSIVE = 114
    ENGINE_RESPONSIVE = 115


class ContainerType(Enum):
    """Which containerizer runs it."""

    NATIVE = "native"
    DOCKER = "docker"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandInfo:
    """A shell line (`shell`: `value` goes to `/bin/sh -c`) or a program with arguments (`arguments[0]` is the program). In a
    Docker container `arguments` follow the entry point, and may be empty: the image's own command.

    `user` empty: the caller's own user. `working_directory` empty: the sandbox. `uris` are in the sandbox when it begins.
    """

    shell: bool = False
    value: str = ""
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    user: str = ""
    working_directory: str = ""
    uris: tuple[CommandUri, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        """What execve gets."""
        return ("/bin/sh", "-c", self.value) if self.shell else self.arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class KillPolicy:
    """How to stop: `signal`, then after `grace_period_ms` SIGKILL to everything in the container. Grace 0: SIGKILL at
    once.
    """

    signal: int = DEFAULT_KILL_SIGNAL
    grace_period_ms: int = DEFAULT_KILL_GRACE_MS


RLIMIT_NAMES = frozenset(
    {
        "RLMT_AS",
        "RLMT_CORE",
        "RLMT_CPU",
        "RLMT_DATA",
        "RLMT_FSIZE",
        "RLMT_LOCKS",
        "RLMT_MEMLOCK",
        "RLMT_MSGQUEUE",
        "RLMT_NICE",
        "RLMT_NOFILE",
        "RLMT_NPROC",
        "RLMT_RSS",
        "RLMT_RTPRIO",
        "RLMT_RTTIME",
        "RLMT_SIGPENDING",
        "RLMT_STACK",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rlimit:
    """`resource` is RLMT_NOFILE or one of the other fifteen; None means unlimited (both or neither)."""

    resource: str
    soft: int | None = None
    hard: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxInfo:
    """Privileges. None: the agent's default. Capabilities are named CAP_…; effective ⊆ bounding ⊆ what the operator
    allows.
    """

    bounding_capabilities: tuple[str, ...] | None = None
    effective_capabilities: tuple[str, ...] | None = None
    no_new_privileges: bool | None = None
    share_host_pid_namespace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerInfo:
    """How it is to be contained. `docker`: for type DOCKER only, and there always."""

    type: ContainerType = ContainerType.NATIVE
    rlimits: tuple[Rlimit, ...] = ()
    linux: LinuxInfo = LinuxInfo()
    docker: DockerInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """Limits beyond the request. None: memory, pids and disk are limited by the request (or the agent's default), cpus
    not at all.

    -1: no limit. `swap_bytes` is on top of memory; None means 0: memory+swap = memory.
    """

    cpus_milli: int | None = None
    memory_bytes: int | None = None
    swap_bytes: int | None = None
    pids_count: int | None = None

    def changed_by(self, given: ResourceLimits) -> ResourceLimits:
        """With those that are given in the place of theirs."""
        named = {field.name: getattr(given, field.name) for field in fields(given)}
        return replace(self, **{name: value for name, value in named.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPolicy:
    """Each of stdout and stderr: `file_count` files, the active one included, of `file_bytes`. None: the agent's default.

    `file_bytes` -1: no limit, and so one file.
    """

    file_bytes: int | None = None
    file_count: int | None = None

    def over(self, default: LogPolicy) -> LogPolicy:
        """With the default's values where there are none."""
        return LogPolicy(
            file_bytes=default.file_bytes if self.file_bytes is None else self.file_bytes,
            file_count=default.file_count if self.file_count is None else self.file_count,
        )


DEFAULT_LOG_POLICY = LogPolicy(file_bytes=10 * 2**20, file_count=5)
LOG_FILE_LEAST_BYTES = 64 * 2**10
"""A rotation is a dozen system calls: a smaller file would make them a good part of the writing."""

LOG_FILE_MOST_BYTES = 2**50
LOG_FILE_MOST_COUNT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """A task as its framework asks for it. `max_completion_time_ms` 0: none."""

    task_id: TaskId
    name: str
    agent_id: AgentId
    resources: Resources
    command: CommandInfo
    limits: ResourceLimits = ResourceLimits()
    container: ContainerInfo = ContainerInfo()
    kill_policy: KillPolicy = KillPolicy()
    max_completion_time_ms: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    health_check: HealthCheck | None = None
    check: Check | None = None
    log_policy: LogPolicy = LogPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class OomVictim:
    """A process that the kernel's OOM killer chose. `main`: it was the task's own command."""

    pid: int
    comm: str
    main: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEvidence:
    """`victims` None: the kernel's log was not or could not be read, so nobody knows; never guessed."""

    limit_bytes: int | None = None
    peak_bytes: int | None = None
    oom_kill_count: int = 0
    victims: tuple[OomVictim, ...] | None = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuEvidence:
    """The kernel's counters over the whole life."""

    usage_us: int | None = None
    period_count: int | None = None
    throttled_count: int | None = None
    throttled_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PidsEvidence:
    """`refused_count`: forks and clones that met the limit (EAGAIN)."""

    limit_count: int | None = None
    refused_count: int | None = None
    peak_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryUsage:
    """`path` relative to the sandbox."""

    path: str
    used_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskEvidence:
    """What du counted when the limit was found exceeded: the largest directories first, five at most. `volume`: it was this
    volume's size; empty: the sandbox' limit.
    """

    limit_bytes: int
    used_bytes: int
    largest: tuple[DirectoryUsage, ...] = ()
    du_duration_ms: int = 0
    interval_ms: int = 0
    volume: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopEvidence:
    """How the stop went: `took_ms` from the request to the command's end; `escalated`: SIGKILL was needed."""

    signal: int
    grace_period_ms: int
    took_ms: int
    escalated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchFailure:
    """Where a launch stopped, and what the kernel said. `errno` 0: it was not the kernel."""

    stage: str
    message: str
    operation: str = ""
    path: str = ""
    value: str = ""
    errno: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen; None where it was not."""

    exit_code: int | None = None
    signal: int | None = None
    memory: MemoryEvidence | None = None
    cpu: CpuEvidence | None = None
    pids: PidsEvidence | None = None
    disk: DiskEvidence | None = None
    stop: StopEvidence | None = None
    launch_failure: LaunchFailure | None = None
    dropped_log_bytes: int = 0
    unapplied: tuple[str, ...] = ()
    health: HealthEvidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """One step of a task's life. `uuid` (16 bytes) is empty when no acknowledgement is wanted; `timestamp_ns` is wall
    clock.

    `reason` is a Reason, or a number that this version does not know.
    """

    task_id: TaskId
    state: TaskState
    source: StatusSource
    reason: int = Reason.UNSPECIFIED
    message: str = ""
    evidence: Evidence | None = None
    uuid: bytes = b""
    timestamp_ns: int = 0
    agent_id: AgentId = NO_AGENT_ID
    container_id: ContainerId = NO_CONTAINER_ID
    healthy: bool | None = None
    check_status: CheckStatus | None = None
