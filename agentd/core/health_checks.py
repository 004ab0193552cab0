"""From a command that runs to checks of its health, from what they find to what is told, and to a kill when too many fail."""

from __future__ import annotations

from dataclasses import replace

from agentd.core import ending
from agentd.core.durable import ContainerHealth
from agentd.core.effects import CheckHealth
from agentd.core.events import HealthChecked
from agentd.core.health import Health, begin_watch
from agentd.core.state import ContainerEntry, TaskEntry
from agentd.core.turn import Turn
from paddock.model.container import ContainerState
from paddock.model.health import HealthEvidence
from paddock.model.ids import ContainerId
from paddock.model.statistics import Limitation
from paddock.model.task import Evidence, Reason

ISOLATOR = "health"
"""Who says so, in a limitation: no isolator, but the checks."""


def begin(turn: Turn, container: ContainerEntry) -> None:
    """The command runs, since now or since an earlier agent's life. One check at a time: each asks for the next."""
    check = container.config.health_check
    task = turn.state.task_of(container.config)
    if check is None or container.state is not ContainerState.RUNNING:
        return
    container_id = container.config.container_id
    if task is not None:
        container.health_told = _told_of(task, container_id)
    age_ns = container.age_ns(turn.wall_ns)
    healthy = container.health_told.healthy if container.health_told else None
    container.health = begin_watch(container_id, check, now_ns=turn.now_ns, age_ns=age_ns, healthy=healthy)
    _ask(turn, container)


def _told_of(task: TaskEntry, container_id: ContainerId) -> ContainerHealth | None:
    """By its statuses, those that are still known."""
    healthy = task.statuses[-1].healthy if task.statuses else None
    if healthy is None:
        return None
    seen = (status.evidence.health for status in reversed(task.statuses) if status.evidence is not None)
    evidence = next((evidence for evidence in seen if evidence is not None), None)
    return ContainerHealth(container_id=container_id, healthy=healthy, evidence=evidence)


def _ask(turn: Turn, container: ContainerEntry) -> None:
    assert container.health is not None
    turn.effects.append(CheckHealth(config=container.config, at_ns=container.health.due_ns, pid=container.pid))


def checked(turn: Turn, event: HealthChecked) -> None:
    """Told when the health changes; too many failures in a row end the task, by its own kill policy."""
    container = turn.state.containers.get(event.container_id)
    watch = container.health if container is not None else None
    if container is None or watch is None:
        return  # it was given up meanwhile
    task = turn.state.task_of(container.config)
    changed = watch.heard(event.container_id, passed=event.evidence.passed, now_ns=turn.now_ns)
    evidence = replace(event.evidence, failed_count=watch.failed_count)
    if changed and watch.health.is_healthy is not None:
        _remember(
            turn,
            container,
            ContainerHealth(container_id=event.container_id, healthy=watch.health.is_healthy, evidence=evidence),
        )
    if watch.health is Health.CONDEMNED:
        _condemn(turn, container, evidence)
        return
    if changed:
        if task is not None:
            _tell(turn, task, watch.health, evidence, watch.check.failure_count)
        turn.publish(container)
    _ask(turn, container)


def _remember(turn: Turn, container: ContainerEntry, told: ContainerHealth) -> None:
    """Written for a standalone container. Of a task's the status that follows says the same, and only one can be first."""
    if container.config.task_id:
        container.health_told = told
    else:
        turn.commit(told)


def _tell(turn: Turn, task: TaskEntry, health: Health, evidence: HealthEvidence, failure_count: int) -> None:
    how_often = "" if evidence.passed else f" ({evidence.failed_count} in a row, {max(failure_count, 1)} end the task)"
    turn.tell(
        task,
        task.state,
        reason=Reason.TASK_HEALTH_CHECK_STATUS_UPDATED,
        message=f"{health.value}: {evidence.message}{how_often}",
        evidence=Evidence(health=evidence),
        healthy=health.is_healthy,
    )


def _condemn(turn: Turn, container: ContainerEntry, evidence: HealthEvidence) -> None:
    times = "once" if evidence.failed_count == 1 else f"{evidence.failed_count} times in a row"
    limitation = Limitation(
        container_id=container.config.container_id,
        isolator=ISOLATOR,
        reason=Reason.HEALTH_CHECK_FAILED,
        message=f"its health check failed {times}, the last time: {evidence.message}",
        fatal=True,
        health=evidence,
    )
    ending.stop(turn, container, policy=container.config.kill_policy, limitation=limitation)
