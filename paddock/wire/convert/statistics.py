"""Statistics of a container, protobuf ↔ model. None there is absence here."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter

from paddock.model.statistics import ResourceStatistics
from paddock.wire.convert import bounds
from paddock.wire.v1 import containers_pb2 as pb


def statistics_from_wire(message: pb.ResourceStatistics, field: str = "statistics") -> ResourceStatistics:
    """As a client reads them."""
    m = message
    has = m.HasField
    return ResourceStatistics(
        timestamp_ns=bounds.timestamp_ns(m.timestamp, f"{field}.timestamp"),
        cpu_usage_us=m.cpu_usage_us if has("cpu_usage_us") else None,
        cpu_user_us=m.cpu_user_us if has("cpu_user_us") else None,
        cpu_system_us=m.cpu_system_us if has("cpu_system_us") else None,
        cpu_period_count=m.cpu_period_count if has("cpu_period_count") else None,
        cpu_throttled_count=m.cpu_throttled_count if has("cpu_throttled_count") else None,
        cpu_throttled_us=m.cpu_throttled_us if has("cpu_throttled_us") else None,
        memory_usage_bytes=m.memory_usage_bytes if has("memory_usage_bytes") else None,
        memory_peak_bytes=m.memory_peak_bytes if has("memory_peak_bytes") else None,
        memory_limit_bytes=m.memory_limit_bytes if has("memory_limit_bytes") else None,
        memory_anon_bytes=m.memory_anon_bytes if has("memory_anon_bytes") else None,
        memory_file_bytes=m.memory_file_bytes if has("memory_file_bytes") else None,
        memory_working_set_bytes=m.memory_working_set_bytes if has("memory_working_set_bytes") else None,
        memory_swap_bytes=m.memory_swap_bytes if has("memory_swap_bytes") else None,
        memory_oom_kill_count=m.memory_oom_kill_count if has("memory_oom_kill_count") else None,
        pids_count=m.pids_count if has("pids_count") else None,
        pids_limit_count=m.pids_limit_count if has("pids_limit_count") else None,
        pids_refused_count=m.pids_refused_count if has("pids_refused_count") else None,
        pids_peak_count=m.pids_peak_count if has("pids_peak_count") else None,
        disk_used_bytes=m.disk_used_bytes if has("disk_used_bytes") else None,
        disk_limit_bytes=m.disk_limit_bytes if has("disk_limit_bytes") else None,
        missing=tuple(sorted(m.missing.items())),
    )


_MEASURES = tuple(field.name for field in fields(ResourceStatistics) if field.name not in {"missing", "timestamp_ns"})
_measured = attrgetter(*_MEASURES)


def statistics_to_wire(statistics: ResourceStatistics) -> pb.ResourceStatistics:
    """What statistics_from_wire turns back into the same. A field that is None there stays absent."""
    message = pb.ResourceStatistics()
    fill_statistics(message, statistics)
    return message


def fill_statistics(message: pb.ResourceStatistics, statistics: ResourceStatistics) -> None:
    """Into a new message, which may be a part of another one."""
    if statistics.timestamp_ns:
        message.timestamp.seconds, message.timestamp.nanos = divmod(statistics.timestamp_ns, bounds.NS_PER_S)
    for isolator, why in statistics.missing:
        message.missing[isolator] = bounds.shown(why)
    for name, value in zip(_MEASURES, _measured(statistics), strict=True):
        if value is not None:
            setattr(message, name, value)
