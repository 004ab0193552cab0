"""The client of an agent's services: containers, their limits and statistics, their files, processes inside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio

from paddock.model.errors import Unavailable
from paddock.model.task import CommandInfo, ResourceLimits
from paddock.rpc.channel import Address, open_channel, parse_address
from paddock.rpc.clients.views import ContainerView, LimitView, StatisticsView
from paddock.rpc.clients.views_from_wire import container_view, limit_view, statistics_view
from paddock.rpc.errors import remote_errors
from paddock.wire import convert
from paddock.wire.v1 import container_service_pb2 as pb
from paddock.wire.v1 import containers_pb2, exec_service_pb2, resources_pb2, sandbox_service_pb2, tasks_pb2
from paddock.wire.v1.container_service_pb2_grpc import ContainerServiceStub
from paddock.wire.v1.exec_service_pb2_grpc import ExecServiceStub
from paddock.wire.v1.sandbox_service_pb2_grpc import SandboxServiceStub

_PAGE_COUNT = 1_000
_LOG_STREAMS = {
    "stdout": sandbox_service_pb2.LOG_STREAM_STDOUT,
    "stderr": sandbox_service_pb2.LOG_STREAM_STDERR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePiece:
    """Part of a file, and how large the file was then."""

    content: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPieceView:
    """Part of a log. `position`: of its first byte, in all that was ever written; `lost_bytes`: so many before it are gone.

    `moved`: the file that was read is no longer where the log should be.
    """

    content: bytes
    position: int
    lost_bytes: int
    moved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecOutput:
    """What came from a process inside a container. `wait_status` is set once, in the last."""

    stdout: bytes = b""
    stderr: bytes = b""
    wait_status: int | None = None


@asynccontextmanager
async def connect_agent(address: str) -> AsyncIterator[AgentClient]:
    """Connects with the first call."""
    parsed = parse_address(address, "agent's address")
    async with open_channel(parsed) as channel:
        yield AgentClient(channel, parsed)


class AgentClient:
    """Answers as views and bytes. What the agent refuses comes out as the same PaddockError, naming its address."""

    def __init__(self, channel: grpc.aio.Channel, address: Address) -> None:
        """The channel stays its opener's."""
        self.address = address
        self._containers = ContainerServiceStub(channel)
        self._sandbox = SandboxServiceStub(channel)
        self._exec = ExecServiceStub(channel)
        self._subject = f"agent at {address}"

    async def get_container(self, container_id: str) -> ContainerView:
        """Also after its end, as long as the agent keeps it."""
        with remote_errors(self._subject):
            return container_view(
                await self._containers.GetContainer(pb.GetContainerRequest(container_id=_id(container_id)))
            )

    async def list_containers(self, *, include_terminated: bool = False) -> tuple[ContainerView, ...]:
        """All pages."""
        request = pb.ListContainersRequest(page_size=_PAGE_COUNT, include_terminated=include_terminated)
        found: list[ContainerView] = []
        while True:
            with remote_errors(self._subject):
                answer = await self._containers.ListContainers(request)
            found += map(container_view, answer.containers)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return tuple(found)

    async def kill_container(self, container_id: str, *, grace_ms: int) -> None:
        """SIGTERM, then SIGKILL after the grace period; 0: at once. Returns once the agent has taken it."""
        policy = tasks_pb2.KillPolicy(grace_period_ms=grace_ms)
        with remote_errors(self._subject):
            await self._containers.KillContainer(
                pb.KillContainerRequest(container_id=_id(container_id), kill_policy=policy)
            )

    async def update_container(
        self, container_id: str, amounts_milli: Mapping[str, int], limits: ResourceLimits, *, validate_only: bool
    ) -> tuple[LimitView, ...]:
        """What is in force once the change is. A refusal (ContainerizerError when it is the kernel's) leaves all as it was."""
        request = pb.UpdateContainerRequest(
            container_id=_id(container_id),
            resources=[resources_pb2.Resource(name=name, scalar_milli=milli) for name, milli in amounts_milli.items()],
            limits=convert.limits_to_wire(limits),
            validate_only=validate_only,
        )
        with remote_errors(self._subject):
            answer = await self._containers.UpdateContainer(request)
        return tuple(map(limit_view, answer.limits))

    async def wait_container(self, container_id: str, *, timeout_s: float) -> ContainerView:
        """Once it has ended. Raises TimedOut."""
        request = pb.WaitContainerRequest(container_id=_id(container_id))
        with remote_errors(self._subject):
            return container_view((await self._containers.WaitContainer(request, timeout=timeout_s)).container)

    async def list_statistics(self, container_ids: tuple[str, ...] = ()) -> tuple[StatisticsView, ...]:
        """Of these, or of all that run."""
        request = pb.ListStatisticsRequest(container_ids=[_id(container_id) for container_id in container_ids])
        with remote_errors(self._subject):
            answer = await self._containers.ListStatistics(request)
        return tuple(map(statistics_view, answer.statistics))

    async def list_effective_limits(self, container_id: str) -> tuple[LimitView, ...]:
        """Read from the kernel's files now."""
        request = pb.ListEffectiveLimitsRequest(container_id=_id(container_id))
        with remote_errors(self._subject):
            answer = await self._containers.ListEffectiveLimits(request)
        return tuple(map(limit_view, answer.limits))

    async def read_file(self, container_id: str, path: str, *, offset_bytes: int, length_bytes: int) -> FilePiece:
        """One piece; empty at the end. `path` is relative to the sandbox."""
        request = sandbox_service_pb2.ReadFileRequest(
            container_id=_id(container_id), path=path, offset_bytes=offset_bytes, length_bytes=length_bytes
        )
        with remote_errors(self._subject):
            answer = await self._sandbox.ReadFile(request)
        return FilePiece(content=answer.data, size_bytes=answer.size_bytes)

    async def follow_file(self, container_id: str, path: str, *, offset_bytes: int = 0) -> AsyncIterator[bytes]:
        """From there on, until the container has ended and all was sent."""
        request = sandbox_service_pb2.FollowFileRequest(
            container_id=_id(container_id), path=path, offset_bytes=offset_bytes
        )
        with remote_errors(self._subject):
            async for answer in self._sandbox.FollowFile(request):
                if answer.data:
                    yield answer.data

    async def follow_log(
        self, container_id: str, stream: str, *, position: int | None, tail_line_count: int | None, follow: bool
    ) -> AsyncIterator[LogPieceView]:
        """`stream` is stdout or stderr. From the position, the last lines, or the oldest byte on; through rotations."""
        request = sandbox_service_pb2.FollowLogRequest(
            container_id=_id(container_id),
            stream=_LOG_STREAMS[stream],
            position=position,
            tail_line_count=tail_line_count,
            follow=follow,
        )
        with remote_errors(self._subject):
            async for answer in self._sandbox.FollowLog(request):
                yield LogPieceView(
                    content=answer.data,
                    position=answer.position,
                    lost_bytes=answer.lost_bytes,
                    moved=answer.moved,
                )

    async def exec(
        self, container_id: str, command: CommandInfo, *, stdin: AsyncIterator[bytes] | None = None
    ) -> AsyncIterator[ExecOutput]:
        """Start a further process; it is killed when the caller stops listening. Raises Unavailable when no end was told."""
        call = self._exec.Exec()
        started = asyncio.Event()
        feeder = asyncio.ensure_future(_feed(call, container_id, command, stdin, started))
        try:
            with remote_errors(self._subject):
                async for answer in call:
                    started.set()
                    match answer.WhichOneof("response"):
                        case "stdout":
                            yield ExecOutput(stdout=answer.stdout)
                        case "stderr":
                            yield ExecOutput(stderr=answer.stderr)
                        case "wait_status":
                            yield ExecOutput(wait_status=answer.wait_status)
                            return
                        case "started_pid" | None:
                            pass
            raise Unavailable(f"{self._subject}: it did not tell how the process ended")
        finally:
            feeder.cancel()
            call.cancel()


async def _feed(
    call: grpc.aio.StreamStreamCall[exec_service_pb2.ExecRequest, exec_service_pb2.ExecResponse],
    container_id: str,
    command: CommandInfo,
    stdin: AsyncIterator[bytes] | None,
    started: asyncio.Event,
) -> None:
    """Send start, and once it has started the input and its end.

    Not before: a write that meets a refusal makes gRPC forget the refusal's words ("Internal error from Core"). A call
    that has ended meanwhile tells its reader, not its writer.
    """
    start = exec_service_pb2.ExecStart(container_id=_id(container_id), command=convert.command_to_wire(command))
    try:
        await call.write(exec_service_pb2.ExecRequest(start=start))
        await started.wait()
        if stdin is not None:
            async for piece in stdin:
                await call.write(exec_service_pb2.ExecRequest(stdin=piece))
        await call.write(exec_service_pb2.ExecRequest(stdin_closed=True))
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return


def _id(container_id: str) -> containers_pb2.ContainerId:
    return containers_pb2.ContainerId(value=container_id)
