"""One step of a task's life, protobuf ↔ model."""

from __future__ import annotations

from paddock.model import ids
from paddock.model.errors import InvalidRequest, Unsupported
from paddock.model.ids import AgentId, ContainerId
from paddock.model.task import StatusSource, TaskState, TaskStatus
from paddock.wire.convert import bounds
from paddock.wire.convert.evidence import evidence_from_wire, evidence_to_wire
from paddock.wire.convert.health import check_status_from_wire, check_status_to_wire
from paddock.wire.v1 import tasks_pb2 as pb

UUID_BYTES = 16

_STATES = {state.value: state for state in TaskState}
_SOURCES = {source.value: source for source in StatusSource}


def task_state_from_wire(number: int, field: str = "state") -> TaskState:
    """A state must be known: everything that is done for a task depends on it."""
    if number not in _STATES:
        raise InvalidRequest(field, number, f"use a TaskState from {min(_STATES)} to {max(_STATES)}")
    return _STATES[number]


def task_state_to_wire(state: TaskState) -> pb.TaskState.ValueType:
    """The same number."""
    return pb.TaskState.ValueType(state)


def reason_to_wire(reason: int) -> pb.Reason.ValueType:
    """The same number, also one that this version does not know: the enum is open."""
    return pb.Reason.ValueType(reason)


def uuid_from_wire(value: bytes, field: str = "uuid") -> bytes:
    """16 bytes. Where it may be empty, the caller asks first."""
    if len(value) != UUID_BYTES:
        raise InvalidRequest(field, value.hex(), f"use the {UUID_BYTES} bytes of the status that is meant")
    return value


def task_status_from_wire(message: pb.TaskStatus, field: str = "status") -> TaskStatus:
    """Agent and container may be missing: a master reports tasks that never had one."""
    if message.source not in _SOURCES:
        raise InvalidRequest(f"{field}.source", message.source, "say who reports: master, agent or executor")
    if message.executor_id:
        raise Unsupported(f"{field}.executor_id", "leave it empty: tasks run without executors")
    agent_id, container_id = AgentId(""), ContainerId("")
    if message.agent_id:
        agent_id = ids.agent_id(message.agent_id, f"{field}.agent_id")
    if message.container_id:
        container_id = ids.container_id(message.container_id, f"{field}.container_id")
    return TaskStatus(
        task_id=ids.task_id(message.task_id, f"{field}.task_id"),
        state=task_state_from_wire(message.state, f"{field}.state"),
        source=_SOURCES[message.source],
        reason=message.reason,
        message=bounds.text(message.message, f"{field}.message", bounds.MESSAGE_LIMIT_BYTES),
        evidence=evidence_from_wire(message.evidence, f"{field}.evidence") if message.HasField("evidence") else None,
        uuid=uuid_from_wire(message.uuid, f"{field}.uuid") if message.uuid else b"",
        timestamp_ns=bounds.timestamp_ns(message.timestamp, f"{field}.timestamp"),
        agent_id=agent_id,
        container_id=container_id,
        healthy=message.healthy if message.HasField("healthy") else None,
        check_status=check_status_from_wire(message.check_status, f"{field}.check_status")
        if message.HasField("check_status")
        else None,
    )


def task_status_to_wire(status: TaskStatus) -> pb.TaskStatus:
    """What task_status_from_wire turns back into the same."""
    return pb.TaskStatus(
        task_id=status.task_id,
        state=task_state_to_wire(status.state),
        source=pb.StatusSource.ValueType(status.source),
        reason=reason_to_wire(status.reason),
        message=bounds.shown(status.message),
        evidence=None if status.evidence is None else evidence_to_wire(status.evidence),
        uuid=status.uuid,
        timestamp=bounds.timestamp(status.timestamp_ns),
        agent_id=status.agent_id,
        container_id=status.container_id,
        healthy=status.healthy,
        check_status=None if status.check_status is None else check_status_to_wire(status.check_status),
    )
