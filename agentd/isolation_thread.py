"""The one thread on which isolators run: calls in order, answers back on the event loop, slow ones named.

What never waits is called on the event loop itself when the thread has nothing to do: still one call at a time, in order.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from agentd.mailbox import Mailbox

Result = TypeVar("Result")
Value = TypeVar("Value")

DEADLINE_S = 1.0
"""A call that outlasts this is named in the log: it holds every launch up."""

_log = logging.getLogger(__name__)


class IsolationThread:
    """Calls run one after the other, in the order in which they came."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread starts at once."""
        self._loop = loop
        self._mailbox = Mailbox(loop)
        self.slow_count = 0
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._given_count = 0
        self._done_count = 0
        """The thread's: what is given and not done runs, or waits. Only the event loop gives."""
        self._thread = threading.Thread(target=self._run, name="isolation", daemon=True)
        self._thread.start()

    def submit(
        self,
        name: str,
        call: Callable[[], Result],
        done: Callable[[Result], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """`done` or `failed` is called on the event loop. `name` is for the log."""

        def run() -> None:
            try:
                result = self._timed(name, call)
            except Exception as error:  # noqa: BLE001 - whatever an isolator raises is its caller's to judge
                self._answer(failed, error)
            else:
                self._answer(done, result)

        self._give(run)

    def submit_brief(
        self,
        name: str,
        call: Callable[[], Result],
        done: Callable[[Result], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """As `submit`, for a call that never waits. When nothing else runs or waits it is made here and now, and `done` or
        `failed` too: changing threads and back takes longer than such a call.
        """
        if self._given_count != self._done_count:
            self.submit(name, call, done, failed)
            return
        try:
            result = self._timed(name, call)
        except Exception as error:  # noqa: BLE001 - whatever an isolator raises is its caller's to judge
            failed(error)
        else:
            done(result)

    def _give(self, run: Callable[[], None]) -> None:
        self._given_count += 1
        self._queue.put(run)

    def _answer(self, callback: Callable[[Value], None], value: Value) -> None:
        # Before it is told: whoever hears of it may find that nothing runs any more.
        self._done_count += 1
        self._mailbox.put(callback, value)

    async def run(self, name: str, call: Callable[[], Result]) -> Result:
        """Its result, or what it raised. A caller that goes away does not stop it."""
        (result,) = await self.run_in_turns(name, (call,))
        return result

    async def run_in_turns(self, name: str, calls: Iterable[Callable[[], Result]]) -> list[Result]:
        """All their results, or what the first that failed raised. What others submit meanwhile has its turn between two
        calls; the event loop hears of the end only, since waking it between them costs as much as a call.
        """
        future: asyncio.Future[list[Result]] = self._loop.create_future()
        left = iter(calls)
        found: list[Result] = []

        def done(results: list[Result]) -> None:
            if not future.done():
                future.set_result(results)

        def failed(error: Exception) -> None:
            if not future.done():
                future.set_exception(error)

        def run_next() -> None:
            call = next(left, None)
            if call is None:
                self._answer(done, found)
                return
            try:
                found.append(self._timed(name, call))
            except Exception as error:  # noqa: BLE001 - whatever an isolator raises is its caller's to judge
                self._answer(failed, error)
            else:
                self._queue.put(run_next)

        self._give(run_next)
        return await future

    @property
    def waiting_count(self) -> int:
        """Calls that have not begun."""
        return self._queue.qsize()

    def close(self) -> None:
        """What was submitted before is run; returns when the thread has ended. Not on the loop's thread."""
        self._queue.put(None)
        self._thread.join()
        # It hears all answers first.
        self._mailbox.put(Mailbox.close, self._mailbox)

    def _run(self) -> None:
        while (run := self._queue.get()) is not None:
            run()

    def _timed(self, name: str, call: Callable[[], Result]) -> Result:
        begun_s = time.monotonic()
        try:
            return call()
        finally:
            took_s = time.monotonic() - begun_s
            if took_s > DEADLINE_S:
                self.slow_count += 1
                _log.warning("isolation call is slow", extra={"call": name, "took_ms": round(took_s * 1000)})
