"""Tasks from launch to end: statuses, acknowledgements, kills. The agent's word counts; the master only passes it on."""

from __future__ import annotations

from dataclasses import replace

from masterd.core import reconciliation
from masterd.core.effects import NoteStatus, TellAcknowledged, TellKill
from masterd.core.events import Acknowledge, Kill, LaunchRefused, OperatorKill, StatusReported
from masterd.core.state import AgentEntry, FrameworkEntry, MasterState, TaskEntry, TaskKey, Turn
from masterd.core.views import AgentState, FrameworkState
from paddock.model.errors import InvalidRequest, NotFound, PermissionRefused
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.task import KillPolicy, Reason, TaskState, TaskStatus

THE_FRAMEWORK = "the framework"


def status_reported(turn: Turn, event: StatusReported, agent: AgentEntry) -> None:
    """Take note and pass on. A status for a task that is on another agent is a lie and changes nothing."""
    key = (event.framework_id, event.status.task_id)
    status = turn.state.tally.counted(replace(event.status, agent_id=agent.info.agent_id))
    framework = turn.state.framework(event.framework_id)
    task = agent.tasks.get(key)
    assert framework is not None, "whatever an agent speaks of is known from then on"
    if task is not None and task.state.is_terminal and not status.uuid:
        _answered_after_the_end(turn, agent, framework, task, status)
        return
    if task is not None:
        _advance(turn, task, status, event.latest_state)
    elsewhere = framework.tasks.get(status.task_id)
    if framework.state is FrameworkState.COMPLETED or (elsewhere is not None and elsewhere is not task):
        if task is not None or elsewhere is None:
            _take_note_for_nobody(turn, agent, event.framework_id, status)
        if task is not None and status.state.is_terminal:
            conclude(turn, agent, framework, task)
        return
    if task is None and not status.uuid and status.task_id in framework.completed:
        return  # the answer to a question that came late: the task's end was told, and nothing follows it
    turn.note(framework, NoteStatus(status=replace(status, state=framework.as_it_understands(status.state))))
    if task is not None and status.state.is_terminal and not status.uuid:
        conclude(turn, agent, framework, task)


def _answered_after_the_end(
    turn: Turn, agent: AgentEntry, framework: FrameworkEntry, task: TaskEntry, status: TaskStatus
) -> None:
    """An agent forgets a task whose end was acknowledged, and then says DROPPED when it is asked. That is no second end."""
    if framework.state is not FrameworkState.COMPLETED and not task.duplicate:
        state, why = framework.as_it_understands(task.state), "it had ended before its agent was asked"
        told = turn.status(status.task_id, status.agent_id, state, Reason.RECONCILIATION, why)
        turn.note(framework, NoteStatus(status=told))
    if status.state.is_terminal:
        conclude(turn, agent, framework, task)


def _take_note_for_nobody(turn: Turn, agent: AgentEntry, framework_id: FrameworkId, status: TaskStatus) -> None:
    """Nobody is left to acknowledge it: the master does, or the agent would send it for ever."""
    if status.uuid:
        turn.tell(agent, TellAcknowledged(framework_id=framework_id, task_id=status.task_id, uuid=status.uuid))


def _advance(turn: Turn, task: TaskEntry, status: TaskStatus, latest_state: TaskState) -> None:
    """Never back from a terminal state; its resources go back at the first one, not at its acknowledgement."""
    _note(turn, task, status)
    if status.container_id:
        task.container_id = status.container_id
    if not task.state.is_terminal:
        task.state = latest_state if latest_state.is_terminal else status.state
    if task.state.is_terminal:
        turn.release(task)
    if not task.duplicate:
        turn.changed(task)


def _note(turn: Turn, task: TaskEntry, status: TaskStatus) -> None:
    """An agent says a task's end again and again until somebody has heard it: it is one end."""
    if status.state.is_terminal and not any(known.state.is_terminal for known in task.statuses):
        turn.state.tally.count_end(status)
    task.note(status)


def conclude(turn: Turn, agent: AgentEntry, framework: FrameworkEntry, task: TaskEntry) -> None:
    """The task is over, and whoever had to know knows."""
    turn.release(task)
    key = (task.framework_id, task.info.task_id)
    agent.tasks.pop(key, None)
    agent.pending_kills.pop(key, None)
    if not task.duplicate:
        framework.finish(task)
        turn.changed(task)


def end_by_master(turn: Turn, agent: AgentEntry, task: TaskEntry, state: TaskState, reason: int, message: str) -> None:
    """The task will not be heard of again: the master says so itself."""
    framework = turn.state.framework(task.framework_id)
    assert framework is not None, "a task's framework is remembered as long as the task"
    task.state = framework.as_it_understands(state)
    status = turn.status(task.info.task_id, task.agent_id, task.state, reason, message)
    _note(turn, task, status)
    if not task.duplicate:
        turn.note(framework, NoteStatus(status=status))
    conclude(turn, agent, framework, task)


def launch_refused(turn: Turn, event: LaunchRefused, agent: AgentEntry) -> None:
    """They never ran."""
    for task_id in event.task_ids:
        task = agent.tasks.get((event.framework_id, task_id))
        if task is not None and not task.state.is_terminal:
            end_by_master(turn, agent, task, TaskState.DROPPED, event.reason, event.message)


def acknowledge(turn: Turn, event: Acknowledge, framework: FrameworkEntry) -> None:
    """Pass it on. The terminal status' acknowledgement is the end of the task here.

    While the agent is away nothing is kept: it sends the status again when it is back, and is answered then.
    """
    agent = turn.state.agents.get(event.agent_id)
    if agent is None or agent.state is not AgentState.CONNECTED:
        return
    framework_id = framework.info.framework_id
    turn.tell(agent, TellAcknowledged(framework_id=framework_id, task_id=event.task_id, uuid=event.uuid))
    task = agent.tasks.get((framework_id, event.task_id))
    if task is not None and any(known.uuid == event.uuid and known.state.is_terminal for known in task.statuses):
        conclude(turn, agent, framework, task)


def kill(turn: Turn, event: Kill, framework: FrameworkEntry) -> None:
    """An unknown task is answered as if it had been asked for: the framework may have missed its end."""
    task = framework.tasks.get(event.task_id) or framework.unreachable.get(event.task_id)
    if task is None:
        reconciliation.answer(turn, framework, event.task_id, event.agent_id)
        return
    if event.agent_id and event.agent_id != task.agent_id:
        raise InvalidRequest("agent_id", event.agent_id, f"the task is on {task.agent_id}; name that agent, or none")
    _kill(turn, task, event.kill_policy, THE_FRAMEWORK)


def operator_kill(turn: Turn, event: OperatorKill) -> None:
    """As its framework's kill. The kill policy that is not given is the task's own."""
    _kill(turn, named(turn.state, event), event.kill_policy, f"the operator {event.caller}")


def named(state: MasterState, event: OperatorKill) -> TaskEntry:
    """The task, when it is there and the caller's to kill."""
    framework = state.framework(event.framework_id)
    task = None
    if framework is not None:
        task = framework.tasks.get(event.task_id) or framework.unreachable.get(event.task_id)
        if task is None and framework.state is FrameworkState.COMPLETED:
            task = _still_ending(state, (event.framework_id, event.task_id))
    if framework is None or task is None:
        raise NotFound("task", event.task_id)
    if event.caller.uid not in {0, owner_uid(framework)}:
        raise PermissionRefused(
            f"task {event.task_id} belongs to {framework.info.principal or 'nobody known'}; "
            f"uid {event.caller.uid} may kill its own tasks only"
        )
    return task


def owner_uid(framework: FrameworkEntry) -> int | None:
    """Who subscribed it, None when nobody knows: then only uid 0 may do anything with it."""
    principal = framework.info.principal
    kind, _, number = principal.partition(":")
    return int(number) if kind == "uid" and number.isascii() and number.isdigit() and len(number) <= 10 else None


def _still_ending(state: MasterState, key: TaskKey) -> TaskEntry | None:
    return next((agent.tasks[key] for agent in state.agents.values() if key in agent.tasks), None)


def _kill(turn: Turn, task: TaskEntry, policy: KillPolicy | None, asked_by: str) -> None:
    tell_kill(turn, turn.state.agents[task.agent_id], kill_of(task, asked_by, policy), task)


def kill_of(task: TaskEntry, asked_by: str, policy: KillPolicy | None = None) -> TellKill:
    """The kill of a task. The policy that is not given is the task's own."""
    return TellKill(
        framework_id=task.framework_id,
        task_id=task.info.task_id,
        kill_policy=policy or task.info.kill_policy,
        asked_by=asked_by,
    )


def tell_kill(turn: Turn, agent: AgentEntry, kill: TellKill, task: TaskEntry) -> None:
    """Now, or when the agent is back."""
    if task.state.is_terminal and task.released:
        return
    if agent.state is AgentState.CONNECTED:
        turn.tell(agent, kill)
    else:
        agent.pending_kills[kill.framework_id, kill.task_id] = kill


def agent_named(turn: Turn, stream: int) -> AgentEntry | None:
    """The agent whose living stream this is; None when the stream is an old one: what it says counts no more."""
    agent_id: AgentId | None = turn.state.agent_of_stream.get(stream)
    return turn.state.agents[agent_id] if agent_id is not None else None
