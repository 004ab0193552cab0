"""Mesos' /metrics/snapshot and /monitor/statistics.json, from the same look as our own metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping

from agentd.core import events
from agentd.metrics.containers import Measured
from agentd.metrics.meters import TOTAL
from agentd.metrics.samples import Look
from paddock.http.answers import JSON, HttpAnswer
from paddock.metrics import mesos
from paddock.metrics.mesos import Snapshot
from paddock.model.container import Container, ContainerState
from paddock.model.resources import MILLI
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import TaskState

_LIVE = (TaskState.STAGING, TaskState.STARTING, TaskState.RUNNING, TaskState.KILLING)
_ENDED = (TaskState.FINISHED, TaskState.FAILED, TaskState.KILLED, TaskState.LOST, TaskState.GONE)
_US_PER_S, _NS_PER_S = 1e6, 1e9
_MIB = 2**20
Words = dict[str, float | int | str]


def snapshot(look: Look, *, uptime_s: float) -> Snapshot:
    """All keys. Executors are containers here, one for each task."""
    state, loop = look.state, look.loop
    running = sum(entry.state is ContainerState.RUNNING for entry in state.containers.values())
    found: Snapshot = {
        "slave/uptime_secs": uptime_s,
        "slave/registered": int(state.connected),
        "slave/frameworks_active": len(state.frameworks),
        "slave/executors_running": running,
        "slave/container_launch_errors": loop.events.get(events.LaunchFailed, 0)
        + loop.events.get(events.PrepareRefused, 0),
        "slave/valid_status_updates": loop.events.get(events.AcknowledgeStatus, 0),
        "gc/path_removals_succeeded": look.collected.sandbox_count,
        "gc/path_removals_failed": look.collected.failure_count,
        "containerizer/fetcher/cache_size_total_bytes": look.cache.limit_bytes,
        "containerizer/fetcher/cache_size_used_bytes": look.cache.used_bytes or 0,
    }
    for task_state in _LIVE:
        found[f"slave/tasks_{task_state.name.lower()}"] = sum(each.state is task_state for each in state.tasks.values())
    for task_state in _ENDED:
        found[f"slave/tasks_{task_state.name.lower()}"] = sum(
            count for (ended, _), count in loop.ended.items() if ended is task_state
        )
    total, free = state.total.quantities_milli(), state.free.quantities_milli()
    used = {name: milli - free.get(name, 0) for name, milli in total.items()}
    found |= mesos.amounts("slave", total, used) | mesos.timer("slave/launch_ms", loop.launches.stages[TOTAL])
    return found | mesos.host()


def statistics(measured: Measured) -> HttpAnswer:
    """An array with one object for each running container, as Mesos has for each executor."""
    rows = [_row(container, usage) for container, usage in zip(measured.containers, measured.usages, strict=True)]
    return HttpAnswer(body=json.dumps(rows).encode(), content_type=JSON)


def _row(container: Container, usage: ResourceStatistics) -> Mapping[str, str | Words]:
    config = container.config
    task_id = str(config.task_id)
    return {
        "container_id": str(config.container_id),
        "executor_id": task_id,
        "executor_name": config.name,
        "framework_id": str(config.framework_id),
        "source": task_id,
        "statistics": _statistics(container, usage),
    }


def _statistics(container: Container, usage: ResourceStatistics) -> Words:
    asked = container.config.resources.quantities_milli()
    limits = container.config.limits
    cpus_milli = asked.get("cpus", 0) if limits.cpus_milli is None else limits.cpus_milli
    found: dict[str, float | int | None] = {
        "timestamp": usage.timestamp_ns / _NS_PER_S,
        "cpus_soft_limit": asked.get("cpus", 0) / MILLI,
        "cpus_limit": cpus_milli / MILLI if cpus_milli >= 0 else None,
        "cpus_user_time_secs": _s(usage.cpu_user_us),
        "cpus_system_time_secs": _s(usage.cpu_system_us),
        "cpus_nr_periods": usage.cpu_period_count,
        "cpus_nr_throttled": usage.cpu_throttled_count,
        "cpus_throttled_time_secs": _s(usage.cpu_throttled_us),
        "mem_soft_limit_bytes": asked.get("mem", 0) * _MIB // MILLI,
        "mem_limit_bytes": usage.memory_limit_bytes,
        "mem_total_bytes": usage.memory_usage_bytes,
        "mem_rss_bytes": usage.memory_anon_bytes,
        "mem_anon_bytes": usage.memory_anon_bytes,
        "mem_cache_bytes": usage.memory_file_bytes,
        "mem_file_bytes": usage.memory_file_bytes,
        "mem_swap_bytes": usage.memory_swap_bytes,
        "threads": usage.pids_count,
        "disk_limit_bytes": usage.disk_limit_bytes,
        "disk_used_bytes": usage.disk_used_bytes,
    }
    return {key: value for key, value in found.items() if value is not None}


def _s(time_us: int | None) -> float | None:
    return None if time_us is None else time_us / _US_PER_S
