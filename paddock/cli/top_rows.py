"""The lines of `paddock top`: of each task and each agent what it uses, what it may use, and how fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from paddock.cli.output import Column, Row, bytes_text
from paddock.cli.rates import Rates
from paddock.model.resource_text import format_scalar
from paddock.model.statistics import ResourceStatistics

TASK_COLUMNS = (
    Column(title="TASK"),
    Column(title="NAME", wide=True),
    Column(title="HOST"),
    Column(title="CPU %"),
    Column(title="THROTTLED %"),
    Column(title="ANON"),
    Column(title="WORKING SET"),
    Column(title="MEM LIMIT"),
    Column(title="PIDS"),
    Column(title="DISK"),
    Column(title="FRAMEWORK", wide=True),
    Column(title="ROLE", wide=True),
    Column(title="MEM PEAK", wide=True),
    Column(title="OOM KILLS", wide=True),
    Column(title="PIDS REFUSED", wide=True),
)
AGENT_COLUMNS = (
    Column(title="AGENT"),
    Column(title="HOST"),
    Column(title="STATE"),
    Column(title="CONTAINERS"),
    Column(title="CPU %"),
    Column(title="CPUS HELD"),
    Column(title="THROTTLED %"),
    Column(title="ANON"),
    Column(title="WORKING SET"),
    Column(title="MEM HELD"),
    Column(title="PIDS"),
    Column(title="DISK"),
)
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskUse:
    """One running task. `measured` is empty when its agent could not be asked."""

    name: str
    task_name: str
    framework_id: str
    framework_name: str
    role: str
    agent_id: str
    hostname: str
    measured: ResourceStatistics
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentUse:
    """One agent: the sum over its containers, those that operators launched with them, beside what it holds and has."""

    name: str
    hostname: str
    state: str
    container_count: int | None
    cpus_held_milli: int
    cpus_milli: int
    mem_held_milli: int
    mem_milli: int
    measured: ResourceStatistics
    rates: Rates


SORTS: dict[str, Callable[[ResourceStatistics, Rates], int]] = {
    "cpu": lambda _, rates: rates.cpus_milli or 0,
    "throttled": lambda _, rates: rates.throttled_permille or 0,
    "mem": lambda measured, _: measured.memory_working_set_bytes or 0,
    "pids": lambda measured, _: measured.pids_count or 0,
    "disk": lambda measured, _: measured.disk_used_bytes or 0,
    "name": lambda _measured, _rates: 0,
}
"""--sort: the largest first, and by name where they are equal."""


def task_row(use: TaskUse) -> Row:
    """One line."""
    found = use.measured
    return Row(
        name=use.name,
        cells=(
            use.name,
            use.task_name,
            use.hostname,
            _percent(use.rates.cpus_milli),
            _percent(use.rates.throttled_permille),
            bytes_text(found.memory_anon_bytes),
            bytes_text(found.memory_working_set_bytes),
            bytes_text(found.memory_limit_bytes),
            _of(_count(found.pids_count), _count(found.pids_limit_count)),
            _of(bytes_text(found.disk_used_bytes), bytes_text(found.disk_limit_bytes)),
            use.framework_name or use.framework_id,
            use.role,
            bytes_text(found.memory_peak_bytes),
            _count(found.memory_oom_kill_count),
            _count(found.pids_refused_count),
        ),
        document="",
    )


def agent_row(use: AgentUse) -> Row:
    """One line."""
    found = use.measured
    held, total = use.mem_held_milli * _MIB // 1000, use.mem_milli * _MIB // 1000
    return Row(
        name=use.name,
        cells=(
            use.name,
            use.hostname,
            use.state,
            _count(use.container_count),
            _percent(use.rates.cpus_milli),
            f"{format_scalar(use.cpus_held_milli)}/{format_scalar(use.cpus_milli)}",
            _percent(use.rates.throttled_permille),
            bytes_text(found.memory_anon_bytes),
            bytes_text(found.memory_working_set_bytes),
            f"{bytes_text(held)}/{bytes_text(total)}",
            _count(found.pids_count),
            bytes_text(found.disk_used_bytes),
        ),
        document="",
    )


def fields_of(use: TaskUse | AgentUse) -> dict[str, object]:
    """For -o json: every value under its own name with its unit, null where it is not known; the parts are flat."""
    found: dict[str, object] = {"task_id" if isinstance(use, TaskUse) else "agent_id": use.name}
    for field in fields(use):
        value = getattr(use, field.name)
        if field.name == "name":
            continue
        if isinstance(value, Rates | ResourceStatistics):
            found |= {part.name: getattr(value, part.name) for part in fields(value) if part.name != "missing"}
        else:
            found[field.name] = value
    return found


def _percent(permille: int | None) -> str:
    return "-" if permille is None else f"{permille / 10:.1f}"


def _count(count: int | None) -> str:
    return "-" if count is None else str(count)


def _of(used: str, limit: str) -> str:
    """`3/50`; `-` when neither is known."""
    return "-" if used == limit == "-" else f"{used}/{limit}"
