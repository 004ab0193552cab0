"""Checks that only inform: what they find goes into the task's statuses, a change by one of its own. Nothing is killed."""

from __future__ import annotations

from agentd.core.effects import MakeCheck
from agentd.core.events import CheckMade
from agentd.core.health import first_due_ns
from agentd.core.state import ContainerEntry
from agentd.core.turn import Turn
from paddock.model.container import ContainerState
from paddock.model.health import Check, CheckStatus, HealthEvidence
from paddock.model.task import Reason

_NS_PER_MS = 1_000_000


def begin(turn: Turn, container: ContainerEntry) -> None:
    """The command runs, since now or since an earlier agent's life. One check at a time: each asks for the next."""
    config = container.config
    if config.check is None or turn.state.task_of(config) is None or container.state is not ContainerState.RUNNING:
        return
    container.is_checked = True
    age_ns = container.age_ns(turn.wall_ns)
    due_ns = first_due_ns(config.container_id, config.check, now_ns=turn.now_ns, age_ns=age_ns)
    turn.effects.append(MakeCheck(config=config, at_ns=due_ns, pid=container.pid))


def made(turn: Turn, event: CheckMade) -> None:
    """Told when the result is another than the last status says, also when an earlier agent told that one."""
    container = turn.state.containers.get(event.container_id)
    if container is None or not container.is_checked:
        return  # it was given up meanwhile
    check = container.config.check
    task = turn.state.task_of(container.config)
    if check is None or task is None:
        return
    found = _status(check, event.evidence)
    told = task.statuses[-1].check_status if task.statuses else None
    if told is None or told.result != found.result:
        reason = Reason.TASK_CHECK_STATUS_UPDATED
        turn.tell(task, task.state, reason=reason, message=f"check: {found.message}", check_status=found)
    due_ns = turn.now_ns + check.interval_ms * _NS_PER_MS
    turn.effects.append(MakeCheck(config=container.config, at_ns=due_ns, pid=container.pid))


def _status(check: Check, evidence: HealthEvidence) -> CheckStatus:
    return CheckStatus(
        exit_code=evidence.exit_code,
        http_status=evidence.http_status,
        tcp_succeeded=None if check.tcp is None else evidence.passed,
        message=evidence.message,
        took_ms=evidence.took_ms,
        output=evidence.output,
    )
