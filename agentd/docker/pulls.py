"""Images from registries: each pull with a limit for the whole and one for silence, and so many at once from one registry.

A registry that hangs, hangs the pulls that want it and nobody else; and it does not count against the engine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

from docker.auth import encode_header

from agentd.docker.calls import Calls
from agentd.docker.credentials import Credential, auth_config
from agentd.docker.failures import Answer, Call, PullFailed, PullProblem, pull_failure_of
from agentd.docker.lane import NotAnswered
from agentd.docker.pull_progress import PullLines, PullProgress
from agentd.docker.streams import Request, Stream, open_stream
from paddock.model.image import ImageReference

_TELL_EVERY_S = 0.5
Heard = Callable[[PullProgress], None]


@dataclass(slots=True)
class _Gate:
    """Of one registry."""

    semaphore: asyncio.Semaphore
    wanted_count: int = 0


@dataclass(slots=True)
class Pulls:
    """For one event loop."""

    calls: Calls
    _gates: dict[str, _Gate] = field(default_factory=dict)

    async def pull(self, image: ImageReference, credential: Credential | None, heard: Heard) -> None:
        """The engine has it then, as the registry has it now. `heard` is told how far it is, twice a second at most.

        Raises PullFailed, EngineUnresponsive, EngineAbsent. A caller that goes away ends it.
        """
        call = self.calls.call("pull", "image", image.canonical)
        limit_s = self.calls.limits.pull_s
        lines = PullLines()
        try:
            async with asyncio.timeout(limit_s), self._turn(image.registry):
                await self._bring(call, image, credential, heard, lines)
        except TimeoutError:
            far = f"it came to {lines.progress}" if lines.progress.layers_count else "nothing had come"
            raise _timed_out(call, f"it did not end within {limit_s:g} s: {far}") from None

    @asynccontextmanager
    async def _turn(self, registry: str) -> AsyncIterator[None]:
        count = self.calls.limits.pulls_per_registry_count
        gate = self._gates.setdefault(registry, _Gate(asyncio.Semaphore(count)))
        gate.wanted_count += 1
        try:
            async with gate.semaphore:
                yield
        finally:
            gate.wanted_count -= 1
            if not gate.wanted_count:
                del self._gates[registry]

    async def _bring(
        self, call: Call, image: ImageReference, credential: Credential | None, heard: Heard, lines: PullLines
    ) -> None:
        self.calls.check(call)
        silence_s = self.calls.limits.pull_silence_s
        stream = None
        try:
            request = self._request(image, credential)
            stream = await open_stream(self.calls.socket_path, call, request, silence_s, _refused)
            await _read(stream, lines, heard, silence_s)
        except (NotAnswered, TimeoutError):
            # A hung engine is silent too, and others have found out by now.
            self.calls.check(call)
            raise _timed_out(call, f"{image.registry} brought nothing for {silence_s:g} s") from None
        except OSError as error:
            raise self.calls.failed(call, error) from error
        finally:
            if stream is not None:
                stream.close()
        if lines.error:
            raise pull_failure_of(call, lines.error)
        if not lines.is_whole:
            raise self.calls.failed(call, ConnectionResetError(f"at {lines.progress}"))
        heard(lines.progress)

    def _request(self, image: ImageReference, credential: Credential | None) -> Request:
        query = urlencode({"fromImage": image.name, "tag": image.version})
        return Request(
            method="POST",
            path=f"/v{self.calls.api_version}/images/create?{query}",
            headers=(("X-Registry-Auth", encode_header(auth_config(credential, image)).decode()),),
        )


async def _read(stream: Stream, lines: PullLines, heard: Heard, silence_s: float) -> None:
    told_s = 0.0
    while True:
        async with asyncio.timeout(silence_s):
            line = await stream.line()
        if line is None:
            return
        lines.take(line)
        if lines.progress.layers_count and time.monotonic() - told_s >= _TELL_EVERY_S:
            told_s = time.monotonic()
            heard(lines.progress)


def _refused(call: Call, answer: Answer) -> PullFailed:
    return pull_failure_of(call, answer.said)


def _timed_out(call: Call, why: str) -> PullFailed:
    remedy = "see whether the registry answers, from the engine's host"
    return PullFailed(f"cannot {call}: {why}; {remedy}", PullProblem.TIMED_OUT)
