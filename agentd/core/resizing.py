"""Another size for a running container: admitted, durable, tried, and then in force or as it was.

The wish is in the log before the kernel hears of it, and its outcome before anybody is told. An agent that dies in between
tries again when it is back: to write the same values twice is no change.
"""

from __future__ import annotations

from dataclasses import replace

from agentd.core.durable import ContainerResized, ContainerResizing
from agentd.core.effects import Answer, Resize, SendStandalone, SendTaskResized
from agentd.core.events import ResizeContainer, Resized, ResizeTask
from agentd.core.state import AgentState, ContainerEntry, TaskEntry
from agentd.core.turn import Turn
from paddock.model.container import ContainerConfig, ContainerState
from paddock.model.errors import (
    InvalidRequest,
    InvalidTransition,
    NotFound,
    PaddockError,
    ResourcesExhausted,
    Unavailable,
)
from paddock.model.resource_text import format_resources, format_value
from paddock.model.resources import Resources, Scalar, excess
from paddock.model.task import Reason, ResourceLimits, TaskState
from paddock.model.volumes import counted


def resize_container(turn: Turn, event: ResizeContainer) -> None:
    """Refused at once, or tried; `resized` answers then."""
    try:
        container, wanted = _asked(turn.state, event)
    except PaddockError as error:
        turn.effects.append(Answer(request_id=event.request_id, error=error))
        return
    turn.commit(wanted)
    container.resize_request_id = event.request_id
    _try(turn, container, wanted)


def rehearsed(state: AgentState, event: ResizeContainer) -> ContainerConfig:
    """What the container would be. Raises what the event would be answered with; nothing changes.

    Of a task its master's amounts may be named too, since nothing is done to them here.
    """
    container, wanted = _asked(state, event, may_be_masters=True)
    return replace(container.config, resources=wanted.resources, limits=wanted.limits)


def _asked(
    state: AgentState, event: ResizeContainer, *, may_be_masters: bool = False
) -> tuple[ContainerEntry, ContainerResizing]:
    container = state.containers.get(event.container_id)
    if container is None:
        raise NotFound("container", event.container_id)
    config = container.config
    is_masters = bool(config.framework_id) and not may_be_masters
    named = _of_its_kind(config.resources, event.resources) if config.framework_id else event.resources
    resources = _resources(config.resources, named, is_task=is_masters)
    return container, _wanted(state, container, resources, config.limits.changed_by(event.limits), event.by)


def resize_task(turn: Turn, event: ResizeTask) -> None:
    """The master has reserved what it grows by, and keeps that until it hears of the outcome, or of the task's end."""
    task = turn.state.tasks.get((event.framework_id, event.task_id))
    container = turn.state.containers.get(task.container_id) if task is not None else None
    if task is None or container is None or container.is_ended:
        return
    if container.resizing is not None and container.resizing.resources == event.resources:
        return  # said again, after a reconnection
    if container.resizing is None and container.config.resources == event.resources:
        _tell_master_of_task(turn, container)  # the outcome was lost on its way
        return
    try:
        wanted = _wanted(turn.state, container, event.resources, container.config.limits, event.by)
    except PaddockError as error:
        _tell_outcome(turn, container, task, error)
        return
    turn.commit(wanted)
    _try(turn, container, wanted)


def _wanted(
    state: AgentState, container: ContainerEntry, resources: Resources, limits: ResourceLimits, by: str
) -> ContainerResizing:
    """Raises what whoever asked is to hear."""
    container_id = container.config.container_id
    if container.state is not ContainerState.RUNNING:
        raise InvalidTransition(f"container {container_id}", container.state.name, "a resize")
    if container.resizing is not None:
        raise Unavailable(f"container {container_id} is being resized by {container.resizing.by}; try again")
    growth = excess(counted(resources), counted(container.config.resources))
    if not state.free.contains(growth):
        free = format_resources(state.free) or "nothing"
        raise ResourcesExhausted(
            f"{format_resources(growth)} more was asked for, {free} is free here; ask for less, or end something"
        )
    return ContainerResizing(container_id=container_id, resources=resources, limits=limits, by=by)


def _of_its_kind(current: Resources, named: Resources) -> Resources:
    """A task's amounts as its master gives them: of the role and the reservation of what is there by that name."""
    kinds = {resource.name: resource for resource in current}
    return Resources.of(
        kinds[resource.name].amounting(resource.value)
        if resource.name in kinds and isinstance(resource.value, Scalar)
        else resource
        for resource in named
    )


def _resources(current: Resources, named: Resources, *, is_task: bool) -> Resources:
    """The current ones, with those that are named in the place of theirs."""
    for resource in named:
        if not isinstance(resource.value, Scalar) or not resource.like(resource):
            raise InvalidRequest("resources", resource.name, "only amounts can be changed: cpus, mem, disk")
    if is_task:
        for resource in named:
            has_milli = current.scalar_milli(resource.name)
            if not isinstance(resource.value, Scalar) or resource.value.milli != has_milli:
                remedy = (
                    f"this task's {resource.name} is {format_value(Scalar(milli=has_milli))} in its master's accounts: ask "
                    "the master; here only limits can be changed (cpus, memory, swap, pids)"
                )
                raise InvalidRequest(f"resources.{resource.name}", format_value(resource.value), remedy)
        return current
    kept = (resource for resource in current if not any(resource.like(other) for other in named))
    found = Resources.of((*kept, *named))
    if not found:
        raise InvalidRequest("resources", "", "leave it some cpus or mem, so that what it uses is counted")
    return found


def _try(turn: Turn, container: ContainerEntry, wanted: ContainerResizing) -> None:
    config = replace(container.config, resources=wanted.resources, limits=wanted.limits)
    turn.effects.append(Resize(config=config))
    _tell_master(turn, container)


def _tell_master(turn: Turn, container: ContainerEntry) -> None:
    if not container.config.framework_id and turn.state.connected:
        turn.effects.append(SendStandalone(resources=turn.state.standalone))


def resized(turn: Turn, event: Resized) -> None:
    """The outcome is durable before it is told. Of a container that has ended meanwhile nobody asks any more."""
    container = turn.state.containers.get(event.container_id)
    if container is None or container.resizing is None:
        return
    is_larger_or_smaller = container.resizing.resources != container.config.resources
    turn.commit(ContainerResized(container_id=event.container_id, applied=event.error is None))
    if event.unapplied:
        container.unapplied = event.unapplied
    _tell_master(turn, container)
    turn.publish(container)
    task = turn.state.task_of(container.config)
    if task is not None and is_larger_or_smaller:
        _tell_outcome(turn, container, task, event.error)
    elif task is not None and event.error is None:
        # Limits only, and its framework did not ask: its master holds the next size against them.
        container.owes_limits = not turn.state.connected
        _tell_master_of_task(turn, container)
    if container.resize_request_id:
        turn.effects.append(Answer(request_id=container.resize_request_id, error=event.error))
        container.resize_request_id = 0


def _tell_outcome(turn: Turn, container: ContainerEntry, task: TaskEntry, error: PaddockError | None) -> None:
    """To the master for its accounts, and to the framework. A task that is about to end is told of its end only."""
    _tell_master_of_task(turn, container, error)
    if task.state is TaskState.RUNNING:
        has = format_resources(container.config.resources.unallocated())
        words = f"the task has {has} now" if error is None else f"the task still has {has}: {error}"
        reason = Reason.TASK_RESIZED if error is None else Reason.CONTAINER_UPDATE_FAILED
        turn.tell(task, task.state, reason=reason, message=words)


def _tell_master_of_task(turn: Turn, container: ContainerEntry, error: PaddockError | None = None) -> None:
    config = container.config
    if turn.state.connected:
        turn.effects.append(
            SendTaskResized(
                framework_id=config.framework_id,
                task_id=config.task_id,
                resources=config.resources,
                limits=config.limits,
                error=str(error or ""),
            )
        )


def tell_owed_limits(turn: Turn) -> None:
    """A master has come."""
    for container in turn.state.live():
        if container.owes_limits:
            container.owes_limits = False
            _tell_master_of_task(turn, container)


def resume_resizes(turn: Turn) -> None:
    """After a restart nobody knows how far the last one came."""
    for container in turn.state.live():
        if container.resizing is not None and container.state is ContainerState.RUNNING:
            _try(turn, container, container.resizing)
