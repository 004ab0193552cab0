"""The supervisors' exit records in the agent's words."""

from __future__ import annotations

from agentd.core.exit_record import ExitRecord, KillOutcome
from paddock.launch import record as launch_record
from paddock.launch.protocol import OperationError, ProtocolError
from paddock.model.errors import ContainerizerError
from paddock.model.ids import ContainerId
from paddock.model.task import LaunchFailure, OomVictim


def record_from(fields: dict[str, object], container_id: ContainerId, source: str) -> ExitRecord:
    """`source` names where it came from. Raises ContainerizerError naming the field."""
    try:
        found = launch_record.decode_record(fields)
    except ProtocolError as error:
        raise _bad(container_id, source, error) from None
    if found.container_id != container_id:
        raise _bad(container_id, source, f"it is about container {found.container_id}")
    return converted(found, container_id)


def converted(found: launch_record.Record, container_id: ContainerId) -> ExitRecord:
    """A record that was checked already."""
    kill = found.kill
    outcome = None
    if kill is not None:
        outcome = KillOutcome(
            signal=kill.signal, grace_ms=kill.grace_ms, escalated=kill.escalated, took_ms=kill.took_ms
        )
    victims = found.victims
    return ExitRecord(
        container_id=container_id,
        boot_id=found.boot_id,
        pid=found.pid,
        shim_pid=found.shim_pid,
        started_ns=found.started_ns,
        ended_ns=found.ended_ns,
        wait_status=found.wait_status,
        kill=outcome,
        max_completion_reached=found.max_completion_reached,
        counters=tuple(found.counters.items()),
        victims=None
        if victims is None
        else tuple(OomVictim(pid=victim.pid, comm=victim.comm, main=victim.main) for victim in victims),
        dropped_log_bytes=found.dropped_bytes,
        launch_error=failure_of(found.launch_error, found.launch_stage) if found.launch_error else None,
        supervisor_lost=found.supervisor_lost,
        problems=tuple(problem.message for problem in found.problems),
    )


def failure_from(fields: dict[str, object]) -> LaunchFailure:
    """A `failed` event's content. Raises ProtocolError."""
    return failure_of(launch_record.decode_error(fields, "failed"), str(fields.get("stage", "")))


def failure_of(error: OperationError, stage: str) -> LaunchFailure:
    """A launch that stopped."""
    return LaunchFailure(
        stage=stage or "launch",
        message=error.message or "no reason was given",
        operation=error.operation,
        path=error.path,
        value=error.value,
        errno=error.errno,
    )


def _bad(container_id: ContainerId, source: str, why: object) -> ContainerizerError:
    return ContainerizerError(container_id, "record", f"the exit record {source} cannot be understood: {why}")
