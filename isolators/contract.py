"""The contract of an isolator. What it wants is a value; the shim touches the kernel.

Guarantees to every isolator, built-in or from an entry point:

- `recover` is called once, before anything else. `prepare` runs serially in the table's order; it may refuse by
  raising, and then `cleanup` still follows. `cleanup` runs in reverse order, always, also when `prepare` failed or was
  never called; a failure of one isolator never stops the next.
- All calls come from one thread, never two at once; `evidence` and `cleanup` of those that say `ends_briefly` may come from
  another one, while nothing else is called. A call that outlasts its deadline is named in log and metric.
- `limitation` is level-triggered: it is asked when one of `watches` fires and again at every interval, so a missed
  notification costs time, not truth. A fatal limitation is answered again and again until `cleanup`; one that is not fatal
  whenever the kernel's counter has grown since the last answer.
- `watches` is asked when the container runs and again after each answer of `limitation`: a wish may change.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from paddock.model.container import ContainerConfig
from paddock.model.ids import AgentId, ContainerId
from paddock.model.launch_plan import CgroupWrite, LaunchPlan
from paddock.model.resources import Resources
from paddock.model.statistics import EffectiveLimit, Limitation, ResourceStatistics
from paddock.model.task import Evidence, ResourceLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Inotify:
    """Ask me when this file is modified (cgroup v2 memory.events, pids.events)."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupEvent:
    """Ask me when the eventfd registered through cgroup.event_control fires (cgroup v1).

    `control` is the file whose fd goes into the registration (memory.oom_control); `arguments` follow it.
    """

    directory: str
    control: str
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Ask me after this time, counted per container from the end of the last answer."""

    interval_ms: int


Watch = Inotify | CgroupEvent | Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupPlace:
    """Where one container's cgroups are. `directories`: controller → absolute directory; v2 has the one key ``""``.

    Read `directory(controller)` rather than the mapping: it knows about both.
    """

    mode: str
    directories: tuple[tuple[str, str], ...]

    def directory(self, controller: str) -> str | None:
        """The directory in which this controller's files stand, None when it is not there."""
        wanted = "" if self.mode == "v2" else controller
        for name, directory in self.directories:
            if name == wanted:
                return directory
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveContainer:
    """A container that was found alive at recovery, or is running now."""

    config: ContainerConfig
    cgroup: CgroupPlace
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What isolators may know about the host; read once, at start.

    `cgroup_mode` is v1 or v2: in a hybrid layout the controllers are v1's. `cgroup_roots`: controller → directory of
    this agent (`…/paddock-<agent>`), v2 under ``""``. `swap_accounting`: whether memory+swap can be limited here.
    `capabilities`: what this host lets us give at all; None: nobody asked.
    """

    agent_id: AgentId
    cgroup_mode: str
    cgroup_roots: tuple[tuple[str, str], ...]
    cpu_count: int
    memory_bytes: int
    swap_accounting: bool
    capabilities: tuple[str, ...] | None = None

    def place(self, container_id: ContainerId) -> CgroupPlace:
        """Where the cgroups of this container are or will be."""
        return CgroupPlace(
            mode=self.cgroup_mode,
            directories=tuple([(controller, f"{root}/{container_id}") for controller, root in self.cgroup_roots]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolatorSettings:
    """The agent's settings that isolators read; flags of the same names."""

    cgroups_enable_cfs: bool = False
    cgroups_limit_swap: bool = True
    default_pids_limit_count: int = 1024
    container_disk_watch_interval_ms: int = 15_000
    enforce_container_disk_quota: bool = True
    du_parallel_count: int = 2
    du_deadline_ms: int = 60_000
    bounding_capabilities: tuple[str, ...] | None = None
    effective_capabilities: tuple[str, ...] | None = None
    disallow_sharing_agent_pid_namespace: bool = True
    work_dir: str = ""


class Source(Protocol):
    """Files that are read again and again."""

    @property
    def fds(self) -> tuple[int, ...]:
        """All of them, where they are open; else none."""
        ...

    def give(self, texts: Sequence[bytes]) -> None:
        """What stands in them now: whoever asks next is answered with this."""
        ...


class Isolator(ABC):
    """One bound. Every verb has a default that does nothing, so an isolator says only what it means."""

    name: ClassVar[str]
    """The word in --isolation, e.g. `cgroups/cpu`."""

    ends_briefly: ClassVar[bool] = False
    """`evidence` and `cleanup` only compute, or ask what the kernel answers at once: they wait for no disk and nobody."""

    def __init__(self, host: HostFacts, settings: IsolatorSettings) -> None:
        """Raises ConfigError when the host cannot do what this isolator is for."""
        self.host = host
        self.settings = settings

    def recover(self, live: Sequence[LiveContainer], orphans: Sequence[ContainerId]) -> None:
        """Containers that run on, and those that will be destroyed; keep enough for `cleanup` of both."""

    def prepare(self, container: ContainerConfig) -> LaunchPlan:
        """What must be done before the command runs. Raises InvalidRequest or ContainerizerError to refuse, with the
        reason.
        """
        return LaunchPlan()

    def isolate(self, container_id: ContainerId, pid: int) -> None:
        """The process exists and waits at the barrier. Called only when overridden: the barrier costs a round trip."""

    def update(
        self, container_id: ContainerId, resources: Resources, limits: ResourceLimits
    ) -> tuple[CgroupWrite, ...]:
        """The writes that resize a running container, in the order that the kernel needs. Idempotent.

        Raises InvalidRequest or ContainerizerError to refuse. When the shim could not apply them, ask again with the old
        resources: what was asked last is what `limits` compares with.
        """
        return ()

    def usage(self, container_id: ContainerId) -> ResourceStatistics:
        """Cheap; partial is fine (`missing` says what and why); never a guess."""
        found = ResourceStatistics()
        if type(self).measure is not Isolator.measure:
            self.measure(container_id, found)
        return found

    def measure(self, container_id: ContainerId, found: ResourceStatistics) -> None:
        """`usage`, written into what other isolators have found; override either. This one is for the statistics of a
        thousand containers: an object less for each of them.
        """
        found.take(self.usage(container_id))

    def sources(self, container_id: ContainerId) -> Source | None:
        """The files that `measure` reads, where others may read them for it: those of many containers at once."""
        return None

    def limits(self, container_id: ContainerId) -> tuple[EffectiveLimit, ...]:
        """For `explain`: what was asked, what was planned, and what the kernel has in force now."""
        return ()

    def watches(self, container_id: ContainerId) -> Sequence[Watch]:
        """When to ask `limitation`. Asked again after each of its answers."""
        return ()

    def limitation(self, container_id: ContainerId) -> Limitation | None:
        """The limit that this container has met by now, None when none. Asked again and again; never waits for long work:
        that is started here and collected by a later call, for which `watches` says when.
        """
        return None

    def evidence(self, container_id: ContainerId, counters: Mapping[str, str]) -> Evidence:
        """What the counters of the exit record (`controller/file` → text) say about the container's life; only this
        isolator's parts.
        """
        return Evidence()

    def count_also(self, container_id: ContainerId, directories: Mapping[str, str]) -> None:
        """Where it writes beside its sandbox, and where it sees that: what an engine gave it. In place of what was told before;
        an unknown id is no error.
        """

    def cleanup(self, container_id: ContainerId) -> None:
        """Forget it and undo what was done outside the plan. Idempotent; an unknown id is no error."""


def is_measuring(isolator: Isolator) -> bool:
    """Whether it has anything to say about use."""
    kind = type(isolator)
    return kind.usage is not Isolator.usage or kind.measure is not Isolator.measure
