"""A master whose words are written by the test: a real gRPC server, a script instead of an allocator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio

from paddock.model.errors import PaddockError
from paddock.rpc.server import RpcServer, Service
from paddock.rpc.tokens import TokenAuthenticator, TokenIssuer
from paddock.wire.v1 import offers_pb2, parties_pb2, resources_pb2, tasks_pb2
from paddock.wire.v1 import scheduler_service_pb2 as pb
from paddock.wire.v1.scheduler_service_pb2_grpc import SchedulerServiceServicer, add_SchedulerServiceServicer_to_server

_Context = grpc.aio.ServicerContext


class ScriptedMaster(SchedulerServiceServicer):
    """`say` is what the current stream sends; None ends the stream, an error ends it with that error."""

    def __init__(self, *, heartbeat_interval_ms: int = 15_000) -> None:
        self.say: asyncio.Queue[pb.SchedulerEvent | PaddockError | None] = asyncio.Queue()
        self.subscriptions: list[pb.SubscribeRequest] = []
        self.refuse: PaddockError | None = None
        self.calls: list[object] = []
        self.called = asyncio.Event()
        self.heartbeat_interval_ms = heartbeat_interval_ms

    async def Subscribe(  # noqa: N802
        self, request: pb.SubscribeRequest, context: _Context[pb.SubscribeRequest, pb.SchedulerEvent]
    ) -> AsyncIterator[pb.SchedulerEvent]:
        self.subscriptions.append(request)
        if self.refuse is not None:
            raise self.refuse
        number = len(self.subscriptions)
        yield pb.SchedulerEvent(
            master=parties_pb2.MasterInfo(master_id="m1", epoch=1),
            subscribed=pb.SchedulerEvent.Subscribed(
                framework_id="f1",
                heartbeat_interval_ms=self.heartbeat_interval_ms,
                subscription_id=f"s{number}",
            ),
        )
        while True:
            words = await self.say.get()
            if words is None:
                return
            if isinstance(words, PaddockError):
                raise words
            yield words

    async def until(self, kind: type, count: int = 1) -> list[object]:
        """The calls of this kind, once there are so many."""
        async with asyncio.timeout(60):
            while len(found := [call for call in self.calls if isinstance(call, kind)]) < count:
                self.called.clear()
                await self.called.wait()
        return found

    def _heard(self, request: object) -> None:
        self.calls.append(request)
        self.called.set()

    async def Accept(self, request: pb.AcceptRequest, context: object) -> pb.AcceptResponse:  # noqa: N802
        self._heard(request)
        return pb.AcceptResponse()

    async def Decline(self, request: pb.DeclineRequest, context: object) -> pb.DeclineResponse:  # noqa: N802
        self._heard(request)
        return pb.DeclineResponse()

    async def Kill(self, request: pb.KillRequest, context: object) -> pb.KillResponse:  # noqa: N802
        self._heard(request)
        return pb.KillResponse()

    async def Resize(self, request: pb.ResizeRequest, context: object) -> pb.ResizeResponse:  # noqa: N802
        self._heard(request)
        return pb.ResizeResponse()

    async def Acknowledge(self, request: pb.AcknowledgeRequest, context: object) -> pb.AcknowledgeResponse:  # noqa: N802
        self._heard(request)
        return pb.AcknowledgeResponse()

    async def Reconcile(self, request: pb.ReconcileRequest, context: object) -> pb.ReconcileResponse:  # noqa: N802
        self._heard(request)
        return pb.ReconcileResponse()

    async def Revive(self, request: pb.ReviveRequest, context: object) -> pb.ReviveResponse:  # noqa: N802
        self._heard(request)
        return pb.ReviveResponse()

    async def Suppress(self, request: pb.SuppressRequest, context: object) -> pb.SuppressResponse:  # noqa: N802
        self._heard(request)
        return pb.SuppressResponse()

    async def AnswerInverseOffer(  # noqa: N802
        self, request: pb.AnswerInverseOfferRequest, context: object
    ) -> pb.AnswerInverseOfferResponse:
        self._heard(request)
        return pb.AnswerInverseOfferResponse()

    async def Teardown(self, request: pb.TeardownRequest, context: object) -> pb.TeardownResponse:  # noqa: N802
        self._heard(request)
        # As masterd does: the stream ends first.
        await self.say.put(pb.SchedulerEvent(error=pb.SchedulerEvent.SchedulerError(message="torn down as asked")))
        await asyncio.sleep(0.05)
        return pb.TeardownResponse()


def offer(offer_id: str, *, cpus_milli: int = 4000, mem_milli: int = 1_024_000, role: str = "*") -> offers_pb2.Offer:
    resources = [
        resources_pb2.Resource(name=name, scalar_milli=milli, allocation_role=role)
        for name, milli in (("cpus", cpus_milli), ("mem", mem_milli))
    ]
    return offers_pb2.Offer(offer_id=offer_id, framework_id="f1", agent_id="a1", role=role, resources=resources)


def offers(*each: offers_pb2.Offer) -> pb.SchedulerEvent:
    return pb.SchedulerEvent(offers=pb.SchedulerEvent.Offers(offers=each))


def update(task_id: str, state: tasks_pb2.TaskState.ValueType, uuid: bytes = b"") -> pb.SchedulerEvent:
    status = tasks_pb2.TaskStatus(
        task_id=task_id, state=state, source=tasks_pb2.STATUS_SOURCE_AGENT, uuid=uuid, agent_id="a1"
    )
    return pb.SchedulerEvent(update=pb.SchedulerEvent.Update(status=status))


@asynccontextmanager
async def mastered(path: Path, master: ScriptedMaster) -> AsyncIterator[str]:
    """Its address."""
    issuer = TokenIssuer()
    server = RpcServer(
        services=(
            Service(
                name="paddock.wire.v1.SchedulerService",
                register=lambda server: add_SchedulerServiceServicer_to_server(master, server),
            ),
        ),
        authenticator=TokenAuthenticator(issuer),
        issuer=issuer,
        unix_path=str(path),
    )
    await server.start()
    try:
        yield f"unix:{path}"
    finally:
        await server.stop(grace_s=0)
