"""Every call to the Docker engine goes through here: refused at once while the circuit is open, else with a deadline, and its
failure is counted. A watch beside it pings the idle engine, and probes the one that is not asked.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import docker

from agentd.docker.answers import EngineFacts, facts_from
from agentd.docker.breaker import Breaker
from agentd.docker.failures import (
    Answer,
    Call,
    EngineAbsent,
    EngineFailure,
    EngineUnresponsive,
    absent,
    failure_of,
    unresponsive,
)
from agentd.docker.fields import Fields
from agentd.docker.lane import Lane, LaneLimits, NotAnswered, NotSent
from agentd.docker.plain_http import HttpError
from agentd.docker.state import EngineLimits, EngineState
from agentd.docker.transport import Client, DeadlinePassed, Refusal
from paddock.daemon.clock import Clock
from paddock.model.errors import PaddockError

Result = TypeVar("Result")

OLDEST_API = (1, 41)
"""Docker 20.10, Debian 12's."""

NEWEST_API = (1, 44)
"""What is said to newer engines, too: nothing that we ask for is newer than the oldest."""

_PINGS = LaneLimits(threads_count=1, waiting_count=4, waiting_s=10)
_ABSENT = frozenset(
    {errno.ENOENT, errno.ECONNREFUSED, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EPROTOTYPE, errno.ENOTSOCK}
)
_MESSAGE_LIMIT_BYTES = 65_536
_log = logging.getLogger(__name__)


class Calls:
    """For one event loop. `chance` gives numbers from 0 to below 1; `changed` hears every other state, on the loop."""

    def __init__(
        self,
        socket_path: str,
        limits: EngineLimits,
        *,
        clock: Clock,
        chance: Callable[[], float],
        changed: Callable[[EngineState], None],
    ) -> None:
        """Nothing is asked before `start`."""
        loop = asyncio.get_running_loop()
        self.socket_path = socket_path
        self.limits = limits
        self.looks = Lane("look", socket_path, limits.looks, loop)
        self.changes = Lane("change", socket_path, limits.changes, loop)
        self._pings = Lane("ping", socket_path, _PINGS, loop)
        self._clock = clock
        self._chance = chance
        self._changed = changed
        self._breaker = Breaker(limits.breaker)
        self._state = EngineState(
            reachable=False, since_wall_ns=clock.wall_ns(), last_error="it was not asked anything yet"
        )
        self._api_version = _text(OLDEST_API)
        self._poked = asyncio.Event()
        self._is_absent = False
        self._are_facts_old = False
        self._probed = asyncio.Event()
        self._closed = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    @property
    def state(self) -> EngineState:
        """As it was last seen."""
        return self._state

    @property
    def api_version(self) -> str:
        """What is spoken with this engine."""
        return self._api_version

    async def start(self) -> EngineState:
        """The state after the first probe, which has a deadline as any call."""
        self._watch = asyncio.get_running_loop().create_task(self._watch_engine())
        await self._probed.wait()
        return self._state

    async def close(self) -> None:
        """What is under way fails."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        for lane in (self.looks, self.changes, self._pings):
            await lane.close()

    def call(self, verb: str, kind: str = "", name: str = "") -> Call:
        """For errors."""
        return Call(verb=verb, kind=kind, name=name, socket=self.socket_path)

    async def look(self, call: Call, ask: Callable[[Client], Result]) -> Result:
        """Changes nothing. Raises what the table has for the engine's answer, EngineUnresponsive, EngineAbsent."""
        return await self._ask(self.looks, call, ask, self.limits.look_s)

    async def change(self, call: Call, ask: Callable[[Client], Result], *, deadline_s: float | None = None) -> Result:
        """The same, for what takes the engine longer."""
        return await self._ask(self.changes, call, ask, self.limits.change_s if deadline_s is None else deadline_s)

    async def attempt(self, call: Call, asked: Callable[[], Awaitable[Result]]) -> Result:
        """Refused at once when the circuit is open; else whatever comes of it is an error of ours, and counted."""
        self.check(call)
        return await self._counted(call, asked())

    def check(self, call: Call) -> None:
        """Raises EngineUnresponsive or EngineAbsent at once while the circuit is open."""
        if not self._breaker.lets_through:
            why = f"was not asked: {self._state.words}"
            raise absent(call, why) if self._is_absent else unresponsive(call, why, was_asked=False)

    def failed(self, call: Call, error: Exception) -> PaddockError:
        """The error of ours for what has happened outside of `attempt`; it counts as if it were inside."""
        known = error_of(call, error)
        self._heard(known)
        return known

    async def until_reachable(self) -> None:
        """Returns at once when it is."""
        while not self._breaker.lets_through:
            await self._closed.wait()

    def suspect(self) -> None:
        """It may have been restarted: ask it soon, and who it is."""
        self._are_facts_old = True
        self._poked.set()

    async def _ask(self, lane: Lane, call: Call, ask: Callable[[Client], Result], deadline_s: float) -> Result:
        return await self.attempt(call, lambda: lane.run(ask, api_version=self._api_version, deadline_s=deadline_s))

    async def _counted(self, call: Call, asked: Awaitable[Result]) -> Result:
        try:
            result = await asked
        except NotSent as error:
            raise unresponsive(call, f"was not asked: {error}", was_asked=False) from None
        except Exception as error:
            known = self.failed(call, error)
            if known is error:
                raise
            raise known from error
        self._breaker.answered()
        return result

    def _heard(self, error: PaddockError) -> None:
        if not isinstance(error, EngineUnresponsive | EngineAbsent):
            self._breaker.answered()
            return
        self._is_absent = isinstance(error, EngineAbsent)
        was_closed = self._breaker.lets_through
        self._breaker.failed(now_ns=self._clock.monotonic_ns(), chance=self._chance())
        self._poked.set()
        if was_closed and not self._breaker.lets_through:
            self._closed.clear()
            self._become(EngineState(reachable=False, since_wall_ns=self._clock.wall_ns(), last_error=_why(error)))
            _log.warning("docker engine does not answer", extra={"error": str(error)})
            for lane in (self.looks, self.changes):
                lane.drop_waiting(self._state.words)

    def _become(self, state: EngineState) -> None:
        if state.facts is None:
            state = replace(state, facts=self._state.facts)
        if state != self._state:
            self._state = state
            self._changed(state)

    async def _watch_engine(self) -> None:
        while True:
            try:
                await (self._ping() if self._breaker.lets_through else self._probe())
            except PaddockError as error:
                _log.debug("docker engine was pinged in vain", extra={"error": str(error)})

    async def _ping(self) -> None:
        """In a row while they fail: then it is known soon."""
        if not self._breaker.failed_count and not self._are_facts_old:
            self._poked.clear()
            try:
                # Not wait_for: in Python 3.11 it loses a cancellation that comes together with what it waits for.
                async with asyncio.timeout(self.limits.ping_every_s):
                    await self._poked.wait()
            except TimeoutError:
                pass
        if self._are_facts_old:
            self._are_facts_old = False
            try:
                facts = await self.attempt(self.call("ask who it is"), self._read_facts)
            except (EngineUnresponsive, EngineAbsent):
                self._are_facts_old = True
                raise
            self._become(replace(self._state, facts=facts))
        else:
            await self._ask(self._pings, self.call("ping"), lambda client: client.ping(), self.limits.ping_s)

    async def _probe(self) -> None:
        wait_s = (self._breaker.probe_due_ns - self._clock.monotonic_ns()) / 1e9
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        if not self._breaker.begin_probe(now_ns=self._clock.monotonic_ns()):
            return
        call = self.call("reach", "the engine")
        try:
            facts = await self._counted(call, self._read_facts())
        except BaseException as error:
            self._breaker.probe_failed(now_ns=self._clock.monotonic_ns(), chance=self._chance())
            self._become(replace(self._state, last_error=_why(error)))
            raise
        else:
            self._breaker.probe_answered()
            self._are_facts_old = False
            self._become(EngineState(reachable=True, since_wall_ns=self._clock.wall_ns(), facts=facts))
            _log.info("docker engine answers", extra={"version": facts.version, "api_version": self._api_version})
            self._closed.set()
        finally:
            self._probed.set()

    async def _read_facts(self) -> EngineFacts:
        """Settles which version of the API is spoken from now on."""
        version: object = await self._pings.run(
            lambda client: client.version(api_version=False),
            api_version=_text(OLDEST_API),
            deadline_s=self.limits.ping_s,
        )
        chosen = api_version_for(version)
        info: object = await self._pings.run(
            lambda client: client.info(), api_version=chosen, deadline_s=self.limits.look_s
        )
        facts = facts_from(version, info)
        self._api_version = chosen
        return replace(facts, api_version=chosen)


def api_version_for(version: object) -> str:
    """The newest that both speak. Raises EngineFailure."""
    fields = Fields(version, "version")
    newest, oldest = _numbers(fields.text("ApiVersion")), _numbers(fields.text("MinAPIVersion") or "1.0")
    if newest < OLDEST_API or oldest > NEWEST_API:
        raise EngineFailure(
            f"this Docker engine ({fields.text('Version')}) speaks API versions {_text(oldest)} to {_text(newest)}, and "
            f"Paddock {_text(OLDEST_API)} to {_text(NEWEST_API)}: install Docker 20.10 or newer, or a newer Paddock"
        )
    return _text(min(newest, NEWEST_API))


def error_of(call: Call, error: Exception) -> PaddockError:
    """Ours, for whatever came out of the layers below."""
    match error:
        case PaddockError():
            return error
        case NotAnswered() | DeadlinePassed():
            return unresponsive(call, str(error))
        case docker.errors.APIError() if error.response is not None:
            return failure_of(call, Answer(status=error.response.status_code, said=said_in(error.response.content)))
        case Refusal():
            return failure_of(call, Answer(status=error.status, said=said_in(error.content)))
        case OSError() if error.errno in _ABSENT:
            why = f"does not listen ({error.strerror or error})"
            return absent(call, why, may_not_ask=isinstance(error, PermissionError))
        case ValueError() | RecursionError() | HttpError() | docker.errors.DockerException():
            return EngineFailure(f"cannot {call}: the Docker engine at {call.socket} does not speak its API: {error}")
        case OSError():
            return unresponsive(call, f"ended the connection before its answer was whole ({_root(error)})")
        case _:
            return EngineFailure(f"cannot {call}: {type(error).__name__}: {error}")


def said_in(body: bytes) -> str:
    """The engine's own words in an answer that is no success."""
    try:
        return Fields(json.loads(body[:_MESSAGE_LIMIT_BYTES]), "error").text("message")
    except (ValueError, RecursionError, EngineFailure):
        return body[:_MESSAGE_LIMIT_BYTES].decode(errors="replace")


def _why(error: BaseException) -> str:
    return error.why if isinstance(error, EngineUnresponsive | EngineAbsent) else str(error)


def _root(error: BaseException) -> BaseException:
    """What the layers have wrapped."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _numbers(text: str) -> tuple[int, int]:
    major, dot, minor = text.partition(".")
    if not (dot and major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        raise EngineFailure(f"the Docker engine tells its API version as {text[:40]!r}; see what listens there")
    return int(major), int(minor)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
