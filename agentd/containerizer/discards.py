"""What is left of ended containers on the disk goes later, beside the event loop, and that of a moment together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from agentd.containerizer.places import Places
from paddock.model.ids import ContainerId

DISCARD_AFTER_S = 0.2
"""Records and sockets of that time go together."""


class Discards:
    """A disk takes its time to forget a file, and a hop to another thread costs more than the file. `track`: begins work that
    ends with the agent at the latest.
    """

    def __init__(self, places: Places, track: Callable[[Coroutine[None, None, None]], None]) -> None:
        """Does nothing yet."""
        self._places = places
        self._track = track
        self._waiting: list[ContainerId] = []

    def add(self, container_id: ContainerId) -> None:
        """Soon. Missing files are no error."""
        self._waiting.append(container_id)
        if len(self._waiting) == 1:
            self._track(self._discard_all())

    async def finish(self) -> None:
        """At once."""
        await asyncio.to_thread(self._places.discard, tuple(self._waiting))

    async def _discard_all(self) -> None:
        while self._waiting:
            await asyncio.sleep(DISCARD_AFTER_S)
            wanted = tuple(self._waiting)
            await asyncio.to_thread(self._places.discard, wanted)
            del self._waiting[: len(wanted)]
