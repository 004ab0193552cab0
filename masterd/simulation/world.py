"""The simulated cluster: the real master core in the middle, agents and frameworks that behave by laws around it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial

from masterd.allocator.interface import AllocatorSettings
from masterd.core.effects import (
    AgentMessage,
    FrameworkMessage,
    NoteOffers,
    NoteStatus,
    TellFrameworkGone,
    TellKill,
    TellLaunch,
)
from masterd.core.events import (
    Acknowledge,
    Decline,
    QuotasChanged,
    Revive,
    Teardown,
    WeightsChanged,
)
from masterd.core.state import Settings
from masterd.simulation.behaviour import Behaviour
from masterd.simulation.cluster import ROOT, Cluster, TaskKey, new_master
from masterd.simulation.measures import Measures, Wait
from masterd.simulation.sampling import sample
from masterd.simulation.scenario import AgentGroup, Failure, Phase, Scenario
from masterd.simulation.steps import Hands
from masterd.simulation.timeline import NS_PER_S
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer import Filters, Launch, Offer
from paddock.model.task import TaskState, TaskStatus

_NEVER_MS = 10**9
_SEARCH_S = 1.0
"""After how long an agent that has no master tries again."""


class World(Cluster):
    """One simulation. All chance comes from the scenario's seed; each framework has its own source."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(
            new_master(
                allocator=scenario.allocator,
                allocator_settings=AllocatorSettings(interval_ns=int(scenario.allocation_interval_s * NS_PER_S)),
                # Nobody would look at heartbeats.
                settings=Settings(heartbeat_interval_ms=_NEVER_MS),
                seed=scenario.seed,
            )
        )
        self.scenario = scenario
        self.measures = Measures()
        self.behaviours = {
            FrameworkId(spec.name): Behaviour(spec=spec, source=random.Random(f"{scenario.seed}/{spec.name}"))
            for spec in scenario.frameworks
        }
        self._groups: dict[AgentId, AgentGroup] = {}
        self._there: set[AgentId] = set()
        self.do(
            WeightsChanged(weights_milli=tuple((each.role, each.weight_milli) for each in scenario.roles), caller=ROOT)
        )
        quotas = tuple((each.role, each.quota) for each in scenario.roles if each.quota)
        self.do(QuotasChanged(caller=ROOT, quotas=quotas, force=True))
        self._plan()

    def run(self) -> Measures:
        """To the end."""
        self.time.run(self.scenario.duration_s)
        return self.measures

    # --- the plan ---

    def _plan(self) -> None:
        scenario, time = self.scenario, self.time
        for group in scenario.agents:
            for number in range(1, group.count + 1):
                agent_id = AgentId(f"{group.name}-{number}")
                self._groups[agent_id] = group
                time.at(group.arrives_s, partial(self._agent_comes, agent_id))
        for behaviour in self.behaviours.values():
            self._plan_framework(behaviour)
        for failure in scenario.failures:
            time.at(failure.at_s, partial(self._fail, failure))
        if scenario.steps:
            hands = Hands(self)
            for step in scenario.steps:
                time.at(step.at_s, partial(hands.take, step))
        time.every(scenario.sample_s, lambda: sample(self.measures, self))

    def _plan_framework(self, behaviour: Behaviour) -> None:
        spec = behaviour.spec
        self.time.at(spec.arrives_s, partial(self._framework_comes, behaviour))
        if spec.leaves_s is not None:
            self.time.at(spec.leaves_s, partial(self._framework_leaves, behaviour))
        for phase in spec.phases:
            begin_s = spec.arrives_s + phase.from_s
            self.time.at(begin_s, partial(self._keep_wanted, behaviour))
            if phase.every is not None:
                self.time.at(
                    begin_s + phase.every.draw(behaviour.source), partial(self._task_arrives, behaviour, phase)
                )

    def _fail(self, failure: Failure) -> None:
        """And, if it is to be, come back."""
        if failure.master:
            comes = self._master_fails()
        elif failure.agent:
            comes = self._agent_goes(AgentId(failure.agent))
        else:
            comes = self._framework_fails(self.behaviours[FrameworkId(failure.framework)])
        if failure.for_s is not None:
            self.time.at(self.time.now_s + failure.for_s, comes)

    def _master_fails(self) -> Callable[[], None]:
        """It starts again at once, and everybody has to find it again. Tasks run on."""
        present = [behaviour for behaviour in self.behaviours.values() if behaviour.present]
        for behaviour in present:
            behaviour.present = False
        self.master_failover()
        return partial(self._all_come, sorted(self._there), present)

    def _all_come(self, agents: Iterable[AgentId], behaviours: Iterable[Behaviour]) -> None:
        for agent_id in agents:
            if agent_id in self._there and self.stream_of(agent_id) is None:
                self.agent_returns(agent_id)
        for behaviour in behaviours:
            self._framework_comes(behaviour)

    # --- agents ---

    def _agent_comes(self, agent_id: AgentId) -> None:
        """New, or anew: what ran there before is lost."""
        if agent_id not in self._there:
            self._there.add(agent_id)
            self.agent(agent_id, self._groups[agent_id].resources)

    def _agent_goes(self, agent_id: AgentId) -> Callable[[], None]:
        """With everything on it."""
        self._there.discard(agent_id)
        self.running.pop(agent_id, None)
        self.agent_disconnects(agent_id)
        return partial(self._agent_comes, agent_id)

    def agent_told(self, agent_id: AgentId, message: AgentMessage) -> None:
        """It starts and ends what it is told to."""
        match message:
            case TellLaunch(framework=framework, tasks=tasks) if framework.framework_id in self.behaviours:
                for task in tasks:
                    key = (framework.framework_id, task.task_id)
                    runs_s = self.behaviours[framework.framework_id].launched[task.task_id].wanted.runs_s
                    self.time.soon(partial(self._report, agent_id, key, TaskState.RUNNING))
                    self.time.at(self.time.now_s + runs_s, partial(self._report, agent_id, key, TaskState.FINISHED))
            case TellKill(framework_id=framework_id, task_id=task_id):
                self.time.soon(partial(self._report, agent_id, (framework_id, task_id), TaskState.KILLED))
            case TellFrameworkGone(framework_id=framework_id):
                for key in self.running.get(agent_id, {}):
                    if key[0] == framework_id:
                        self.time.soon(partial(self._report, agent_id, key, TaskState.KILLED))
            case _:
                pass

    def _report(self, agent_id: AgentId, key: TaskKey, state: TaskState) -> None:
        """Unless the agent, or the task, has ended meanwhile; without a master, later."""
        if key not in self.running.get(agent_id, {}):
            return
        if self.stream_of(agent_id) is None:
            self.time.at(self.time.now_s + _SEARCH_S, partial(self._report, agent_id, key, state))
        else:
            self.report(agent_id, key, state)

    # --- frameworks ---

    def _framework_comes(self, behaviour: Behaviour) -> None:
        """New, or back after a failure: what ended meanwhile it hears as from a reconciliation."""
        if behaviour.present or behaviour.has_left:
            return
        behaviour.present = True
        spec = behaviour.spec
        info = FrameworkInfo(
            framework_id=FrameworkId(spec.name),
            name=spec.name,
            roles=(spec.role,),
            failover_timeout_ms=_NEVER_MS,
            capabilities=frozenset({FrameworkCapability.PARTITION_AWARE}),
        )
        self.subscribe(info)
        for task_id, task in list(behaviour.launched.items()):
            if (info.framework_id, task_id) not in self.running.get(task.agent_id, {}):
                del behaviour.launched[task_id]
        self._keep_wanted(behaviour)

    def _framework_fails(self, behaviour: Behaviour) -> Callable[[], None]:
        behaviour.present = False
        self.framework_disconnects(behaviour.framework_id)
        return partial(self._framework_comes, behaviour)

    def _framework_leaves(self, behaviour: Behaviour) -> None:
        behaviour.has_left = True
        if behaviour.present:
            self.do(Teardown(**self.call_of(behaviour.framework_id)))
        behaviour.present = False
        behaviour.waiting.clear()
        behaviour.launched.clear()

    def _keep_wanted(self, behaviour: Behaviour) -> None:
        if behaviour.present and behaviour.keep_wanted(self.time.now_s):
            self._revive(behaviour)

    def _task_arrives(self, behaviour: Behaviour, phase: Phase) -> None:
        if behaviour.has_left or behaviour.phase(self.time.now_s) is not phase or phase.every is None:
            return
        behaviour.want(self.time.now_s)
        if behaviour.present and len(behaviour.waiting) == 1:
            self._revive(behaviour)
        self.time.at(
            self.time.now_s + phase.every.draw(behaviour.source), partial(self._task_arrives, behaviour, phase)
        )

    def _revive(self, behaviour: Behaviour) -> None:
        """It has refused while it wanted nothing."""
        self.do(Revive(**self.call_of(behaviour.framework_id)))

    def framework_told(self, framework_id: FrameworkId, message: FrameworkMessage) -> None:
        """It looks at offers and hears of its tasks."""
        behaviour = self.behaviours.get(framework_id)
        if behaviour is None:
            return
        match message:
            case NoteOffers(offers=offers):
                self.time.soon(partial(self._consider, behaviour, offers))
            case NoteStatus(status=status):
                self.time.soon(partial(self._hear, behaviour, status))
            case _:
                pass

    def _consider(self, behaviour: Behaviour, offers: tuple[Offer, ...]) -> None:
        """Those that are still its own: launch what fits, decline the others."""
        framework_id, refuse_ms = behaviour.framework_id, int(behaviour.spec.refuse_s * 1_000)
        for offer in offers:
            if not behaviour.present or offer.offer_id not in self.state.offers:
                continue
            tasks = tuple(behaviour.choose(offer))
            if tasks:
                self.accept(framework_id, [offer], [Launch(tasks=tasks)], refuse_ms)
            else:
                filters = Filters(refuse_ms=refuse_ms)
                self.do(Decline(**self.call_of(framework_id), offer_ids=(offer.offer_id,), filters=filters))

    def _hear(self, behaviour: Behaviour, status: TaskStatus) -> None:
        """A task began, or ended; one that ended otherwise than by itself is wanted again."""
        if status.uuid and behaviour.present:
            call = self.call_of(behaviour.framework_id)
            self.do(Acknowledge(**call, agent_id=status.agent_id, task_id=status.task_id, uuid=status.uuid))
        task = behaviour.launched.get(status.task_id)
        if task is None:
            return
        if status.state is TaskState.RUNNING:
            wait = Wait(framework=behaviour.spec.name, wanted_s=task.wanted.since_s, started_s=self.time.now_s)
            self.measures.waits.append(wait)
        elif status.state.is_terminal or status.state is TaskState.UNREACHABLE:
            del behaviour.launched[status.task_id]
            if status.state is not TaskState.FINISHED:
                behaviour.waiting.append(task.wanted)
            self._keep_wanted(behaviour)
