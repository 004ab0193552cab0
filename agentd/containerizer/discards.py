"""What is left of ended containers on the disk goes later, beside the event loop, and that of a moment together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from agentd.containerizer.places import Places
from paddock.model.ids import ContainerId

DISCARD_AFTER_S = 0.2
"""Records and sockets of that time go together."""

_log = logging.getLogger(__name__)


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
        await asyncio.to_thread(self._discard, tuple(self._waiting))

    async def _discard_all(self) -> None:
        while self._waiting:
            await asyncio.sleep(DISCARD_AFTER_S)
            wanted = tuple(self._waiting)
            await asyncio.to_thread(self._discard, wanted)
            del self._waiting[: len(wanted)]

    def _discard(self, wanted: tuple[ContainerId, ...]) -> None:
        try:
            self._places.discard(wanted)
        except OSError:
            for container_id in wanted:
                self._discard_one(container_id)

    def _discard_one(self, container_id: ContainerId) -> None:
        """What stays here the next agent finds, and tries again."""
        try:
            self._places.discard((container_id,))
        except OSError as error:
            extra = {"container_id": container_id, "error": str(error)}
            _log.warning("what is left of a container was not removed", extra=extra)
