"""SchedulerService: a framework's stream of events, and its calls."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import cast

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.core.effects import (
    FrameworkMessage,
    NoteAgentFailed,
    NoteError,
    NoteHeartbeat,
    NoteInverseOffer,
    NoteOffers,
    NoteOperation,
    NoteRescinded,
    NoteStatus,
    NoteSubscribed,
)
from masterd.core.events import (
    Accept,
    Acknowledge,
    Decline,
    FrameworkStreamLost,
    InverseOfferAnswered,
    Kill,
    Reconcile,
    Resize,
    Revive,
    Subscribe,
    Suppress,
    Teardown,
)
from masterd.rpc.callers import current_caller
from masterd.rpc.resizes import amounts_from_wire
from masterd.shell import MasterShell
from paddock.model import ids
from paddock.model.errors import InvalidRequest
from paddock.model.ids import AgentId, FrameworkId, OfferId
from paddock.model.task import KillPolicy
from paddock.wire import convert
from paddock.wire.convert import bounds
from paddock.wire.v1 import parties_pb2, tasks_pb2
from paddock.wire.v1 import scheduler_service_pb2 as pb
from paddock.wire.v1.scheduler_service_pb2_grpc import SchedulerServiceServicer

LIST_LIMIT_COUNT = 10_000
"""Offers, tasks or roles of one call."""

_Context = ServicerContext[Message, Message]
_Words = (
    NoteSubscribed
    | NoteRescinded
    | NoteStatus
    | NoteAgentFailed
    | NoteOperation
    | NoteInverseOffer
    | NoteError
    | NoteHeartbeat
)


class Schedulers(SchedulerServiceServicer):
    """Each call answers when the master has taken it; what comes of it comes on the stream."""

    def __init__(self, shell: MasterShell) -> None:
        self._shell = shell
        self._writer = convert.OfferWriter()

    async def Subscribe(self, request: pb.SubscribeRequest, context: _Context) -> AsyncIterator[pb.SchedulerEvent]:
        """The stream is the subscription: when it ends, the framework is disconnected."""
        roles = _roles(request.suppressed_roles, "suppressed_roles")
        number = self._shell.new_stream_number()
        event = Subscribe(
            stream=number,
            caller=current_caller(),
            framework=convert.framework_info_from_wire(request.framework),
            suppressed_roles=roles,
        )
        stream = self._shell.frameworks.open(number)
        was_told = False
        try:
            await self._shell.call(event)
            was_told = True
            master = convert.master_info_to_wire(self._shell.machine.state.master)
            async for message in stream.messages():
                yield cast("pb.SchedulerEvent", to_bytes(message, master, self._writer))
        finally:
            self._lost(number, was_told=was_told)

    def _lost(self, number: int, *, was_told: bool) -> None:
        self._shell.frameworks.forget(number)
        self._shell.post(FrameworkStreamLost(stream=number, was_told=was_told))

    async def Accept(self, request: pb.AcceptRequest, context: _Context) -> pb.AcceptResponse:
        """A malformed call is refused whole; an invalid task of a well-formed one is answered on the stream."""
        await self._shell.call(
            Accept(
                caller=current_caller(),
                framework_id=_framework_id(request.framework_id),
                subscription_id=request.subscription_id,
                offer_ids=_offer_ids(request.offer_ids),
                operations=convert.operations_from_wire(request.operations),
                filters=convert.filters_from_wire(request.filters),
            )
        )
        return pb.AcceptResponse()

    async def Decline(self, request: pb.DeclineRequest, context: _Context) -> pb.DeclineResponse:
        """Offers that are over already are passed over."""
        await self._shell.call(
            Decline(
                caller=current_caller(),
                framework_id=_framework_id(request.framework_id),
                subscription_id=request.subscription_id,
                offer_ids=_offer_ids(request.offer_ids),
                filters=convert.filters_from_wire(request.filters),
            )
        )
        return pb.DeclineResponse()

    async def Kill(self, request: pb.KillRequest, context: _Context) -> pb.KillResponse:
        """An absent kill policy means the task's own."""
        await self._shell.call(
            Kill(
                caller=current_caller(),
                framework_id=_framework_id(request.framework_id),
                subscription_id=request.subscription_id,
                task_id=ids.task_id(request.task_id),
                agent_id=agent_id_or_none(request.agent_id),
                kill_policy=kill_policy_or_none(request.kill_policy, given=request.HasField("kill_policy")),
            )
        )
        return pb.KillResponse()

    async def Resize(self, request: pb.ResizeRequest, context: _Context) -> pb.ResizeResponse:
        """What became of it comes as a status."""
        await self._shell.call(
            Resize(
                caller=current_caller(),
                framework_id=_framework_id(request.framework_id),
                subscription_id=request.subscription_id,
                task_id=ids.task_id(request.task_id),
                resources=amounts_from_wire(request.resources),
            )
        )
        return pb.ResizeResponse()

    async def Acknowledge(self, request: pb.AcknowledgeRequest, context: _Context) -> pb.AcknowledgeResponse:
        """Statuses without a uuid need none."""
        await self._shell.call(
            Acknowledge(
                caller=current_caller(),
                framework_id=_framework_id(request.framework_id),
                subscription_id=request.subscription_id,
                agent_id=ids.agent_id(request.agent_id),
                task_id=ids.task_id(request.task_id),
                uuid=convert.uuid_from_wire(request.uuid),
            )
        )
        return pb.AcknowledgeResponse()

    async def Reconcile(self, request: pb.ReconcileRequest, context: _Context) -> pb.ReconcileResponse:
        """The answers come on the stream."""
        _count(len(request.tasks), "tasks")
        tasks = tuple(
            (
                ids.task_id(task.task_id, f"tasks[{index}].task_id"),
                agent_id_or_none(task.agent_id, f"tasks[{index}].agent_id"),
            )
            for index, task in enumerate(request.tasks)
        )
        await self._shell.call(
            Reconcile(
                caller=current_caller(),
                framework_id=_framework_id(request.framework_id),
                subscription_id=request.subscription_id,
                tasks=tasks,
            )
        )
        return pb.ReconcileResponse()

    async def Revive(self, request: pb.ReviveRequest, context: _Context) -> pb.ReviveResponse:
        """No roles: all."""
        await self._shell.call(
            Revive(
                caller=current_caller(),
                framework_id=_framework_id(request.framework_id),
                subscription_id=request.subscription_id,
                roles=_roles(request.roles, "roles"),
            )
        )
        return pb.ReviveResponse()

    async def Suppress(self, request: pb.SuppressRequest, context: _Context) -> pb.SuppressResponse:
        """No roles: all."""
        await self._shell.call(
            Suppress(
                caller=current_caller(),
                framework_id=_framework_id(request.framework_id),
                subscription_id=request.subscription_id,
                roles=_roles(request.roles, "roles"),
            )
        )
        return pb.SuppressResponse()

    async def AnswerInverseOffer(
        self, request: pb.AnswerInverseOfferRequest, context: _Context
    ) -> pb.AnswerInverseOfferResponse:
        """The latest answer counts."""
        await self._shell.call(
            InverseOfferAnswered(
                caller=current_caller(),
                framework_id=_framework_id(request.framework_id),
                subscription_id=request.subscription_id,
                agent_id=ids.agent_id(request.agent_id),
                accepted=request.accepted,
            )
        )
        return pb.AnswerInverseOfferResponse()

    async def Teardown(self, request: pb.TeardownRequest, context: _Context) -> pb.TeardownResponse:
        """The framework's tasks are killed, and its id is never accepted again."""
        await self._shell.call(
            Teardown(
                caller=current_caller(),
                framework_id=_framework_id(request.framework_id),
                subscription_id=request.subscription_id,
            )
        )
        return pb.TeardownResponse()


def _framework_id(text: str) -> FrameworkId:
    return ids.framework_id(text, "framework_id")


def agent_id_or_none(text: str, field: str = "agent_id") -> AgentId:
    """Empty: not given."""
    return ids.agent_id(text, field) if text else AgentId("")


def kill_policy_or_none(message: tasks_pb2.KillPolicy, *, given: bool) -> KillPolicy | None:
    """None: not given."""
    return convert.kill_policy_from_wire(message) if given else None


def _offer_ids(texts: Iterable[str]) -> tuple[OfferId, ...]:
    words = _texts(texts, "offer_ids")
    return tuple(ids.offer_id(text, f"offer_ids[{index}]") for index, text in enumerate(words))


def _roles(texts: Iterable[str], field: str) -> tuple[str, ...]:
    return tuple(ids.check_role(text, f"{field}[{index}]") for index, text in enumerate(_texts(texts, field)))


def _texts(texts: Iterable[str], field: str) -> list[str]:
    words = list(texts)
    _count(len(words), field)
    return words


def _count(found_count: int, field: str) -> None:
    if found_count > LIST_LIMIT_COUNT:
        raise InvalidRequest(field, f"{found_count} entries", f"use at most {LIST_LIMIT_COUNT} in one call")


def to_bytes(message: FrameworkMessage, master: parties_pb2.MasterInfo, writer: convert.OfferWriter) -> bytes:
    """With the master's identity, as every message of its streams. The guard sends bytes as they are."""
    event = pb.SchedulerEvent
    if not isinstance(message, NoteOffers):
        return _to_wire(message, master).SerializeToString()
    offers = writer.written(message.offers, event.Offers.OFFERS_FIELD_NUMBER)
    begin = convert.embedded(event.MASTER_FIELD_NUMBER, master.SerializeToString())
    return begin + convert.embedded(event.OFFERS_FIELD_NUMBER, offers)


def _to_wire(message: _Words, master: parties_pb2.MasterInfo) -> pb.SchedulerEvent:
    event = pb.SchedulerEvent
    match message:
        case NoteSubscribed():
            subscribed = event.Subscribed(
                framework_id=message.framework_id,
                heartbeat_interval_ms=message.heartbeat_interval_ms,
                subscription_id=message.subscription_id,
            )
            return event(master=master, subscribed=subscribed)
        case NoteRescinded(offer_id=offer_id):
            return event(master=master, rescind=event.Rescind(offer_id=offer_id))
        case NoteStatus(status=status):
            return event(master=master, update=event.Update(status=convert.task_status_to_wire(status)))
        case NoteAgentFailed(agent_id=agent_id, message=words):
            return event(master=master, failure=event.AgentFailure(agent_id=agent_id, message=words))
        case NoteInverseOffer():
            asked = event.InverseOffer(
                agent_id=message.agent_id,
                hostname=message.hostname,
                unavailability=convert.unavailability_to_wire(message.unavailability),
            )
            return event(master=master, inverse_offer=asked)
        case NoteOperation():
            update = event.OperationUpdate(
                operation_id=message.operation_id, agent_id=message.agent_id, error=bounds.shown(message.error)
            )
            return event(master=master, operation_update=update)
        case NoteError(message=words):
            return event(master=master, error=event.SchedulerError(message=words))
        case NoteHeartbeat():
            return event(master=master, heartbeat=event.SchedulerHeartbeat())
