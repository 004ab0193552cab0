"""A command in a running container: the engine's one connection on one side, three pipes on the other.

What the command writes waits for its reader in a pipe and a few buffers; when these are full, the connection is not read, and
the command waits in its write. The two outputs share the connection: who reads one only may wait for the other.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from agentd.docker.streams import PORTION_BYTES, Stream

_HEADER = struct.Struct(">BxxxI")
_OUTPUTS = {0: 0, 1: 0, 2: 1, 3: 1}
"""The engine's stream → ours: 0 is an echo of stdin, 3 is what the engine itself has to say."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ExecStream:
    """Owns the connection and its own three pipe ends; the other three are the caller's to read, write and close."""

    stdin_fd: int
    stdout_fd: int
    stderr_fd: int
    _stream: Stream
    _stdin_fd: int
    _output_fds: list[int]
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    def over(cls, stream: Stream) -> ExecStream:
        """Begins at once. Raises OSError when there are no file descriptors left; the stream is closed then."""
        fds: list[int] = []
        try:
            for _ in range(3):
                fds += os.pipe2(os.O_CLOEXEC)
        except OSError:
            for fd in fds:
                os.close(fd)
            stream.close()
            raise
        stdin_fd, write_fd, stdout_fd, out_fd, stderr_fd, err_fd = fds
        for fd in (stdin_fd, out_fd, err_fd):
            os.set_blocking(fd, False)
        found = cls(write_fd, stdout_fd, stderr_fd, stream, stdin_fd, [out_fd, err_fd])
        loop = asyncio.get_running_loop()
        output, given = loop.create_task(found._carry_output()), loop.create_task(found._carry_input())
        # Called for a task too that was cancelled before its first step.
        output.add_done_callback(found._end)
        given.add_done_callback(found._end_input)
        found._tasks += [output, given]
        return found

    async def finished(self) -> None:
        """Everything that the command wrote is in the pipes, and it has ended; or the engine has gone."""
        await asyncio.wait(self._tasks[:1])

    def close(self) -> None:
        """Ends it here, soon; the command lives on, and finds nobody at its other ends."""
        for task in self._tasks:
            task.cancel()

    async def _carry_output(self) -> None:
        reader = self._stream.reader
        try:
            while True:
                number, left = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                output = _OUTPUTS.get(number)
                if output is None:
                    _log.warning("docker engine sent a frame of an unknown stream", extra={"stream": number})
                    return
                while left:
                    portion = await reader.read(min(left, PORTION_BYTES))
                    if not portion:
                        return
                    left -= len(portion)
                    await self._give(output, portion)
        except (asyncio.IncompleteReadError, OSError):
            return

    async def _give(self, output: int, portion: bytes) -> None:
        loop = asyncio.get_running_loop()
        view = memoryview(portion)
        while view and (fd := self._output_fds[output]) >= 0:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                await _ready(loop.add_writer, loop.remove_writer, fd)
            except BrokenPipeError:
                # Nobody reads this one any more; the other may be read still.
                self._shut(output)

    async def _carry_input(self) -> None:
        loop = asyncio.get_running_loop()
        writer = self._stream.writer
        try:
            while True:
                try:
                    portion = os.read(self._stdin_fd, PORTION_BYTES)
                except BlockingIOError:
                    await _ready(loop.add_reader, loop.remove_reader, self._stdin_fd)
                    continue
                if not portion:
                    writer.write_eof()
                    return
                writer.write(portion)
                await writer.drain()
        except OSError:
            return  # the other direction finds out

    def _end(self, _: object) -> None:
        """Without the connection nobody needs the input either."""
        self._stream.close()
        self._shut(0)
        self._shut(1)
        self._tasks[1].cancel()

    def _shut(self, output: int) -> None:
        if self._output_fds[output] >= 0:
            os.close(self._output_fds[output])
            self._output_fds[output] = -1

    def _end_input(self, _: object) -> None:
        os.close(self._stdin_fd)


async def _ready(add: Callable[[int, Callable[[], None]], None], remove: Callable[[int], bool], fd: int) -> None:
    """Until the pipe takes, or has, something."""
    ready = asyncio.Event()
    add(fd, ready.set)
    try:
        await ready.wait()
    finally:
        remove(fd)
