"""The latest changes of tasks, by version, for whoever watches. A watcher that falls behind starts anew with a full list."""

from __future__ import annotations

import asyncio
from collections import deque

from masterd.core.effects import TaskChanged
from paddock.model.errors import OutOfRange

KEPT_COUNT = 8_192


class TaskFeed:
    """For the event loop's thread only."""

    def __init__(self, kept_count: int = KEPT_COUNT) -> None:
        self._changes: deque[TaskChanged] = deque(maxlen=kept_count)
        self._dropped_version = 0
        self._changed = asyncio.Event()

    def publish(self, change: TaskChanged) -> None:
        """Versions come in order, without gaps."""
        if len(self._changes) == self._changes.maxlen:
            self._dropped_version = self._changes[0].version
        self._changes.append(change)
        self._changed.set()
        self._changed = asyncio.Event()

    def after(self, version: int) -> list[TaskChanged]:
        """What came after the version. OutOfRange when part of it is no longer kept."""
        if version < self._dropped_version:
            raise OutOfRange(version, "watch from version 0 for a full list")
        newest = self._changes[-1].version if self._changes else version
        missing_count = newest - version
        return list(self._changes)[-missing_count:] if missing_count > 0 else []

    async def wait(self) -> None:
        """Until the next change."""
        await self._changed.wait()
