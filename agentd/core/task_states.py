"""A task's states as the agent tells them: which may follow which."""

from __future__ import annotations

from types import MappingProxyType

from paddock.model.errors import InvalidTransition
from paddock.model.ids import TaskId
from paddock.model.task import TaskState as State

TABLE = MappingProxyType(
    {
        (State.STAGING, State.STARTING): "its launch takes time, and has come so far",
        (State.STARTING, State.STARTING): "and further",
        (State.STARTING, State.RUNNING): "the command runs",
        (State.STARTING, State.FAILED): "the launch failed, or its end is all that is known",
        (State.STARTING, State.KILLED): "killed during the launch",
        (State.STARTING, State.FINISHED): "it ended while the agent was away",
        (State.STARTING, State.DROPPED): "the agent went away before the launcher had it",
        (State.STARTING, State.GONE): "the host was started anew",
        (State.STAGING, State.RUNNING): "the command runs",
        (State.STAGING, State.KILLING): "a kill came during the launch",
        (State.STAGING, State.FAILED): "the launch failed, or its end is all that is known",
        (State.STAGING, State.KILLED): "killed during the launch",
        (State.STAGING, State.FINISHED): "it ended while the agent was away",
        (State.STAGING, State.DROPPED): "the agent went away before the launcher had it",
        (State.STAGING, State.GONE): "the host was started anew",
        # An OOM-killed child is reported while the task runs on.
        (State.RUNNING, State.RUNNING): "something to tell, and it runs on",
        (State.RUNNING, State.KILLING): "a kill was asked for",
        (State.RUNNING, State.FINISHED): "exit code 0",
        (State.RUNNING, State.FAILED): "another code, a signal, a limit, a lost supervisor",
        (State.RUNNING, State.KILLED): "killed on request",
        (State.RUNNING, State.GONE): "the host was started anew",
        (State.KILLING, State.KILLING): "something to tell, and it is not dead yet",
        (State.KILLING, State.FINISHED): "it ended by itself before the kill reached it",
        (State.KILLING, State.FAILED): "it failed by itself before the kill reached it",
        (State.KILLING, State.KILLED): "killed on request",
        (State.KILLING, State.GONE): "the host was started anew",
    }
)
"""(state, following state) → when. Nothing follows a terminal state, ever."""


def check_follows(task_id: TaskId, state: State, following: State) -> None:
    """Raises InvalidTransition where the table has no row."""
    if (state, following) not in TABLE:
        raise InvalidTransition(f"task {task_id}", state.name, following.name)
