"""The two threads beside the event loop: one that makes records durable in groups, one on which isolators run."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

Record = TypeVar("Record")
Result = TypeVar("Result")


class DurableWriter(Generic[Record]):
    """Group commit: what comes while one group is being synced goes into the next group together.

    Records become durable in the order of `commit`. After a failed write nothing more is written: `on_failure` is told
    once, and the daemon is to stop rather than guess.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Record]], None],
        *,
        on_durable: Callable[[int], None],
        on_failure: Callable[[Exception], None],
        name: str = "paddock-writer",
    ) -> None:
        """`write` runs on the thread and returns when the group is on disk. The callbacks run on the current loop."""
        self._write = write
        self._on_durable = on_durable
        self._on_failure = on_failure
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
        """Everything committed so far is written first."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        written = 0
        while True:
            group, last = self._next_group()
            if group:
                try:
                    self._write(group)
                except Exception as error:  # noqa: BLE001 - handed to the daemon, which stops
                    self._loop.call_soon_threadsafe(self._on_failure, error)
                    return
                written += len(group)
                self._loop.call_soon_threadsafe(self._on_durable, written)
            if last:
                return

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


class SingleThread:
    """Runs calls one after the other off the loop. A call that is late is named while it runs and when it ends.

    A Python call cannot be taken back: the deadline is for the operator's eyes and the metric, never for a decision.
    """

    def __init__(self, name: str, *, on_late: Callable[[str], None] = lambda _: None) -> None:
        """`on_late` gets the call's name, once per late call, on the loop: for a metric."""
        self._on_late = on_late
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, name: str, call: Callable[[], Result], *, deadline_s: float) -> Result:
        """What the call returns or raises. The deadline counts from the call's own begin, not from its waiting."""
        future: asyncio.Future[Result] = self._loop.create_future()
        self._queue.put(lambda: self._carry_out(name, call, deadline_s, future))
        return await future

    async def close(self) -> None:
        """The calls that wait are carried out first."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (carry_out := self._queue.get()) is not None:
            carry_out()

    def _carry_out(
        self, name: str, call: Callable[[], Result], deadline_s: float, future: asyncio.Future[Result]
    ) -> None:
        started_s = time.monotonic()
        alarm = threading.Event()
        self._loop.call_soon_threadsafe(self._watch, name, deadline_s, alarm)
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            self._finish(future, partial(future.set_exception, error))
        else:
            self._finish(future, partial(future.set_result, result))
        alarm.set()
        took_s = time.monotonic() - started_s
        if took_s > deadline_s:
            fields = {"call": name, "took_s": round(took_s, 3), "deadline_s": deadline_s}
            _log.warning("a call off the loop took longer than its deadline", extra=fields)

    def _watch(self, name: str, deadline_s: float, done: threading.Event) -> None:
        self._loop.call_later(deadline_s, self._say_late, name, deadline_s, done)

    def _say_late(self, name: str, deadline_s: float, done: threading.Event) -> None:
        if not done.is_set():
            _log.warning("a call off the loop is late", extra={"call": name, "deadline_s": deadline_s})
            self._on_late(name)

    def _finish(self, future: asyncio.Future[Result], finish: Callable[[], None]) -> None:
        def unless_cancelled() -> None:
            if not future.done():
                finish()

        self._loop.call_soon_threadsafe(unless_cancelled)
