"""A master as its agents see it: a real gRPC server whose words the test chooses, one connection after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio

from paddock.rpc.guard import Context
from paddock.rpc.server import RpcServer, Service
from paddock.rpc.tokens import TokenAuthenticator, TokenIssuer
from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1 import parties_pb2, tasks_pb2
from paddock.wire.v1.agent_registry_service_pb2_grpc import (
    AgentRegistryServiceServicer,
    add_AgentRegistryServiceServicer_to_server,
)
from tests.agentd_process import TIME_SCALE

TIMEOUT_S = 40.0 * TIME_SCALE
FRAMEWORK = parties_pb2.FrameworkInfo(framework_id="f1", name="f", roles=["*"], principal="uid:0")


class Connection:
    """One agent's stream."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[pb.AgentMessage] = asyncio.Queue()
        self.sending: asyncio.Queue[pb.MasterMessage | None] = asyncio.Queue()

    def send(self, **message: object) -> None:
        self.sending.put_nowait(
            pb.MasterMessage(master=parties_pb2.MasterInfo(master_id="m", epoch=1), **message)  # type: ignore[arg-type]
        )

    async def next(self, kind: str) -> pb.AgentMessage:
        """The next message of this kind; others before it are passed over."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                message = await self.received.get()
                if message.WhichOneof("message") == kind:
                    return message

    async def status(self) -> pb.UpdateStatus:
        return (await self.next("update_status")).update_status

    def acknowledge(self, update: pb.UpdateStatus) -> None:
        acknowledged = pb.AcknowledgeStatus(
            framework_id=update.framework_id, task_id=update.status.task_id, uuid=update.status.uuid
        )
        self.send(acknowledge_status=acknowledged)

    def launch(self, *tasks: tasks_pb2.TaskInfo) -> None:
        self.send(launch_tasks=pb.LaunchTasks(framework=FRAMEWORK, tasks=tasks))

    async def heard(self) -> None:
        """All that was sent so far has reached the agent: what is sent last would otherwise be lost with the connection."""
        self.send(ping=pb.MasterPing(sequence=1))
        await self.next("pong")

    def close(self) -> None:
        self.sending.put_nowait(None)


class ScriptedMaster(AgentRegistryServiceServicer):
    def __init__(self) -> None:
        self.connections: asyncio.Queue[Connection] = asyncio.Queue()

    async def Connect(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.AgentMessage], context: Context
    ) -> AsyncIterator[pb.MasterMessage]:
        connection = Connection()
        self.connections.put_nowait(connection)

        async def receive() -> None:
            async for message in request_iterator:
                connection.received.put_nowait(message)

        receiving = asyncio.create_task(receive())
        try:
            while (message := await connection.sending.get()) is not None:
                yield message
        finally:
            receiving.cancel()

    async def connected(
        self, *, ping_interval_ms: int = 60_000, volumes: pb.AgentVolumes | None = None
    ) -> tuple[Connection, pb.RegisterAgent]:
        """The next agent that connects, registered."""
        async with asyncio.timeout(TIMEOUT_S):
            connection = await self.connections.get()
        register = (await connection.next("register")).register
        connection.send(
            registered=pb.AgentRegistered(
                agent_id=register.agent.agent_id,
                ping_interval_ms=ping_interval_ms,
                ping_limit_count=1,
                volumes=volumes,
            )
        )
        return connection, register


@asynccontextmanager
async def scripted_master(path: Path) -> AsyncIterator[ScriptedMaster]:
    master = ScriptedMaster()
    issuer = TokenIssuer()

    def register(server: grpc.aio.Server) -> None:
        add_AgentRegistryServiceServicer_to_server(master, server)

    server = RpcServer(
        services=(Service(name="paddock.wire.v1.AgentRegistryService", register=register),),
        authenticator=TokenAuthenticator(issuer),
        issuer=issuer,
        unix_path=str(path),
    )
    await server.start()
    try:
        yield master
    finally:
        await server.stop(grace_s=0)
