"""`paddock describe`: everything about a task, or a container that an operator launched, for people."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from paddock.cli.connect import (
    add_master_argument,
    add_task_or_container_arguments,
    agent_at,
    agent_of,
    master_of,
    named_agent_address,
)
from paddock.cli.docker_lines import docker_lines
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_task
from paddock.cli.output import bytes_text, moment, printable
from paddock.cli.ps import reason_text
from paddock.cli.quantities import counted, signal_name
from paddock.model.errors import PaddockError
from paddock.model.health import CheckStatus, HealthCheck, HealthEvidence
from paddock.model.resource_text import format_resources
from paddock.model.task import DiskEvidence, Evidence, StatusSource, TaskStatus

if TYPE_CHECKING:
    from paddock.model.statistics import ResourceStatistics
    from paddock.rpc.clients.agent import AgentClient
    from paddock.rpc.clients.views import ContainerView, LimitView, TaskView

Line = tuple[str, str]
"""A label and its text; an empty label goes on with the one above."""

_US_PER_S = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_task_or_container_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print what the master knows, then what the agent knows; an agent that cannot be asked is named on stderr."""
    if arguments.agent:
        async with agent_at(await named_agent_address(arguments)) as agent:
            await _print_agents_part(agent, arguments.task)
        return OK
    async with master_of(arguments) as master:
        task = await find_task(master, arguments)
    show_lines(task_lines(task))
    if task.container_id:
        try:
            async with agent_of(task) as agent:
                await _print_agents_part(agent, task.container_id)
        except PaddockError as error:
            print(f"paddock describe: {error}", file=sys.stderr)
    show_lines(history_lines(task))
    return OK


async def _print_agents_part(agent: AgentClient, container_id: str) -> None:
    container = await agent.get_container(container_id)
    show_lines(container_lines(container))
    if container.termination is None:
        for view in await agent.list_statistics((container_id,)):
            show_lines(statistics_lines(view.statistics))
    show_lines(limit_lines(await agent.list_effective_limits(container_id)))
    if not container.task_id:
        show_lines(standalone_lines(container))


def show_lines(lines: Iterable[Line]) -> None:
    """On stdout, each label in front of its text."""
    for label, text in lines:
        sys.stdout.write(f"{label + ':' if label else '':<14}{printable(text)}\n")


def task_lines(task: TaskView) -> Iterator[Line]:
    """What the master knows."""
    info = task.task
    yield "Task", info.task_id
    yield "Name", info.name
    yield "State", task.state.name.lower()
    yield "Framework", f"{task.framework_name} ({task.framework_id})"
    yield "Role", task.role
    yield "Agent", f"{task.agent_id} on {task.hostname}"
    yield "Resources", format_resources(info.resources.unallocated())
    command = info.command
    yield "Command", command.value if command.shell else shlex.join(command.arguments) or "the image's own"
    if command.user:
        yield "User", command.user
    if info.container.docker is not None:
        yield from docker_lines(info.container.docker)
    yield from check_lines(task)
    for uri in command.uris:
        yield "Fetched", f"{uri.value} as {uri.file_name}" + (", unpacked" if uri.archive else "")
    linux = info.container.linux
    if linux.bounding_capabilities is not None:
        yield "Capabilities", " ".join(linux.bounding_capabilities) or "none"
    for rlimit in info.container.rlimits:
        yield "Rlimit", f"{rlimit.resource} {'unlimited' if rlimit.hard is None else f'{rlimit.soft}:{rlimit.hard}'}"
    for name, value in info.labels:
        yield "Label", f"{name}={value}"


def check_lines(task: TaskView) -> Iterator[Line]:
    """Its checks, and what they have said so far."""
    if health := task.task.health_check:
        yield "Health", _health_line(health, healthy=task.statuses[-1].healthy if task.statuses else None)
    if check := task.task.check:
        status = task.statuses[-1].check_status if task.statuses else None
        yield "Check", f"{check_text(status)}; {check}, every {check.interval_ms} ms, only informs"
        if status is not None and status.output:
            yield "", " ".join(status.output.split())


def check_text(status: CheckStatus | None) -> str:
    """What a check that only informs has found last."""
    if status is None:
        return "none made yet"
    if status.exit_code is not None:
        return f"exit code {status.exit_code}"
    if status.http_status is not None:
        return f"HTTP status {status.http_status}"
    if status.tcp_succeeded is not None:
        return "connected" if status.tcp_succeeded else "not connected"
    return f"no result ({status.message})"


def _health_line(check: HealthCheck, *, healthy: bool | None) -> str:
    said = {None: "unknown", True: "healthy", False: "unhealthy"}[healthy]
    return f"{said}; {check}, every {check.interval_ms} ms, {check.failure_count} failures end it"


def container_lines(container: ContainerView) -> Iterator[Line]:
    """Where it runs."""
    yield "Container", f"{container.container_id}, {container.state}"
    if container.pid and not container.ended_ns:
        # Of an ended one neither is its own any more: a shim may have another container by now.
        yield "Process", f"pid {container.pid} on the host, shim {container.shim_pid}, user {container.user}"
    yield "Sandbox", container.sandbox
    label = "Cgroups"
    for path in container.cgroup_paths:
        yield label, path
        label = ""
    yield "Started", moment(container.started_ns)
    yield "Ended", moment(container.ended_ns)
    if container.stuck:
        yield "Stuck", container.stuck
    for remark in container.unapplied:
        yield "Not applied", remark


def standalone_lines(container: ContainerView) -> Iterator[Line]:
    """What of a task its master would say: its image, its health, and its end."""
    if container.docker is not None:
        yield from docker_lines(container.docker)
    if check := container.health_check:
        yield "Health", _health_line(check, healthy=container.healthy)
    termination = container.termination
    if termination is not None:
        end = (termination.state.name.lower(), reason_text(termination.reason), termination.message)
        yield "End", " ".join(part for part in end if part)
        yield from evidence_lines(termination.evidence)
    elif container.health is not None:
        yield from _health_lines(container.health)


def statistics_lines(statistics: ResourceStatistics) -> Iterator[Line]:
    """What it uses now."""
    if statistics.cpu_usage_us is not None:
        throttled = (
            f", throttled {statistics.cpu_throttled_us / _US_PER_S:.3f} s" if statistics.cpu_throttled_us else ""
        )
        yield "CPU time", f"{statistics.cpu_usage_us / _US_PER_S:.3f} s{throttled}"
    if statistics.memory_usage_bytes is not None:
        peak, limit = bytes_text(statistics.memory_peak_bytes), bytes_text(statistics.memory_limit_bytes)
        yield "Memory", f"{bytes_text(statistics.memory_usage_bytes)}, peak {peak}, limit {limit}"
        if statistics.memory_oom_kill_count:
            yield "OOM kills", str(statistics.memory_oom_kill_count)
    if statistics.pids_count is not None:
        yield (
            "Pids",
            f"{statistics.pids_count} of {statistics.pids_limit_count}, refused {statistics.pids_refused_count}",
        )
    if statistics.disk_used_bytes is not None:
        yield "Disk", f"{bytes_text(statistics.disk_used_bytes)} of {bytes_text(statistics.disk_limit_bytes)}"
    for isolator, why in statistics.missing:
        yield "Not measured", f"{isolator}: {why}"


def limit_lines(limits: tuple[LimitView, ...]) -> Iterator[Line]:
    """What the kernel enforces."""
    label = "Limits"
    for view in limits:
        limit = view.limit
        remark = f" ({limit.remark})" if limit.remark else ""
        yield label, f"{limit.resource} {limit.asked} → {limit.path} = {limit.in_force}{remark}"
        label = ""


def history_lines(task: TaskView) -> Iterator[Line]:
    """Each status that the master keeps, oldest first, and what was seen at the last."""
    label = "History"
    for status in task.statuses:
        yield label, status_text(status)
        label = ""
    if task.statuses and task.statuses[-1].evidence is not None:
        yield from evidence_lines(task.statuses[-1].evidence)


def status_text(status: TaskStatus) -> str:
    """One status on one line."""
    reason = reason_text(status.reason)
    source = "" if status.source is StatusSource.AGENT else f" [{status.source.name.lower()}]"
    return " ".join(
        part
        for part in (moment(status.timestamp_ns), status.state.name.lower() + source, reason, status.message)
        if part
    )


def _health_lines(health: HealthEvidence) -> Iterator[Line]:
    row = "" if health.passed else f", {health.failed_count} failed in a row"
    yield "Health check", f"{health.message}, took {health.took_ms} ms{row}"
    if health.output:
        yield "", " ".join(health.output.split())


def _disk_lines(disk: DiskEvidence) -> Iterator[Line]:
    used, limit = bytes_text(disk.used_bytes), bytes_text(disk.limit_bytes)
    yield "Disk", f"{used} used, limit {limit}, du took {disk.du_duration_ms} ms"
    for directory in disk.largest:
        yield "", f"{bytes_text(directory.used_bytes)} {directory.path}"


def evidence_lines(evidence: Evidence) -> Iterator[Line]:
    """What was seen, each part only where it was."""
    if evidence.exit_code is not None:
        yield "Exit code", str(evidence.exit_code)
    if evidence.signal is not None:
        yield "Signal", signal_name(evidence.signal)
    if memory := evidence.memory:
        if memory.victims is None:
            victims = ", victims unknown"
        else:
            names = (
                f"{victim.comm}[{victim.pid}]{' (the command)' if victim.main else ''}" for victim in memory.victims
            )
            victims = "".join(f", {name}" for name in names)
        limit, peak = bytes_text(memory.limit_bytes), bytes_text(memory.peak_bytes)
        yield "Memory", f"limit {limit}, peak {peak}, {counted(memory.oom_kill_count, 'OOM kill')}{victims}"
    if (pids := evidence.pids) and pids.refused_count:
        yield "Pids", f"limit {pids.limit_count}, {counted(pids.refused_count, 'fork')} refused"
    if evidence.disk:
        yield from _disk_lines(evidence.disk)
    if stop := evidence.stop:
        escalated = ", then SIGKILL" if stop.escalated else ""
        yield "Stop", f"{signal_name(stop.signal)}, grace {stop.grace_period_ms} ms, took {stop.took_ms} ms{escalated}"
    if evidence.health:
        yield from _health_lines(evidence.health)
    if failure := evidence.launch_failure:
        yield "Launch", f"failed at {failure.stage}: {failure.message}"
    if evidence.dropped_log_bytes:
        yield "Log", f"{bytes_text(evidence.dropped_log_bytes)} of output dropped: no space"
    for remark in evidence.unapplied:
        yield "Not applied", remark
