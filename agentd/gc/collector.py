"""The collector: looks at the disk again and again, and has what is due removed by a process of its own."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field

from agentd.core.state import AgentState
from agentd.gc.pins import Pins
from agentd.gc.places import SandboxPlaces
from agentd.gc.schedule import Sandbox, due, max_age_s
from agentd.outside.programs import ROOT, Programs
from paddock.daemon.clock import Clock
from paddock.model.ids import ContainerId

_PROGRAM = "agentd.gc.remove"
_REMOVE_TIMEOUT_S = 600.0
_NS_PER_S = 10**9
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings:
    """What an operator sets."""

    delay_s: float
    headroom: float
    interval_s: float


@dataclass(slots=True, kw_only=True)
class Collected:
    """All that went since the agent began."""

    sandbox_count: int = 0
    removed_bytes: int = 0
    failure_count: int = 0


@dataclass(slots=True, kw_only=True)
class Collector:
    """For the event loop's thread; begun when the agent knows again what is whose."""

    state: AgentState
    pins: Pins
    places: SandboxPlaces
    programs: Programs
    clock: Clock
    settings: CollectorSettings
    collected: Collected = field(default_factory=Collected)

    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self, settings: CollectorSettings) -> None:
        """In force at once: it looks at the disk again now."""
        self.settings = settings
        self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self._changed.clear()
            try:
                await self.collect()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may go better
                self.collected.failure_count += 1
                _log.warning("sandboxes are not collected", extra={"error": str(error) or type(error).__name__})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self.settings.interval_s)

    async def collect(self) -> None:
        """Once. Raises OSError, ProgramFailed, TimeoutError."""
        found = await asyncio.to_thread(self.places.find)
        usage = await asyncio.to_thread(self.places.usage) if found else 0.0
        age_s = max_age_s(self.settings.delay_s, headroom=self.settings.headroom, usage=usage)
        # Only now: whose sandbox was made while the disk was looked at is known by now.
        wanted = due(found, self._ended_ns(), self._pinned(), now_ns=self.clock.wall_ns(), age_s=age_s)
        await asyncio.to_thread(self._put_away, wanted)
        if wanted:
            _log.info("sandboxes go", extra={"count": len(wanted), "usage": round(usage, 3), "max_age_s": round(age_s)})
        if await asyncio.to_thread(self.places.is_something_removed):
            # Somebody may still hold such a directory open and fill it for ever.
            async with asyncio.timeout(_REMOVE_TIMEOUT_S):
                answer = await self.programs.run(_PROGRAM, {"directory": self.places.removed}, ROOT)
            removed_bytes = answer.get("removed_bytes")
            self.collected.removed_bytes += removed_bytes if isinstance(removed_bytes, int) else 0
            if answer.get("error") or answer.get("left"):
                _log.warning("something of a sandbox stays; it is tried again", extra={"answer": answer})

    def _put_away(self, sandboxes: list[Sandbox]) -> None:
        for sandbox in sandboxes:
            try:
                self.places.put_away(sandbox)
                self.collected.sandbox_count += 1
            except OSError as error:
                _log.warning("sandbox cannot be removed", extra={"path": sandbox.path, "error": str(error)})

    def _ended_ns(self) -> dict[ContainerId, int]:
        containers = self.state.containers
        return {container_id: containers[container_id].ended_ns for container_id in self.state.ended}

    def _pinned(self) -> set[ContainerId]:
        """Running ones, those whose last word is not acknowledged, and those that are looked at."""
        live = {entry.config.container_id for entry in self.state.live()}
        unacknowledged = {task.container_id for task in self.state.tasks.values()}
        return live | unacknowledged | self.pins.now(self.clock.monotonic_ns() / _NS_PER_S)
