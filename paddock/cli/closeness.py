"""How close a container is, or was, to its limits: use against limit, peaks, throttling, OOM kills, refused processes."""

from __future__ import annotations

from collections.abc import Iterator

from paddock.cli.output import bytes_text
from paddock.cli.quantities import counted
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import Evidence

_US_PER_S = 1_000_000
_NS_PER_US = 1_000


def closeness_lines(found: ResourceStatistics, age_ns: int) -> Iterator[tuple[str, str]]:
    """What was measured, each part only where it was. `age_ns`: how long it has run, or had run; 0 when nobody knows."""
    if found.cpu_usage_us is not None:
        yield "CPU", _cpu(found, age_ns)
    if found.memory_usage_bytes is not None or found.memory_peak_bytes is not None:
        yield "Memory", _memory(found)
    if found.pids_count is not None or found.pids_limit_count is not None:
        yield "Pids", _pids(found)
    if found.disk_used_bytes is not None:
        used, limit = found.disk_used_bytes, found.disk_limit_bytes
        yield "Disk", f"{bytes_text(used)} of {bytes_text(limit)}{share_text(used, limit)}"
    for isolator, why in found.missing:
        yield "Not measured", f"{isolator}: {why}"


def _cpu(found: ResourceStatistics, age_ns: int) -> str:
    usage_us = found.cpu_usage_us or 0
    text = f"{usage_us / _US_PER_S:.3f} s used"
    if age_ns > 0:
        text += f", {usage_us * _NS_PER_US / age_ns:.2f} CPUs on average"
    periods, throttled = found.cpu_period_count, found.cpu_throttled_count
    if periods and throttled is not None:
        lost = f", {found.cpu_throttled_us / _US_PER_S:.3f} s lost" if found.cpu_throttled_us is not None else ""
        text += f"; throttled in {throttled} of {periods} periods{share_text(throttled, periods)}{lost}"
    else:
        text += "; never throttled"
    return text


def _memory(found: ResourceStatistics) -> str:
    limit = found.memory_limit_bytes
    of = "no limit" if limit is None else f"limit {bytes_text(limit)}"
    parts = []
    if found.memory_usage_bytes is not None:
        parts.append(f"{bytes_text(found.memory_usage_bytes)} used{share_text(found.memory_usage_bytes, limit)}")
    if found.memory_working_set_bytes is not None:
        parts.append(f"{bytes_text(found.memory_working_set_bytes)} of it working set")
    if found.memory_anon_bytes is not None:
        parts.append(f"{bytes_text(found.memory_anon_bytes)} anonymous")
    if found.memory_peak_bytes is not None:
        parts.append(f"peak {bytes_text(found.memory_peak_bytes)}{share_text(found.memory_peak_bytes, limit)}")
    return ", ".join((*parts, of, counted(found.memory_oom_kill_count or 0, "OOM kill")))


def _pids(found: ResourceStatistics) -> str:
    limit = found.pids_limit_count
    of = "no limit" if limit is None else f"limit {limit}"
    parts = [] if found.pids_count is None else [f"{found.pids_count} now{share_text(found.pids_count, limit)}"]
    if found.pids_peak_count is not None:
        parts.append(f"peak {found.pids_peak_count}{share_text(found.pids_peak_count, limit)}")
    return ", ".join((*parts, of, f"{found.pids_refused_count or 0} refused"))


def share_text(part: int | None, whole: int | None) -> str:
    """` (42 %)`; empty where there is nothing to be a share of."""
    return "" if part is None or not whole else f" ({100 * part / whole:.0f} %)"


def measured_at_the_end(evidence: Evidence) -> ResourceStatistics:
    """What the last counters said, in the same terms as of a task that runs."""
    found = ResourceStatistics()
    if cpu := evidence.cpu:
        found.cpu_usage_us, found.cpu_period_count = cpu.usage_us, cpu.period_count
        found.cpu_throttled_count, found.cpu_throttled_us = cpu.throttled_count, cpu.throttled_us
    if memory := evidence.memory:
        found.memory_peak_bytes, found.memory_limit_bytes = memory.peak_bytes, memory.limit_bytes
        found.memory_oom_kill_count = memory.oom_kill_count
    if pids := evidence.pids:
        found.pids_limit_count, found.pids_peak_count = pids.limit_count, pids.peak_count
        found.pids_refused_count = pids.refused_count
    if disk := evidence.disk:
        found.disk_used_bytes, found.disk_limit_bytes = disk.used_bytes, disk.limit_bytes
    return found
