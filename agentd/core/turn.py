"""One turn of the machine: the state, the moment, and the effects collected so far."""

from __future__ import annotations

from collections.abc import Callable

from agentd.core import ledger
from agentd.core.container_states import ContainerInput, next_state
from agentd.core.durable import ContainerForgotten, DurableEntry, StatusQueued
from agentd.core.effects import Checkpoint, Effect, Publish, PublishTask, SendStatus, WakeAt
from agentd.core.state import AgentState, ContainerEntry, TaskEntry
from paddock.model.health import CheckStatus
from paddock.model.task import Evidence, Reason, StatusSource, TaskState, TaskStatus


class Turn:
    """Changes what survives through `commit` only, so that nothing is visible that a restart would not know."""

    def __init__(self, state: AgentState, *, now_ns: int, wall_ns: int, new_uuid: Callable[[], bytes]) -> None:
        """`now_ns` is for durations, `wall_ns` for records; `new_uuid` gives 16 bytes that never came before."""
        self.state = state
        self.now_ns = now_ns
        self.wall_ns = wall_ns
        self._new_uuid = new_uuid
        self.effects: list[Effect] = []

    def commit(self, entry: DurableEntry, *, relaxed: bool = False) -> None:
        """Change the state by it, and have it written down."""
        ledger.apply(self.state, entry)
        self.effects.append(Checkpoint(entry=entry, relaxed=relaxed))

    def advance(self, container: ContainerEntry, happened: ContainerInput) -> None:
        """To the table's next state. Raises InvalidTransition."""
        container.state = next_state(container.config.container_id, container.state, happened)

    def publish(self, container: ContainerEntry) -> None:
        """Tell the watchers."""
        self.state.version += 1
        self.effects.append(Publish(version=self.state.version, container=container.view()))

    def publish_task(self, task: TaskEntry) -> None:
        """Tell the watchers."""
        self.state.version += 1
        self.effects.append(PublishTask(version=self.state.version, task=task.view()))

    def tell(
        self,
        task: TaskEntry,
        state: TaskState,
        *,
        reason: int = Reason.UNSPECIFIED,
        message: str = "",
        evidence: Evidence | None = None,
        healthy: bool | None = None,
        check_status: CheckStatus | None = None,
    ) -> None:
        """Queue a status, durably, and send it when it is the next one. What its checks say, where None: as the one before."""
        if task.statuses:
            before = task.statuses[-1]
            healthy = before.healthy if healthy is None else healthy
            check_status = check_status or before.check_status
        status = TaskStatus(
            task_id=task.info.task_id,
            state=state,
            source=StatusSource.AGENT,
            reason=reason,
            message=message,
            evidence=evidence,
            uuid=self._new_uuid(),
            timestamp_ns=self.wall_ns,
            agent_id=self.state.agent_id,
            container_id=task.container_id,
            healthy=healthy,
            check_status=check_status,
        )
        self.commit(StatusQueued(framework_id=task.framework_id, status=status))
        self.publish_task(task)
        if len(task.stream.pending) == 1:
            self.send_due(task)

    def send_due(self, task: TaskEntry) -> None:
        """Send the head if its time has come and the master is there."""
        if not self.state.connected:
            return
        status = task.stream.take_due(self.now_ns)
        if status is not None:
            sent = SendStatus(framework_id=task.framework_id, status=status, latest_state=task.state)
            self.effects.append(sent)
            if task.stream.retry_at_ns is not None:
                self.wake_at(task.stream.retry_at_ns)

    def wake_at(self, at_ns: int) -> None:
        """Have TimePassed come then."""
        self.effects.append(WakeAt(at_ns=at_ns))

    def make_room(self) -> None:
        """Forget the oldest ended containers beyond the bound."""
        while len(self.state.ended) > self.state.ended_limit_count:
            self.commit(ContainerForgotten(container_id=next(iter(self.state.ended))), relaxed=True)
