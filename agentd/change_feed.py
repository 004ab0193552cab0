"""What watchers read: the last changes in order, each with its version. A slow watcher costs no memory: it falls off."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from paddock.model.errors import OutOfRange

Changed = TypeVar("Changed")

KEPT_COUNT = 4096


def known_version(version: int, newest: int) -> int:
    """As it was asked for. Raises OutOfRange for one that is still to come (its watcher has seen another life of this agent,
    and would miss all until then).
    """
    if version > newest:
        raise OutOfRange(version, f"the newest is {newest}; watch from version 0: it begins with all there is")
    return version


class ChangeFeed(Generic[Changed]):
    """One kind of thing. For the event loop's thread only."""

    def __init__(self, *, first_version: int, kept_count: int = KEPT_COUNT) -> None:
        """`first_version`: nothing before it can be asked for."""
        self._changes: deque[tuple[int, Changed]] = deque(maxlen=kept_count)
        self._first_version = first_version
        self._waiting: set[asyncio.Future[None]] = set()

    def publish(self, version: int, changed: Changed) -> None:
        """Versions only grow."""
        if len(self._changes) == self._changes.maxlen:
            self._first_version = self._changes[0][0]
        self._changes.append((version, changed))
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    def since(self, version: int) -> list[tuple[int, Changed]]:
        """The changes after this version. Raises OutOfRange when some of them are no longer kept."""
        if version < self._first_version:
            raise OutOfRange(version, "watch from version 0: it begins with all there is")
        found = []
        for change in reversed(self._changes):
            if change[0] <= version:
                break
            found.append(change)
        found.reverse()
        return found

    async def changed(self) -> None:
        """Returns at the next change."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
