"""What `paddock run` was asked, checked: the value between its arguments and its framework."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.cli.docker_flags import DockerRequest
from paddock.model.health import Check, HealthCheck
from paddock.model.ids import TaskId
from paddock.model.task import CommandInfo, KillPolicy, LinuxInfo, LogPolicy, ResourceLimits, Rlimit


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """One task. `amounts_milli`: name → thousandths of its unit. Times of 0 mean none."""

    task_id: TaskId
    name: str
    role: str
    command: CommandInfo
    amounts_milli: tuple[tuple[str, int], ...]
    limits: ResourceLimits
    kill_policy: KillPolicy
    timeout_ms: int
    offer_timeout_ms: int
    health_check: HealthCheck | None
    check: Check | None = None
    log_policy: LogPolicy = LogPolicy()
    docker: DockerRequest | None = None
    linux: LinuxInfo = LinuxInfo()
    rlimits: tuple[Rlimit, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
