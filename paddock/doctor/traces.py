"""What was read off a host: one value for each agent that has left traces on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Ear(Enum):
    """A shim's socket."""

    NONE = "none"
    LISTENS = "listens"
    DEAD = "dead"


class RecordState(Enum):
    """A container's exit record."""

    NONE = "none"
    HELD = "held"
    """Its lock is taken: a shim, or somebody who cleans up, lives."""
    NOTE = "note"
    """Not finished, and nobody holds it."""
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerTraces:
    """One container of one agent. `cgroups`: controller (v2: empty) and directory. `idle_s`: since anything of it changed.

    `shim_pid` is the note's, and 0 when that process is no more (looked at with its start time).
    """

    container_id: str
    cgroups: tuple[tuple[str, str], ...] = ()
    process_count: int = 0
    ear: Ear = Ear.NONE
    record: RecordState = RecordState.NONE
    shim_pid: int = 0
    idle_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketTrace:
    """A socket of a daemon's own."""

    path: str
    listens: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineContainerTraces:
    """What a Docker engine has with a label of ours. `agent_id`, `container_id`: the labels', empty where there is none."""

    name: str
    engine_id: str
    agent_id: str
    container_id: str
    state: str
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTraces:
    """The Docker engine that an agent asks. `problem` empty: it has answered just now, else nothing below `said` is known.

    `said`: agentd's last words about it. `free_bytes` None: where it keeps its containers cannot be looked at from here.
    """

    socket: str
    problem: str = ""
    said: str = ""
    version: str = ""
    api_version: str = ""
    cgroup_driver: str = ""
    storage_driver: str = ""
    data_root: str = ""
    free_bytes: int | None = None
    live_restore: bool = False
    containers: tuple[EngineContainerTraces, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTraces:
    """`state_dir` empty: nobody knows where this agent keeps its state, so nothing proves that it is not somebody else's.

    `agentd_pid` 0: no agentd holds the state's lock. `launcher_pid`: who serves the launcher's socket. `stray_pids`: processes
    of our launcher's program that are neither it, nor its children, nor a shim with a record. `strays`:
    names in the records' directory that are none of ours. `engine` None: it runs no Docker tasks.
    """

    agent_id: str
    cgroup_mode: str = "v1"
    state_dir: str = ""
    records_dir: str = ""
    runtime_dir: str = ""
    work_dir: str = ""
    agentd_pid: int = 0
    launcher_pid: int = 0
    stray_pids: tuple[int, ...] = ()
    cgroup_roots: tuple[str, ...] = ()
    containers: tuple[ContainerTraces, ...] = ()
    program_cgroups: tuple[tuple[str, int], ...] = ()
    sockets: tuple[SocketTrace, ...] = ()
    mounts: tuple[str, ...] = ()
    spare_count: int = 0
    strays: tuple[str, ...] = ()
    sandbox_count: int = 0
    removed_count: int = 0
    volume_count: int = 0
    engine: EngineTraces | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTraces:
    """All of it. `others`: what bears our name and belongs to no agent that could be told, path and what it is."""

    agents: tuple[AgentTraces, ...]
    others: tuple[tuple[str, str], ...] = ()
