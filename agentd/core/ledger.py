"""How each durable entry changes the state. The running machine and recovery both go through here, so they cannot differ."""

from __future__ import annotations

from dataclasses import replace

from agentd.core.container_states import ContainerInput, next_state
from agentd.core.durable import (
    ContainerEnded,
    ContainerForgotten,
    ContainerHealth,
    ContainerLaunched,
    ContainerResized,
    ContainerResizing,
    ContainerStopping,
    DurableEntry,
    StatusAcknowledged,
    StatusQueued,
    TaskAccepted,
    TaskWithdrawn,
    VolumeGone,
    VolumesMade,
    VolumesTold,
)
from agentd.core.state import STATUSES_KEPT_COUNT, AgentState, ContainerEntry, TaskEntry
from agentd.core.task_states import check_follows
from paddock.model.container import ContainerState
from paddock.model.errors import InvalidTransition
from paddock.model.ids import FrameworkId
from paddock.model.resources import Resources, Scalar, excess
from paddock.model.volumes import as_configured, counted


def apply(state: AgentState, entry: DurableEntry) -> None:
    """Change the state by this entry. Raises InvalidTransition or KeyError for one that cannot follow what is there."""
    match entry:
        case ContainerLaunched():
            _launched(state, entry)
        case ContainerStopping() | ContainerHealth():
            _noted(state.containers[entry.container_id], entry)
        case ContainerResizing():
            _resizing(state, entry)
        case ContainerResized():
            _resized(state, entry)
        case ContainerEnded():
            _ended(state, entry)
        case ContainerForgotten():
            del state.containers[entry.container_id]
            del state.ended[entry.container_id]
        case TaskAccepted():
            key = (entry.framework.framework_id, entry.task.task_id)
            state.frameworks[entry.framework.framework_id] = entry.framework
            state.tasks[key] = TaskEntry(
                framework_id=entry.framework.framework_id, info=entry.task, container_id=entry.container_id
            )
        case TaskWithdrawn():
            del state.tasks[entry.framework_id, entry.task_id]
            _forget_idle_framework(state, entry.framework_id)
        case StatusQueued():
            _queued(state, entry)
        case StatusAcknowledged():
            _acknowledged(state, entry)
        case VolumesTold() | VolumesMade() | VolumeGone():
            state.volumes.apply(entry)
            _count_volumes(state)


def _launched(state: AgentState, entry: ContainerLaunched) -> None:
    asked = counted(entry.config.resources)
    taken = _taken(state.free, asked)
    state.free -= taken
    if not entry.config.framework_id:
        state.standalone += asked
    state.containers[entry.config.container_id] = ContainerEntry(
        config=entry.config, created_ns=entry.created_ns, boot_id=entry.boot_id, counted=taken
    )


def _noted(container: ContainerEntry, entry: ContainerStopping | ContainerHealth) -> None:
    if isinstance(entry, ContainerStopping):
        container.stopping = entry
    else:
        container.health_told = entry


def _count_volumes(state: AgentState) -> None:
    """Their disk is taken while they are there, used or not."""
    state.free += state.volumes.counted
    configured = Resources.of(as_configured(volume) for volume in state.volumes.told.values())
    state.volumes.counted = _taken(state.free, configured)
    state.free -= state.volumes.counted


def _standalone_without(state: AgentState, gone: Resources) -> Resources:
    """Amounts are taken off. Ranges and sets are unions, of which two may have had the same: they are put together anew."""
    if all(isinstance(resource.value, Scalar) for resource in gone):
        return state.standalone - gone
    left = (counted(entry.config.resources) for entry in state.live() if not entry.config.framework_id)
    return Resources.of(resource for resources in left for resource in resources)


def _taken(free: Resources, asked: Resources) -> Resources:
    """All that was asked, or as much of it as is there."""
    if free.contains(asked):
        return asked
    return Resources.of(resource for resource in asked if free.contains(Resources.of([resource])))


def _resizing(state: AgentState, entry: ContainerResizing) -> None:
    """What it grows by is taken at once: nobody else may get it meanwhile."""
    container = state.containers[entry.container_id]
    growth = excess(counted(entry.resources), counted(container.config.resources))
    taken = _taken(state.free, growth)  # all of it, unless the operator made the agent smaller since
    state.free -= taken
    container.counted += taken
    if not container.config.framework_id:
        state.standalone += growth
    container.resizing = entry


def _resized(state: AgentState, entry: ContainerResized) -> None:
    container = state.containers[entry.container_id]
    resizing, container.resizing = container.resizing, None
    if resizing is None:
        raise InvalidTransition(f"container {entry.container_id}", "not being resized", "RESIZED")
    before, after = counted(container.config.resources), counted(resizing.resources)
    kept, left = (after, before) if entry.applied else (before, after)
    surplus = excess(container.counted, kept)
    container.counted -= surplus
    state.free += surplus
    if not container.config.framework_id:
        state.standalone -= excess(left, kept)
    if entry.applied:
        container.config = replace(container.config, resources=resizing.resources, limits=resizing.limits)
        container.shown = None
        task = state.task_of(container.config)
        if task is not None:
            # Its limits stay what was asked for: those in force are the container's.
            task.info = replace(task.info, resources=resizing.resources)


def _ended(state: AgentState, entry: ContainerEnded) -> None:
    container = state.containers[entry.container_id]
    if container.state is not ContainerState.DESTROYING and container.state is not ContainerState.STUCK:
        container.state = next_state(entry.container_id, container.state, ContainerInput.ENDED)
    container.state = next_state(entry.container_id, container.state, ContainerInput.RELEASED)
    container.pid = entry.pid
    container.shim_pid = entry.shim_pid
    container.started_ns = entry.started_ns
    container.ended_ns = entry.ended_ns
    container.termination = entry.termination
    container.stuck = ""
    container.kill_overdue_ns = None
    state.free += container.counted
    container.counted = Resources()
    if not container.config.framework_id:
        if container.resizing is not None:
            resources = counted(container.config.resources)
            state.standalone -= excess(counted(container.resizing.resources), resources)
        state.standalone = _standalone_without(state, counted(container.config.resources))
    container.resizing = None
    container.forget_command()
    state.ended[entry.container_id] = None


def _queued(state: AgentState, entry: StatusQueued) -> None:
    task = state.tasks[entry.framework_id, entry.status.task_id]
    check_follows(task.info.task_id, task.state, entry.status.state)
    task.state = entry.status.state
    task.statuses.append(entry.status)
    del task.statuses[:-STATUSES_KEPT_COUNT]
    task.stream.append(entry.status)


def _acknowledged(state: AgentState, entry: StatusAcknowledged) -> None:
    task = state.tasks[entry.framework_id, entry.task_id]
    task.stream.remove(entry.uuid)
    if task.state.is_terminal and task.stream.head is None:
        del state.tasks[entry.framework_id, entry.task_id]
        _forget_idle_framework(state, entry.framework_id)


def _forget_idle_framework(state: AgentState, framework_id: FrameworkId) -> None:
    if not any(key[0] == framework_id for key in state.tasks):
        state.frameworks.pop(framework_id, None)
