"""A further process in a container: three pipes, and the shim's word about its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Self

from agentd.containerizer.contract import ExecSession
from agentd.containerizer.plan_json import Json
from agentd.containerizer.shim_link import Message, ShimLink
from agentd.containerizer.shim_words import words_of_error
from paddock.kernel.descriptors import make_sealed_memfd
from paddock.model.errors import ContainerizerError, Unavailable


class NativeExec(ExecSession):
    """Made by `begin`. The pipes' ends belong to the caller."""

    def __init__(self, link: ShimLink, exec_id: str, pid: int, fds: tuple[int, int, int]) -> None:
        self.exec_id = exec_id
        self.pid = pid
        self.stdin_fd, self.stdout_fd, self.stderr_fd = fds
        self._link = link
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @classmethod
    async def begin(cls, link: ShimLink, plan: dict[str, Json]) -> Self:
        """Raises ContainerizerError when the shim could not, Unavailable when it has ended.

        Whoever is cancelled meanwhile goes at once; what the shim has begun for them is killed as soon as it has a name.
        """

        def abandon(begun: asyncio.Task[Self]) -> None:
            if not begun.cancelled() and begun.exception() is None:
                begun.result().abandon()

        beginning = asyncio.create_task(cls._begin(link, plan))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            beginning.add_done_callback(abandon)
            raise

    @classmethod
    async def _begin(cls, link: ShimLink, plan: dict[str, Json]) -> Self:
        stdin_read, stdin_write = os.pipe2(os.O_CLOEXEC)
        stdout_read, stdout_write = os.pipe2(os.O_CLOEXEC)
        stderr_read, stderr_write = os.pipe2(os.O_CLOEXEC)
        plan_fd = make_sealed_memfd("paddock-exec", json.dumps(plan, separators=(",", ":")).encode())
        theirs = (stdin_read, stdout_write, stderr_write, plan_fd)
        ours = (stdin_write, stdout_read, stderr_read)
        try:
            answer = await link.ask("exec", fds=theirs)
            session = cls._begun(link, answer, ours)
        except BaseException:
            for fd in ours:
                os.close(fd)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        return session

    @classmethod
    def _begun(cls, link: ShimLink, answer: Message, ours: tuple[int, int, int]) -> Self:
        exec_id, pid, error = answer.get("exec_id"), answer.get("pid"), answer.get("error")
        if error is not None or not isinstance(exec_id, str) or not isinstance(pid, int):
            raise ContainerizerError(link.container_id, "exec", words_of_error(error))
        for fd in ours:
            os.set_blocking(fd, False)
        return cls(link, exec_id, pid, ours)

    async def wait(self) -> int:
        """See ExecSession."""
        return await asyncio.shield(self._end)

    async def signal(self, number: int) -> None:
        """See ExecSession."""
        await self._link.ask("exec_kill", exec_id=self.exec_id, signal=number)

    def abandon(self) -> None:
        """See ExecSession."""
        for fd in (self.stdin_fd, self.stdout_fd, self.stderr_fd):
            os.close(fd)
        self._link.tell("exec_kill", exec_id=self.exec_id, signal=signal.SIGKILL.value)

    def ended(self, message: Message) -> None:
        """The shim has reaped it."""
        status = message.get("wait_status")
        if not self._end.done():
            self._end.set_result(status if isinstance(status, int) else 0)

    def lost(self) -> None:
        """The container has ended, and everything in it."""
        if not self._end.done():
            self._end.set_exception(Unavailable(f"container {self._link.container_id} has ended"))
            self._end.exception()  # nobody may be waiting
