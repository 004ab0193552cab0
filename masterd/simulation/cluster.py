"""The real core of a master in virtual time, with everybody's connection to it; a subclass speaks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TypedDict, get_args

from masterd.allocator.interface import AllocatorSettings
from masterd.beginning import Beginning
from masterd.core.authorizer import AllowAll, Authorizer
from masterd.core.effects import (
    AgentMessage,
    FrameworkMessage,
    Save,
    TellLaunch,
    TellPing,
    ToAgent,
    ToFramework,
)
from masterd.core.events import (
    Accept,
    AgentAnswered,
    AgentRegistered,
    AgentStreamLost,
    Caller,
    CycleDue,
    Event,
    FrameworkStreamLost,
    RegisteredTask,
    StatusReported,
    Subscribe,
    Tick,
)
from masterd.core.machine import Machine
from masterd.core.recovery import Remembered
from masterd.core.state import Settings
from masterd.recording import FORMAT
from masterd.simulation.memory import Memory
from masterd.simulation.timeline import NS_PER_S, Timeline
from paddock.model.agent import AgentInfo, MasterInfo
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, ContainerId, FrameworkId, MasterId, TaskId
from paddock.model.offer import DEFAULT_REFUSE_MS, Filters, Offer, Operation
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo, StatusSource, TaskInfo, TaskState, TaskStatus

ROOT = Caller(uid=0, user="root")
TICK_S = 1.0
_SAVES = get_args(Save)
TaskKey = tuple[FrameworkId, TaskId]


class Call(TypedDict):
    """The fields of `events.FrameworkCall`."""

    caller: Caller
    framework_id: FrameworkId
    subscription_id: str


def new_master(
    *,
    settings: Settings | None = None,
    allocator: str = "drf",
    allocator_settings: AllocatorSettings | None = None,
    seed: int = 1,
) -> Beginning:
    """One that remembers nothing, at the beginning of time."""
    return Beginning(
        format=FORMAT,
        version="simulated",
        allocator=allocator,
        allocator_settings=allocator_settings or AllocatorSettings(),
        settings=settings or Settings(),
        master=MasterInfo(master_id=MasterId("simulated"), epoch=1),
        remembered=Remembered(),
        seed=seed,
        now_ns=0,
        wall_ns=0,
    )


def simulated_task(task_id: TaskId, agent_id: AgentId, resources: Resources) -> TaskInfo:
    """One whose command says nothing: nobody runs it."""
    command = CommandInfo(arguments=("true",))
    return TaskInfo(task_id=task_id, name=task_id, agent_id=agent_id, resources=resources, command=command)


class Cluster:
    """Does what masterd's shell does: ticks, the timer's cycles, one run for a burst of events, and a registry.

    Agents answer pings unless they are `silent`, and keep what they were told to launch in `running`. Override
    `agent_told` and `framework_told` to hear the rest. Nothing happens but in `time.run`, and in the calls themselves.
    """

    def __init__(self, beginning: Beginning, *, authorizer: Authorizer | None = None) -> None:
        self.time = Timeline()
        self.silent: set[AgentId] = set()
        self.running: dict[AgentId, dict[TaskKey, TaskInfo]] = {}
        self.listeners: list[Callable[[FrameworkId, FrameworkMessage], None]] = []
        self._infos: dict[AgentId, AgentInfo] = {}
        self._beginning = beginning
        self._authorizer = authorizer or AllowAll()
        self._registry = Memory()
        self._numbers = count(1)
        self._begin(beginning)
        self.time.every(TICK_S, lambda: self.do(Tick()))
        self.time.every(beginning.allocator_settings.interval_ns / NS_PER_S, lambda: self.do(CycleDue(batch=True)))

    @property
    def allocator_settings(self) -> AllocatorSettings:
        """As the master began."""
        return self._beginning.allocator_settings

    def _begin(self, beginning: Beginning) -> None:
        self.state = beginning.state()
        self.state.authorizer = self._authorizer
        self._machine = Machine(self.state)
        self._cycle_is_queued = False

    def master_failover(self) -> None:
        """The master ends, and starts with what its registry holds. Nobody is connected to it yet."""
        now_ns, master = self.time.now_ns, replace(self.state.master, epoch=self.state.master.epoch + 1)
        remembered = self._registry.load()
        self._begin(replace(self._beginning, remembered=remembered, master=master, now_ns=now_ns, wall_ns=now_ns))

    def do(self, event: Event) -> None:
        """What comes of an event is handed on at once. Raises PaddockError when the core refuses it: nothing has changed."""
        if isinstance(event, CycleDue) and not event.batch:
            self._cycle_is_queued = False
        now_ns = self.time.now_ns
        for effect in self._machine.handle(event, now_ns=now_ns, wall_ns=now_ns):
            if isinstance(effect, ToAgent):
                self._tell(effect)
            elif isinstance(effect, ToFramework):
                self._note(effect)
            elif isinstance(effect, _SAVES):
                self._registry.write([effect])
        if self._machine.wants_run and not self._cycle_is_queued:
            self._cycle_is_queued = True
            self.time.soon(partial(self._run, self._machine))

    def _run(self, machine: Machine) -> None:
        """Unless another master has begun since."""
        if machine is self._machine:
            self.do(CycleDue(batch=False))

    def advance(self, duration_s: float) -> None:
        """All that is due until then."""
        self.time.run(self.time.now_s + duration_s)

    def settle(self) -> None:
        """All that is due at this moment: answers to pings, the run that events ask for."""
        self.time.run(self.time.now_s)

    # --- agents ---

    def agent_told(self, agent_id: AgentId, message: AgentMessage) -> None:
        """The master says something to an agent."""

    def _tell(self, effect: ToAgent) -> None:
        agent_id = self.state.agent_of_stream.get(effect.stream)
        if agent_id is None:
            return
        match effect.message:
            case TellPing(sequence=sequence):
                self.time.soon(partial(self._answer, agent_id, effect.stream, sequence))
            case TellLaunch(framework=framework, tasks=tasks):
                for task in tasks:
                    self.running.setdefault(agent_id, {})[framework.framework_id, task.task_id] = task
            case _:
                pass
        self.agent_told(agent_id, effect.message)

    def _answer(self, agent_id: AgentId, stream: int, sequence: int) -> None:
        if agent_id not in self.silent and self.stream_of(agent_id) == stream:
            self.do(AgentAnswered(stream=stream, sequence=sequence))

    def stream_of(self, agent_id: AgentId) -> int | None:
        """None: the master does not hear it."""
        agent = self.state.agents.get(agent_id)
        return None if agent is None else agent.stream

    def agent(self, agent_id: AgentId, total: Resources) -> None:
        """One on a host of its name, new or with something else. It closes the connection that it had, if it had one."""
        self.silent.discard(agent_id)
        self.agent_disconnects(agent_id)
        self.register(AgentInfo(agent_id=agent_id, hostname=agent_id, resources=Resources.of(total)))

    def agent_returns(self, agent_id: AgentId) -> None:
        """As it registered last. It closes the connection that it had, if it had one, and answers again."""
        self.silent.discard(agent_id)
        self.agent_disconnects(agent_id)
        self.register(self._infos[agent_id])

    def agent_silent(self, agent_id: AgentId) -> None:
        """It answers no ping from now on."""
        self.silent.add(agent_id)

    def register(self, info: AgentInfo) -> None:
        """An agent connects, new or anew, with what runs there."""
        self._infos[info.agent_id] = info
        tasks = tuple(
            RegisteredTask(
                framework_id=key[0], task=task, state=TaskState.RUNNING, container_id=ContainerId(task.task_id)
            )
            for key, task in self.running.get(info.agent_id, {}).items()
        )
        self.do(AgentRegistered(stream=next(self._numbers), agent=info, tasks=tasks))

    def agent_disconnects(self, agent_id: AgentId) -> None:
        """Its connection breaks, if it has one. What runs there goes on."""
        stream = self.stream_of(agent_id)
        if stream is not None:
            self.do(AgentStreamLost(stream=stream))

    def report(self, agent_id: AgentId, key: TaskKey, state: TaskState) -> None:
        """A connected agent says how a task is that runs there."""
        stream = self.stream_of(agent_id)
        assert stream is not None, "who is not heard cannot report"
        if state.is_terminal:
            del self.running[agent_id][key]
        uuid = next(self._numbers).to_bytes(16, "big")
        status = TaskStatus(task_id=key[1], agent_id=agent_id, state=state, source=StatusSource.EXECUTOR, uuid=uuid)
        self.do(StatusReported(stream=stream, framework_id=key[0], status=status, latest_state=state))

    # --- frameworks ---

    def framework_told(self, framework_id: FrameworkId, message: FrameworkMessage) -> None:
        """The master says something to a framework."""

    def _note(self, effect: ToFramework) -> None:
        framework_id = self.state.framework_of_stream.get(effect.stream)
        if framework_id is not None:
            for listener in self.listeners:
                listener(framework_id, effect.message)
            self.framework_told(framework_id, effect.message)

    def framework_named(self, name: str) -> FrameworkId:
        """Its id: a master gives one to who brings none. Of several, who lives or was the last; of nobody, the name."""
        known = [*self.state.completed_frameworks.values(), *self.state.frameworks.values()]
        return next((each.info.framework_id for each in reversed(known) if each.info.name == name), FrameworkId(name))

    def subscribe(self, info: FrameworkInfo, caller: Caller = ROOT) -> FrameworkId:
        """A framework connects, new or anew; the id that it has now."""
        stream = next(self._numbers)
        self.do(Subscribe(stream=stream, caller=caller, framework=info))
        return self.state.framework_of_stream[stream]

    def framework_disconnects(self, framework_id: FrameworkId) -> None:
        """Its connection breaks, if it has one."""
        framework = self.state.frameworks.get(framework_id)
        if framework is not None and framework.stream is not None:
            self.do(FrameworkStreamLost(stream=framework.stream))

    def offers_of(self, framework_id: FrameworkId) -> list[Offer]:
        """Those that it holds now."""
        framework = self.state.frameworks.get(framework_id)
        return [] if framework is None else [self.state.offers[offer_id].offer for offer_id in framework.offers]

    def accept(
        self,
        framework_id: FrameworkId,
        offers: Iterable[Offer],
        operations: Iterable[Operation],
        refuse_ms: int = DEFAULT_REFUSE_MS,
    ) -> None:
        """The framework uses offers of one agent and role; the rest of them it refuses for so long."""
        call, filters = self.call_of(framework_id), Filters(refuse_ms=refuse_ms)
        offer_ids = tuple(offer.offer_id for offer in offers)
        self.do(Accept(**call, offer_ids=offer_ids, operations=tuple(operations), filters=filters))

    def call_of(self, framework_id: FrameworkId, caller: Caller = ROOT) -> Call:
        """What each of its calls carries."""
        framework = self.state.frameworks.get(framework_id)
        subscription_id = "" if framework is None else framework.subscription_id
        return {"caller": caller, "framework_id": framework_id, "subscription_id": subscription_id}
