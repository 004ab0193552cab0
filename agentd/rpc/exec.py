"""ExecService: a further process in a running container, its three streams, its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from agentd.containerizer.contract import Containerizer, ExecSession
from agentd.rpc.access import Access
from agentd.rpc.pipes import PipeReader, PipeWriter
from agentd.shell import Shell
from agentd.users import Users
from paddock.model.container import ContainerState
from paddock.model.errors import InvalidRequest, InvalidTransition, PaddockError
from paddock.rpc.guard import Context
from paddock.rpc.principal import current_principal
from paddock.wire import convert
from paddock.wire.v1 import exec_service_pb2 as pb
from paddock.wire.v1.exec_service_pb2_grpc import ExecServiceServicer

SERVICE_NAME = "paddock.wire.v1.ExecService"
_SIGKILL = 9
_LAST_SIGNAL = 64
_QUEUE_COUNT = 8
"""Pieces of output that wait for a slow caller; then the process waits in its own write."""


class ExecServicer(ExecServiceServicer):
    """One process per call."""

    def __init__(self, shell: Shell, containerizer: Containerizer, access: Access, users: Users) -> None:
        """All are the agent's own."""
        self._shell = shell
        self._containerizer = containerizer
        self._access = access
        self._users = users

    async def Exec(  # noqa: N802 - the wire's name
        self, request_iterator: AsyncIterator[pb.ExecRequest], context: Context
    ) -> AsyncIterator[pb.ExecResponse]:
        """When the caller goes away, the process is killed."""
        session = await self._begin(await anext(aiter(request_iterator), None))
        run = _Run(session)
        feeding = asyncio.create_task(run.feed(request_iterator))
        try:
            yield pb.ExecResponse(started_pid=session.pid)
            async for response in run.responses():
                yield response
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await run.end()

    async def _begin(self, first: pb.ExecRequest | None) -> ExecSession:
        if first is None or first.WhichOneof("request") != "start":
            raise InvalidRequest("request", first and first.WhichOneof("request"), "begin with start")
        container_id = convert.container_id_from_wire(first.start.container_id, "start.container_id")
        principal = current_principal()
        container = self._access.container(principal, "enter", container_id)
        if container.state is not ContainerState.RUNNING:
            raise InvalidTransition(f"container {container_id}", container.state.name, "exec")
        command = convert.command_from_wire(first.start.command, "start.command")
        if command.uris:
            raise InvalidRequest(
                "start.command.uris", len(command.uris), "fetch with the container, or by a command of yours"
            )
        user = container.config.user
        if command.user:
            user = await self._users.by_name(command.user, "start.command.user")
            self._access.require(principal, f"enter as {user.name}", user.uid)
        return await self._containerizer.execute(container_id, command, user)


class _Run:
    """The streams of one process."""

    def __init__(self, session: ExecSession) -> None:
        self._session = session
        self._stdin = PipeWriter(session.stdin_fd)
        self._output: asyncio.Queue[pb.ExecResponse | None] = asyncio.Queue(_QUEUE_COUNT)
        self._ended = False
        self._readers = [
            asyncio.create_task(self._read(session.stdout_fd, "stdout")),
            asyncio.create_task(self._read(session.stderr_fd, "stderr")),
        ]

    async def feed(self, requests: AsyncIterator[pb.ExecRequest]) -> None:
        """What the caller sends, until it stops."""
        async for request in requests:
            match request.WhichOneof("request"):
                case "stdin":
                    await self._stdin.write(request.stdin)
                case "stdin_closed":
                    self._stdin.close()
                case "signal" if 1 <= request.signal <= _LAST_SIGNAL:
                    await self._session.signal(request.signal)
                case _:
                    await self._session.signal(_SIGKILL)
        self._stdin.close()

    async def responses(self) -> AsyncIterator[pb.ExecResponse]:
        """All output, then the end."""
        open_count = len(self._readers)
        while open_count:
            response = await self._output.get()
            if response is None:
                open_count -= 1
            else:
                yield response
        status = await self._session.wait()
        self._ended = True
        yield pb.ExecResponse(wait_status=status)

    async def end(self) -> None:
        """Whatever happened: nothing of it stays."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._stdin.close()
        if not self._ended:
            try:
                await self._session.signal(_SIGKILL)
            except PaddockError:
                pass  # the container ended, and it with it

    async def _read(self, fd: int, stream: str) -> None:
        reader = PipeReader(fd)
        try:
            while content := await reader.read():
                response = pb.ExecResponse(stdout=content) if stream == "stdout" else pb.ExecResponse(stderr=content)
                await self._output.put(response)
            await self._output.put(None)
        finally:
            reader.close()
