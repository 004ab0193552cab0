"""A running task's output on this process's own: stdout to stdout, stderr to stderr, unchanged, as it comes."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress

from paddock.cli.log_stream import LogWanted, log_bytes
from paddock.model.errors import NotFound, PaddockError

DRAIN_TIMEOUT_S = 10.0
"""After the task's end: an agent that does not finish what it sends is not waited for longer."""


class OutputStreams:
    """Both of a container's outputs. An agent that cannot be reached costs the output, never the task."""

    def __init__(self, on_unwritable: Callable[[OSError], None]) -> None:
        """Nothing is opened yet. `on_unwritable`: our own reader has gone, or the disk is full where it goes."""
        self.started = False
        self._on_unwritable = on_unwritable
        self._unwritable: OSError | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._absent: dict[str, NotFound] = {}

    def start(self, agent_address: str, container_id: str) -> None:
        """Once."""
        self.started = True
        for path, descriptor in (("stdout", sys.stdout.fileno()), ("stderr", sys.stderr.fileno())):
            copying = self._copy(agent_address, container_id, path, descriptor)
            self._tasks.append(asyncio.create_task(copying, name=path))

    def stop(self) -> None:
        """What is not copied is not waited for."""
        for task in self._tasks:
            task.cancel()

    async def drain(self, *, was_launched: bool) -> None:
        """Until all is copied. Of a command that never began there is no output, and its end says why.

        Raises OSError when something could not be written here.
        """
        if not self._tasks:
            return
        _, waiting = await asyncio.wait(self._tasks, timeout=DRAIN_TIMEOUT_S)
        for task in waiting:
            task.cancel()
            words = f"its {task.get_name()} did not end within {DRAIN_TIMEOUT_S:.0f} s of the task's end"
            _tell(words)
        if self._unwritable is not None:
            raise self._unwritable
        if self._absent and was_launched:
            why = next(iter(self._absent.values()))
            _tell(f"the task's {' and '.join(self._absent)} cannot be followed: {why}")

    async def _copy(self, agent_address: str, container_id: str, path: str, descriptor: int) -> None:
        try:
            # As long as the task is waited for, its output is.
            wanted = LogWanted(
                agent_address=agent_address,
                container_id=container_id,
                stream=path,
                position=0,
                give_up_after_s=float("inf"),
            )
            async for data in log_bytes(wanted, tell=_tell):
                # A slow terminal must not hold up Ctrl-C and heartbeats.
                try:
                    await asyncio.to_thread(_write, descriptor, data)
                except OSError as error:
                    error.filename = path
                    self._unwritable = error
                    self._on_unwritable(error)
                    return
        except NotFound as error:
            self._absent[path] = error
        except PaddockError as error:
            _tell(f"the task's {path} cannot be followed: {error}")


def _tell(words: str) -> None:
    # The task's output goes on where there is no room for words on it.
    with suppress(OSError):
        print(f"paddock run: {words}", file=sys.stderr)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            # Whose it is has left it so: its reader is slow, and no more than that.
            select.select([], [descriptor], [])
