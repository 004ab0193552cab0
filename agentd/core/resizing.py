"""Another size for a running container: admitted, durable, tried, and then in force or as it was.

The wish is in the log before the kernel hears of it, and its outcome before anybody is told. An agent that dies in between
tries again when it is back: to write the same values twice is no change.
"""

from __future__ import annotations

from dataclasses import fields, replace

from agentd.core.durable import ContainerResized, ContainerResizing
from agentd.core.effects import Answer, Resize, SendStandalone
from agentd.core.events import ResizeContainer, Resized
from agentd.core.state import AgentState, ContainerEntry
from agentd.core.turn import Turn
from paddock.model.container import ContainerState
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
from paddock.model.task import ResourceLimits
from paddock.model.volumes import counted

_LIMITS = tuple(field.name for field in fields(ResourceLimits))


def resize_container(turn: Turn, event: ResizeContainer) -> None:
    """Refused at once, or tried; `resized` answers then."""
    container = turn.state.containers.get(event.container_id)
    try:
        if container is None:
            raise NotFound("container", event.container_id)
        wanted = _wanted(turn.state, container, event)
    except PaddockError as error:
        turn.effects.append(Answer(request_id=event.request_id, error=error))
        return
    turn.commit(wanted)
    container.resize_request_id = event.request_id
    _try(turn, container, wanted)


def _wanted(state: AgentState, container: ContainerEntry, event: ResizeContainer) -> ContainerResizing:
    """Raises what the caller is to hear."""
    if container.state is not ContainerState.RUNNING:
        raise InvalidTransition(f"container {event.container_id}", container.state.name, "a resize")
    if container.resizing is not None:
        raise Unavailable(f"container {event.container_id} is being resized by {container.resizing.by}; try again")
    config = container.config
    resources = _resources(config.resources, event.resources, is_task=bool(config.framework_id))
    growth = excess(counted(resources), counted(config.resources))
    if not state.free.contains(growth):
        free = format_resources(state.free) or "nothing"
        raise ResourcesExhausted(
            f"{format_resources(growth)} more was asked for, {free} is free here; ask for less, or end something"
        )
    given = {name: value for name in _LIMITS if (value := getattr(event.limits, name)) is not None}
    limits = replace(config.limits, **given)
    return ContainerResizing(container_id=event.container_id, resources=resources, limits=limits, by=event.by)


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
                    f"this task's {resource.name} is {format_value(Scalar(milli=has_milli))} in its master's accounts, and "
                    "its framework's to change; here only limits can be changed (cpus, memory, swap, pids)"
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
    turn.commit(ContainerResized(container_id=event.container_id, applied=event.error is None))
    if event.unapplied:
        container.unapplied = event.unapplied
    _tell_master(turn, container)
    turn.publish(container)
    if container.resize_request_id:
        turn.effects.append(Answer(request_id=container.resize_request_id, error=event.error))
        container.resize_request_id = 0


def resume_resizes(turn: Turn) -> None:
    """After a restart nobody knows how far the last one came."""
    for container in turn.state.live():
        if container.resizing is not None and container.state is ContainerState.RUNNING:
            _try(turn, container, container.resizing)
