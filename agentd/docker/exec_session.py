"""A further process in a container of the engine's, as callers have it: three pipes, its signals, its end."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Self

from agentd.containerizer.contract import ExecSession
from agentd.docker import ended_process
from agentd.docker.engine import DockerEngine, ExecOrder
from agentd.docker.exec_stream import ExecStream

_LOOK_COUNT = 50
_LOOK_S = 0.01


class DockerExec(ExecSession):
    """Made by `begin`. Signals go by the kernel: who is to be ended is ended whether the engine answers or not."""

    def __init__(self, engine: DockerEngine, exec_id: str, stream: ExecStream) -> None:
        self.pid = 0
        self.stdin_fd, self.stdout_fd, self.stderr_fd = stream.stdin_fd, stream.stdout_fd, stream.stderr_fd
        for fd in (self.stdin_fd, self.stdout_fd, self.stderr_fd):
            os.set_blocking(fd, False)
        self._engine = engine
        self._exec_id = exec_id
        self._stream = stream
        self._pidfd = -1
        self._waiting = asyncio.get_running_loop().create_task(self._wait())

    @classmethod
    async def begin(cls, engine: DockerEngine, container: str, order: ExecOrder) -> Self:
        """Raises NotFound, ContainerNotRunning, EngineUnresponsive, EngineAbsent."""
        exec_id = await engine.create_exec(container, order)
        session = cls(engine, exec_id, await engine.run_exec(exec_id))
        try:
            await session._find_process(container)
        except BaseException:
            session.abandon()
            raise
        return session

    async def _find_process(self, container: str) -> None:
        """One that has ended by now has none."""
        for _ in range(_LOOK_COUNT):
            found = await self._engine.inspect_exec(self._exec_id)
            if found.pid:
                self.pid = found.pid
                try:
                    pidfd = os.pidfd_open(found.pid)
                except OSError:
                    return
                if ended_process.is_in(found.pid, container):
                    self._pidfd = pidfd
                else:
                    os.close(pidfd)
                return
            if found.exit_code is not None:
                return
            await asyncio.sleep(_LOOK_S)

    async def _wait(self) -> int:
        try:
            await self._stream.finished()
            return ended_process.status_of_code(await self._engine.exec_exit_code(self._exec_id))
        finally:
            if self._pidfd >= 0:
                os.close(self._pidfd)
                self._pidfd = -1

    async def wait(self) -> int:
        """See ExecSession."""
        return await asyncio.shield(self._waiting)

    async def signal(self, number: int) -> None:
        """See ExecSession. One that has ended needs none."""
        self._send(number)

    def abandon(self) -> None:
        """See ExecSession."""
        for fd in (self.stdin_fd, self.stdout_fd, self.stderr_fd):
            os.close(fd)
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self._pidfd >= 0:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return
