"""Agents coming and going: admission, what they bring, what is lost with them."""

from __future__ import annotations

from masterd.allocator.constraints import Place
from masterd.allocator.interface import AgentTraits
from masterd.core import availability, draining, offers, reconciliation, reservations, resizing, tasks
from masterd.core.effects import (
    CloseAgentStream,
    ForgetAgent,
    NoteAgentFailed,
    NoteStatus,
    SaveAgent,
    SaveAgentGone,
    TellFrameworkGone,
    TellPing,
    TellReconcile,
    TellRegistered,
)
from masterd.core.events import AgentRegistered, RegisteredTask
from masterd.core.state import NS_PER_MS, AgentEntry, FrameworkEntry, TaskEntry, Turn, traits_of
from masterd.core.transitions import AgentEvent
from masterd.core.views import AgentState, FrameworkState
from paddock.model.errors import AlreadyExists, NotFound, PermissionRefused, Unavailable
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import DEFAULT_ROLE, Resources
from paddock.model.task import Reason, TaskState
from paddock.model.volumes import volumes_of


def registered(turn: Turn, event: AgentRegistered) -> None:
    """Admit it, take over what runs there, tell it what it must know. Durable before the agent hears of it."""
    agent_id = event.agent.agent_id
    if agent_id in turn.state.gone_agent_ids:
        raise PermissionRefused(f"agent {agent_id} was marked as gone; start agentd with a new agent id")
    agent = turn.state.agents.get(agent_id)
    if agent is not None and agent.state is AgentState.CONNECTED:
        remedy = "stop the other agentd, or wait until its connection is found dead"
        raise AlreadyExists("agent", agent_id, remedy)
    if agent is None:
        agent = AgentEntry(info=event.agent, state=AgentState.RECOVERED)
        turn.state.agents[agent_id] = agent
    was_missing = agent.state is AgentState.RECOVERED
    agent.move(AgentEvent.REGISTER)
    reservations.carry_over(turn, agent, turn.state.sharing_what_is_alike(event.agent))
    agent.stream = event.stream
    agent.standalone = event.standalone
    agent.problem = event.problem
    agent.volume_problems, agent.unknown_volumes = {}, ()
    agent.registered_ns = turn.wall_ns
    turn.state.agent_of_stream[event.stream] = agent_id
    _save(turn, agent, unreachable_ns=None)
    settings = turn.state.settings
    turn.tell(
        agent,
        TellRegistered(
            agent_id=agent_id,
            ping_interval_ms=settings.ping_interval_ms,
            ping_limit_count=settings.ping_limit_count,
            volumes=volumes_of(agent.info.resources),
            destroyed=tuple(agent.destroyed.values()),
        ),
    )
    for info in event.frameworks:
        ensure_framework(turn, info)
    for reported in event.tasks:
        _take_over(turn, agent, reported)
    _readmit(turn, agent)
    _settle(turn, agent, {(reported.framework_id, reported.task.task_id) for reported in event.tasks})
    draining.go_on(turn, agent)
    availability.admit(turn, agent)
    if was_missing:
        reconciliation.answer_waiting(turn, agent_id)
    agent.ping_sequence = agent.answered_sequence = agent.missed_count = 0
    ping(turn, agent)


def _save(turn: Turn, agent: AgentEntry, *, unreachable_ns: int | None) -> None:
    info = agent.info
    turn.effects.append(
        SaveAgent(
            agent_id=info.agent_id,
            hostname=info.hostname,
            unix_address=info.unix_address,
            tcp_address=info.tcp_address,
            unreachable_ns=unreachable_ns,
        )
    )


def ensure_framework(turn: Turn, info: FrameworkInfo) -> None:
    """A framework that only agents remember has its failover time to come back, from now on."""
    framework_id = info.framework_id
    if turn.state.framework(framework_id) is not None:
        return
    framework = FrameworkEntry(info=info, state=FrameworkState.RECOVERED)
    if framework_id in turn.state.refused_framework_ids:
        framework.state = FrameworkState.COMPLETED
        turn.state.completed_frameworks[framework_id] = framework
        return
    grace_ms = max(info.failover_timeout_ms, turn.state.settings.resubscribe_grace_ms)
    framework.deadline_ns = turn.now_ns + grace_ms * NS_PER_MS
    turn.state.frameworks[framework_id] = framework
    turn.state.allocator.add_framework(framework_id, traits_of(info), active=False)


def _take_over(turn: Turn, agent: AgentEntry, reported: RegisteredTask) -> None:
    """A task that the agent answers for. One that the master does not know is believed: the agent runs it."""
    ensure_framework(turn, FrameworkInfo(framework_id=reported.framework_id))
    framework = turn.state.framework(reported.framework_id)
    assert framework is not None
    task_id = reported.task.task_id
    elsewhere = framework.tasks.get(task_id) or framework.unreachable.get(task_id)
    key = (reported.framework_id, task_id)
    if elsewhere is not None and elsewhere.agent_id != agent.info.agent_id:
        agent.tasks[key] = _entry_for(agent, reported)
        agent.tasks[key].duplicate = True
        return
    task = agent.tasks.get(key)
    returns = framework.unreachable.pop(task_id, None)
    if task is None:
        task = returns or _entry_for(agent, reported)
        agent.tasks[key] = task
    if framework.state is not FrameworkState.COMPLETED:
        framework.completed.pop(task_id, None)
        framework.tasks[task_id] = task
    resizing.take_over(task, reported)
    task.state = reported.state
    task.container_id = reported.container_id
    if returns is not None:
        state = framework.as_it_understands(reported.state)
        message = f"agent {agent.info.agent_id} is back, and the task with it"
        status = turn.status(task_id, agent.info.agent_id, state, Reason.AGENT_REREGISTERED, message)
        if not reported.state.is_terminal:
            turn.note(framework, NoteStatus(status=status))
    turn.changed(task)


def _entry_for(agent: AgentEntry, reported: RegisteredTask) -> TaskEntry:
    roles = {resource.allocation_role for resource in reported.task.resources if resource.allocation_role}
    return TaskEntry(
        info=reported.task,
        framework_id=reported.framework_id,
        role=min(roles, default=DEFAULT_ROLE),
        agent_id=agent.info.agent_id,
        state=reported.state,
        limits=reported.limits or reported.task.limits,
        container_id=reported.container_id,
    )


def _readmit(turn: Turn, agent: AgentEntry) -> None:
    """Tell the allocator the agent anew, with what its tasks hold. A task that has ended holds nothing."""
    held: dict[tuple[FrameworkId, str], Resources] = {}
    for task in agent.tasks.values():
        task.released = task.state.is_terminal
        if not task.released:
            holder = (task.framework_id, task.role)
            held[holder] = held.get(holder, Resources()) + task.held
    info = agent.info
    place = Place(
        hostname=info.hostname,
        region=info.domain.region,
        zone=info.domain.zone,
        containerizers=info.containerizers,
        attributes=info.attributes,
    )
    turn.state.allocator.add_agent(info.agent_id, info.resources, held, agent.standalone, AgentTraits(place=place))


def _settle(turn: Turn, agent: AgentEntry, reported: set[tuple[FrameworkId, str]]) -> None:
    """What either side believes and the other does not; kills that waited; frameworks that have ended meanwhile."""
    for key, task in list(agent.tasks.items()):
        framework = turn.state.framework(task.framework_id)
        assert framework is not None
        kill = agent.pending_kills.pop(key, None)
        if key not in reported:
            turn.tell(agent, TellReconcile(framework_id=key[0], task_id=key[1]))
        if framework.state is FrameworkState.COMPLETED:
            kill = kill or tasks.kill_of(task, "the master, because the framework has ended")
        elif task.duplicate:
            kill = kill or tasks.kill_of(task, "the master, because the framework has a task of this id elsewhere")
        elif task.resizing is not None:
            resizing.tell(turn, agent, task)
        if kill is not None:
            tasks.tell_kill(turn, agent, kill, task)
    agent.pending_kills.clear()
    for framework_id in {key[0] for key in agent.tasks} & turn.state.completed_frameworks.keys():
        turn.tell(agent, TellFrameworkGone(framework_id=framework_id))
    agent_id = agent.info.agent_id
    missing = [each.unreachable for each in turn.state.frameworks.values() if each.unreachable]
    for task in [task for each in missing for task in each.values() if task.agent_id == agent_id]:
        message = f"agent {agent_id} is back without the task"
        tasks.end_by_master(turn, agent, task, TaskState.GONE, Reason.AGENT_REREGISTERED, message)


def stream_lost(turn: Turn, stream: int) -> None:
    """Disconnected: no offers of it, but its tasks go on, and it may come back any moment."""
    agent = tasks.agent_named(turn, stream)
    if agent is None:
        return
    agent.move(AgentEvent.STREAM_LOST)
    _detach(turn, agent)
    agent.deadline_ns = turn.now_ns + turn.state.settings.silence_limit_ns
    availability.refresh(turn, agent)


def _detach(turn: Turn, agent: AgentEntry) -> None:
    if agent.stream is not None:
        del turn.state.agent_of_stream[agent.stream]
        agent.stream = None


def ping(turn: Turn, agent: AgentEntry) -> None:
    """Ask for a sign of life, and for the answer to the question before."""
    settings = turn.state.settings
    if agent.answered_sequence < agent.ping_sequence:
        agent.missed_count += 1
        if agent.missed_count >= settings.ping_limit_count:
            out_of_reach(turn, agent)
            return
    agent.ping_sequence += 1
    agent.next_ping_ns = turn.now_ns + settings.ping_interval_ms * NS_PER_MS
    turn.tell(agent, TellPing(sequence=agent.ping_sequence))


def answered(agent: AgentEntry, sequence: int) -> None:
    """Any answer to the newest question ends the count. An answer from the future is a lie."""
    if agent.answered_sequence < sequence <= agent.ping_sequence:
        agent.answered_sequence = sequence
    if agent.answered_sequence == agent.ping_sequence:
        agent.missed_count = 0


def out_of_reach(turn: Turn, agent: AgentEntry) -> None:
    """Unreachable, durably; its tasks may come back with it. A connection that still stands is closed: it can start anew."""
    agent_id = agent.info.agent_id
    was_missing = agent.state is AgentState.RECOVERED
    agent.move(AgentEvent.SILENT)
    message = f"agent {agent_id} did not answer for {turn.state.settings.silence_limit_ns // NS_PER_MS} ms"
    if agent.stream is not None:
        turn.effects.append(CloseAgentStream(stream=agent.stream, error=Unavailable(f"{message}; register again")))
    _detach(turn, agent)
    agent.deadline_ns = turn.now_ns + turn.state.settings.unreachable_age_limit_ms * NS_PER_MS
    _save(turn, agent, unreachable_ns=turn.wall_ns)
    offers.rescind_all(turn, agent)
    for key, task in list(agent.tasks.items()):
        _lose(turn, agent, agent.tasks.pop(key), message)
        assert task.released
    agent.standalone = Resources()
    turn.state.allocator.remove_agent(AgentId(agent_id))
    for framework in turn.state.frameworks.values():
        turn.note(framework, NoteAgentFailed(agent_id=agent_id, message=message))
    if was_missing:
        reconciliation.answer_waiting(turn, agent_id)


def forget_the_oldest(turn: Turn) -> None:
    """Agents that were out of reach for too long, or are too many: as Mesos' registry does. One that comes back all the
    same is a new one, and its tasks are believed as any agent's.
    """
    state = turn.state
    lost = [agent for agent in state.agents.values() if agent.state is AgentState.UNREACHABLE]
    excess = len(lost) - state.settings.unreachable_limit_count
    if excess > 0:
        lost.sort(key=lambda agent: agent.deadline_ns)
    for position, agent in enumerate(lost):
        if position < excess or agent.deadline_ns <= turn.now_ns:
            _forget(turn, agent)


def _forget(turn: Turn, agent: AgentEntry) -> None:
    """Its tasks stay in their frameworks' history, with what was last known of them."""
    agent_id = agent.info.agent_id
    del turn.state.agents[agent_id]
    turn.state.leases_ms.pop(agent_id, None)
    turn.state.deactivated_agent_ids.pop(agent_id, None)
    turn.effects.append(ForgetAgent(agent_id=agent_id))
    for framework in turn.state.frameworks.values():
        for task in [task for task in framework.unreachable.values() if task.agent_id == agent_id]:
            framework.finish(task)
            turn.changed(task)


def mark_gone(turn: Turn, agent_id: AgentId) -> None:
    """An operator's word, and final: its tasks have ended, and it is never admitted again."""
    state = turn.state
    agent = state.agents.get(agent_id)
    if agent is None:
        raise NotFound("agent", agent_id)
    message = f"an operator says that agent {agent_id} is gone"
    offers.rescind_all(turn, agent)
    waiting = [task for framework in state.frameworks.values() for task in framework.unreachable.values()]
    for task in (*agent.tasks.values(), *(task for task in waiting if task.agent_id == agent_id)):
        if task.state.is_terminal:
            framework = state.framework(task.framework_id)
            assert framework is not None, "a task's framework is remembered as long as the task"
            tasks.conclude(turn, agent, framework, task)
        else:
            reason = Reason.AGENT_REMOVED_BY_OPERATOR
            tasks.end_by_master(turn, agent, task, TaskState.GONE_BY_OPERATOR, reason, message)
    if agent.stream is not None:
        turn.effects.append(CloseAgentStream(stream=agent.stream, error=PermissionRefused(message)))
    _detach(turn, agent)
    del state.agents[agent_id]
    state.leases_ms.pop(agent_id, None)
    state.deactivated_agent_ids.pop(agent_id, None)
    state.gone_agent_ids[agent_id] = None
    state.allocator.remove_agent(agent_id)
    turn.effects.append(SaveAgentGone(agent_id=agent_id))
    if len(state.gone_agent_ids) > state.settings.unreachable_limit_count:
        oldest_id = next(iter(state.gone_agent_ids))
        del state.gone_agent_ids[oldest_id]
        turn.effects.append(ForgetAgent(agent_id=oldest_id))
    for framework in state.frameworks.values():
        turn.note(framework, NoteAgentFailed(agent_id=agent_id, message=message))
    reconciliation.answer_waiting(turn, agent_id)


def _lose(turn: Turn, agent: AgentEntry, task: TaskEntry, message: str) -> None:
    framework = turn.state.framework(task.framework_id)
    assert framework is not None
    if task.state.is_terminal or task.duplicate or framework.state is FrameworkState.COMPLETED:
        tasks.conclude(turn, agent, framework, task)
        return
    turn.release(task)
    task.state = framework.as_it_understands(TaskState.UNREACHABLE)
    status = turn.status(task.info.task_id, task.agent_id, task.state, Reason.AGENT_REMOVED, message)
    task.note(status)
    del framework.tasks[task.info.task_id]
    framework.unreachable[task.info.task_id] = task
    turn.note(framework, NoteStatus(status=status))
    turn.changed(task)
