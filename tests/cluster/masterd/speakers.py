"""An agent and a framework that speak raw gRPC with a real masterd, as anybody's program might."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import TypeVar

from grpc.aio import Channel

from paddock.model.resource_text import parse_attributes, parse_resources
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as registry_pb
from paddock.wire.v1 import offers_pb2, parties_pb2, tasks_pb2
from paddock.wire.v1 import scheduler_service_pb2 as scheduler_pb
from paddock.wire.v1.agent_registry_service_pb2_grpc import AgentRegistryServiceStub
from paddock.wire.v1.scheduler_service_pb2_grpc import SchedulerServiceStub

Message = TypeVar("Message")
WAIT_S = 30.0


class Heard:
    """What came on a stream, kept; waits for what a test expects."""

    def __init__(self) -> None:
        self.messages: list[object] = []
        self.error: BaseException | None = None
        self.ended = False
        self._news = asyncio.Event()

    async def listen(self, stream: AsyncIterable[object]) -> None:
        try:
            async for message in stream:
                self.messages.append(message)
                self._news.set()
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended = True
            self._news.set()

    async def wait_for(self, kind: type[Message], fits: Callable[[Message], bool]) -> Message:
        async with asyncio.timeout(WAIT_S):
            while True:
                for message in self.messages:
                    if isinstance(message, kind) and fits(message):
                        return message
                assert not self.ended, f"the stream ended: {self.error}; heard {self.messages}"
                self._news.clear()
                await self._news.wait()

    async def wait_for_end(self) -> BaseException | None:
        async with asyncio.timeout(WAIT_S):
            while not self.ended:
                self._news.clear()
                await self._news.wait()
        return self.error


class AgentSpeaker:
    """Registers, answers pings unless told not to, and says what the test wants."""

    def __init__(
        self,
        channel: Channel,
        agent_id: str,
        resources: str = "cpus:4;mem:1024;ports:[31000-31009]",
        attributes: str = "",
    ) -> None:
        self.agent_id = agent_id
        self.heard = Heard()
        self.answer_pings = True
        self._resources = parse_resources(resources)
        self._attributes = parse_attributes(attributes)
        self._stub = AgentRegistryServiceStub(channel)
        self._out: asyncio.Queue[registry_pb.AgentMessage | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def register(self, tasks: tuple[registry_pb.RegisteredTask, ...] = ()) -> None:
        agent = parties_pb2.AgentInfo(
            agent_id=self.agent_id,
            hostname=self.agent_id,
            unix_address="unix:/nowhere",
            resources=convert.resources_to_wire(self._resources),
            attributes=convert.attributes_to_wire(self._attributes),
        )
        self.say(registry_pb.AgentMessage(register=registry_pb.RegisterAgent(agent=agent, tasks=tasks)))
        self._task = asyncio.create_task(self._talk())
        await self.heard.wait_for(registry_pb.MasterMessage, lambda message: message.HasField("registered"))

    def say(self, message: registry_pb.AgentMessage) -> None:
        self._out.put_nowait(message)

    async def _talk(self) -> None:
        await self.heard.listen(self._answering(self._stub.Connect(self._sayings())))

    async def _sayings(self) -> AsyncIterator[registry_pb.AgentMessage]:
        while (message := await self._out.get()) is not None:
            yield message

    async def _answering(self, stream: AsyncIterable[registry_pb.MasterMessage]) -> AsyncIterator[object]:
        async for message in stream:
            if message.HasField("ping") and self.answer_pings:
                self.say(registry_pb.AgentMessage(pong=registry_pb.AgentPong(sequence=message.ping.sequence)))
            yield message

    async def launched(self, task_id: str) -> tasks_pb2.TaskInfo:
        def has(message: registry_pb.MasterMessage) -> bool:
            return any(task.task_id == task_id for task in message.launch_tasks.tasks)

        message = await self.heard.wait_for(registry_pb.MasterMessage, has)
        return next(task for task in message.launch_tasks.tasks if task.task_id == task_id)

    def report(
        self, framework_id: str, task_id: str, state: tasks_pb2.TaskState.ValueType, uuid: bytes = b"u" * 16
    ) -> None:
        status = tasks_pb2.TaskStatus(
            task_id=task_id, state=state, source=tasks_pb2.STATUS_SOURCE_AGENT, uuid=uuid, container_id="c1"
        )
        update = registry_pb.UpdateStatus(framework_id=framework_id, status=status, latest_state=state)
        self.say(registry_pb.AgentMessage(update_status=update))

    async def leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class FrameworkSpeaker:
    """Subscribes and makes calls."""

    def __init__(self, channel: Channel, *roles: str, framework_id: str = "", failover_timeout_ms: int = 0) -> None:
        self.stub = SchedulerServiceStub(channel)
        self.heard = Heard()
        self.info = parties_pb2.FrameworkInfo(
            name="speaker", roles=roles, framework_id=framework_id, failover_timeout_ms=failover_timeout_ms
        )
        self.framework_id = ""
        self.subscription_id = ""
        self._task: asyncio.Task[None] | None = None

    async def subscribe(self) -> None:
        stream = self.stub.Subscribe(scheduler_pb.SubscribeRequest(framework=self.info))
        self._task = asyncio.create_task(self.heard.listen(stream))
        event = await self.heard.wait_for(scheduler_pb.SchedulerEvent, lambda event: event.HasField("subscribed"))
        self.framework_id, self.subscription_id = event.subscribed.framework_id, event.subscribed.subscription_id

    async def offer(self, agent_id: str = "", *, after: int = 0) -> offers_pb2.Offer:
        """The first offer of the agent among what was heard after so many messages."""

        def find(event: object) -> offers_pb2.Offer | None:
            if not isinstance(event, scheduler_pb.SchedulerEvent) or event not in self.heard.messages[after:]:
                return None
            return next((offer for offer in event.offers.offers if not agent_id or offer.agent_id == agent_id), None)

        event = await self.heard.wait_for(scheduler_pb.SchedulerEvent, lambda event: find(event) is not None)
        offer = find(event)
        assert offer is not None
        return offer

    async def status(self, task_id: str, state: tasks_pb2.TaskState.ValueType) -> tasks_pb2.TaskStatus:
        def fits(event: scheduler_pb.SchedulerEvent) -> bool:
            return event.update.status.task_id == task_id and event.update.status.state == state

        return (await self.heard.wait_for(scheduler_pb.SchedulerEvent, fits)).update.status

    async def accept(self, offer: offers_pb2.Offer, *tasks: tasks_pb2.TaskInfo, refuse_ms: int = 0) -> None:
        await self.stub.Accept(
            scheduler_pb.AcceptRequest(
                framework_id=self.framework_id,
                subscription_id=self.subscription_id,
                offer_ids=[offer.offer_id],
                operations=[offers_pb2.Operation(launch=offers_pb2.Operation.Launch(tasks=tasks))],
                filters=offers_pb2.Filters(refuse_ms=refuse_ms),
            )
        )

    async def acknowledge(self, status: tasks_pb2.TaskStatus) -> None:
        await self.stub.Acknowledge(
            scheduler_pb.AcknowledgeRequest(
                framework_id=self.framework_id,
                subscription_id=self.subscription_id,
                agent_id=status.agent_id,
                task_id=status.task_id,
                uuid=status.uuid,
            )
        )

    async def leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def task(task_id: str, agent_id: str, resources: str = "cpus:1;mem:64") -> tasks_pb2.TaskInfo:
    return tasks_pb2.TaskInfo(
        task_id=task_id,
        name=task_id,
        agent_id=agent_id,
        resources=convert.resources_to_wire(parse_resources(resources)),
        command=tasks_pb2.CommandInfo(
            arguments=["/bin/true"], environment=[tasks_pb2.EnvironmentVariable(name="SECRET", value="s3cret")]
        ),
    )
