"""The loop that both daemons share: one queue of events in, the pure core, effects out in order, durable before visible."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from paddock.daemon.threads import DurableWriter
from paddock.model.errors import CheckpointBlocked, PaddockError

_log = logging.getLogger(__name__)

Event = TypeVar("Event")
Effect = TypeVar("Effect")
Record = TypeVar("Record")

_EVENTS_PER_TURN = 64
"""Handled before other tasks of the loop get their turn: a burst must not hold up answers and heartbeats."""


class Shell(Generic[Event, Effect, Record]):
    """Events are handled one after the other. Effects are performed in the order in which the core gave them, and none
    before every record that the core gave earlier, with this event or an earlier one, is on disk.
    """

    def __init__(
        self,
        *,
        handle: Callable[[Event], Sequence[Effect]],
        record_of: Callable[[Effect], Record | None],
        perform: Callable[[Effect], None],
        write: Callable[[Sequence[Record]], None],
        refused: Callable[[Event, PaddockError], None],
        may_overtake: Callable[[Effect, Iterable[Effect]], bool] = lambda _effect, _waiting: False,
    ) -> None:
        """`handle`: the core. `record_of`: what an effect wants durable, None for an effect that is performed.

        `perform` starts things and returns at once; what takes time comes back as an event. `write` runs on the writer
        thread. `refused` hears of events that the core's tables have no row for. `may_overtake`: whether an effect may be
        performed before these, which wait, while nothing can be written.
        """
        self._handle = handle
        self._record_of = record_of
        self._perform = perform
        self._refused = refused
        self._may_overtake = may_overtake
        self.problem = ""
        """Why nothing can be written; empty: it can."""
        self.problem_changed = asyncio.Event()
        self._events: deque[Event] = deque()
        self._waiting: deque[tuple[int, Effect]] = deque()
        self._committed_number = 0
        self._durable_number = 0
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._stopped = False
        self._failure: Exception | None = None
        self._writer = DurableWriter(write, on_durable=self._durable, on_failure=self._failed, on_blocked=self._blocked)

    def submit(self, event: Event) -> None:
        """On the loop's thread. Handled in the order of submission."""
        self._events.append(event)
        self._wake.set()

    def submit_from_thread(self, event: Event) -> None:
        """From any other thread."""
        self._loop.call_soon_threadsafe(self.submit, event)

    def stop(self) -> None:
        """`run` handles what is queued, performs what it waits for, and returns."""
        self._stopped = True
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`. Raises what the writer raised: the durable state is then not to be trusted, and the daemon ends."""
        try:
            while not self._stopped or self._events or (self._waiting and not self.problem):
                if self._failure is not None:
                    raise self._failure
                for _ in range(min(len(self._events), _EVENTS_PER_TURN)):
                    self._step(self._events.popleft())
                self._drain()
                if self._events:
                    await asyncio.sleep(0)
                elif not self._stopped or (self._waiting and not self.problem):
                    await self._wake.wait()
                    self._wake.clear()
        finally:
            await self._writer.close()
        # The writer's last words may have come while it was closed.
        if self._failure is not None:
            raise self._failure

    def _step(self, event: Event) -> None:
        # Names only: events carry tasks, and tasks carry secrets in their environment.
        _log.debug("event", extra={"event": type(event).__name__})
        try:
            effects = self._handle(event)
        except PaddockError as error:
            _log.warning("an event was refused", extra={"event": type(event).__name__, "error": str(error)})
            self._refused(event, error)
            return
        for effect in effects:
            record = self._record_of(effect)
            if record is None:
                self._queue(self._committed_number, effect)
            else:
                self._committed_number = self._writer.commit(record)

    def _queue(self, number: int, effect: Effect) -> None:
        if self.problem and self._may_overtake(effect, (waiting for _, waiting in self._waiting)):
            self._perform(effect)
        else:
            self._waiting.append((number, effect))

    def _drain(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._durable_number:
            effect = self._waiting.popleft()[1]
            _log.debug("effect", extra={"effect": type(effect).__name__})
            self._perform(effect)

    def _durable(self, number: int) -> None:
        self._durable_number = number
        if self.problem:
            self.problem = ""
            self.problem_changed.set()
            _log.info("it can be written again")
        self._wake.set()

    def _blocked(self, error: CheckpointBlocked) -> None:
        # What has become durable just before waits for nothing, and is not taken for what does.
        self._drain()
        if not self.problem:
            _log.error("nothing can be made durable; it is tried again", extra={"error": str(error)})
        self.problem = str(error)
        self.problem_changed.set()
        waiting, self._waiting = self._waiting, deque()
        for number, effect in waiting:
            self._queue(number, effect)

    def _failed(self, error: Exception) -> None:
        self._failure = error
        self._wake.set()
