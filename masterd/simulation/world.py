"""The simulated cluster: the real master core in the middle, agents and frameworks around it."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from itertools import count

from masterd import allocators
from masterd.allocator.interface import AllocatorSettings
from masterd.core.effects import (
    NoteOffers,
    NoteStatus,
    NoteSubscribed,
    TellFrameworkGone,
    TellKill,
    TellLaunch,
    TellPing,
    ToAgent,
    ToFramework,
)
from masterd.core.events import (
    Accept,
    Acknowledge,
    AgentAnswered,
    AgentRegistered,
    AgentStreamLost,
    Caller,
    CycleDue,
    Decline,
    Event,
    FrameworkStreamLost,
    Revive,
    StatusReported,
    Subscribe,
    Teardown,
    Tick,
)
from masterd.core.machine import Machine
from masterd.core.recovery import Remembered, recover
from masterd.core.state import MasterState, Settings
from masterd.simulation.behaviour import Behaviour
from masterd.simulation.measures import Measures, Wait
from masterd.simulation.sampling import sample
from masterd.simulation.scenario import AgentGroup, Phase, Scenario
from masterd.simulation.timeline import Timeline
from paddock.model.agent import AgentInfo, MasterInfo
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId, MasterId, TaskId
from paddock.model.offer import Filters, Launch, Offer
from paddock.model.task import StatusSource, TaskState, TaskStatus

NS_PER_S = 1_000_000_000
_NEVER_MS = 10**9
_ROOT = Caller(uid=0, user="root")


def master_of(scenario: Scenario) -> MasterState:
    """A master's state as it starts, with the scenario's roles."""
    return recover(
        Remembered(
            weights_milli=tuple((each.role, each.weight_milli) for each in scenario.roles),
            quotas=tuple((each.role, each.quota) for each in scenario.roles if each.quota),
        ),
        master=MasterInfo(master_id=MasterId("simulated"), epoch=1),
        settings=Settings(heartbeat_interval_ms=_NEVER_MS),
        allocator=allocators.create(
            scenario.allocator, AllocatorSettings(interval_ns=int(scenario.allocation_interval_s * NS_PER_S))
        ),
        shuffler=random.Random(scenario.seed),
        now_ns=0,
        wall_ns=0,
    )


class World:
    """One simulation. All chance comes from the scenario's seed; each framework has its own source."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.time = Timeline()
        self.measures = Measures()
        self.state = master_of(scenario)
        self.behaviours = {
            FrameworkId(spec.name): Behaviour(spec=spec, source=random.Random(f"{scenario.seed}/{spec.name}"))
            for spec in scenario.frameworks
        }
        self._machine = Machine(self.state)
        self._cycle_is_queued = False
        self._numbers = count(1)
        self._groups: dict[AgentId, AgentGroup] = {}
        self._stream_of: dict[AgentId, int] = {}
        self._agent_of: dict[int, AgentId] = {}
        self._running: dict[AgentId, dict[TaskId, FrameworkId]] = {}
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
            if failure.agent:
                goes: Callable[[], None] = partial(self._agent_goes, AgentId(failure.agent))
                comes: Callable[[], None] = partial(self._agent_comes, AgentId(failure.agent))
            else:
                goes = partial(self._framework_fails, self.behaviours[FrameworkId(failure.framework)])
                comes = partial(self._framework_comes, self.behaviours[FrameworkId(failure.framework)])
            time.at(failure.at_s, goes)
            if failure.for_s is not None:
                time.at(failure.at_s + failure.for_s, comes)
        time.every(1.0, partial(self._do, Tick()))
        time.every(scenario.allocation_interval_s, partial(self._do, CycleDue(batch=True)))
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

    # --- the master ---

    def _do(self, event: Event) -> None:
        """As masterd's shell does: what comes of an event is handed on, and a burst of events makes one run."""
        if isinstance(event, CycleDue) and not event.batch:
            self._cycle_is_queued = False
        now_ns = int(self.time.now_s * NS_PER_S)
        for effect in self._machine.handle(event, now_ns=now_ns, wall_ns=now_ns):
            if isinstance(effect, ToFramework):
                framework_id = self.state.framework_of_stream.get(effect.stream)
                if framework_id is not None:
                    self._note(self.behaviours[framework_id], effect)
            elif isinstance(effect, ToAgent):
                self._tell(effect)
        if self._machine.wants_run and not self._cycle_is_queued:
            self._cycle_is_queued = True
            self.time.soon(partial(self._do, CycleDue(batch=False)))

    # --- agents ---

    def _agent_comes(self, agent_id: AgentId) -> None:
        """New, or anew: what ran there before is lost."""
        if agent_id in self._stream_of:
            return
        stream = next(self._numbers)
        self._stream_of[agent_id], self._agent_of[stream] = stream, agent_id
        self._running[agent_id] = {}
        info = AgentInfo(agent_id=agent_id, hostname=agent_id, resources=self._groups[agent_id].resources)
        self._do(AgentRegistered(stream=stream, agent=info))

    def _agent_goes(self, agent_id: AgentId) -> None:
        """With everything on it."""
        stream = self._stream_of.pop(agent_id, None)
        if stream is not None:
            del self._agent_of[stream], self._running[agent_id]
            self._do(AgentStreamLost(stream=stream))

    def _tell(self, effect: ToAgent) -> None:
        agent_id = self._agent_of.get(effect.stream)
        if agent_id is None:
            return
        running = self._running[agent_id]
        match effect.message:
            case TellPing(sequence=sequence):
                self.time.soon(partial(self._answer, effect.stream, sequence))
            case TellLaunch(framework=framework, tasks=tasks):
                for task in tasks:
                    running[task.task_id] = framework.framework_id
                    runs_s = self.behaviours[framework.framework_id].launched[task.task_id].wanted.runs_s
                    self.time.soon(partial(self._report, agent_id, effect.stream, task.task_id, TaskState.RUNNING))
                    end = partial(self._report, agent_id, effect.stream, task.task_id, TaskState.FINISHED)
                    self.time.at(self.time.now_s + runs_s, end)
            case TellKill(task_id=task_id):
                self.time.soon(partial(self._report, agent_id, effect.stream, task_id, TaskState.KILLED))
            case TellFrameworkGone(framework_id=framework_id):
                for task_id in [each for each, owner in running.items() if owner == framework_id]:
                    self.time.soon(partial(self._report, agent_id, effect.stream, task_id, TaskState.KILLED))
            case _:
                pass

    def _answer(self, stream: int, sequence: int) -> None:
        if stream in self._agent_of:
            self._do(AgentAnswered(stream=stream, sequence=sequence))

    def _report(self, agent_id: AgentId, stream: int, task_id: TaskId, state: TaskState) -> None:
        """Unless the agent, or the task, has ended meanwhile."""
        framework_id = self._running.get(agent_id, {}).get(task_id)
        if framework_id is None or stream not in self._agent_of:
            return
        if state.is_terminal:
            del self._running[agent_id][task_id]
        status = TaskStatus(
            task_id=task_id,
            agent_id=agent_id,
            state=state,
            source=StatusSource.EXECUTOR,
            uuid=next(self._numbers).to_bytes(16, "big"),
        )
        self._do(StatusReported(stream=stream, framework_id=framework_id, status=status, latest_state=state))

    # --- frameworks ---

    def _framework_comes(self, behaviour: Behaviour) -> None:
        """New, or back after a failure: what ended meanwhile it hears as from a reconciliation."""
        if behaviour.present or behaviour.has_left:
            return
        behaviour.present, behaviour.stream = True, next(self._numbers)
        spec = behaviour.spec
        info = FrameworkInfo(
            framework_id=FrameworkId(spec.name),
            name=spec.name,
            roles=(spec.role,),
            failover_timeout_ms=_NEVER_MS,
            capabilities=frozenset({FrameworkCapability.PARTITION_AWARE}),
        )
        self._do(Subscribe(stream=behaviour.stream, caller=_ROOT, framework=info))
        for task_id in [
            each for each, task in behaviour.launched.items() if each not in self._running.get(task.agent_id, {})
        ]:
            del behaviour.launched[task_id]
        self._keep_wanted(behaviour)

    def _framework_fails(self, behaviour: Behaviour) -> None:
        if behaviour.present:
            behaviour.present = False
            self._do(FrameworkStreamLost(stream=behaviour.stream))

    def _framework_leaves(self, behaviour: Behaviour) -> None:
        behaviour.has_left = True
        if behaviour.present:
            self._do(Teardown(**behaviour.call(_ROOT)))
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
        self._do(Revive(**behaviour.call(_ROOT)))

    def _note(self, behaviour: Behaviour, effect: ToFramework) -> None:
        match effect.message:
            case NoteSubscribed(subscription_id=subscription_id):
                behaviour.subscription_id = subscription_id
            case NoteOffers(offers=offers):
                self.time.soon(partial(self._consider, behaviour, offers))
            case NoteStatus(status=status):
                self.time.soon(partial(self._hear, behaviour, status))
            case _:
                pass

    def _consider(self, behaviour: Behaviour, offers: tuple[Offer, ...]) -> None:
        """Those that are still its own: launch what fits, decline the others."""
        filters = Filters(refuse_ms=int(behaviour.spec.refuse_s * 1_000))
        for offer in offers:
            if not behaviour.present or offer.offer_id not in self.state.offers:
                continue
            tasks = tuple(behaviour.choose(offer))
            call = behaviour.call(_ROOT)
            if tasks:
                operations = (Launch(tasks=tasks),)
                self._do(Accept(**call, offer_ids=(offer.offer_id,), operations=operations, filters=filters))
            else:
                self._do(Decline(**call, offer_ids=(offer.offer_id,), filters=filters))

    def _hear(self, behaviour: Behaviour, status: TaskStatus) -> None:
        """A task began, or ended; one that ended otherwise than by itself is wanted again."""
        if status.uuid and behaviour.present:
            call = behaviour.call(_ROOT)
            self._do(Acknowledge(**call, agent_id=status.agent_id, task_id=status.task_id, uuid=status.uuid))
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
