"""Samples of containers. An agent may have thousands, so only the newest have series of their own; the others are summed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentd.metrics import families
from agentd.metrics.cgroup_files import Unified
from paddock.metrics.families import Family, Sample
from paddock.model.container import Container
from paddock.model.ids import ContainerId
from paddock.model.statistics import ResourceStatistics

OTHER = "other"
_US_PER_S = 1e6
_Values = Iterator[tuple[Family, tuple[str, ...], float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Running containers, the newest first, each with its statistics; of `own_count` of them `unified` was read too."""

    containers: Sequence[Container]
    usages: Sequence[ResourceStatistics]
    unified: Mapping[ContainerId, Unified]
    own_count: int


def samples(measured: Measured) -> Iterator[Sample]:
    """Sums go under the name `other`."""
    sums: dict[tuple[Family, tuple[str, ...]], float] = {}
    for place, (container, usage) in enumerate(zip(measured.containers, measured.usages, strict=True)):
        config = container.config
        if place < measured.own_count:
            names = (str(config.container_id), str(config.task_id))
            yield families.CONTAINER.sample(
                1, *names, str(config.framework_id), config.name, config.container.type.value, config.user.name
            )
            for family, more, value in _values(usage, measured.unified.get(config.container_id, Unified())):
                yield family.sample(value, *names, *more)
        else:
            for family, more, value in _values(usage, Unified()):
                sums[family, more] = sums.get((family, more), 0) + value
    for (family, more), value in sums.items():
        yield family.sample(value, OTHER, "", *more)
    yield families.CUT.sample(max(len(measured.containers) - measured.own_count, 0))


def _values(usage: ResourceStatistics, unified: Unified) -> _Values:
    """What is known: what was not measured, or has no limit, has no sample."""
    for family, more, value in _measures(usage):
        if value is not None:
            yield family, more, value
    for resource, waiting, total_s in unified.pressure_s:
        yield families.PRESSURE, (resource, waiting), total_s
    if unified.read_bytes is not None:
        yield families.IO, ("read",), unified.read_bytes
    if unified.written_bytes is not None:
        yield families.IO, ("write",), unified.written_bytes


def _measures(usage: ResourceStatistics) -> Iterator[tuple[Family, tuple[str, ...], float | None]]:
    yield families.CPU, ("user",), _s(usage.cpu_user_us)
    yield families.CPU, ("system",), _s(usage.cpu_system_us)
    yield families.CPU_PERIODS, (), usage.cpu_period_count
    yield families.CPU_THROTTLED, (), usage.cpu_throttled_count
    yield families.CPU_THROTTLED_TIME, (), _s(usage.cpu_throttled_us)
    yield families.MEMORY, ("usage",), usage.memory_usage_bytes
    yield families.MEMORY, ("anon",), usage.memory_anon_bytes
    yield families.MEMORY, ("file",), usage.memory_file_bytes
    yield families.MEMORY, ("swap",), usage.memory_swap_bytes
    yield families.MEMORY, ("working_set",), usage.memory_working_set_bytes
    yield families.MEMORY, ("peak",), usage.memory_peak_bytes
    yield families.MEMORY_LIMIT, (), usage.memory_limit_bytes
    yield families.OOM_KILLS, (), usage.memory_oom_kill_count
    yield families.PIDS, (), usage.pids_count
    yield families.PIDS_LIMIT, (), usage.pids_limit_count
    yield families.PIDS_REFUSED, (), usage.pids_refused_count
    yield families.DISK, (), usage.disk_used_bytes
    yield families.DISK_LIMIT, (), usage.disk_limit_bytes


def _s(time_us: int | None) -> float | None:
    return None if time_us is None else time_us / _US_PER_S
