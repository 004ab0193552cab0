"""What the tasks that an engine runs are told of it: since when it does not answer, and that it does again. They run on."""

from __future__ import annotations

from agentd.core.events import EngineChanged
from agentd.core.state import TaskEntry
from agentd.core.turn import Turn
from paddock.model.task import ContainerType, Reason, TaskState

_OF_ENGINES = frozenset({Reason.ENGINE_UNRESPONSIVE, Reason.ENGINE_RESPONSIVE})


def changed(turn: Turn, event: EngineChanged) -> None:
    """Told once, also when an earlier agent told it."""
    reason = Reason.ENGINE_RESPONSIVE if event.reachable else Reason.ENGINE_UNRESPONSIVE
    for container in tuple(turn.state.live()):
        task = turn.state.task_of(container.config)
        is_concerned = container.config.container.type is ContainerType.DOCKER and container.stopping is None
        if task is not None and is_concerned and task.state is TaskState.RUNNING and _last_told(task) is not reason:
            turn.tell(task, TaskState.RUNNING, reason=reason, message=event.words)


def _last_told(task: TaskEntry) -> Reason:
    """Nothing told: it has started the task, so it answered."""
    told = (Reason(status.reason) for status in reversed(task.statuses) if status.reason in _OF_ENGINES)
    return next(told, Reason.ENGINE_RESPONSIVE)
