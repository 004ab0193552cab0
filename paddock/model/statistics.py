"""What a container uses, and which of its limits it met."""

from __future__ import annotations

from dataclasses import dataclass, fields

from paddock.model.health import HealthEvidence
from paddock.model.ids import ContainerId
from paddock.model.task import DiskEvidence, MemoryEvidence


@dataclass(slots=True, kw_only=True)
class ResourceStatistics:
    """Counters and gauges at `timestamp_ns` (wall clock). None: not measured, or no limit. `missing`: isolator → why its
    part is not there.

    working set = usage − inactive file pages (what cannot be given back at once); anon and file are apart, so that page
    cache does not look like use.

    Not frozen, so that each isolator can write its part into the one of a container: a frozen part of each, merged, took
    longer than the kernel takes to answer. Nobody changes it after the last isolator.
    """

    timestamp_ns: int = 0
    cpu_usage_us: int | None = None
    cpu_user_us: int | None = None
    cpu_system_us: int | None = None
    cpu_period_count: int | None = None
    cpu_throttled_count: int | None = None
    cpu_throttled_us: int | None = None
    memory_usage_bytes: int | None = None
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_anon_bytes: int | None = None
    memory_file_bytes: int | None = None
    memory_working_set_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_oom_kill_count: int | None = None
    pids_count: int | None = None
    pids_limit_count: int | None = None
    pids_refused_count: int | None = None
    pids_peak_count: int | None = None
    disk_used_bytes: int | None = None
    disk_limit_bytes: int | None = None
    missing: tuple[tuple[str, str], ...] = ()

    def take(self, part: ResourceStatistics) -> None:
        """Another part into this one: where both measured, the part's; the newest time stays."""
        self.timestamp_ns = max(self.timestamp_ns, part.timestamp_ns)
        self.missing += part.missing
        for name in _MEASURES:
            value = getattr(part, name)
            if value is not None:
                setattr(self, name, value)


_MEASURES = tuple(field.name for field in fields(ResourceStatistics) if field.name not in {"missing", "timestamp_ns"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limitation:
    """A limit was met. `fatal`: the container is to be destroyed for it; otherwise it is reported only (an OOM-killed
    child).

    `reason` is a Reason; `message` is for people: what was asked, what was seen.
    """

    container_id: ContainerId
    isolator: str
    reason: int
    message: str
    fatal: bool
    disk: DiskEvidence | None = None
    memory: MemoryEvidence | None = None
    health: HealthEvidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveLimit:
    """One asked resource → the kernel's file and the value in force. `in_force` None: it could not be read; `remark`
    says why.
    """

    resource: str
    asked: str
    isolator: str
    path: str
    planned: str
    in_force: str | None
    remark: str = ""
