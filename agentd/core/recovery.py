"""What comes back: the state from the log's entries, the entries from the state, and what a master is told first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentd.core import ledger
from agentd.core.durable import (
    ContainerEnded,
    ContainerLaunched,
    DurableEntry,
    StatusAcknowledged,
    StatusQueued,
    TaskAccepted,
    VolumeGone,
    VolumesMade,
    VolumesTold,
)
from agentd.core.effects import RegisteredTask, Registration
from agentd.core.state import AgentState, ContainerEntry, TaskEntry
from paddock.model.container import ContainerState
from paddock.model.ids import TaskId
from paddock.model.resources import Resources
from paddock.model.task import Reason, ResourceLimits, StatusSource, TaskState, TaskStatus


def restore(state: AgentState, entries: Iterable[DurableEntry]) -> None:
    """Apply the whole log to a new state.

    What had not ended may have reached the launcher: nobody knows until it is looked for.
    """
    for entry in entries:
        ledger.apply(state, entry)
    for container in state.live():
        container.state = ContainerState.LAUNCHING
        container.launched = True


def snapshot(state: AgentState) -> tuple[DurableEntry, ...]:
    """The fewest entries that give the durable part of this state again."""
    return (*_volumes(state), *_tasks(state), *_containers(state))


def _volumes(state: AgentState) -> Iterator[DurableEntry]:
    book = state.volumes
    if book.told or book.removals:
        yield VolumesTold(volumes=Resources(tuple(book.told.values())), destroyed=tuple(book.removals.values()))
    if book.made:
        yield VolumesMade(volumes=tuple(book.made))
    for destroy_id in book.gone:
        yield VolumeGone(destroy_id=destroy_id)


def _tasks(state: AgentState) -> Iterator[DurableEntry]:
    for task in state.tasks.values():
        framework = state.frameworks[task.framework_id]
        yield TaskAccepted(framework=framework, task=task.info, container_id=task.container_id)
        for status in _acknowledged(task)[-1:]:
            yield StatusQueued(framework_id=task.framework_id, status=status)
            yield StatusAcknowledged(framework_id=task.framework_id, task_id=status.task_id, uuid=status.uuid)
        for status in task.stream.pending:
            yield StatusQueued(framework_id=task.framework_id, status=status)


def _acknowledged(task: TaskEntry) -> list[TaskStatus]:
    """Of those that are still shown. What came after the head and does not wait had no room."""
    head = task.stream.head
    if head is None:
        return task.statuses
    uuids = [status.uuid for status in task.statuses]
    return task.statuses[: uuids.index(head.uuid)] if head.uuid in uuids else []


def _containers(state: AgentState) -> Iterator[DurableEntry]:
    ended = [state.containers[container_id] for container_id in state.ended]
    for container in (*ended, *state.live()):
        yield ContainerLaunched(config=container.config, created_ns=container.created_ns, boot_id=container.boot_id)
        if container.stopping is not None:
            yield container.stopping
        if container.resizing is not None:
            yield container.resizing
        if container.health_told is not None and not container.config.task_id:
            yield container.health_told
        if container.termination is not None:
            yield _ended(container)


def _ended(container: ContainerEntry) -> ContainerEnded:
    assert container.termination is not None
    return ContainerEnded(
        container_id=container.config.container_id,
        pid=container.pid,
        shim_pid=container.shim_pid,
        started_ns=container.started_ns,
        ended_ns=container.ended_ns,
        termination=container.termination,
    )


def registration(state: AgentState) -> Registration:
    """Everything that the agent still answers for."""
    tasks = tuple(
        RegisteredTask(
            framework_id=task.framework_id,
            task=task.info,
            state=task.state,
            container_id=task.container_id,
            resizing=_resizing(state, task),
            limits=_limits(state, task),
        )
        for task in state.tasks.values()
    )
    return Registration(
        tasks=tasks,
        frameworks=tuple(state.frameworks.values()),
        standalone=state.standalone,
        problem=state.problem,
    )


def _resizing(state: AgentState, task: TaskEntry) -> Resources:
    container = state.containers.get(task.container_id)
    return Resources() if container is None or container.resizing is None else container.resizing.resources


def _limits(state: AgentState, task: TaskEntry) -> ResourceLimits:
    container = state.containers.get(task.container_id)
    return task.info.limits if container is None else container.config.limits


def reconciled_status(state: AgentState, task_id: TaskId, task: TaskEntry | None, *, wall_ns: int) -> TaskStatus:
    """The truth about one task, on demand; without a UUID, because nothing waits for its acknowledgement."""
    if task is None:
        return TaskStatus(
            task_id=task_id,
            state=TaskState.DROPPED,
            source=StatusSource.AGENT,
            reason=Reason.RECONCILIATION,
            message="this agent does not know the task",
            timestamp_ns=wall_ns,
            agent_id=state.agent_id,
        )
    latest = task.statuses[-1] if task.statuses else None
    return TaskStatus(
        task_id=task_id,
        state=task.state,
        source=StatusSource.AGENT,
        reason=Reason.RECONCILIATION,
        message=latest.message if latest else "its launch is under way",
        evidence=latest.evidence if latest else None,
        timestamp_ns=wall_ns,
        agent_id=state.agent_id,
        container_id=task.container_id,
        healthy=latest.healthy if latest else None,
        check_status=latest.check_status if latest else None,
    )
