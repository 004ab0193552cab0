"""From a wish, a limit or an end to nothing left: kills, what the kernel still holds, and the last word."""

from __future__ import annotations

from agentd.core import volumes
from agentd.core.container_states import ContainerInput
from agentd.core.durable import ContainerEnded, ContainerStopping
from agentd.core.effects import (
    Answer,
    CancelCheck,
    CancelFetch,
    CancelHealthCheck,
    Conclude,
    Discard,
    FindHolders,
    Kill,
    Look,
    SendStandalone,
)
from agentd.core.events import Concluded, Ended, Held, HoldersFound, KillContainer, KillTask, Limited, RemoveFramework
from agentd.core.state import ContainerEntry
from agentd.core.termination import EndFacts, terminate
from agentd.core.turn import Turn
from paddock.model.container import ContainerState
from paddock.model.errors import NotFound, Unavailable
from paddock.model.framework import FrameworkCapability
from paddock.model.statistics import Limitation
from paddock.model.task import Evidence, KillPolicy, LaunchFailure, Reason, TaskState

KILL_OVERDUE_NS = 10 * 10**9
"""How long after a kill's grace an end must be known; then the container is shown as stuck and killed again."""
RETRY_FIRST_NS = 10**9
RETRY_LIMIT_NS = 60 * 10**9
_MS = 1_000_000
_NOT_ENDED = "SIGKILL was sent, and the command's end is still not known"


def failure_evidence(failure: LaunchFailure) -> Evidence:
    """For a task that never had a container."""
    return Evidence(launch_failure=failure)


def kill_container(turn: Turn, event: KillContainer) -> None:
    """Answered when the wish is durable. A container that has ended already is no error."""
    container = turn.state.containers.get(event.container_id)
    if container is None:
        error = NotFound("container", event.container_id)
        turn.effects.append(Answer(request_id=event.request_id, error=error))
        return
    stop(turn, container, policy=event.policy or container.config.kill_policy, by=event.by)
    turn.effects.append(Answer(request_id=event.request_id))


def kill_task(turn: Turn, event: KillTask) -> bool:
    """False when the task is not here."""
    task = turn.state.tasks.get((event.framework_id, event.task_id))
    if task is None:
        return False
    container = turn.state.containers.get(task.container_id)
    if container is not None and not task.state.is_terminal:
        stop(turn, container, policy=event.policy or task.info.kill_policy, by=event.by, reason=event.reason)
    return True


def limited(turn: Turn, event: Limited) -> None:
    """A fatal limit ends the container; another one is told, and it runs on."""
    limitation = event.limitation
    container = turn.state.containers.get(limitation.container_id)
    if container is None or container.is_ended or container.end_known:
        return
    if limitation.fatal:
        stop(turn, container, policy=container.config.kill_policy, limitation=limitation)
        return
    task = turn.state.task_of(container.config)
    if task is not None and task.state in {TaskState.RUNNING, TaskState.KILLING}:
        turn.tell(task, task.state, reason=limitation.reason, message=limitation.message, evidence=event.evidence)


def stop(
    turn: Turn,
    container: ContainerEntry,
    *,
    policy: KillPolicy,
    by: str = "",
    reason: Reason = Reason.KILL_REQUESTED,
    limitation: Limitation | None = None,
) -> None:
    """Begin or hasten the end. The first cause stays the cause; a later grace may only be shorter (the shim sees to that)."""
    if container.is_ended or container.end_known:
        return
    container_id = container.config.container_id
    if container.stopping is None:
        turn.commit(
            ContainerStopping(container_id=container_id, policy=policy, limitation=limitation, by=by, reason=reason)
        )
    turn.advance(container, ContainerInput.STOP)
    _end_checks(turn, container)
    _send_kill(turn, container, policy)
    turn.publish(container)
    _tell_killing(turn, container)


def _end_checks(turn: Turn, container: ContainerEntry) -> None:
    """No more of them; one that is under way is given up."""
    if container.health is not None:
        container.health = None
        turn.effects.append(CancelHealthCheck(container_id=container.config.container_id))
    if container.is_checked:
        container.is_checked = False
        turn.effects.append(CancelCheck(container_id=container.config.container_id))


def _send_kill(turn: Turn, container: ContainerEntry, policy: KillPolicy) -> None:
    if not container.launched:
        # Its preparation, or fetch, is under way, and then comes the clean-up instead of the launch.
        if container.config.command.uris or container.config.container.docker is not None:
            turn.effects.append(CancelFetch(container_id=container.config.container_id))
        return
    grace_ms = policy.grace_period_ms
    turn.effects.append(Kill(container_id=container.config.container_id, signal=policy.signal, grace_ms=grace_ms))
    overdue_ns = turn.now_ns + grace_ms * _MS + KILL_OVERDUE_NS
    if container.kill_overdue_ns is None or overdue_ns < container.kill_overdue_ns:
        container.kill_overdue_ns = overdue_ns
        turn.wake_at(overdue_ns)


def _tell_killing(turn: Turn, container: ContainerEntry) -> None:
    task = turn.state.task_of(container.config)
    if task is None or task.state is not TaskState.RUNNING:
        return
    framework = turn.state.frameworks.get(task.framework_id)
    if framework is not None and FrameworkCapability.TASK_KILLING_STATE in framework.capabilities:
        stopping = container.stopping
        assert stopping is not None
        limitation = stopping.limitation
        turn.tell(
            task,
            TaskState.KILLING,
            reason=stopping.reason if limitation is None else limitation.reason,
            message=f"a kill was asked for by {stopping.by}" if limitation is None else limitation.message,
            healthy=_health_of(container),
        )


def _health_of(container: ContainerEntry) -> bool | None:
    """False for one that is ended for its health; None: as it was told before."""
    limitation = container.stopping.limitation if container.stopping else None
    return False if limitation is not None and limitation.health is not None else None


def resume_stops(turn: Turn) -> None:
    """After a restart: a kill may not have reached its shim before the agent went; a repetition can only hasten it."""
    for container in turn.state.live():
        if container.stopping is not None:
            stop(turn, container, policy=container.stopping.policy)


def ended(turn: Turn, event: Ended) -> None:
    """Ask the isolators what they saw; then comes the last word."""
    container = turn.state.containers.get(event.container_id)
    if container is None or container.is_ended or container.end_known:
        return
    turn.advance(container, ContainerInput.ENDED)
    container.record = event.record
    if event.record is not None:
        container.pid = event.record.pid or container.pid
        container.shim_pid = event.record.shim_pid or container.shim_pid
        container.started_ns = event.record.started_ns or container.started_ns
    conclude(turn, container)


def conclude(turn: Turn, container: ContainerEntry) -> None:
    """Whatever the way here: the end is known, and what remains must go."""
    container.end_known = True
    _end_checks(turn, container)
    container.kill_overdue_ns = None
    if container.resize_request_id:
        gone = Unavailable(f"container {container.config.container_id} ended while its size was being changed")
        turn.effects.append(Answer(request_id=container.resize_request_id, error=gone))
        container.resize_request_id = 0
    turn.effects.append(Conclude(config=container.config, record=container.record, launched=container.launched))
    turn.publish(container)


def concluded(turn: Turn, event: Concluded) -> None:
    """Nothing remains: the last word, and the resources are free again."""
    container = turn.state.containers.get(event.container_id)
    if container is None or container.is_ended or not container.end_known:
        return  # nobody has asked for it
    record = container.record
    facts = EndFacts(
        record=record,
        stopping=container.stopping,
        failure=container.failure,
        evidence=event.evidence,
        unapplied=container.unapplied,
        rebooted=container.boot_id != turn.state.boot_id,
        max_completion_time_ms=container.config.max_completion_time_ms,
    )
    entry = ContainerEnded(
        container_id=event.container_id,
        pid=container.pid,
        shim_pid=container.shim_pid,
        started_ns=container.started_ns,
        ended_ns=(record.ended_ns if record else 0) or turn.wall_ns,
        termination=terminate(facts),
    )
    # A standalone end may be told before it is written: the exit record says the same, and goes only after this is durable.
    turn.commit(entry, relaxed=record is not None and not container.config.task_id)
    volumes.remove_due(turn)
    turn.publish(container)
    if container.launched:
        turn.effects.append(Discard(container_id=event.container_id))
    _tell_end(turn, container)
    turn.make_room()


def _tell_end(turn: Turn, container: ContainerEntry) -> None:
    termination = container.termination
    task = turn.state.task_of(container.config)
    if task is not None and termination is not None and not task.state.is_terminal:
        turn.tell(
            task,
            termination.state,
            reason=termination.reason,
            message=termination.message,
            evidence=termination.evidence,
            healthy=_health_of(container),
        )
    if not container.config.framework_id and turn.state.connected:
        turn.effects.append(SendStandalone(resources=turn.state.standalone))


def held(turn: Turn, event: Held) -> None:
    """Shown, and tried again, each time after twice the time."""
    container = turn.state.containers.get(event.container_id)
    if container is None or container.is_ended:
        return
    turn.advance(container, ContainerInput.HELD)
    container.stuck = event.what
    _try_later(turn, container)
    turn.publish(container)


def holders_found(turn: Turn, event: HoldersFound) -> None:
    """Shown, unless something has become of it meanwhile."""
    container = turn.state.containers.get(event.container_id)
    if container is not None and container.state is ContainerState.STUCK and not container.end_known:
        container.stuck = f"{_NOT_ENDED}: {event.what}"
        turn.publish(container)


def _try_later(turn: Turn, container: ContainerEntry) -> None:
    container.retry_delay_ns = min(2 * container.retry_delay_ns or RETRY_FIRST_NS, RETRY_LIMIT_NS)
    container.kill_overdue_ns = turn.now_ns + container.retry_delay_ns
    turn.wake_at(container.kill_overdue_ns)


def retry_overdue(turn: Turn) -> None:
    """Kills that have shown no end, and clean-ups that did not get through."""
    for container in turn.state.live():
        due_ns = container.kill_overdue_ns
        if due_ns is None:
            continue
        if turn.now_ns < due_ns:
            turn.wake_at(due_ns)
        elif container.end_known:
            conclude(turn, container)
        elif container.stopping is None:
            # Nobody wants its end: a shim that has not answered may only be slow, and is asked again.
            _try_later(turn, container)
            turn.effects.append(Look(container_id=container.config.container_id))
        else:
            container_id = container.config.container_id
            what = f"{_NOT_ENDED}; a process in uninterruptible sleep does that"
            held(turn, Held(container_id=container_id, what=what))
            turn.effects.append(Kill(container_id=container_id, signal=9, grace_ms=0))
            turn.effects.append(FindHolders(container_id=container_id))


def remove_framework(turn: Turn, event: RemoveFramework) -> None:
    """Its containers are ended. The master still hears of each end, and acknowledges it itself: until then it counts
    their resources as used.
    """
    for container in turn.state.live():
        if container.config.framework_id == event.framework_id:
            stop(turn, container, policy=container.config.kill_policy, by="the master, which removed the framework")
