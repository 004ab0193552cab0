"""A small cluster around a real core: agents and frameworks that tests speak for, a clock that they turn."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypedDict, TypeVar

from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings
from masterd.core.authorizer import AllowAll, Authorizer
from masterd.core.effects import (
    Effect,
    FrameworkMessage,
    NoteOffers,
    NoteStatus,
    NoteSubscribed,
    Save,
    ToAgent,
    ToFramework,
)
from masterd.core.events import (
    Accept,
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
from masterd.core.recovery import Remembered, recover
from masterd.core.state import Settings
from masterd.simulation.memory import Memory
from paddock.model.agent import TASK_RESIZE, AgentInfo, DomainInfo, MasterInfo
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, ContainerId, FrameworkId, MasterId, TaskId
from paddock.model.offer import Filters, Launch, Offer
from paddock.model.offer_terms import OfferTerms
from paddock.model.resource_text import parse_attributes, parse_resources
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo, StatusSource, TaskInfo, TaskState, TaskStatus
from tests.unit.masterd.core.invariants import violations

ROOT = Caller(uid=0, user="root")
SECOND_NS = 1_000_000_000
Message = TypeVar("Message", bound=object)


Subscription = tuple[FrameworkId, str, int]
"""Framework id, subscription id, stream."""


class CallFields(TypedDict):
    caller: Caller
    framework_id: FrameworkId
    subscription_id: str


def call(framework: Subscription, caller: Caller = ROOT) -> CallFields:
    """What every call of a framework carries."""
    return {"caller": caller, "framework_id": framework[0], "subscription_id": framework[1]}


def task_info(task_id: str, agent_id: str, resources: str = "cpus:1;mem:64", *, user: str = "") -> TaskInfo:
    return TaskInfo(
        task_id=TaskId(task_id),
        name=task_id,
        agent_id=AgentId(agent_id),
        resources=parse_resources(resources),
        command=CommandInfo(arguments=("/bin/true",), user=user),
    )


class World:
    """Every event goes through `do`, which checks the invariants afterwards and keeps what was sent."""

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        remembered: Remembered | None = None,
        seed: int = 1,
        epoch: int = 1,
        authorizer: Authorizer | None = None,
        now_ns: int = 1_000 * SECOND_NS,
        allocator: DrfAllocator | None = None,
    ) -> None:
        self.now_ns = now_ns
        self.allocator = allocator or DrfAllocator(AllocatorSettings())
        self.machine = Machine(
            recover(
                remembered or Remembered(),
                master=MasterInfo(master_id=MasterId("m"), epoch=epoch),
                settings=settings or Settings(),
                allocator=self.allocator,
                shuffler=random.Random(seed),
                now_ns=self.now_ns,
                wall_ns=self.now_ns,
            )
        )
        self.state = self.machine.state
        self.state.authorizer = authorizer or AllowAll()
        self.streams = 0
        self.effects: list[Effect] = []
        self.answer_pings = True

    def do(self, event: Event) -> tuple[Effect, ...]:
        try:
            effects = self.machine.handle(event, now_ns=self.now_ns, wall_ns=self.now_ns)
        finally:
            broken = list(violations(self.state, self.allocator))
            assert not broken, f"after {event}: {broken}"
        self.effects.extend(effects)
        return effects

    def cycle(self, *, batch: bool = False) -> None:
        if batch or self.machine.wants_run:
            self.do(CycleDue(batch=batch))

    def advance(self, seconds: float, *, takes_nobody: bool = False) -> None:
        """Second by second, as the shell does: a tick and a batch cycle each."""
        end_ns = self.now_ns + int(seconds * SECOND_NS)
        while self.now_ns < end_ns:
            self.now_ns = min(self.now_ns + SECOND_NS, end_ns)
            self.do(Tick(takes_nobody=takes_nobody))
            self.do(CycleDue(batch=True))

    def agent(
        self,
        agent_id: str,
        resources: str = "cpus:4;mem:1024",
        *,
        tasks: tuple[RegisteredTask, ...] = (),
        frameworks: tuple[FrameworkInfo, ...] = (),
        standalone: Resources | None = None,
        problem: str = "",
        attributes: str = "",
        containerizers: tuple[str, ...] = (),
        region: str = "",
    ) -> int:
        self.streams += 1
        info = AgentInfo(
            agent_id=AgentId(agent_id),
            hostname=agent_id,
            resources=parse_resources(resources),
            capabilities=(TASK_RESIZE,),
            attributes=parse_attributes(attributes),
            containerizers=containerizers,
            domain=DomainInfo(region=region),
        )
        self.do(
            AgentRegistered(
                stream=self.streams,
                agent=info,
                tasks=tasks,
                frameworks=frameworks,
                standalone=standalone or Resources(),
                problem=problem,
            )
        )
        self.cycle()
        return self.streams

    def lose_agent(self, stream: int) -> None:
        self.do(AgentStreamLost(stream=stream))
        self.cycle()

    def framework(
        self,
        *roles: str,
        framework_id: str = "",
        aware: bool = False,
        failover_s: float = 0,
        caller: Caller = ROOT,
        user: str = "",
        suppressed: tuple[str, ...] = (),
        terms: tuple[OfferTerms, ...] = (),
    ) -> Subscription:
        self.streams += 1
        info = FrameworkInfo(
            framework_id=FrameworkId(framework_id),
            name="test",
            user=user,
            roles=roles or ("*",),
            capabilities=frozenset({FrameworkCapability.PARTITION_AWARE} if aware else ()),
            failover_timeout_ms=int(failover_s * 1000),
            offer_terms=terms,
        )
        stream = self.streams
        self.do(Subscribe(stream=stream, caller=caller, framework=info, suppressed_roles=suppressed))
        note = self.heard(stream, NoteSubscribed)[0]
        self.cycle()
        return note.framework_id, note.subscription_id, stream

    def lose_framework(self, stream: int, *, was_told: bool = True) -> None:
        self.do(FrameworkStreamLost(stream=stream, was_told=was_told))
        self.cycle()

    def heard(self, stream: int, kind: type[Message]) -> list[Message]:
        """What was sent on a stream, of one kind."""
        messages: list[object] = [
            effect.message
            for effect in self.effects
            if isinstance(effect, (ToFramework, ToAgent)) and effect.stream == stream
        ]
        return [message for message in messages if isinstance(message, kind)]

    def heard_all(self, stream: int) -> list[FrameworkMessage]:
        return [e.message for e in self.effects if isinstance(e, ToFramework) and e.stream == stream]

    def forget(self) -> None:
        self.effects.clear()

    def offers(self, stream: int) -> list[Offer]:
        """Those that the framework was sent and still holds."""
        sent = [offer for note in self.heard(stream, NoteOffers) for offer in note.offers]
        return [offer for offer in sent if offer.offer_id in self.state.offers]

    def statuses(self, stream: int) -> list[TaskStatus]:
        return [note.status for note in self.heard(stream, NoteStatus)]

    def accept(
        self,
        framework: Subscription,
        offers: list[Offer],
        *tasks: TaskInfo,
        refuse_ms: int = 5_000,
        caller: Caller = ROOT,
    ) -> None:
        self.do(
            Accept(
                caller=caller,
                framework_id=framework[0],
                subscription_id=framework[1],
                offer_ids=tuple(offer.offer_id for offer in offers),
                operations=(Launch(tasks=tasks),) if tasks else (),
                filters=Filters(refuse_ms=refuse_ms),
            )
        )
        self.cycle()

    def report(
        self,
        stream: int,
        framework: Subscription,
        task_id: str,
        state: TaskState,
        *,
        uuid: bytes = b"u" * 16,
        latest: TaskState | None = None,
    ) -> None:
        status = TaskStatus(task_id=TaskId(task_id), state=state, source=StatusSource.AGENT, uuid=uuid)
        self.do(StatusReported(stream=stream, framework_id=framework[0], status=status, latest_state=latest or state))
        self.cycle()

    def free(self, agent_id: str) -> dict[str, int]:
        return self.allocator.free(AgentId(agent_id)).quantities_milli()


def remembered_of(saved: Iterable[Save]) -> Remembered:
    """What a registry holds after these records."""
    memory = Memory()
    memory.write(saved)
    return memory.load()


def launched(world: World, *, failover_s: float = 0, aware: bool = False) -> tuple[int, Subscription]:
    """An agent, a framework, and one task of cpus:1;mem:64 on it."""
    agent = world.agent("a1")
    framework = world.framework(failover_s=failover_s, aware=aware)
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1"))
    return agent, framework


def reported(framework: Subscription, task: TaskInfo, state: TaskState = TaskState.RUNNING) -> RegisteredTask:
    return RegisteredTask(framework_id=framework[0], task=task, state=state, container_id=ContainerId("c"))
