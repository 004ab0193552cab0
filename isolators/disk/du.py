"""disk/du: how much a sandbox holds, counted by `du` now and then; more than the limit ends the container."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from isolators.contract import HostFacts, Interval, Isolator, IsolatorSettings, LiveContainer, Watch
from isolators.disk_scan import DiskScan, ScanFailure, ScanResult
from paddock.model.container import ContainerConfig
from paddock.model.errors import ConfigError, ContainerizerError
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import CgroupWrite, LaunchPlan
from paddock.model.resource_text import format_scalar
from paddock.model.resources import MILLI, Resources, Scalar
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


@dataclass(slots=True, kw_only=True)
class Tracked:
    """One sandbox: idle until `due_s`, then in the queue, then under a scan, then idle again."""

    sandbox: str
    limit_bytes: int
    due_s: float
    scan: DiskScan | None = None
    measured: ScanResult | None = None
    measured_ns: int = 0
    failure: str = "not yet counted"
    exceeded: DiskEvidence | None = None


class DiskUsageIsolator(Isolator):
    """At most `du_parallel_count` du at once over all containers; each sandbox an interval after the end of its last.

    Any call moves everything on: what has ended is collected, what waits longest starts.
    """

    name: ClassVar[str] = "disk/du"

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
        self._tracked: dict[ContainerId, Tracked] = {}
        self._queue: dict[ContainerId, None] = {}
        self._scanning: dict[ContainerId, None] = {}
        self._ending: dict[DiskScan, str] = {}

    @property
    def interval_ms(self) -> int:
        """Between the end of one count and the beginning of the next."""
        return self.settings.container_disk_watch_interval_ms

    def recover(self, live: Sequence[LiveContainer], orphans: Sequence[ContainerId]) -> None:
        """What runs on is counted at once: what was known died with the old agent."""
        del orphans  # nothing outside the agent's own memory
        for container in live:
            self._track(container.config.container_id, container.config.sandbox, container.config.resources, wait_ms=0)

    def prepare(self, container: ContainerConfig) -> LaunchPlan:
        """Nothing for the shim to do; counting begins an interval later."""
        self._track(container.container_id, container.sandbox, container.resources, wait_ms=self.interval_ms)
        return LaunchPlan()

    def _track(self, container_id: ContainerId, sandbox: str, resources: Resources, *, wait_ms: int) -> None:
        self.cleanup(container_id)
        due_s = self._monotonic_s() + wait_ms / 1000
        self._tracked[container_id] = Tracked(sandbox=sandbox, limit_bytes=limit_bytes(resources), due_s=due_s)

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
        tracked = self._tracked.get(container_id)
        if tracked is None or not tracked.limit_bytes:
            return ()
        used = f"{tracked.measured.used_bytes} bytes used" if tracked.measured else tracked.failure
        is_enforced = self.settings.enforce_container_disk_quota
        return (
            EffectiveLimit(
                resource="disk",
                asked=f"{format_scalar(tracked.limit_bytes * MILLI // MIB)}MiB",
                isolator=self.name,
                path=tracked.sandbox,
                planned=str(tracked.limit_bytes),
                in_force=str(tracked.limit_bytes) if is_enforced else "none",
                remark=f"counted every {self.interval_ms} ms; {used}" + ("" if is_enforced else "; not enforced"),
            ),
        )

    def watches(self, container_id: ContainerId) -> Sequence[Watch]:
        """When its next step may be: soon while du runs, by its place while it waits, else when it is due."""
        tracked = self._tracked.get(container_id)
        if tracked is None or not tracked.limit_bytes:
            return ()
        if container_id in self._scanning:
            return (Interval(interval_ms=POLL_MS),)
        if container_id in self._queue:
            place = list(self._queue).index(container_id) // max(self.settings.du_parallel_count, 1)
            return (Interval(interval_ms=min(POLL_MS * (place + 1), max(self.interval_ms, POLL_MS))),)
        return (Interval(interval_ms=max(round((tracked.due_s - self._monotonic_s()) * 1000), 1)),)

    def limitation(self, container_id: ContainerId) -> Limitation | None:
        """Never waits for du: this call may start it, a later one collects it."""
        tracked = self._tracked.get(container_id)
        if tracked is None or not tracked.limit_bytes:
            return None
        is_idle = container_id not in self._queue and container_id not in self._scanning
        if is_idle and tracked.due_s <= self._monotonic_s():
            self._queue[container_id] = None
        self._move_on()
        if tracked.exceeded is None or not self.settings.enforce_container_disk_quota:
            return None
        return Limitation(
            container_id=container_id,
            isolator=self.name,
            reason=Reason.CONTAINER_LIMITATION_DISK,
            message=_message(tracked.exceeded),
            fatal=True,
            disk=tracked.exceeded,
        )

    def _move_on(self) -> None:
        """Collect, then start as many as may run at once."""
        self._end_stopped()
        for container_id in tuple(self._scanning):
            self._collect(container_id)
        free = max(self.settings.du_parallel_count, 1) - len(self._scanning)
        for container_id in tuple(self._queue)[: max(free, 0)]:
            del self._queue[container_id]
            self._start(container_id)

    def _start(self, container_id: ContainerId) -> None:
        tracked = self._tracked[container_id]
        now_s = self._monotonic_s()
        if tracked.sandbox in self._ending.values():  # never a second one where the kernel still holds the first
            tracked.due_s = now_s + self.interval_ms / 1000
            return
        try:
            deadline_s = now_s + self.settings.du_deadline_ms / 1000
            tracked.scan = DiskScan(self._du_path, tracked.sandbox, now_s=now_s, deadline_s=deadline_s)
        except OSError as error:
            tracked.failure = f"{self._du_path} cannot be started: {error.strerror}"
            tracked.due_s = now_s + self.interval_ms / 1000
            return
        self._scanning[container_id] = None

    def _collect(self, container_id: ContainerId) -> None:
        tracked = self._tracked[container_id]
        if tracked.scan is None:
            return
        now_s = self._monotonic_s()
        found = tracked.scan.look(now_s)
        if found is None:
            return
        self._let_go(container_id, tracked)
        tracked.due_s = now_s + self.interval_ms / 1000
        if isinstance(found, ScanFailure):
            tracked.failure = found.message
            return
        tracked.measured, tracked.measured_ns, tracked.failure = found, time.time_ns(), ""
        self._compare(tracked)

    def _compare(self, tracked: Tracked) -> None:
        found = tracked.measured
        if found is None or not tracked.limit_bytes or found.used_bytes <= tracked.limit_bytes:
            return
        tracked.exceeded = DiskEvidence(
            limit_bytes=tracked.limit_bytes,
            used_bytes=found.used_bytes,
            largest=found.largest,
            du_duration_ms=found.duration_ms,
            interval_ms=self.interval_ms,
        )

    def _let_go(self, container_id: ContainerId, tracked: Tracked) -> None:
        self._scanning.pop(container_id, None)
        self._queue.pop(container_id, None)
        scan, tracked.scan = tracked.scan, None
        if scan is not None and not scan.stop():
            self._ending[scan] = tracked.sandbox

    def _end_stopped(self) -> None:
        self._ending = {scan: sandbox for scan, sandbox in self._ending.items() if not scan.stop()}

    def evidence(self, container_id: ContainerId, counters: Mapping[str, str]) -> Evidence:
        """What was found when the limit was met; no counter of the exit record knows it."""
        del counters
        tracked = self._tracked.get(container_id)
        return Evidence(disk=tracked.exceeded) if tracked else Evidence()

    def cleanup(self, container_id: ContainerId) -> None:
        """Ends its du; one that the kernel does not end at once is collected by a later call."""
        tracked = self._tracked.get(container_id)
        if tracked is not None:
            self._let_go(container_id, tracked)
            del self._tracked[container_id]
        self._end_stopped()


def _message(evidence: DiskEvidence) -> str:
    largest = ", ".join(f"{directory.path} {directory.used_bytes}" for directory in evidence.largest)
    return (
        f"the sandbox holds {evidence.used_bytes} bytes, the disk limit is {evidence.limit_bytes}; largest directories: "
        f"{largest}; du took {evidence.du_duration_ms} ms, counted every {evidence.interval_ms} ms"
    )
