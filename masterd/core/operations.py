"""Whether a task may be launched out of what was offered: Mesos' checks in Mesos' order, the first fault named."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from masterd.core.events import Caller
from paddock.model.docker_task import check_container
from paddock.model.errors import InvalidRequest
from paddock.model.ids import AgentId, TaskId, check_id
from paddock.model.resource_text import format_value
from paddock.model.resources import DEFAULT_ROLE, MILLI, Items, Ranges, Resource, Resources, Scalar, check_resources
from paddock.model.task import Reason, TaskInfo
from paddock.model.volumes import find_clash

UNLIMITED = -1
_BYTES_PER_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a task is refused."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a task is checked against. `remaining` is unallocated: what earlier tasks of the call have left."""

    agent_id: AgentId
    role: str
    remaining: Resources
    taken_ids: Container[TaskId]
    caller: Caller
    framework_user: str
    containerizers: tuple[str, ...] = ()
    """What the agent says that it has; empty: it does not say."""


def find_fault(task: TaskInfo, room: Room) -> Fault | None:
    """The first of Mesos' checks that fails, in its order; None when the task may be launched."""
    fault = _find_identity_fault(task, room) or _find_resources_fault(task, room) or _find_container_fault(task, room)
    if fault is not None:
        return Fault(reason=Reason.TASK_INVALID, message=fault)
    fault = find_limits_fault(task) or find_missing(task.resources.unallocated(), room.remaining)
    if fault is not None:
        return Fault(reason=Reason.TASK_INVALID, message=fault)
    user = task.command.user or room.framework_user
    if room.caller.uid != 0 and user not in {"", room.caller.user}:
        message = f"user {user!r} is not the caller's: {room.caller.user} may run tasks as itself only"
        return Fault(reason=Reason.TASK_UNAUTHORIZED, message=message)
    return None


def prepared(task: TaskInfo, room: Room) -> TaskInfo:
    """As the agent gets it: resources marked with the role, and the user written out, so that nobody has to guess."""
    user = task.command.user or room.framework_user or room.caller.user
    return replace(
        task,
        resources=task.resources.allocated_to(room.role),
        command=replace(task.command, user=user),
    )


def _find_identity_fault(task: TaskInfo, room: Room) -> str | None:
    try:
        check_id(task.task_id, "task_id")
    except InvalidRequest as error:
        return str(error)
    if task.task_id in room.taken_ids:
        return f"task_id: {task.task_id!r} is taken by a task of this framework that has not ended; use a new id"
    if task.agent_id != room.agent_id:
        return f"agent_id: the task names {task.agent_id!r}, but the offer is of {room.agent_id!r}"
    if task.kill_policy.grace_period_ms < 0:
        return f"kill_policy.grace_period_ms: {task.kill_policy.grace_period_ms} is below 0"
    if task.max_completion_time_ms < 0:
        return f"max_completion_time_ms: {task.max_completion_time_ms} is below 0; 0 means none"
    return None


def _find_resources_fault(task: TaskInfo, room: Room) -> str | None:
    resources = task.resources
    try:
        check_resources(resources, "resources")
    except InvalidRequest as error:
        return str(error)
    if not resources or all(resource.is_empty() for resource in resources):
        return "resources: the task asks for nothing; ask for cpus or mem"
    for resource in resources:
        if resource.allocation_role not in {"", room.role}:
            return f"resources: {resource.name} is of role {resource.allocation_role!r}, the offer of {room.role!r}"
        if resource.name == "gpus" and isinstance(resource.value, Scalar) and resource.value.milli % MILLI:
            return f"resources: gpus:{format_value(resource.value)} is not a whole number"
    clash = find_clash(resources)
    if clash:
        return f"resources: {clash}"
    revocable = {resource.name for resource in resources if resource.revocable}
    mixed = revocable & {resource.name for resource in resources if not resource.revocable}
    if mixed:
        return f"resources: {min(mixed)} is asked for as revocable and as non-revocable; a task takes one kind"
    return None


def _find_container_fault(task: TaskInfo, room: Room) -> str | None:
    try:
        check_container(task.container, task.command, task.resources)
    except InvalidRequest as error:
        return str(error)
    wanted = task.container.type.value
    if room.containerizers and wanted not in room.containerizers:
        there = ", ".join(room.containerizers)
        remedy = "take an offer whose containerizers name it"
        return f"container.type: {wanted} is not run by agent {room.agent_id}, which runs {there}; {remedy}"
    return None


def find_limits_fault(task: TaskInfo) -> str | None:
    """A limit that is below what is requested."""
    limits = task.limits
    cpus_milli = task.resources.scalar_milli("cpus")
    if limits.cpus_milli is not None and limits.cpus_milli != UNLIMITED and limits.cpus_milli < cpus_milli:
        return f"limits.cpus_milli: {limits.cpus_milli} is below the request of {cpus_milli}"
    memory_bytes = task.resources.scalar_milli("mem") * _BYTES_PER_MIB // MILLI
    if limits.memory_bytes is not None and limits.memory_bytes != UNLIMITED and limits.memory_bytes < memory_bytes:
        return f"limits.memory_bytes: {limits.memory_bytes} is below the request of {memory_bytes}"
    return None


def find_missing(wanted: Resources, remaining: Resources) -> str | None:
    """Names the first resource that is asked beyond what is left of the offers, with both amounts."""
    left = remaining
    for resource in Resources.of(wanted):
        single = Resources((resource,))
        if left.contains(single):
            left -= single
            continue
        there = [present for present in left if present.name == resource.name and present.like(resource)]
        offered = format_value(there[0].value) if there else "nothing"
        return f"resources: {_named(resource)} {format_value(resource.value)} is asked for, {offered} of it is offered"
    return None


def _named(resource: Resource) -> str:
    reserved = f"({resource.reserved_role})" if resource.reserved_role != DEFAULT_ROLE else ""
    match resource.value:
        case Scalar() | Ranges() | Items():
            return f"{resource.name}{reserved}"
