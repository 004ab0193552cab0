"""The agent's machine: an event goes in, the state changes, effects come out. Everything that is decided is decided here."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from agentd.core import (
    ending,
    engine_words,
    events,
    health_checks,
    informing_checks,
    launching,
    resizing,
    volumes,
    withdrawing,
)
from agentd.core.durable import StatusAcknowledged
from agentd.core.effects import Effect, SendProblem, SendStatus
from agentd.core.events import Event
from agentd.core.recovery import reconciled_status
from agentd.core.state import AgentState
from agentd.core.turn import Turn


class Machine:
    """One agent. Not for threads: the shell feeds it from one queue."""

    def __init__(self, state: AgentState, *, new_uuid: Callable[[], bytes]) -> None:
        """`new_uuid` gives 16 bytes, each time others."""
        self.state = state
        self._new_uuid = new_uuid

    def handle(self, event: Event, *, now_ns: int, wall_ns: int) -> tuple[Effect, ...]:
        """What follows from the event. `now_ns` is a clock for durations, `wall_ns` the one for records.

        Raises InvalidTransition when a table has no row: a defect of ours, or a lie from outside; nothing has changed that
        an effect would show.
        """
        turn = Turn(self.state, now_ns=now_ns, wall_ns=wall_ns, new_uuid=self._new_uuid)
        _handle(turn, event)
        return tuple(turn.effects)


def _handle(turn: Turn, event: Event) -> None:
    match event:
        case events.LaunchStandalone():
            launching.launch_standalone(turn, event)
        case events.LaunchTasks():
            launching.launch_tasks(turn, event)
        case (
            events.Prepared()
            | events.Fetched()
            | events.LaunchProgressed()
            | events.PrepareRefused()
            | events.Started()
            | events.LaunchFailed()
        ):
            _handle_launch(turn, event)
        case (
            events.Ended()
            | events.Concluded()
            | events.Held()
            | events.HoldersFound()
            | events.Limited()
            | events.HealthChecked()
            | events.CheckMade()
            | events.KillContainer()
            | events.ResizeContainer()
            | events.ResizeTask()
            | events.Resized()
        ):
            _handle_container(turn, event)
        case events.MasterVolumes() | events.VolumesArranged() | events.VolumeRemoved():
            _handle_volumes(turn, event)
        case events.EngineChanged():
            engine_words.changed(turn, event)
        case _:
            _handle_master(turn, event)


def _handle_volumes(turn: Turn, event: events.MasterVolumes | events.VolumesArranged | events.VolumeRemoved) -> None:
    match event:
        case events.MasterVolumes():
            volumes.told(turn, event)
        case events.VolumesArranged():
            volumes.arranged(turn, event)
        case events.VolumeRemoved():
            volumes.removed(turn, event)
        case _:
            assert_never(event)


def _handle_container(
    turn: Turn,
    event: events.Ended
    | events.Concluded
    | events.Held
    | events.HoldersFound
    | events.Limited
    | events.HealthChecked
    | events.CheckMade
    | events.KillContainer
    | events.ResizeContainer
    | events.ResizeTask
    | events.Resized,
) -> None:
    match event:
        case events.Ended():
            ending.ended(turn, event)
        case events.Concluded():
            ending.concluded(turn, event)
        case events.Held():
            ending.held(turn, event)
        case events.HoldersFound():
            ending.holders_found(turn, event)
        case events.Limited():
            ending.limited(turn, event)
        case events.HealthChecked():
            health_checks.checked(turn, event)
        case events.CheckMade():
            informing_checks.made(turn, event)
        case events.KillContainer():
            ending.kill_container(turn, event)
        case events.ResizeContainer():
            resizing.resize_container(turn, event)
        case events.ResizeTask():
            resizing.resize_task(turn, event)
        case events.Resized():
            resizing.resized(turn, event)
        case _:
            assert_never(event)


def _handle_launch(
    turn: Turn,
    event: events.Prepared
    | events.Fetched
    | events.LaunchProgressed
    | events.PrepareRefused
    | events.Started
    | events.LaunchFailed,
) -> None:
    match event:
        case events.Prepared():
            launching.prepared(turn, event)
        case events.Fetched():
            launching.fetched(turn, event)
        case events.LaunchProgressed():
            launching.progressed(turn, event)
        case events.PrepareRefused():
            launching.prepare_refused(turn, event)
        case events.Started():
            launching.started(turn, event)
        case events.LaunchFailed():
            launching.launch_failed(turn, event)


def _handle_master(
    turn: Turn,
    event: events.KillTask
    | events.AcknowledgeStatus
    | events.ReconcileTask
    | events.RemoveFramework
    | events.MasterConnected
    | events.MasterDisconnected
    | events.RecoveryEnded
    | events.LogBlocked
    | events.TimePassed,
) -> None:
    match event:
        case events.KillTask():
            if not ending.kill_task(turn, event):
                _reconcile(turn, events.ReconcileTask(framework_id=event.framework_id, task_id=event.task_id))
        case events.AcknowledgeStatus():
            _acknowledge(turn, event)
        case events.ReconcileTask():
            _reconcile(turn, event)
        case events.RemoveFramework():
            ending.remove_framework(turn, event)
        case events.MasterConnected():
            _connected(turn, event)
        case events.MasterDisconnected():
            turn.state.connected = False
            for task in turn.state.tasks.values():
                task.stream.pause()
        case events.RecoveryEnded():
            turn.state.recovered = True
            ending.resume_stops(turn)
            resizing.resume_resizes(turn)
            volumes.remove_due(turn)
        case events.LogBlocked():
            _blocked(turn, event)
        case events.TimePassed():
            ending.retry_overdue(turn)
            volumes.retry_removals(turn)
            _send_all(turn)
        case _:
            assert_never(event)


def _blocked(turn: Turn, event: events.LogBlocked) -> None:
    if turn.state.connected and event.problem != turn.state.problem:
        turn.effects.append(SendProblem(problem=event.problem))
    turn.state.problem = event.problem
    for container_id in event.unwritten:
        withdrawing.withdraw(turn, turn.state.containers[container_id])


def _connected(turn: Turn, event: events.MasterConnected) -> None:
    turn.state.connected = True
    if turn.state.problem != event.problem:
        turn.effects.append(SendProblem(problem=turn.state.problem))
    resizing.tell_owed_limits(turn)
    _send_all(turn)


def _send_all(turn: Turn) -> None:
    """Everything whose time has come; and ask to be woken for the rest."""
    for task in turn.state.tasks.values():
        turn.send_due(task)
        if turn.state.connected and task.stream.retry_at_ns is not None:
            turn.wake_at(task.stream.retry_at_ns)


def _acknowledge(turn: Turn, event: events.AcknowledgeStatus) -> None:
    task = turn.state.tasks.get((event.framework_id, event.task_id))
    if task is None or not task.stream.awaits(event.uuid):
        return  # a repetition, or for a task that is forgotten: both mean nothing
    entry = StatusAcknowledged(framework_id=event.framework_id, task_id=event.task_id, uuid=event.uuid)
    # Durable before the next status goes: after a crash an older one must not follow a newer one.
    turn.commit(entry)
    turn.publish_task(task)
    turn.send_due(task)


def _reconcile(turn: Turn, event: events.ReconcileTask) -> None:
    """Always an answer: the newest status of what is here, else that it is not here. Neither wants an acknowledgement."""
    task = turn.state.tasks.get((event.framework_id, event.task_id))
    status = reconciled_status(turn.state, event.task_id, task, wall_ns=turn.wall_ns)
    turn.effects.append(SendStatus(framework_id=event.framework_id, status=status, latest_state=status.state))
