"""SandboxService: a container's files, listed, read and followed."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

from agentd.gc.pins import Pins
from agentd.log_files import LogFiles, LogReader, tail_position
from agentd.rpc.access import Access
from agentd.rpc.file_watch import FileWatches
from agentd.rpc.log_follow import follow_log
from agentd.sandbox import READ_LIMIT_BYTES, FileInfo, FileType, list_files, open_file, read_file, read_piece
from agentd.shell import Shell
from paddock.model.container import Container, ContainerState
from paddock.model.errors import InvalidRequest
from paddock.model.ids import ContainerId
from paddock.rpc.guard import Context
from paddock.rpc.pages import page_count
from paddock.rpc.principal import current_principal
from paddock.wire import convert
from paddock.wire.convert.bounds import timestamp
from paddock.wire.v1 import sandbox_service_pb2 as pb
from paddock.wire.v1.sandbox_service_pb2_grpc import SandboxServiceServicer

SERVICE_NAME = "paddock.wire.v1.SandboxService"
PAGE_LIMIT_COUNT = 1000
_DEFAULT_LENGTH_BYTES = 64 * 1024
_FOLLOW_PIECE_BYTES = 256 * 1024

_TYPES = {
    FileType.REGULAR: pb.FILE_TYPE_REGULAR,
    FileType.DIRECTORY: pb.FILE_TYPE_DIRECTORY,
    FileType.SYMLINK: pb.FILE_TYPE_SYMLINK,
    FileType.OTHER: pb.FILE_TYPE_OTHER,
}

_STREAMS: dict[pb.LogStream.ValueType, str] = {pb.LOG_STREAM_STDOUT: "stdout", pb.LOG_STREAM_STDERR: "stderr"}


def _has_sandbox(container: Container) -> bool:
    """Its logs exist from the command's start on; after the end they stay."""
    return container.started_ns > 0 or container.state is ContainerState.TERMINATED


class SandboxServicer(SandboxServiceServicer):
    """File system calls run beside the event loop."""

    def __init__(self, shell: Shell, access: Access, pins: Pins) -> None:
        """For views and their changes; what is looked at is pinned."""
        self._pins = pins
        self._shell = shell
        self._access = access
        self._watches = FileWatches()

    async def ListFiles(self, request: pb.ListFilesRequest, context: Context) -> pb.ListFilesResponse:  # noqa: N802
        """By name."""
        container_id = convert.container_id_from_wire(request.container_id)
        container = self._access.container(current_principal(), "read the files of", container_id)
        count = page_count(request.page_size, PAGE_LIMIT_COUNT)
        page, token = await asyncio.to_thread(
            lambda: list_files(container.config.sandbox, request.path, after=request.page_token, limit_count=count)
        )
        return pb.ListFilesResponse(files=[_file_to_wire(info) for info in page], next_page_token=token)

    async def ReadFile(self, request: pb.ReadFileRequest, context: Context) -> pb.ReadFileResponse:  # noqa: N802
        """One piece; an empty one at the end."""
        container_id = convert.container_id_from_wire(request.container_id)
        container = self._access.container(current_principal(), "read the files of", container_id)
        if request.length_bytes > READ_LIMIT_BYTES:
            raise InvalidRequest("length_bytes", request.length_bytes, f"use at most {READ_LIMIT_BYTES}")
        if request.offset_bytes >= 2**63:
            raise InvalidRequest("offset_bytes", request.offset_bytes, "use less than 2**63")
        self._pins.read(container_id, time.monotonic())
        length_bytes = request.length_bytes or _DEFAULT_LENGTH_BYTES
        content, size_bytes = await asyncio.to_thread(
            read_file, container.config.sandbox, request.path, request.offset_bytes, length_bytes
        )
        return pb.ReadFileResponse(data=content, offset_bytes=request.offset_bytes, size_bytes=size_bytes)

    async def FollowFile(  # noqa: N802
        self, request: pb.FollowFileRequest, context: Context
    ) -> AsyncIterator[pb.FollowFileResponse]:
        """Ends when the container has ended and everything was sent."""
        container_id = convert.container_id_from_wire(request.container_id)
        self._access.container(current_principal(), "read the files of", container_id)
        container = await self._shell.wait_for(container_id, _has_sandbox)
        with (
            self._pins.held(container_id),
            open_file(container.config.sandbox, request.path) as fd,
            self._watches.of(fd) as watch,
        ):
            size_bytes = os.fstat(fd).st_size
            offset_bytes = request.offset_bytes
            if offset_bytes < 0:
                offset_bytes = max(0, size_bytes + offset_bytes)
            ending = asyncio.ensure_future(
                self._shell.wait_for(container_id, lambda view: view.state is ContainerState.TERMINATED)
            )
            ending.add_done_callback(lambda _: watch.wake())
            try:
                while True:
                    # Asked before the read: what the container wrote before its end is then behind us or in this read.
                    has_ended = ending.done()
                    watch.reset()
                    while content := await asyncio.to_thread(read_piece, fd, offset_bytes, _FOLLOW_PIECE_BYTES):
                        yield pb.FollowFileResponse(data=content, offset_bytes=offset_bytes)
                        offset_bytes += len(content)
                    if has_ended:
                        return
                    await watch.changed()
            finally:
                ending.cancel()

    async def FollowLog(  # noqa: N802
        self, request: pb.FollowLogRequest, context: Context
    ) -> AsyncIterator[pb.FollowLogResponse]:
        """Through all of its files; with `follow` until the container has ended and everything was sent."""
        container_id = convert.container_id_from_wire(request.container_id)
        stream, position = _log_asked(request)
        container = self._access.container(current_principal(), "read the files of", container_id)
        if request.follow:
            container = await self._shell.wait_for(container_id, _has_sandbox)
        with self._pins.held(container_id):
            async for answer in self._log(container, stream, position, request):
                yield answer

    async def _log(
        self, container: Container, stream: str, position: int | None, request: pb.FollowLogRequest
    ) -> AsyncIterator[pb.FollowLogResponse]:
        files = LogFiles(container.config.sandbox, stream, container.config.log_policy.file_count or 1)
        if request.HasField("tail_line_count"):
            position = await asyncio.to_thread(tail_position, files, request.tail_line_count)
        reader = LogReader(files, position)
        ending = asyncio.ensure_future(self._has_ended(container.config.container_id))
        try:
            async for piece in follow_log(reader, self._watches, ending if request.follow else None):
                yield pb.FollowLogResponse(data=piece.content, position=piece.position, lost_bytes=piece.lost_bytes)
            if await asyncio.to_thread(reader.is_moved):
                yield pb.FollowLogResponse(position=reader.position, moved=True)
        finally:
            ending.cancel()
            reader.close()

    async def _has_ended(self, container_id: ContainerId) -> None:
        await self._shell.wait_for(container_id, lambda view: view.state is ContainerState.TERMINATED)


def _log_asked(request: pb.FollowLogRequest) -> tuple[str, int | None]:
    """The log's name and the position. Raises InvalidRequest."""
    if request.stream not in _STREAMS:
        raise InvalidRequest("stream", request.stream, "use LOG_STREAM_STDOUT or LOG_STREAM_STDERR")
    if not request.HasField("position"):
        return _STREAMS[request.stream], None
    if request.HasField("tail_line_count"):
        raise InvalidRequest("tail_line_count", request.tail_line_count, "leave it out, or leave position out")
    if request.position >= 2**62:
        raise InvalidRequest("position", request.position, "use less than 2**62")
    return _STREAMS[request.stream], request.position


def _file_to_wire(info: FileInfo) -> pb.FileInfo:
    return pb.FileInfo(
        path=info.path,
        type=_TYPES[info.type],
        size_bytes=info.size_bytes,
        mode=info.mode,
        uid=info.uid,
        gid=info.gid,
        modified=timestamp(info.modified_ns),
    )
