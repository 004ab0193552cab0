"""Calls to a real agentd, in the words of its tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from paddock.rpc.channel import Channel, open_channel
from paddock.rpc.errors import remote_errors
from paddock.wire.v1 import container_service_pb2 as pb
from paddock.wire.v1 import containers_pb2, exec_service_pb2, sandbox_service_pb2, tasks_pb2
from paddock.wire.v1.agent_task_service_pb2_grpc import AgentTaskServiceStub
from paddock.wire.v1.container_service_pb2_grpc import ContainerServiceStub
from paddock.wire.v1.exec_service_pb2_grpc import ExecServiceStub
from paddock.wire.v1.resources_pb2 import Resource
from paddock.wire.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from tests.agentd_process import TIME_SCALE

CALL_TIMEOUT_S = 60.0 * TIME_SCALE
RUNNING = pb.WAIT_UNTIL_RUNNING
ENDED = pb.WAIT_UNTIL_TERMINATED


def resources(*, cpus_milli: int = 100, mem_mib: int = 64, disk_mib: int = 0) -> list[Resource]:
    found = [
        Resource(name="cpus", scalar_milli=cpus_milli),
        Resource(name="mem", scalar_milli=mem_mib * 1000),
    ]
    return [*found, Resource(name="disk", scalar_milli=disk_mib * 1000)] if disk_mib else found


def shell(line: str) -> tasks_pb2.CommandInfo:
    return tasks_pb2.CommandInfo(shell=True, value=line)


class Caller:
    def __init__(self, channel: Channel) -> None:
        self.containers = ContainerServiceStub(channel)
        self.sandbox = SandboxServiceStub(channel)
        self.exec = ExecServiceStub(channel)
        self.tasks = AgentTaskServiceStub(channel)

    async def launch(
        self,
        command: tasks_pb2.CommandInfo,
        *,
        until: pb.WaitUntil.ValueType = ENDED,
        asked: Sequence[Resource] | None = None,
        container_id: str = "",
        **fields: object,
    ) -> containers_pb2.Container:
        request = pb.LaunchContainerRequest(
            container_id=containers_pb2.ContainerId(value=container_id) if container_id else None,
            command=command,
            resources=resources() if asked is None else asked,
            wait_until=until,
            **fields,  # type: ignore[arg-type]
        )
        with remote_errors():
            return (await self.containers.LaunchContainer(request, timeout=CALL_TIMEOUT_S)).container

    async def run(self, *words: str) -> containers_pb2.Container:
        return await self.launch(tasks_pb2.CommandInfo(arguments=words))

    async def get(self, container: containers_pb2.Container) -> containers_pb2.Container:
        with remote_errors():
            return await self.containers.GetContainer(pb.GetContainerRequest(container_id=container.container_id))

    async def recovered(self, container: containers_pb2.Container) -> containers_pb2.Container:
        """By an agent that has just started: a shim that does not answer at once is asked again, and is shown until then."""
        async with asyncio.timeout(CALL_TIMEOUT_S):
            while (found := await self.get(container)).state == containers_pb2.CONTAINER_STUCK:
                await asyncio.sleep(0.05)
        return found

    async def kill(self, container: containers_pb2.Container, *, signal: int = 15, grace_ms: int | None = None) -> None:
        policy = tasks_pb2.KillPolicy(signal=signal, grace_period_ms=grace_ms)
        with remote_errors():
            await self.containers.KillContainer(
                pb.KillContainerRequest(container_id=container.container_id, kill_policy=policy)
            )

    async def wait(self, container: containers_pb2.Container) -> containers_pb2.Container:
        with remote_errors():
            answer = await self.containers.WaitContainer(
                pb.WaitContainerRequest(container_id=container.container_id), timeout=CALL_TIMEOUT_S
            )
        return answer.container

    async def list(self, *, include_terminated: bool = False, page_size: int = 0) -> list[containers_pb2.Container]:
        found: list[containers_pb2.Container] = []
        request = pb.ListContainersRequest(page_size=page_size, include_terminated=include_terminated)
        with remote_errors():
            while True:
                answer = await self.containers.ListContainers(request)
                found += answer.containers
                if not answer.next_page_token:
                    return found
                request.page_token = answer.next_page_token

    async def read(self, container: containers_pb2.Container, path: str, *, offset_bytes: int = 0) -> bytes:
        with remote_errors():
            answer = await self.sandbox.ReadFile(
                sandbox_service_pb2.ReadFileRequest(
                    container_id=container.container_id, path=path, offset_bytes=offset_bytes
                )
            )
        return answer.data

    async def follow(self, container: containers_pb2.Container, path: str, *, offset_bytes: int = 0) -> bytes:
        request = sandbox_service_pb2.FollowFileRequest(
            container_id=container.container_id, path=path, offset_bytes=offset_bytes
        )
        with remote_errors():
            pieces = [piece.data async for piece in self.sandbox.FollowFile(request, timeout=CALL_TIMEOUT_S)]
        return b"".join(pieces)

    async def log(
        self,
        container: containers_pb2.Container,
        stream: str = "stdout",
        *,
        position: int | None = None,
        tail: int | None = None,
    ) -> tuple[bytes, int]:
        """All of it, to the container's end, and how much was lost."""
        request = sandbox_service_pb2.FollowLogRequest(
            container_id=container.container_id,
            stream=sandbox_service_pb2.LogStream.Value(f"LOG_STREAM_{stream.upper()}"),
            position=position,
            tail_line_count=tail,
            follow=True,
        )
        with remote_errors():
            pieces = [piece async for piece in self.sandbox.FollowLog(request, timeout=CALL_TIMEOUT_S)]
        return b"".join([piece.data for piece in pieces]), sum(piece.lost_bytes for piece in pieces)

    async def enter(
        self, container: containers_pb2.Container, command: tasks_pb2.CommandInfo, *, stdin: bytes = b""
    ) -> tuple[bytes, bytes, int]:
        """stdout, stderr, wait status."""
        has_started = asyncio.Event()

        async def requests() -> AsyncIterator[exec_service_pb2.ExecRequest]:
            start = exec_service_pb2.ExecStart(container_id=container.container_id, command=command)
            yield exec_service_pb2.ExecRequest(start=start)
            # A write that meets a refusal makes gRPC forget the refusal's words.
            await has_started.wait()
            if stdin:
                yield exec_service_pb2.ExecRequest(stdin=stdin)
            yield exec_service_pb2.ExecRequest(stdin_closed=True)

        out, err, status = b"", b"", -1
        with remote_errors():
            async for response in self.exec.Exec(requests(), timeout=CALL_TIMEOUT_S):
                has_started.set()
                out += response.stdout
                err += response.stderr
                if response.WhichOneof("response") == "wait_status":
                    status = response.wait_status
        return out, err, status


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Caller]:
    async with open_channel(address) as channel:
        yield Caller(channel)
