"""How a container ended, as its supervisor wrote it down."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.model.ids import ContainerId
from paddock.model.task import LaunchFailure, OomVictim


@dataclass(frozen=True, slots=True, kw_only=True)
class KillOutcome:
    """A kill that the supervisor carried out. `escalated`: the grace ended first. `took_ms`: request to the command's end."""

    signal: int
    grace_ms: int
    escalated: bool
    took_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRecord:
    """One container's end. Times are wall clock, 0 where not known. `wait_status` as waitpid gives it.

    `counters`: `controller/file` → its text just before the cgroup was removed. `victims` None: the kernel's log could not be
    read. `supervisor_lost`: the shim died, and the kernel ended the container with it. `problems`: later steps that failed.
    `engine_away`: whose container it was answered nobody as it ended; `engine_silent_ms`: or had not answered so long
    after that.
    """

    container_id: ContainerId
    boot_id: str = ""
    pid: int = 0
    shim_pid: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    wait_status: int | None = None
    kill: KillOutcome | None = None
    max_completion_reached: bool = False
    counters: tuple[tuple[str, str], ...] = ()
    victims: tuple[OomVictim, ...] | None = ()
    dropped_log_bytes: int = 0
    launch_error: LaunchFailure | None = None
    supervisor_lost: bool = False
    problems: tuple[str, ...] = ()
    engine_away: bool = False
    engine_silent_ms: int = 0
