"""One subscription of a framework at one master: the stream of events and the calls that go with it, in the model's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

from paddock.model import ids
from paddock.model.agent import MasterInfo
from paddock.model.errors import PaddockError, Unavailable
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId, OfferId, TaskId
from paddock.model.offer import Filters, Launch, Offer, Operation, Unavailability
from paddock.model.resources import Resources
from paddock.model.task import KillPolicy, TaskInfo, TaskStatus
from paddock.rpc.channel import Address, open_channel
from paddock.rpc.errors import remote_errors
from paddock.wire import convert
from paddock.wire.convert import bounds
from paddock.wire.v1 import scheduler_service_pb2 as pb
from paddock.wire.v1.scheduler_service_pb2_grpc import SchedulerServiceStub

FIRST_EVENT_TIMEOUT_S = 10.0
"""A master that takes the call and says nothing for so long is not one to wait for."""

_SILENT_INTERVALS = 3
_CLOSE_TIMEOUT_S = 5.0

UNDER_WAY_COUNT = 32
"""Calls sent and not answered; further ones wait here. A master refuses what is more than it has room for, and says so badly:
gRPC's own word for it is that the stream was removed.
"""

Request = TypeVar("Request")


class FrameworkRefused(PaddockError):
    """The master ended this framework: removed, or taken over by another process under the same id. Final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """From now on calls are taken. Offers of an earlier subscription are void."""

    framework_id: FrameworkId
    master: MasterInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """Yours until accepted, declined or rescinded."""

    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescinded:
    """No longer there; a launch on it would be dropped."""

    offer_id: OfferId


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """A step of a task's life."""

    status: TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLost:
    """The agent is gone; each of its tasks is told by a status of its own."""

    agent_id: AgentId
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationUpdated:
    """An operation with an id was done, or one could not be: `error` is then its first fault."""

    operation_id: str
    agent_id: AgentId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveAsked:
    """The agent's host will not be available, and the framework has something there (Mesos: an inverse offer)."""

    agent_id: AgentId
    hostname: str
    unavailability: Unavailability


LinkEvent: TypeAlias = Subscribed | Offered | Rescinded | Updated | AgentLost | OperationUpdated | LeaveAsked


class SchedulerLink:
    """Use it as `async with`, read `events`, and call while it is open. Errors are the master's own (paddock.rpc.errors)."""

    def __init__(self, address: Address, framework: FrameworkInfo, suppressed_roles: tuple[str, ...] = ()) -> None:
        """Nothing is sent before it is entered."""
        self._address = address
        self._framework = framework
        self._suppressed_roles = suppressed_roles
        self._subject = f"master {address}"
        self._framework_id = ""
        self._subscription_id = ""
        self._silence_s = FIRST_EVENT_TIMEOUT_S
        self._calls: set[asyncio.Task[None]] = set()
        self._under_way = asyncio.Semaphore(UNDER_WAY_COUNT)

    async def __aenter__(self) -> Self:
        """Opens the channel; the first event connects."""
        self._channel = open_channel(self._address)
        self._stub = SchedulerServiceStub(self._channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the stream: the master then counts the framework as disconnected. Calls under way still get their answer:
        a teardown ends the stream before it is answered itself.
        """
        if self._calls:
            await asyncio.wait(self._calls, timeout=_CLOSE_TIMEOUT_S)
        await self._channel.close()

    async def events(self) -> AsyncIterator[LinkEvent]:
        """Ends when the master ends the stream. Raises Unavailable also when it has been silent for three heartbeats."""
        with bounds.sendable("framework", self._framework.name):
            framework = convert.framework_info_to_wire(self._framework)
        request = pb.SubscribeRequest(framework=framework, suppressed_roles=self._suppressed_roles)
        with remote_errors(self._subject):
            stream = self._stub.Subscribe(request)
            messages = aiter(stream)
            while True:
                try:
                    async with asyncio.timeout(self._silence_s):
                        message = await anext(messages)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    stream.cancel()
                    raise Unavailable(f"{self._subject}: silent for {self._silence_s:g} s") from None
                event = self._event(message)
                if event is not None:
                    yield event

    def _event(self, message: pb.SchedulerEvent) -> LinkEvent | None:
        match message.WhichOneof("event"):
            case "subscribed":
                return self._subscribed(message)
            case "offers":
                offers = enumerate(message.offers.offers)
                return Offered(offers=tuple(convert.offer_from_wire(offer, f"offers[{i}]") for i, offer in offers))
            case "rescind":
                return Rescinded(offer_id=ids.offer_id(message.rescind.offer_id))
            case "update":
                return Updated(status=convert.task_status_from_wire(message.update.status))
            case "failure":
                return AgentLost(agent_id=ids.agent_id(message.failure.agent_id), message=message.failure.message)
            case "inverse_offer":
                asked = message.inverse_offer
                return LeaveAsked(
                    agent_id=ids.agent_id(asked.agent_id),
                    hostname=asked.hostname,
                    unavailability=convert.unavailability_from_wire(asked.unavailability),
                )
            case "operation_update":
                update = message.operation_update
                return OperationUpdated(
                    operation_id=update.operation_id, agent_id=ids.agent_id(update.agent_id), error=update.error
                )
            case "error":
                raise FrameworkRefused(f"{self._subject}: {message.error.message}")
            case _:
                # A heartbeat, or an event of a newer master: a sign of life either way.
                return None

    def _subscribed(self, message: pb.SchedulerEvent) -> Subscribed:
        subscribed = message.subscribed
        self._framework_id = ids.framework_id(subscribed.framework_id)
        self._subscription_id = subscribed.subscription_id
        if subscribed.heartbeat_interval_ms:
            self._silence_s = max(1.0, subscribed.heartbeat_interval_ms / 1000 * _SILENT_INTERVALS)
        return Subscribed(
            framework_id=ids.framework_id(subscribed.framework_id), master=convert.master_info_from_wire(message.master)
        )

    async def accept(
        self, offers: Sequence[Offer], tasks: Sequence[TaskInfo], filters: Filters, changes: Sequence[Operation] = ()
    ) -> None:
        """All offers of one agent and role. The changes first, then the tasks; what is left goes back, filtered."""
        operations = [*changes, Launch(tasks=tuple(tasks))] if tasks else list(changes)
        request = pb.AcceptRequest(
            framework_id=self._framework_id,
            subscription_id=self._subscription_id,
            offer_ids=[offer.offer_id for offer in offers],
            operations=[convert.operation_to_wire(operation) for operation in operations],
            filters=convert.filters_to_wire(filters),
        )
        await self._answered(self._stub.Accept, request)

    async def decline(self, offer_ids: Sequence[OfferId], filters: Filters) -> None:
        """Unknown ones are no error: they may have been rescinded meanwhile."""
        request = pb.DeclineRequest(
            framework_id=self._framework_id,
            subscription_id=self._subscription_id,
            offer_ids=offer_ids,
            filters=convert.filters_to_wire(filters),
        )
        await self._answered(self._stub.Decline, request)

    async def kill(self, task_id: TaskId, agent_id: AgentId, policy: KillPolicy | None) -> None:
        """Asked for when it returns; what became of it comes as a status."""
        with bounds.sendable("policy", policy):
            kill_policy = None if policy is None else convert.kill_policy_to_wire(policy)
        request = pb.KillRequest(
            framework_id=self._framework_id,
            subscription_id=self._subscription_id,
            task_id=task_id,
            agent_id=agent_id,
            kill_policy=kill_policy,
        )
        await self._answered(self._stub.Kill, request)

    async def resize(self, task_id: TaskId, resources: Resources) -> None:
        """Reserved when it returns; what became of it comes as a status."""
        request = pb.ResizeRequest(
            framework_id=self._framework_id,
            subscription_id=self._subscription_id,
            task_id=task_id,
            resources=convert.resources_to_wire(resources),
        )
        await self._answered(self._stub.Resize, request)

    async def acknowledge(self, status: TaskStatus) -> None:
        """The agent may forget this status, and send the next one."""
        request = pb.AcknowledgeRequest(
            framework_id=self._framework_id,
            subscription_id=self._subscription_id,
            agent_id=status.agent_id,
            task_id=status.task_id,
            uuid=status.uuid,
        )
        await self._answered(self._stub.Acknowledge, request)

    async def reconcile(self, tasks: Sequence[tuple[TaskId, AgentId]]) -> None:
        """A status for each comes; for none given: for all that the master knows."""
        request = pb.ReconcileRequest(
            framework_id=self._framework_id,
            subscription_id=self._subscription_id,
            tasks=[
                pb.ReconcileRequest.TaskToReconcile(task_id=task_id, agent_id=agent_id) for task_id, agent_id in tasks
            ],
        )
        await self._answered(self._stub.Reconcile, request)

    async def revive(self, roles: Sequence[str]) -> None:
        """No filters any more, and no suppression, of these roles; of all when none is named."""
        request = pb.ReviveRequest(framework_id=self._framework_id, subscription_id=self._subscription_id, roles=roles)
        await self._answered(self._stub.Revive, request)

    async def suppress(self, roles: Sequence[str]) -> None:
        """No offers until revived."""
        request = pb.SuppressRequest(
            framework_id=self._framework_id, subscription_id=self._subscription_id, roles=roles
        )
        await self._answered(self._stub.Suppress, request)

    async def answer_inverse_offer(self, agent_id: AgentId, *, accepted: bool) -> None:
        """Whether the framework will leave the agent in time."""
        request = pb.AnswerInverseOfferRequest(
            framework_id=self._framework_id,
            subscription_id=self._subscription_id,
            agent_id=agent_id,
            accepted=accepted,
        )
        await self._answered(self._stub.AnswerInverseOffer, request)

    async def teardown(self) -> None:
        """Kills all its tasks and removes the framework for ever."""
        request = pb.TeardownRequest(framework_id=self._framework_id, subscription_id=self._subscription_id)
        await self._answered(partial(self._stub.Teardown, timeout=_CLOSE_TIMEOUT_S), request)

    async def _answered(self, method: Callable[[Request], Awaitable[object]], request: Request) -> None:
        async def wait() -> None:
            with remote_errors(self._subject):
                async with self._under_way:
                    await method(request)

        task = asyncio.create_task(wait())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        await task
