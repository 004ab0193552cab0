"""A real server with small services of its own, on real sockets, for the tests of paddock.rpc."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import grpc.aio

from paddock.model.errors import InvalidRequest, NotFound, NotLeading, PaddockError
from paddock.rpc.principal import Authenticator, current_principal
from paddock.rpc.server import RpcServer, Service
from paddock.rpc.tokens import TokenAuthenticator, TokenIssuer
from paddock.wire.v1 import (
    exec_service_pb2,
    exec_service_pb2_grpc,
    operator_service_pb2_grpc,
    parties_pb2,
)
from paddock.wire.v1 import operator_service_pb2 as pb

ERRORS: dict[str, PaddockError] = {
    "invalid": InvalidRequest("tasks[0].task_id", "a/b", "leave out the slash"),
    "missing": NotFound("task", "t1"),
    "follower": NotLeading("unix:/run/other.sock"),
}


ENDED: list[str] = []
"""Streams whose `finally` has run."""


class Operator(operator_service_pb2_grpc.OperatorServiceServicer):
    """GetMaster says who calls; GetTask raises what its id names; WatchTasks streams, then raises."""

    async def GetMaster(self, request: pb.GetMasterRequest, context: object) -> parties_pb2.MasterInfo:  # noqa: N802
        # Others are served in between.
        await asyncio.sleep(0.01)
        return parties_pb2.MasterInfo(master_id=current_principal().name)

    async def GetTask(self, request: pb.GetTaskRequest, context: object) -> pb.Task:  # noqa: N802
        if request.task_id == "hang":
            await asyncio.Event().wait()
        if request.task_id == "defect":
            raise ZeroDivisionError
        raise ERRORS[request.task_id]

    async def WatchTasks(  # noqa: N802
        self, request: pb.WatchTasksRequest, context: object
    ) -> AsyncIterator[pb.WatchTasksResponse]:
        yield pb.WatchTasksResponse(resource_version=1)
        await asyncio.sleep(0)
        # Bytes that a service has written itself go out as they are.
        told = pb.WatchTasksResponse(task=pb.Task(role=current_principal().name)).SerializeToString()
        yield cast("pb.WatchTasksResponse", told)
        raise ERRORS["missing"]

    async def ListAgents(self, request: pb.ListAgentsRequest, context: object) -> pb.ListAgentsResponse:  # noqa: N802
        return pb.ListAgentsResponse()

    async def ListFrameworks(  # noqa: N802
        self, request: pb.ListFrameworksRequest, context: object
    ) -> pb.ListFrameworksResponse:
        return pb.ListFrameworksResponse()

    async def GetState(self, request: pb.GetStateRequest, context: object) -> pb.MasterState:  # noqa: N802
        return pb.MasterState()

    async def ListOffers(self, request: pb.ListOffersRequest, context: object) -> pb.ListOffersResponse:  # noqa: N802
        return pb.ListOffersResponse()

    async def ListTasks(self, request: pb.ListTasksRequest, context: object) -> pb.ListTasksResponse:  # noqa: N802
        return pb.ListTasksResponse()

    async def KillTask(  # noqa: N802
        self, request: pb.OperatorKillTaskRequest, context: object
    ) -> pb.OperatorKillTaskResponse:
        return pb.OperatorKillTaskResponse()


class Exec(exec_service_pb2_grpc.ExecServiceServicer):
    """Says back what it hears, behind the caller's name."""

    async def Exec(  # noqa: N802
        self, request_iterator: AsyncIterator[exec_service_pb2.ExecRequest], context: object
    ) -> AsyncIterator[exec_service_pb2.ExecResponse]:
        try:
            async for request in request_iterator:
                yield exec_service_pb2.ExecResponse(stdout=current_principal().name.encode() + b" " + request.stdin)
        finally:
            ENDED.append("exec")


SERVICES = (
    Service(
        name="paddock.wire.v1.OperatorService",
        register=lambda server: operator_service_pb2_grpc.add_OperatorServiceServicer_to_server(Operator(), server),
    ),
    Service(
        name="paddock.wire.v1.ExecService",
        register=lambda server: exec_service_pb2_grpc.add_ExecServiceServicer_to_server(Exec(), server),
    ),
)


@asynccontextmanager
async def serving(
    directory: Path,
    *,
    tcp_address: str = "",
    tcp_uid: int | None = None,
    issuer: TokenIssuer | None = None,
    authenticator: Authenticator | None = None,
) -> AsyncIterator[RpcServer]:
    issuer = issuer or TokenIssuer()
    server = RpcServer(
        services=SERVICES,
        authenticator=authenticator or TokenAuthenticator(issuer, tcp_uid=tcp_uid),
        issuer=issuer,
        unix_path=str(directory / "d.sock"),
        tcp_address=tcp_address,
    )
    await server.start()
    await server.set_serving(serving=True)
    try:
        yield server
    finally:
        await server.stop(grace_s=0)


def bare_channel(target: str) -> grpc.aio.Channel:
    """A foreign client: gRPC as it comes, without a token."""
    return grpc.aio.insecure_channel(target, options=(("grpc.use_local_subchannel_pool", 1),))
