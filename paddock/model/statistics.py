"""What a container uses, and which of its limits it met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter

from paddock.model.ids import ContainerId
from paddock.model.task import DiskEvidence, MemoryEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStatistics:
    """Counters and gauges at `timestamp_ns` (wall clock). None: not measured, or no limit. `missing`: isolator → why its
    part is not there.

    working set = usage − inactive file pages (what cannot be given back at once); anon and file are apart, so that page
    cache does not look like use.
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

    def merged_with(self, other: ResourceStatistics) -> ResourceStatistics:
        """Both parts; where both measured, other's."""
        return merge((self, other))


_MEASURES = tuple(field.name for field in fields(ResourceStatistics) if field.name not in {"missing", "timestamp_ns"})
_measured = attrgetter(*_MEASURES)


def merge(parts: Iterable[ResourceStatistics]) -> ResourceStatistics:
    """All parts as one, made once: the hot path of statistics. Where two measured, the later; the newest time stays."""
    values: dict[str, int] = {}
    missing: tuple[tuple[str, str], ...] = ()
    timestamp_ns = 0
    for part in parts:
        missing += part.missing
        timestamp_ns = max(timestamp_ns, part.timestamp_ns)
        measured = zip(_MEASURES, _measured(part), strict=True)
        values.update({name: value for name, value in measured if value is not None})
    return ResourceStatistics(timestamp_ns=timestamp_ns, missing=missing, **values)


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
