"""The thread beside the event loop that makes records durable in groups."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from paddock.model.errors import CheckpointBlocked

Record = TypeVar("Record")

RETRY_S = 1.0
"""Between two attempts at a write that is blocked."""


class DurableWriter(Generic[Record]):
    """Group commit: what comes while one group is being synced goes into the next group together.

    Records become durable in the order of `commit`. A write that is blocked (a full disk) is tried again, the same group first,
    until it succeeds; `on_blocked` is told each time. After another failure nothing more is written: `on_failure` is told once,
    and the daemon is to stop rather than guess.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Record]], None],
        *,
        on_durable: Callable[[int], None],
        on_failure: Callable[[Exception], None],
        on_blocked: Callable[[CheckpointBlocked], None],
        name: str = "paddock-writer",
    ) -> None:
        """`write` runs on the thread and returns when the group is on disk. The callbacks run on the current loop."""
        self._write = write
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._on_blocked = on_blocked
        self._is_closing = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._last_number = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def commit(self, record: Record) -> int:
        """The record's number, counted from 1; it is durable once `on_durable` was called with that number or a higher."""
        self._last_number += 1
        self._queue.put(record)
        return self._last_number

    async def close(self) -> None:
        """Everything committed so far is written first, unless writing is blocked: then nobody has been told of it."""
        self._is_closing.set()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        written = 0
        while True:
            group, last = self._next_group()
            if group:
                try:
                    if not self._write_until_done(group):
                        return
                except Exception as error:  # noqa: BLE001 - handed to the daemon, which stops
                    self._loop.call_soon_threadsafe(self._on_failure, error)
                    return
                written += len(group)
                self._loop.call_soon_threadsafe(self._on_durable, written)
            if last:
                return

    def _write_until_done(self, group: Sequence[Record]) -> bool:
        """False: it was blocked until the end."""
        while True:
            try:
                self._write(group)
            except CheckpointBlocked as error:
                self._loop.call_soon_threadsafe(self._on_blocked, error)
                if self._is_closing.wait(RETRY_S):
                    return False
            else:
                return True

    def _next_group(self) -> tuple[list[Record], bool]:
        group: list[Record] = []
        record = self._queue.get()
        while record is not None:
            group.append(record)
            try:
                record = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True
