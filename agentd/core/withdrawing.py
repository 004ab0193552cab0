"""Launches that found out that nothing can be made durable: refused at once, and what was prepared for them goes."""

from __future__ import annotations

from agentd.core import ending
from agentd.core.container_states import ContainerInput
from agentd.core.durable import TaskWithdrawn
from agentd.core.effects import Answer, SendLaunchRefused
from agentd.core.launching import no_work
from agentd.core.state import ContainerEntry
from agentd.core.turn import Turn
from paddock.model.errors import Unavailable
from paddock.model.task import LaunchFailure, Reason


def withdraw(turn: Turn, container: ContainerEntry) -> None:
    """Nothing of it was durable, so nobody was promised anything, and whoever waits need not wait until there is room.

    The shell does nothing any more of what was wanted for it. While it is still being prepared, the clean-up waits for that.
    """
    message = no_work(turn.state)
    _refuse(turn, container, message)
    if container.end_known:
        return
    container.failure = LaunchFailure(stage="checkpoint", message=message)
    container.launched = False
    turn.advance(container, ContainerInput.STOP)
    if container.is_prepared:
        ending.conclude(turn, container)
    else:
        turn.publish(container)


def _refuse(turn: Turn, container: ContainerEntry, message: str) -> None:
    if container.request_id:
        turn.effects.append(Answer(request_id=container.request_id, error=Unavailable(message), at_once=True))
    task = turn.state.task_of(container.config)
    if task is None:
        return
    framework_id, task_id = task.framework_id, task.info.task_id
    turn.effects.append(
        SendLaunchRefused(
            framework_id=framework_id,
            task_ids=(task_id,),
            reason=Reason.AGENT_PROBLEM,
            message=message,
            at_once=True,
        )
    )
    turn.commit(TaskWithdrawn(framework_id=framework_id, task_id=task_id))
