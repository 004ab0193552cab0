"""Our client of an engine, for tests: with deadlines that fit them, and everything that it told of the engine's state."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agentd.docker.breaker import BreakerPolicy
from agentd.docker.calls import Calls
from agentd.docker.engine import DockerEngine
from agentd.docker.failures import ContainerNotRunning
from agentd.docker.state import EngineLimits, EngineState
from paddock.daemon.clock import SystemClock

PATIENT = EngineLimits(ping_s=30, look_s=30, change_s=60, ping_every_s=1)
HASTY = EngineLimits(
    ping_s=0.5,
    look_s=0.7,
    change_s=1,
    ping_every_s=0.3,
    breaker=BreakerPolicy(failure_count=3, first_wait_ms=100, longest_wait_ms=400),
)


@dataclass(slots=True)
class Asker:
    """`states`: each that was told, in order."""

    engine: DockerEngine
    states: list[EngineState] = field(default_factory=list)

    @property
    def calls(self) -> Calls:
        return self.engine.calls

    async def start(self, container: str) -> None:
        """What a stand-in does for an agent. One that runs already is no error."""
        call = self.calls.call("start", "container", container)
        await self.calls.change(call, lambda client: client.start(container))

    async def kill(self, container: str, signal: int) -> bool:
        """What an agent does without the engine. False: it does not run."""
        call = self.calls.call(f"send signal {signal} to", "container", container)
        try:
            await self.calls.look(call, lambda client: client.kill(container, signal))
        except ContainerNotRunning:
            return False
        return True


@asynccontextmanager
async def asking(socket: Path, limits: EngineLimits = PATIENT) -> AsyncIterator[Asker]:
    states: list[EngineState] = []
    calls = Calls(str(socket), limits, clock=SystemClock(), chance=random.random, changed=states.append)
    await calls.start()
    try:
        yield Asker(DockerEngine(calls), states)
    finally:
        await calls.close()


async def until(happened: Callable[[], bool], *, patience_s: float = 40) -> None:
    deadline_s = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen"
        await asyncio.sleep(0.02)
