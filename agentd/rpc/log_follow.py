"""Following a log on the event loop: what is there is read, then its file is watched, and the next when that is full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

from agentd.log_files import LogPiece, LogReader
from agentd.rpc.file_watch import FileWatch, FileWatches

LOOK_EVERY_S = 5.0
"""A watch that told nothing (a mark that a full disk refused, a file that the task took away) costs this much time."""


async def follow_log(
    reader: LogReader, watches: FileWatches, ending: asyncio.Future[None] | None
) -> AsyncIterator[LogPiece]:
    """Until the container has ended; None: until what is there was read."""
    watched: tuple[int, int] | None = None
    watch: FileWatch | None = None
    with ExitStack() as stack:
        while True:
            # Asked before the read: what the container wrote before its end is then behind us or in this read.
            has_ended = ending is None or ending.done()
            while (piece := await asyncio.to_thread(reader.read)) is not None:
                yield piece
            if has_ended:
                return
            assert ending is not None
            if reader.identity != watched:
                stack.close()
                watched = reader.identity
                watch = stack.enter_context(watches.of(reader.fd)) if watched else None
                continue  # what came before there was a watch
            changed = asyncio.ensure_future(watch.changed() if watch else _nothing())
            await asyncio.wait([changed, ending], timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if watch is not None:
                watch.reset()


async def _nothing() -> None:
    """Never: there is no file to watch."""
    await asyncio.Event().wait()
