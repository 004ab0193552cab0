"""Health checks by a command: a further process in the task's container, within its limits, gone when its time is over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine

from agentd.containerizer.contract import Containerizer, ExecSession
from paddock.model.container import ContainerConfig
from paddock.model.health import HealthEvidence
from paddock.model.ids import ContainerId
from paddock.model.task import CommandInfo

OUTPUT_KEPT_BYTES = 1024
PIECE_BYTES = 64 * 1024
LAST_PIECES_COUNT = 16
"""A pipe holds no more; whoever still writes is not waited for."""


class CommandChecks:
    """Never two in one container: not even while the kernel still holds one that was killed."""

    def __init__(self, containerizer: Containerizer) -> None:
        """Nothing is started before the first check."""
        self._containerizer = containerizer
        self._killed: dict[ContainerId, asyncio.Task[int]] = {}

    async def check(self, config: ContainerConfig, line: str) -> HealthEvidence:
        """Whoever cancels this has the process killed. Raises PaddockError when it could not even be started."""
        await self._earlier_is_gone(config.container_id)
        session = await self._begun(config, CommandInfo(shell=True, value=line))
        output = _Output(session)
        try:
            status = await session.wait()
        except BaseException:
            output.stop()
            session.abandon()
            self._remember(config.container_id, session.wait())
            raise
        text = output.stop()
        for fd in (session.stdin_fd, session.stdout_fd, session.stderr_fd):
            os.close(fd)
        return _evidence(line, os.waitstatus_to_exitcode(status), text)

    async def _begun(self, config: ContainerConfig, command: CommandInfo) -> ExecSession:
        """A shim may be so slow that the check is given up before its process is there: that one comes all the same."""
        beginning = asyncio.get_running_loop().create_task(
            self._containerizer.execute(config.container_id, command, config.user)
        )
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            self._remember(config.container_id, _end_when_begun(beginning))
            raise

    async def _earlier_is_gone(self, container_id: ContainerId) -> None:
        killed = self._killed.get(container_id)
        if killed is not None:
            await asyncio.wait({killed})

    def _remember(self, container_id: ContainerId, end: Coroutine[None, None, int]) -> None:
        gone = asyncio.get_running_loop().create_task(end)
        self._killed[container_id] = gone

        def forget(_: asyncio.Task[int]) -> None:
            if not gone.cancelled():
                gone.exception()  # the container ended first: gone is gone
            if self._killed.get(container_id) is gone:
                del self._killed[container_id]

        gone.add_done_callback(forget)


async def _end_when_begun(beginning: asyncio.Task[ExecSession]) -> int:
    session = await beginning
    session.abandon()
    return await session.wait()


def _evidence(line: str, code: int, output: str) -> HealthEvidence:
    ended = f"exit code {code}" if code >= 0 else f"signal {-code}"
    return HealthEvidence(
        passed=code == 0,
        message=f"command {line!r}: {ended}",
        exit_code=code if code >= 0 else 128 - code,
        output=output,
    )


class _Output:
    """The end of what it writes to stdout and stderr, read so that it never has to wait.

    Not the pipes' end counts but the process': what it leaves behind may hold them open.
    """

    def __init__(self, session: ExecSession) -> None:
        self._kept = b""
        self._fds = [session.stdout_fd, session.stderr_fd]
        self._loop = asyncio.get_running_loop()
        for fd in self._fds:
            self._loop.add_reader(fd, self._read, fd)

    def _read(self, fd: int) -> bool:
        """Whether there was anything."""
        try:
            piece = os.read(fd, PIECE_BYTES)
        except BlockingIOError:
            return False
        self._kept = (self._kept + piece)[-OUTPUT_KEPT_BYTES:]
        if not piece:
            self._loop.remove_reader(fd)
        return bool(piece)

    def stop(self) -> str:
        """Before its descriptors are closed. What it wrote, with what is there now and was not read yet."""
        for fd in self._fds:
            for _ in range(LAST_PIECES_COUNT):
                if not self._read(fd):
                    break
            self._loop.remove_reader(fd)
        return self._kept.decode("utf-8", "replace").replace("\0", "\N{SYMBOL FOR NULL}").strip()
