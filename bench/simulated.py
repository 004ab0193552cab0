"""Agents and frameworks that speak gRPC with a real masterd, and run nothing.

A framework answers every offer with one task that takes all of its CPUs and memory; an agent says that it runs, and when
that is acknowledged, that it has finished. So a task is to the master what a real one is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from itertools import count
from typing import TYPE_CHECKING

import grpc.aio

from paddock.model.resource_text import parse_attributes, parse_resources
from paddock.rpc.scheduling import UNDER_WAY_COUNT
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as registry_pb
from paddock.wire.v1 import offers_pb2, parties_pb2, tasks_pb2
from paddock.wire.v1 import scheduler_service_pb2 as scheduler_pb
from paddock.wire.v1.agent_registry_service_pb2_grpc import AgentRegistryServiceStub
from paddock.wire.v1.scheduler_service_pb2_grpc import SchedulerServiceStub

if TYPE_CHECKING:  # the class is in the stubs only
    from paddock.wire.v1.scheduler_service_pb2_grpc import SchedulerServiceAsyncStub

WHOLE = "cpus:4;mem:4096;disk:4096;ports:[31000-32000]"
_TAKEN = {"cpus", "mem"}


_EXPECTED = {tasks_pb2.TASK_RUNNING, tasks_pb2.TASK_FINISHED}


class Load:
    """What all of one process share: whether tasks end, what was seen when, and what broke: that is no measurement."""

    def __init__(self) -> None:
        self.is_going = False
        self.ended_count = 0
        self.numbers = count()
        self.offered: list[tuple[str, int]] = []
        self.offer_came = asyncio.Event()
        self.failures: list[str] = []
        self.broken = asyncio.Event()

    def note_end(self, task: asyncio.Task[None]) -> None:
        """Of a call or a stream: only we end one, by cancelling it."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(repr(error))
            self.broken.set()


class SimulatedAgent:
    """One stream; tasks that run while nobody lets them end."""

    def __init__(self, load: Load, agent_id: str, role: str) -> None:
        """`role`: whose reservation it has; empty: none."""
        self.agent_id = agent_id
        self.running: list[tuple[str, str]] = []
        self._load = load
        self._role = role
        self._out: asyncio.Queue[registry_pb.AgentMessage] = asyncio.Queue()
        self._unacknowledged: dict[bytes, tuple[str, str]] = {}
        self.registered = asyncio.Event()

    async def talk(self, channel: grpc.aio.Channel) -> None:
        """Until cancelled."""
        reserved = f";cpus({self._role}):2;mem({self._role}):256" if self._role else ""
        agent = parties_pb2.AgentInfo(
            agent_id=self.agent_id,
            hostname=self.agent_id,
            tcp_address=f"{self.agent_id}:5051",
            resources=convert.resources_to_wire(parse_resources(WHOLE + reserved)),
            attributes=convert.attributes_to_wire(parse_attributes("rack:r1;level:10")),
        )
        self._out.put_nowait(registry_pb.AgentMessage(register=registry_pb.RegisterAgent(agent=agent)))
        async for message in AgentRegistryServiceStub(channel).Connect(self._sayings()):
            self._hear(message)
        raise RuntimeError(f"{self.agent_id}: the master ended the stream")

    async def _sayings(self) -> AsyncIterator[registry_pb.AgentMessage]:
        while True:
            yield await self._out.get()

    def _hear(self, message: registry_pb.MasterMessage) -> None:
        match message.WhichOneof("message"):
            case "launch_tasks":
                for task in message.launch_tasks.tasks:
                    key = message.launch_tasks.framework.framework_id, task.task_id
                    self._unacknowledged[self._tell(key, tasks_pb2.TASK_RUNNING)] = key
            case "acknowledge_status":
                uuid = message.acknowledge_status.uuid
                if uuid in self._unacknowledged:
                    self.running.append(self._unacknowledged.pop(uuid))
                    if self._load.is_going:
                        self.end_one()
            case "ping":
                self._out.put_nowait(
                    registry_pb.AgentMessage(pong=registry_pb.AgentPong(sequence=message.ping.sequence))
                )
            case "registered":
                self.registered.set()
            case other:
                raise RuntimeError(f"{self.agent_id}: the master says {other}")

    def end_one(self) -> None:
        """The oldest of what runs."""
        self._tell(self.running.pop(0), tasks_pb2.TASK_FINISHED)

    def _tell(self, key: tuple[str, str], state: tasks_pb2.TaskState.ValueType) -> bytes:
        uuid = next(self._load.numbers).to_bytes(16)
        status = tasks_pb2.TaskStatus(
            task_id=key[1], state=state, source=tasks_pb2.STATUS_SOURCE_AGENT, uuid=uuid, container_id="c1"
        )
        update = registry_pb.UpdateStatus(framework_id=key[0], status=status, latest_state=state)
        self._out.put_nowait(registry_pb.AgentMessage(update_status=update))
        return uuid


class SimulatedFramework:
    """Takes every offer, acknowledges every status."""

    def __init__(self, load: Load, name: str, role: str) -> None:
        self._load = load
        self._info = parties_pb2.FrameworkInfo(name=name, roles=[role], failover_timeout_ms=600_000)
        self._ids: dict[str, str] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._task_numbers = count()
        self._calls = asyncio.Semaphore(UNDER_WAY_COUNT)
        self.subscribed = asyncio.Event()

    async def listen(self, channel: grpc.aio.Channel) -> None:
        """Until cancelled. Calls are made beside the stream, as a framework's library makes them."""
        stub = SchedulerServiceStub(channel)
        async for event in stub.Subscribe(scheduler_pb.SubscribeRequest(framework=self._info)):
            match event.WhichOneof("event"):
                case "subscribed":
                    told = event.subscribed
                    self._ids = {"framework_id": told.framework_id, "subscription_id": told.subscription_id}
                    self.subscribed.set()
                case "offers":
                    now_ns = time.monotonic_ns()
                    self._load.offer_came.set()
                    for offer in event.offers.offers:
                        self._load.offered.append((offer.agent_id, now_ns))
                        self._do(self._accept(stub, offer))
                case "update":
                    status = event.update.status
                    if status.state not in _EXPECTED or not status.uuid:
                        raise RuntimeError(f"{self._info.name}: {status}")
                    self._do(self._acknowledge(stub, status))
                case "heartbeat":
                    pass
                case other:
                    raise RuntimeError(f"{self._info.name}: the master says {other}: {event}")
        raise RuntimeError(f"{self._info.name}: the master ended the stream")

    def _do(self, call: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(self._in_turn(call))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(self._load.note_end)

    async def _in_turn(self, call: Coroutine[object, object, None]) -> None:
        async with self._calls:
            await call

    async def _accept(self, stub: SchedulerServiceAsyncStub, offer: offers_pb2.Offer) -> None:
        task = tasks_pb2.TaskInfo(
            task_id=f"task-{next(self._task_numbers)}",
            name="bench",
            agent_id=offer.agent_id,
            resources=[each for each in offer.resources if each.name in _TAKEN],
            command=tasks_pb2.CommandInfo(arguments=["/bin/sleep", "1"]),
        )
        operation = offers_pb2.Operation(launch=offers_pb2.Operation.Launch(tasks=[task]))
        await stub.Accept(
            scheduler_pb.AcceptRequest(
                **self._ids,
                offer_ids=[offer.offer_id],
                operations=[operation],
                filters=offers_pb2.Filters(refuse_ms=0),
            )
        )

    async def _acknowledge(self, stub: SchedulerServiceAsyncStub, status: tasks_pb2.TaskStatus) -> None:
        await stub.Acknowledge(
            scheduler_pb.AcknowledgeRequest(
                **self._ids, agent_id=status.agent_id, task_id=status.task_id, uuid=status.uuid
            )
        )
        self._load.ended_count += status.state == tasks_pb2.TASK_FINISHED
