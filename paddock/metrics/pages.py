"""/metrics as a page: collected on the event loop when somebody asks, written on another thread.

Who asks while it is being made, or within a moment after that, gets what was made: however many ask, it costs the daemon as
much as one that asks twice a second.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar, cast

from paddock.http.answers import HttpAnswer, Page
from paddock.metrics.families import Family, Sample

FRESH_S = 0.5
OPENMETRICS_TYPE = "application/openmetrics-text"
Made = TypeVar("Made")


class Fresh(Generic[Made]):
    """What takes its time to be made, made at most every half second, and once for all who wait."""

    def __init__(self, make: Callable[[], Awaitable[Made]]) -> None:
        """Nothing is made before somebody asks."""
        self._make = make
        self._making: asyncio.Task[Made] | None = None
        self._made_s = 0.0

    async def get(self) -> Made:
        """Not older than half a second. Raises what making it raised."""
        loop = asyncio.get_running_loop()
        making = self._making
        is_old = making is not None and making.done() and loop.time() - self._made_s > FRESH_S
        if making is None or is_old or (making.done() and making.exception() is not None):
            making = self._making = loop.create_task(self._timed())
        # Who goes away does not take it from the others.
        return await asyncio.shield(making)

    async def _timed(self) -> Made:
        try:
            return await self._make()
        finally:
            self._made_s = asyncio.get_running_loop().time()


class _Exposition(Protocol):
    def render(
        self, families: Sequence[Family], samples: Iterable[Sample], *, openmetrics: bool
    ) -> tuple[str, bytes]: ...


def metrics_page(families: Sequence[Family], collect: Callable[[], Awaitable[Iterable[Sample]]]) -> Page:
    """`collect` returns what needs no more looking at the daemon's state, histograms apart."""

    def made(*, openmetrics: bool) -> Fresh[tuple[str, bytes]]:
        async def make() -> tuple[str, bytes]:
            samples = await collect()
            return await asyncio.to_thread(lambda: _exposition().render(families, samples, openmetrics=openmetrics))

        return Fresh(make)

    fresh = {openmetrics: made(openmetrics=openmetrics) for openmetrics in (True, False)}

    async def page(accept: str) -> HttpAnswer:
        # By the word alone: what versions and escapings else stand in a stranger's header decides nothing.
        content_type, body = await fresh[OPENMETRICS_TYPE in accept].get()
        return HttpAnswer(body=body, content_type=content_type)

    return page


def _exposition() -> _Exposition:
    """Loaded when somebody asks, beside the loop: it is a library of 6 MiB."""
    return cast("_Exposition", importlib.import_module("paddock.metrics.exposition"))
