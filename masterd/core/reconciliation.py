"""What a framework is told about a task when it asks. For unknown tasks one table, by what is known of the agent.

Every question is answered, if not at once. Unlike Mesos, a task that has ended is answered for with its last state as long
as it is remembered, and a question that only an agent can answer which is not back since the start waits for it.
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
"""RECOVERED: the agent has not come back since the master started, so nobody can say yet: see `answer_waiting`."""


UNANSWERED_LIMIT_COUNT = 10_000
"""Of one framework: as many as one call may name. Beyond it the oldest question is dropped; it may be asked again."""

SENT_ON = "the latest state that the master has sent on"
NOT_SENT_ON = "as the master knows it; no status of the task has come through it yet"

_NOT_NAMED = AgentId("")
_GONE = (TaskState.GONE_BY_OPERATOR, "an operator says that its agent is gone")


def reconcile(turn: Turn, event: Reconcile, framework: FrameworkEntry) -> None:
    """Answer for each task that is named, or for all that are known."""
    if not event.tasks:
        for task in (*framework.tasks.values(), *framework.unreachable.values()):
            _answer_known(turn, framework, task)
        framework.asked_for_all |= _state_of(turn, _NOT_NAMED) is AgentState.RECOVERED
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
        _keep(framework, task_id, agent_id)
        return
    state, message = row
    status = turn.status(task_id, agent_id, framework.as_it_understands(state), Reason.RECONCILIATION, message)
    turn.note(framework, NoteStatus(status=status))


def _keep(framework: FrameworkEntry, task_id: TaskId, agent_id: AgentId) -> None:
    framework.unanswered.setdefault(agent_id, {})[task_id] = None
    if sum(map(len, framework.unanswered.values())) > UNANSWERED_LIMIT_COUNT:
        oldest = next(iter(framework.unanswered))
        del framework.unanswered[oldest][next(iter(framework.unanswered[oldest]))]
        if not framework.unanswered[oldest]:
            del framework.unanswered[oldest]


def answer_waiting(turn: Turn, agent_id: AgentId) -> None:
    """The agent was missing since the start, and now it is back or given up: whoever asked for its tasks is answered.

    A task whose agent was not named is answered for when it is found, or when no agent is missing any more.
    """
    asking = [each for each in turn.state.frameworks.values() if each.unanswered or each.asked_for_all]
    if not asking:
        return
    all_known = _state_of(turn, _NOT_NAMED) is None
    for framework in asking:
        if framework.asked_for_all:
            for task in [task for task in framework.tasks.values() if task.agent_id == agent_id]:
                _answer_known(turn, framework, task)
            framework.asked_for_all = not all_known
        unnamed = framework.unanswered.pop(_NOT_NAMED, {})
        found = [task_id for task_id in unnamed if all_known or task_id in framework.tasks]
        for task_id in found:
            del unnamed[task_id]
        if unnamed:
            framework.unanswered[_NOT_NAMED] = unnamed
        for task_id in framework.unanswered.pop(agent_id, {}):
            answer(turn, framework, task_id, agent_id)
        for task_id in found:
            answer(turn, framework, task_id, _NOT_NAMED)


def _state_of(turn: Turn, agent_id: AgentId) -> AgentState | None:
    """Without an agent id any agent that is not back yet may be the one."""
    if agent_id:
        agent = turn.state.agents.get(agent_id)
        return agent.state if agent is not None else None
    waiting = any(agent.state is AgentState.RECOVERED for agent in turn.state.agents.values())
    return AgentState.RECOVERED if waiting else None


def _answer_known(turn: Turn, framework: FrameworkEntry, task: TaskEntry) -> None:
    """The last state that was sent on; before the first, what the master knows."""
    state, why = (task.statuses[-1].state, SENT_ON) if task.statuses else (task.state, NOT_SENT_ON)
    status = turn.status(
        task.info.task_id,
        task.agent_id,
        framework.as_it_understands(state),
        Reason.RECONCILIATION,
        why,
    )
    turn.note(framework, NoteStatus(status=status))
