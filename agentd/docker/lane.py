"""A bounded number of threads that ask the engine, and a bounded number of calls that wait for one of them.

A call waits for a thread, then for the engine, each with a limit of its own: it is not the engine's fault when many come at
once. The caller gets its answer at the deadline by the event loop's clock, whatever its thread does.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from agentd.docker.transport import Client, Turn, Wire

Result = TypeVar("Result")

_JOIN_S = 2.0


class NotSent(Exception):
    """The engine was not asked. The message says why."""


class NotAnswered(Exception):
    """It was asked, and there is no answer at the deadline. The message says how long that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLimits:
    """`waiting_s`: how long a call may wait for a thread."""

    threads_count: int
    waiting_count: int
    waiting_s: float


@dataclass(slots=True, kw_only=True, eq=False)
class _Errand:
    """One call. All but `turn` belongs to the event loop."""

    api_version: str
    ask: Callable[[Client], None]
    deadline_s: float
    answer: asyncio.Future[None]
    turn: Turn
    timer: asyncio.TimerHandle | None = None

    def give_up(self, error: Exception) -> None:
        """An answer comes too late from now on."""
        self.turn.is_wanted = False
        if not self.answer.done():
            self.answer.set_exception(error)

    def settle(self, error: Exception | None) -> None:
        """The thread is done with it."""
        if self.timer is not None:
            self.timer.cancel()
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(None)
        else:
            self.answer.set_exception(error)


@dataclass(slots=True)
class Lane:
    """For one event loop. Threads are started when they are needed, and kept until the end."""

    name: str
    socket_path: str
    limits: LaneLimits
    loop: asyncio.AbstractEventLoop
    _queue: queue.SimpleQueue[_Errand | None] = field(default_factory=queue.SimpleQueue)
    _threads: list[threading.Thread] = field(default_factory=list)
    _errands: set[_Errand] = field(default_factory=set)
    """In the queue or on a thread."""
    _is_closed: bool = False

    async def run(self, ask: Callable[[Client], Result], *, api_version: str, deadline_s: float) -> Result:
        """What it returns or raises. Raises NotSent, NotAnswered. A caller that goes away frees the thread soon."""
        found: list[Result] = []
        errand = self._send(lambda client: found.append(ask(client)), api_version, deadline_s)
        try:
            await errand.answer
        finally:
            errand.turn.is_wanted = False
        return found[0]

    def drop_waiting(self, why: str) -> None:
        """Those that no thread has yet fail: the engine does not answer, and each would find out for itself."""
        while True:
            try:
                errand = self._queue.get_nowait()
            except queue.Empty:
                return
            if errand is None:
                self._queue.put(None)
                return
            self._drop(errand, why)

    async def close(self) -> None:
        """What is under way fails. Returns when the threads have ended."""
        self._is_closed = True
        self.drop_waiting("agentd ends")
        for errand in self._errands:
            errand.give_up(NotAnswered("did not answer before agentd ended"))
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join, _JOIN_S)

    def _send(self, ask: Callable[[Client], None], api_version: str, deadline_s: float) -> _Errand:
        waiting_count = len(self._errands) - len(self._threads)
        if self._is_closed:
            raise NotSent("agentd ends")
        if waiting_count >= self.limits.waiting_count:
            raise NotSent(f"{waiting_count} calls wait for it already")
        errand = _Errand(
            api_version=api_version,
            ask=ask,
            deadline_s=deadline_s,
            answer=self.loop.create_future(),
            turn=Turn(),
        )
        why = f"{waiting_count} calls were before it for {self.limits.waiting_s:g} s"
        errand.timer = self.loop.call_later(self.limits.waiting_s, self._drop, errand, why)
        self._errands.add(errand)
        if len(self._errands) > len(self._threads) < self.limits.threads_count:
            self._start_thread()
        self._queue.put(errand)
        return errand

    def _drop(self, errand: _Errand, why: str) -> None:
        self._errands.discard(errand)
        errand.give_up(NotSent(why))

    def _begun(self, errand: _Errand) -> None:
        if errand.timer is not None:
            errand.timer.cancel()
        if not errand.answer.done():
            error = NotAnswered(f"did not answer within {errand.deadline_s:g} s")
            errand.timer = self.loop.call_later(errand.deadline_s, errand.give_up, error)

    def _ended(self, errand: _Errand, error: Exception | None) -> None:
        self._errands.discard(errand)
        errand.settle(error)

    def _start_thread(self) -> None:
        name = f"docker-{self.name}-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        """The thread's life. A client speaks one version of the API: another one after the engine has been upgraded."""
        wire = Wire(self.socket_path)
        client: Client | None = None
        while (errand := self._queue.get()) is not None:
            if not errand.turn.is_wanted:
                self._tell(partial(self._ended, errand, None))
                continue
            if client is None or client.api_version != errand.api_version:
                if client is not None:
                    client.close()
                client = Client(wire, errand.api_version)
            self._do(errand, wire, client)
        if client is not None:
            client.close()

    def _do(self, errand: _Errand, wire: Wire, client: Client) -> None:
        self._tell(partial(self._begun, errand))
        errand.turn.begin(errand.deadline_s)
        wire.turn = errand.turn
        try:
            errand.ask(client)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's to judge
            # Not the layers' error, which hides what happened: the connection's own.
            self._tell(partial(self._ended, errand, errand.turn.failure or error))
        else:
            self._tell(partial(self._ended, errand, None))

    def _tell(self, heard: Callable[[], None]) -> None:
        try:
            self.loop.call_soon_threadsafe(heard)
        except RuntimeError:
            return  # the loop is closed
