"""Frameworks that do what they are told and keep what they are offered, beside those that behave by laws."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from masterd.core.events import CycleDue, Reconcile
from masterd.core.inspection import find_task
from masterd.core.views import FrameworkState
from masterd.simulation.cluster import Cluster, simulated_task
from masterd.simulation.expectations import Expectations, agents_of
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import NO_AGENT_ID, NO_FRAMEWORK_ID, AgentId, FrameworkId, TaskId
from paddock.model.offer import DEFAULT_REFUSE_MS, Launch, Offer, Operation, Reserve
from paddock.model.resources import Resources
from paddock.model.task import TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTask:
    """What a framework believes to have, and where."""

    task_id: TaskId
    agent_id: AgentId = NO_AGENT_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTask:
    """What a framework launches."""

    task_id: TaskId
    resources: Resources

    def on(self, agent_id: AgentId) -> Launch:
        """As an operation on an offer."""
        return Launch(tasks=(simulated_task(self.task_id, agent_id, self.resources),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """An operation on offers: one of them."""

    reserve: Resources | None = None
    launch: WantedTask | None = None

    def on(self, agent_id: AgentId) -> Iterable[Operation]:
        """As the master knows it."""
        if self.reserve is not None:
            yield Reserve(resources=self.reserve)
        if self.launch is not None:
            yield self.launch.on(agent_id)


class Frameworks:
    """All that are driven by hand, by their names. What returns a text did not come about, and that is why."""

    def __init__(self, cluster: Cluster, expectations: Expectations) -> None:
        self._cluster, self._expectations = cluster, expectations

    def framework(
        self, name_id: str, info: FrameworkInfo, *, partition_aware: bool = False, checkpoint: bool = True
    ) -> None:
        """A new one comes, under its name. `checkpoint` is Mesos' word for tasks that outlive their agent: here all do."""
        aware = {FrameworkCapability.PARTITION_AWARE} if partition_aware else set()
        framework_id, capabilities = FrameworkId(name_id), info.capabilities | aware
        self._cluster.subscribe(replace(info, framework_id=framework_id, name=name_id, capabilities=capabilities))

    def framework_disconnects(self, name_id: str) -> None:
        """Its connection breaks, if it has one."""
        self._cluster.framework_disconnects(self._cluster.framework_named(name_id))

    def present(self, name: str) -> FrameworkId:
        """One that only lost its master comes back by itself."""
        entry = self._cluster.state.frameworks.get(self._cluster.framework_named(name))
        if entry is not None and entry.state is FrameworkState.RECOVERED:
            self._cluster.subscribe(entry.info)
        return self._cluster.framework_named(name)

    def offered(self, name: str, enough: Callable[[list[Offer]], bool] = bool, **wanted: str) -> list[Offer]:
        """Its offers of this agent and role; while they are not enough, after a run. They are no news any more."""

        def now() -> list[Offer]:
            offers = self._cluster.offers_of(self.present(name))
            return [each for each in offers if all(getattr(each, field) == value for field, value in wanted.items())]

        for _ in range(2):
            if not enough(now()):
                self._cluster.do(CycleDue(batch=True))
        self._expectations.offers_are_no_news()
        return now()

    def hold_offers(self, framework_id: str) -> str:
        """It has some, and answers none."""
        return "" if self.offered(framework_id) else f"{framework_id} is offered nothing"

    def offers(self, framework_id: str, agents: float) -> str:
        """It holds those of so many agents."""
        found = agents_of(self.offered(framework_id, lambda offers: len(agents_of(offers)) == agents))
        return (
            "" if len(found) == agents else f"{framework_id} holds offers of {', '.join(sorted(found)) or 'no agent'}"
        )

    def launch(self, framework_id: str, role: str, agent_id: AgentId, wanted: WantedTask) -> str:
        """It accepts an offer of the agent, and the task runs."""
        held = self.offered(framework_id, agent_id=agent_id, role=role)
        key = (self._cluster.framework_named(framework_id), wanted.task_id)
        self._cluster.accept(key[0], held, [wanted.on(agent_id)])
        if key not in self._cluster.running.get(agent_id, {}):
            return f"{agent_id} was not told to launch {wanted.task_id}"
        self._cluster.report(agent_id, key, TaskState.RUNNING)
        seen = find_task(self._cluster.state, key)
        return "" if seen is not None and seen.state is TaskState.RUNNING else f"{wanted.task_id} does not run"


class Scheduler:
    """One of them, and its own calls. Raises PaddockError when the master refuses one."""

    def __init__(self, frameworks: Frameworks, cluster: Cluster, name: str) -> None:
        self._frameworks, self._cluster, self._name = frameworks, cluster, name

    def subscribe(self, framework_id: FrameworkId = NO_FRAMEWORK_ID, roles: tuple[str, ...] | None = None) -> None:
        """With what is known of it. Without its id it is another one."""
        entry = self._cluster.state.framework(self._cluster.framework_named(framework_id or self._name))
        info = FrameworkInfo(name=self._name) if entry is None else entry.info
        roles = info.roles if roles is None else roles
        self._cluster.subscribe(replace(info, framework_id=framework_id, roles=roles))

    def reconcile(self, tasks: tuple[KnownTask, ...] = ()) -> None:
        """What does the master know of these; of all when there is none."""
        asked = tuple((task.task_id, task.agent_id) for task in tasks)
        call = self._cluster.call_of(self._frameworks.present(self._name))
        self._cluster.do(Reconcile(tasks=asked, **call))

    def accept(self, agent_id: AgentId, operations: tuple[Work, ...] = (), refuse_ms: int = DEFAULT_REFUSE_MS) -> None:
        """All that it is offered of the agent."""
        held = self._frameworks.offered(self._name, agent_id=agent_id)
        work = [operation for each in operations for operation in each.on(agent_id)]
        self._cluster.accept(self._cluster.framework_named(self._name), held, work, refuse_ms)
