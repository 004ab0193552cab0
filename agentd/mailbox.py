"""What other threads hand to the event loop: called there in order, however many by one waking.

As the loop's own `call_soon_threadsafe`, which writes to a socket for each call, and at each waking reads it until nothing is
left: a launch is woken for some four times, beside threads that wait for the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from paddock.kernel.brief_calls import EventCounter

Value = TypeVar("Value")

_log = logging.getLogger(__name__)


class Mailbox:
    """Of one loop. `put` from any thread; all else on the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Empty, until `close`."""
        self._loop = loop
        self._calls: deque[Callable[[], object]] = deque()
        self._bell = EventCounter()
        self._is_rung = False
        self._is_closed = False
        loop.add_reader(self._bell.fd, self._take)

    def put(self, callback: Callable[[Value], object], value: Value) -> None:
        """Have it called soon. After `close` nobody is left to be told."""
        if self._is_closed:
            _log.debug("a thread spoke after the loop's end")
            return
        self._calls.append(lambda: callback(value))
        if not self._is_rung:
            self._is_rung = True
            self._bell.ring()

    def close(self) -> None:
        """The threads that put something in have ended. What is in it is let go of."""
        self._is_closed = True
        self._loop.remove_reader(self._bell.fd)
        self._bell.close()
        self._calls.clear()

    def _take(self) -> None:
        self._bell.reset()
        # Before looking: whoever puts something in from here on rings again.
        self._is_rung = False
        for _ in range(len(self._calls)):
            call = self._calls.popleft()
            try:
                call()
            except Exception as error:  # noqa: BLE001 - as the loop itself: told, and the next one has its turn
                self._loop.call_exception_handler({"message": "an answer from a thread failed", "exception": error})
