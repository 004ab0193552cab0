"""disk/du: how much a sandbox and each volume holds, counted by `du` now and then; more than its limit ends the container."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from isolators.contract import HostFacts, Interval, Isolator, IsolatorSettings, LiveContainer, Watch
from isolators.disk_scan import DiskScan, ScanFailure, ScanResult
from isolators.volume_links import directories
from paddock.model.container import ContainerConfig
from paddock.model.errors import ConfigError, ContainerizerError
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import CgroupWrite, LaunchPlan
from paddock.model.resource_text import format_scalar
from paddock.model.resources import MILLI, Resource, Resources, Scalar
from paddock.model.statistics import EffectiveLimit, Limitation, ResourceStatistics
from paddock.model.task import DiskEvidence, Evidence, Reason, ResourceLimits

MIB = 1_048_576
POLL_MS = 50
"""How soon a running du is looked at again."""


def limit_bytes(resources: Resources) -> int:
    """The sandbox's share: disk that is no persistent volume. 0: none was asked for, so nothing is counted."""
    total_milli = sum(
        resource.value.milli
        for resource in resources.items
        if resource.name == "disk" and resource.volume is None and isinstance(resource.value, Scalar)
    )
    return total_milli * MIB // MILLI


def size_bytes(volume: Resource) -> int:
    """What a volume may hold; 0 is no size, so nothing is counted."""
    return volume.value.milli * MIB // MILLI if isinstance(volume.value, Scalar) else 0


@dataclass(slots=True, kw_only=True)
class Tracked:
    """One tree: idle until `due_s`, then in the queue, then under a scan, then idle again.

    `volume`: its persistence id; empty: the tree is the sandbox. `ends`: a container that cannot write is not ended for it.
    `beside`: further directories that count with it, and where the container has them.
    """

    sandbox: str
    limit_bytes: int
    due_s: float
    volume: str = ""
    ends: bool = True
    beside: Mapping[str, str] = field(default_factory=dict)
    scan: DiskScan | None = None
    measured: ScanResult | None = None
    measured_ns: int = 0
    failure: str = "not yet counted"
    exceeded: DiskEvidence | None = None


class DiskUsageIsolator(Isolator):
    """At most `du_parallel_count` du at once over all containers; each tree an interval after the end of its last. A tree is
    known by its container's id when it is the sandbox, else by that and its path.

    Any call moves everything on: what has ended is collected, what waits longest starts.
    """

    name: ClassVar[str] = "disk/du"
    ends_briefly: ClassVar[bool] = True

    def __init__(
        self, host: HostFacts, settings: IsolatorSettings, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises ConfigError where there is no du."""
        super().__init__(host, settings)
        du_path = shutil.which("du")
        if du_path is None:
            raise ConfigError(("--isolation: disk/du needs the program du: install coreutils, or leave disk/du out",))
        self._du_path = du_path
        self._monotonic_s = monotonic_s
        self._tracked: dict[str, Tracked] = {}
        self._volumes: dict[ContainerId, tuple[str, ...]] = {}
        self._queue: dict[str, None] = {}
        self._scanning: dict[str, None] = {}
        self._ending: dict[DiskScan, str] = {}

    @property
    def interval_ms(self) -> int:
        """Between the end of one count and the beginning of the next."""
        return self.settings.container_disk_watch_interval_ms

    def recover(self, live: Sequence[LiveContainer], orphans: Sequence[ContainerId]) -> None:
        """What runs on is counted at once: what was known died with the old agent."""
        del orphans  # nothing outside the agent's own memory
        for container in live:
            self._track(container.config, wait_ms=0)

    def prepare(self, container: ContainerConfig) -> LaunchPlan:
        """Nothing for the shim to do; counting begins an interval later. Of one that runs (a resize, an exec) nothing is
        counted anew: its limit is `update`'s.
        """
        if container.container_id not in self._tracked:
            self._track(container, wait_ms=self.interval_ms)
        return LaunchPlan()

    def _track(self, container: ContainerConfig, *, wait_ms: int) -> None:
        container_id = container.container_id
        self.cleanup(container_id)
        due_s = self._monotonic_s() + wait_ms / 1000
        limit = limit_bytes(container.resources)
        self._tracked[container_id] = Tracked(sandbox=container.sandbox, limit_bytes=limit, due_s=due_s)
        keys = []
        for path, resource in directories(container, self.settings.work_dir):
            assert resource.volume is not None, "these are volumes"
            keys.append(f"{container_id}:{path}")
            self._tracked[keys[-1]] = Tracked(
                sandbox=path,
                limit_bytes=size_bytes(resource),
                due_s=due_s,
                volume=resource.volume.persistence_id,
                ends=not resource.volume.read_only,
            )
        self._volumes[container_id] = tuple(keys)

    def count_also(self, container_id: ContainerId, directories: Mapping[str, str]) -> None:
        """With its sandbox, from the next count on."""
        tracked = self._tracked.get(container_id)
        if tracked is not None:
            tracked.beside = dict(directories)

    def _counted(self, container_id: ContainerId) -> list[str]:
        """Those of its trees that are counted."""
        keys = (container_id, *self._volumes.get(container_id, ()))
        return [key for key in keys if key in self._tracked and self._tracked[key].limit_bytes]

    def update(
        self, container_id: ContainerId, resources: Resources, limits: ResourceLimits
    ) -> tuple[CgroupWrite, ...]:
        """The new limit holds from now. Below the last count it is refused: it would end the container at once."""
        del limits  # disk has none of its own
        tracked = self._tracked.get(container_id)
        if tracked is not None:
            new_bytes = limit_bytes(resources)
            if tracked.exceeded is None:
                self._refuse_ending(container_id, tracked, new_bytes)
            tracked.limit_bytes = new_bytes
            tracked.exceeded = None
            self._compare(tracked)
        return ()

    def _refuse_ending(self, container_id: ContainerId, tracked: Tracked, new_bytes: int) -> None:
        found = tracked.measured
        if self.settings.enforce_container_disk_quota and found is not None and 0 < new_bytes < found.used_bytes:
            raise ContainerizerError(
                container_id,
                "update",
                f"the disk limit of {tracked.sandbox} is not lowered to {new_bytes}: it holds {found.used_bytes} bytes; the "
                "old limit stays. Ask for more, or remove files first",
            )

    def measure(self, container_id: ContainerId, found: ResourceStatistics) -> None:
        """The last count, with its own time; nothing for a container without a disk resource."""
        tracked = self._tracked.get(container_id)
        if tracked is None or not tracked.limit_bytes:
            return
        found.timestamp_ns = max(found.timestamp_ns, tracked.measured_ns)
        found.disk_used_bytes = tracked.measured.used_bytes if tracked.measured else None
        found.disk_limit_bytes = tracked.limit_bytes
        if tracked.failure:
            found.missing += ((self.name, tracked.failure),)

    def limits(self, container_id: ContainerId) -> tuple[EffectiveLimit, ...]:
        """No kernel file: the limit is what the next count is compared with."""
        return tuple(self._effective_limit(self._tracked[key]) for key in self._counted(container_id))

    def _effective_limit(self, tracked: Tracked) -> EffectiveLimit:
        used = f"{tracked.measured.used_bytes} bytes used" if tracked.measured else tracked.failure
        is_enforced = self.settings.enforce_container_disk_quota and tracked.ends
        return EffectiveLimit(
            resource=f"disk of volume {tracked.volume}" if tracked.volume else "disk",
            asked=f"{format_scalar(tracked.limit_bytes * MILLI // MIB)}MiB",
            isolator=self.name,
            path=tracked.sandbox,
            planned=str(tracked.limit_bytes),
            in_force=str(tracked.limit_bytes) if is_enforced else "none",
            remark=f"counted every {self.interval_ms} ms; {used}" + ("" if is_enforced else "; not enforced"),
        )

    def watches(self, container_id: ContainerId) -> Sequence[Watch]:
        """When its next step may be: soon while du runs, by its place while it waits, else when it is due."""
        waits_ms = [self._wait_ms(key) for key in self._counted(container_id)]
        return (Interval(interval_ms=min(waits_ms)),) if waits_ms else ()

    def _wait_ms(self, key: str) -> int:
        if key in self._scanning:
            return POLL_MS
        if key in self._queue:
            place = list(self._queue).index(key) // max(self.settings.du_parallel_count, 1)
            return min(POLL_MS * (place + 1), max(self.interval_ms, POLL_MS))
        return max(round((self._tracked[key].due_s - self._monotonic_s()) * 1000), 1)

    def limitation(self, container_id: ContainerId) -> Limitation | None:
        """Never waits for du: this call may start it, a later one collects it."""
        keys = self._counted(container_id)
        if not keys:
            return None
        for key in keys:
            is_idle = key not in self._queue and key not in self._scanning
            if is_idle and self._tracked[key].due_s <= self._monotonic_s():
                self._queue[key] = None
        self._move_on()
        exceeded = self._exceeded(container_id)
        if exceeded is None or not self.settings.enforce_container_disk_quota:
            return None
        return Limitation(
            container_id=container_id,
            isolator=self.name,
            reason=Reason.CONTAINER_LIMITATION_DISK,
            message=_message(exceeded, "the container" if self._tracked[container_id].beside else "the sandbox"),
            fatal=True,
            disk=exceeded,
        )

    def _exceeded(self, container_id: ContainerId) -> DiskEvidence | None:
        """Of its trees the first that holds too much."""
        found = (self._tracked[key].exceeded for key in self._counted(container_id))
        return next((exceeded for exceeded in found if exceeded is not None), None)

    def _move_on(self) -> None:
        """Collect, then start as many as may run at once."""
        self._end_stopped()
        for key in tuple(self._scanning):
            self._collect(key)
        free = max(self.settings.du_parallel_count, 1) - len(self._scanning)
        for key in tuple(self._queue)[: max(free, 0)]:
            del self._queue[key]
            self._start(key)

    def _start(self, key: str) -> None:
        tracked = self._tracked[key]
        now_s = self._monotonic_s()
        if tracked.sandbox in self._ending.values():  # never a second one where the kernel still holds the first
            tracked.due_s = now_s + self.interval_ms / 1000
            return
        try:
            deadline_s = now_s + self.settings.du_deadline_ms / 1000
            tracked.scan = DiskScan(
                self._du_path, tracked.sandbox, now_s=now_s, deadline_s=deadline_s, beside=tracked.beside
            )
        except OSError as error:
            tracked.failure = f"{self._du_path} cannot be started: {error.strerror}"
            tracked.due_s = now_s + self.interval_ms / 1000
            return
        self._scanning[key] = None

    def _collect(self, key: str) -> None:
        tracked = self._tracked[key]
        if tracked.scan is None:
            return
        now_s = self._monotonic_s()
        found = tracked.scan.look(now_s)
        if found is None:
            return
        self._let_go(key, tracked)
        tracked.due_s = now_s + self.interval_ms / 1000
        if isinstance(found, ScanFailure):
            tracked.failure = found.message
            return
        tracked.measured, tracked.measured_ns, tracked.failure = found, time.time_ns(), ""
        self._compare(tracked)

    def _compare(self, tracked: Tracked) -> None:
        found = tracked.measured
        if found is None or not tracked.ends or not tracked.limit_bytes or found.used_bytes <= tracked.limit_bytes:
            return
        tracked.exceeded = DiskEvidence(
            limit_bytes=tracked.limit_bytes,
            used_bytes=found.used_bytes,
            largest=found.largest,
            du_duration_ms=found.duration_ms,
            interval_ms=self.interval_ms,
            volume=tracked.volume,
        )

    def _let_go(self, key: str, tracked: Tracked) -> None:
        self._scanning.pop(key, None)
        self._queue.pop(key, None)
        scan, tracked.scan = tracked.scan, None
        if scan is not None and not scan.stop():
            self._ending[scan] = tracked.sandbox

    def _end_stopped(self) -> None:
        self._ending = {scan: sandbox for scan, sandbox in self._ending.items() if not scan.stop()}

    def evidence(self, container_id: ContainerId, counters: Mapping[str, str]) -> Evidence:
        """What was found when the limit was met; no counter of the exit record knows it."""
        del counters
        return Evidence(disk=self._exceeded(container_id))

    def cleanup(self, container_id: ContainerId) -> None:
        """Ends its du; one that the kernel does not end at once is collected by a later call."""
        for key in (container_id, *self._volumes.pop(container_id, ())):
            tracked = self._tracked.pop(key, None)
            if tracked is not None:
                self._let_go(key, tracked)
        self._end_stopped()


def _message(evidence: DiskEvidence, whole: str) -> str:
    """`whole`: what it is that is no volume."""
    largest = ", ".join(f"{directory.path} {directory.used_bytes}" for directory in evidence.largest)
    what, limit = (f"volume {evidence.volume}", "its size") if evidence.volume else (whole, "the disk limit")
    return (
        f"{what} holds {evidence.used_bytes} bytes, {limit} is {evidence.limit_bytes}; largest directories: "
        f"{largest}; du took {evidence.du_duration_ms} ms, counted every {evidence.interval_ms} ms"
    )
