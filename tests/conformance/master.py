"""The cases of kind `master`: events for the real core, and what it says in return."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings
from masterd.core import inspection
from masterd.core.authorizer import Action
from masterd.core.effects import (
    NoteOffers,
    NoteRescinded,
    NoteStatus,
    NoteSubscribed,
    SaveAgent,
    SaveAgentGone,
    SaveAgentResources,
    SaveFramework,
    SaveQuotas,
    SaveWeights,
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
from masterd.core.recovery import Remembered, recover
from masterd.core.state import Settings
from masterd.core.views import TaskView
from paddock.model.agent import AgentInfo, MasterInfo
from paddock.model.errors import PaddockError
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, ContainerId, FrameworkId, MasterId, OfferId, TaskId
from paddock.model.offer import DEFAULT_REFUSE_MS, Filters, Launch, Offer, Operation
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo, StatusSource, TaskInfo, TaskState, TaskStatus
from tests.conformance.bundles import resources_of

Words = Mapping[str, Any]
SECOND_NS = 1_000_000_000
TICK_NS = SECOND_NS // 4


class Rules:
    """The one principal of the cases that may not do everything."""

    def allows(self, caller: Caller, action: Action, role: str) -> bool:
        return caller.user != "may-only-role1" or action is not Action.UPDATE_QUOTA or role == "role1"


class MasterCase:
    """Agents answer pings unless told not to; frameworks keep what they are offered. Each step answers True, or what it saw."""

    def __init__(self, config: Words, shuffler: random.Random) -> None:
        whitelist = config.get("roles_whitelist")
        self._settings = Settings(
            offer_timeout_ms=ceil(config.get("offer_timeout", 0) * 1000),
            roles=None if whitelist is None else frozenset(whitelist),
        )
        self._shuffler = shuffler
        self._now_ns = 0
        self._epoch = 0
        self._stream = 0
        self._agents: dict[str, AgentInfo] = {}
        self._frameworks: dict[str, FrameworkInfo] = {}
        self._agent_streams: dict[str, int] = {}
        self._framework_streams: dict[str, int] = {}
        self._subscriptions: dict[str, str] = {}
        self._silent: set[str] = set()
        self._running: dict[str, list[TaskView]] = {}
        self._saved: dict[tuple[type, str], Any] = {}
        self._statuses: dict[tuple[str, str], TaskStatus] = {}
        self._offered: dict[str, list[Offer]] = {}
        self._rescinded: dict[str, list[OfferId]] = {}
        self._begin(Remembered())

    def _begin(self, remembered: Remembered) -> None:
        self._epoch += 1
        beyond = AllocatorSettings(run_on_recovery=False, nested_quota=False, decline_backoff=False)
        state = recover(
            remembered,
            master=MasterInfo(master_id=MasterId("m"), epoch=self._epoch),
            settings=self._settings,
            allocator=DrfAllocator(beyond),
            shuffler=self._shuffler,
            now_ns=self._now_ns,
            wall_ns=self._now_ns,
        )
        state.authorizer = Rules()
        self._machine = Machine(state)
        self._state = state

    # --- what goes in, what comes out ---

    def _do(self, event: Event) -> None:
        for effect in self._machine.handle(event, now_ns=self._now_ns, wall_ns=self._now_ns):
            match effect:
                case ToFramework(stream=stream, message=message):
                    self._hear(next(name for name, each in self._framework_streams.items() if each == stream), message)
                case ToAgent(stream=stream, message=TellPing(sequence=sequence)):
                    silent = [self._agent_streams.get(name) for name in self._silent]
                    if stream not in silent:
                        self._do(AgentAnswered(stream=stream, sequence=sequence))
                case SaveAgent(agent_id=key) | SaveAgentGone(agent_id=key) | SaveAgentResources(agent_id=key):
                    self._saved[type(effect), key] = effect
                case SaveFramework(framework=info):
                    self._saved[SaveFramework, info.framework_id] = effect
                case SaveQuotas() | SaveWeights():
                    self._saved[type(effect), ""] = effect
                case _:
                    pass

    def _hear(self, name: str, message: object) -> None:
        match message:
            case NoteSubscribed(subscription_id=subscription_id):
                self._subscriptions[name] = subscription_id
            case NoteOffers(offers=offers):
                self._offered.setdefault(name, []).extend(offers)
            case NoteRescinded(offer_id=offer_id):
                self._rescinded.setdefault(name, []).append(offer_id)
            case NoteStatus(status=status):
                self._statuses[name, status.task_id] = status
            case _:
                pass

    def _event(self, event: Event) -> None:
        self._do(event)
        if self._machine.wants_run:
            self._do(CycleDue(batch=False))

    def _new_stream(self) -> int:
        self._stream += 1
        return self._stream

    def _who(self, name: str) -> Any:
        """What every call of a framework carries. One that only lost its master comes back by itself."""
        if name not in self._framework_streams:
            self._subscribe(name, self._frameworks[name])
        framework_id = FrameworkId(name)
        return {"caller": caller_of(name), "framework_id": framework_id, "subscription_id": self._subscriptions[name]}

    def _subscribe(self, name: str, info: FrameworkInfo) -> None:
        stream = self._new_stream()
        before = dict(self._framework_streams)
        self._framework_streams[name] = stream
        try:
            self._event(Subscribe(stream=stream, caller=caller_of(name), framework=info))
        except PaddockError:
            self._framework_streams = before
            raise
        self._frameworks[name] = info

    def _held(self, name: str) -> list[Offer]:
        found = self._state.frameworks.get(FrameworkId(name))
        return [self._state.offers[offer_id].offer for offer_id in found.offers] if found else []

    def _held_after_a_run(self, name: str, agent_id: str | None, role: str | None = None) -> list[Offer]:
        self._who(name)
        for _ in range(2):
            found = [
                each for each in self._held(name) if agent_id in {None, each.agent_id} and role in {None, each.role}
            ]
            if found:
                return found
            self._do(CycleDue(batch=True))
        return []

    # --- parties ---

    def agent(self, words: Words) -> bool:
        info = AgentInfo(
            agent_id=AgentId(words["id"]), hostname=words["id"], resources=Resources.of(resources_of(words["total"]))
        )
        self._agents[words["id"]] = info
        return self.agent_returns(words["id"])

    def agent_returns(self, agent_id: str) -> bool:
        self._silent.discard(agent_id)
        self._agent_streams[agent_id] = self._new_stream()
        tasks = tuple(
            RegisteredTask(
                framework_id=view.framework_id, task=view.task, state=TaskState.RUNNING, container_id=ContainerId("c")
            )
            for view in self._running.get(agent_id, ())
        )
        event = AgentRegistered(stream=self._agent_streams[agent_id], agent=self._agents[agent_id], tasks=tasks)
        return self._answered(event)

    def agent_silent(self, agent_id: str) -> bool:
        self._silent.add(agent_id)
        return True

    def agent_disconnects(self, agent_id: str) -> bool:
        return self._answered(AgentStreamLost(stream=self._agent_streams[agent_id]))

    def framework(self, words: Words) -> bool:
        aware = {FrameworkCapability.PARTITION_AWARE} if words.get("partition_aware") else set()
        info = FrameworkInfo(
            framework_id=FrameworkId(words["id"]),
            name=words["id"],
            roles=tuple(words["roles"]),
            capabilities=frozenset(aware),
            failover_timeout_ms=ceil(words.get("failover_timeout", 0) * 1000),
        )
        self._subscribe(words["id"], info)
        return True

    def framework_disconnects(self, name: str) -> bool:
        return self._answered(FrameworkStreamLost(stream=self._framework_streams[name]))

    def master_failover(self, _: Words) -> bool:
        kept = {kind: [each for (known, _), each in self._saved.items() if known is kind] for kind, _ in self._saved}
        gone = tuple(each.agent_id for each in kept.get(SaveAgentGone, ()))
        self._framework_streams.clear()
        self._agent_streams.clear()
        self._begin(
            Remembered(
                agents=tuple(each for each in kept.get(SaveAgent, ()) if each.agent_id not in gone),
                agent_resources=tuple(kept.get(SaveAgentResources, ())),
                frameworks=tuple(kept.get(SaveFramework, ())),
                weights_milli=next((each.weights_milli for each in kept.get(SaveWeights, ())), ()),
                quotas=next((each.quotas for each in kept.get(SaveQuotas, ())), ()),
                gone_agent_ids=gone,
            )
        )
        return True

    def _answered(self, event: Event) -> bool:
        self._event(event)
        return True

    # --- offers and tasks ---

    def hold_offers(self, words: Words) -> bool:
        self._held_after_a_run(words["framework"], None)
        self._offered[words["framework"]] = []
        return True

    def launch(self, words: Words) -> bool | str:
        name, agent_id, task_id = words["framework"], words["agent"], words["task"]
        held = self._held_after_a_run(name, agent_id, words["role"])
        if not held:
            return "no offer"
        task = task_of(task_id, agent_id, resources_of(words["resources"]))
        self._accept(name, held, [Launch(tasks=(task,))], DEFAULT_REFUSE_MS)
        status = TaskStatus(
            task_id=TaskId(task_id), state=TaskState.RUNNING, source=StatusSource.AGENT, uuid=task_id.encode()
        )
        stream = self._agent_streams[agent_id]
        framework_id = FrameworkId(name)
        self._event(StatusReported(stream=stream, framework_id=framework_id, status=status, latest_state=status.state))
        view = inspection.find_task(self._state, (framework_id, TaskId(task_id)))
        if view is None or view.state is not TaskState.RUNNING:
            return f"the task is {view.state if view else 'unknown'}"
        self._running.setdefault(agent_id, []).append(view)
        return True

    def _accept(self, name: str, held: Sequence[Offer], operations: Sequence[Operation], refuse_ms: int) -> None:
        offer_ids = tuple(offer.offer_id for offer in held)
        filters = Filters(refuse_ms=refuse_ms)
        self._event(Accept(offer_ids=offer_ids, operations=tuple(operations), filters=filters, **self._who(name)))

    def advance(self, seconds: float) -> bool:
        end_ns = self._now_ns + round(seconds * SECOND_NS)
        while self._now_ns < end_ns:
            self._now_ns = min(end_ns, (self._now_ns // TICK_NS + 1) * TICK_NS)
            self._event(Tick())
            if not self._now_ns % SECOND_NS:
                self._do(CycleDue(batch=True))
        return True


def caller_of(principal: str | None) -> Caller:
    return Caller(uid=0, user=principal or "root")


def task_of(task_id: str, agent_id: str, resources: Resources) -> TaskInfo:
    command = CommandInfo(arguments=("/bin/true",))
    return TaskInfo(
        task_id=TaskId(task_id), name=task_id, agent_id=AgentId(agent_id), resources=resources, command=command
    )
