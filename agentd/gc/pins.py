"""Sandboxes that somebody is looking at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from paddock.model.ids import ContainerId

READ_PIN_S = 600.0
"""Who reads piece by piece may take so long between two pieces."""


class Pins:
    """For the event loop's thread."""

    def __init__(self) -> None:
        """Nobody looks yet."""
        self._held: Counter[ContainerId] = Counter()
        self._read_s: dict[ContainerId, float] = {}

    @contextmanager
    def held(self, container_id: ContainerId) -> Iterator[None]:
        """While it is followed."""
        self._held[container_id] += 1
        try:
            yield
        finally:
            self._held[container_id] -= 1
            if not self._held[container_id]:
                del self._held[container_id]

    def read(self, container_id: ContainerId, now_s: float) -> None:
        """A piece of it was asked for just now."""
        self._read_s[container_id] = now_s

    def now(self, now_s: float) -> set[ContainerId]:
        """All that are pinned."""
        self._read_s = {key: read_s for key, read_s in self._read_s.items() if now_s - read_s < READ_PIN_S}
        return {*self._held, *self._read_s}
