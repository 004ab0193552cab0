"""The changes of one kind of thing, found by comparing what is with what was: nobody who changes anything needs to say so.

Versions grow within one master's life and from one life to the next. As long as nobody watches nothing is compared; what
happened meanwhile is found by the next comparison, several changes of one thing as one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from paddock.model.errors import OutOfRange

Shown = TypeVar("Shown", bound=Message)

KEPT_COUNT = 8_192
"""Deletions. A watcher that comes back after more of them starts anew."""

_PIECE_COUNT = 100
"""Compared at a time; between two pieces the master goes on with its work."""

_EPOCH_BITS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Generic[Shown]):
    """`shown` None: it is no longer there."""

    version: int
    key: str
    shown: Shown | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known(Generic[Shown]):
    version: int
    shown: Shown
    raw: bytes


class ViewFeed(Generic[Shown]):
    """For the event loop's thread only. `show` leaves out what has gone since it was listed."""

    def __init__(
        self,
        *,
        keys: Callable[[], Iterable[str]],
        show: Callable[[list[str]], Iterable[tuple[str, Shown]]],
        epoch: int,
        kept_count: int = KEPT_COUNT,
    ) -> None:
        self._keys = keys
        self._show = show
        self._known: dict[str, _Known[Shown]] = {}
        self._deleted: deque[tuple[int, str]] = deque(maxlen=kept_count)
        self._first_version = self._dropped_version = self.version = epoch << _EPOCH_BITS
        self._comparing = asyncio.Lock()
        self._compared_s = float("-inf")

    async def compare(self, *, now_s: float, age_limit_s: float) -> None:
        """Unless somebody did so less than that long ago."""
        async with self._comparing:
            if now_s - self._compared_s < age_limit_s:
                return
            self._compared_s = now_s
            keys = sorted(self._keys())
            seen: set[str] = set()
            for begin in range(0, len(keys), _PIECE_COUNT):
                for key, shown in self._show(keys[begin : begin + _PIECE_COUNT]):
                    seen.add(key)
                    self._note(key, shown)
                await asyncio.sleep(0)
            for key in [key for key in self._known if key not in seen]:
                self._forget(key)

    def _note(self, key: str, shown: Shown) -> None:
        raw = shown.SerializeToString(deterministic=True)
        known = self._known.get(key)
        if known is None or known.raw != raw:
            self.version += 1
            self._known.pop(key, None)
            self._known[key] = _Known(version=self.version, shown=shown, raw=raw)

    def _forget(self, key: str) -> None:
        del self._known[key]
        self.version += 1
        if len(self._deleted) == self._deleted.maxlen:
            self._dropped_version = self._deleted[0][0]
        self._deleted.append((self.version, key))

    def after(self, version: int) -> list[Change[Shown]]:
        """In the order of their versions; from 0: what is. OutOfRange for a version that says nothing any more."""
        if version and not max(self._first_version, self._dropped_version) <= version <= self.version:
            raise OutOfRange(version, "watch from version 0 for a full list")
        changes = [
            Change(version=known.version, key=key, shown=known.shown)
            for key, known in self._known.items()
            if known.version > version
        ]
        if version:
            changes += [Change(version=each, key=key, shown=None) for each, key in self._deleted if each > version]
        return sorted(changes, key=lambda change: change.version)
