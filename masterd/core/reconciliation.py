"""What a framework is told about a task when it asks. For unknown tasks one table, by what is known of the agent.

Unlike Mesos, a task that has ended is answered for with its last state as long as it is remembered.
"""

from __future__ import annotations

from masterd.core.effects import NoteStatus
from masterd.core.events import Reconcile
from masterd.core.state import FrameworkEntry, TaskEntry, Turn
from masterd.core.views import AgentState
from paddock.model.ids import AgentId, TaskId
from paddock.model.task import Reason, TaskState

_UNKNOWN_TASK: dict[AgentState | None, tuple[TaskState, str] | None] = {
    AgentState.CONNECTED: (TaskState.GONE, "the agent is registered and does not have it"),
    AgentState.DISCONNECTED: (TaskState.GONE, "the agent was registered without it"),
    AgentState.UNREACHABLE: (TaskState.UNREACHABLE, "the agent is out of reach, and the task is not known"),
    AgentState.RECOVERED: None,
    None: (TaskState.UNKNOWN, "neither the task nor its agent is known"),
}
"""RECOVERED: the agent has not come back since the master started, so nobody can say; no answer, ask again."""


_GONE = (TaskState.GONE_BY_OPERATOR, "an operator says that its agent is gone")


def reconcile(turn: Turn, event: Reconcile, framework: FrameworkEntry) -> None:
    """Answer for each task that is named, or for all that are known."""
    if not event.tasks:
        for task in (*framework.tasks.values(), *framework.unreachable.values()):
            _answer_known(turn, framework, task)
        return
    for task_id, agent_id in dict.fromkeys(event.tasks):
        answer(turn, framework, task_id, agent_id)


def answer(turn: Turn, framework: FrameworkEntry, task_id: TaskId, agent_id: AgentId) -> None:
    """For one task; the agent id may be empty."""
    task = framework.tasks.get(task_id) or framework.unreachable.get(task_id) or framework.completed.get(task_id)
    if task is not None:
        _answer_known(turn, framework, task)
        return
    known = _state_of(turn, agent_id)
    row = _GONE if agent_id in turn.state.gone_agent_ids else _UNKNOWN_TASK[known]
    if row is None:
        return
    state, message = row
    status = turn.status(task_id, agent_id, framework.as_it_understands(state), Reason.RECONCILIATION, message)
    turn.note(framework, NoteStatus(status=status))


def _state_of(turn: Turn, agent_id: AgentId) -> AgentState | None:
    """Without an agent id any agent that is not back yet may be the one."""
    if agent_id:
        agent = turn.state.agents.get(agent_id)
        return agent.state if agent is not None else None
    waiting = any(agent.state is AgentState.RECOVERED for agent in turn.state.agents.values())
    return AgentState.RECOVERED if waiting else None


def _answer_known(turn: Turn, framework: FrameworkEntry, task: TaskEntry) -> None:
    """The last state that was sent on; before the first, what the master knows."""
    state = task.statuses[-1].state if task.statuses else task.state
    status = turn.status(
        task.info.task_id,
        task.agent_id,
        framework.as_it_understands(state),
        Reason.RECONCILIATION,
        "the latest state that the master has sent on",
    )
    turn.note(framework, NoteStatus(status=status))
