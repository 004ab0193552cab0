"""Live connections: each has a bounded queue of what is to be sent, so that a slow reader costs itself, not our memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from paddock.model.errors import PaddockError, Unavailable

Message = TypeVar("Message")

LIMIT_COUNT = 10_000
"""Messages that may wait. More than a burst of a healthy cluster, little enough to be kept."""


class Stream(Generic[Message]):
    """One connection's way out. For the event loop's thread only."""

    def __init__(self, number: int, limit_count: int) -> None:
        self.number = number
        self._limit_count = limit_count
        self._waiting: deque[Message] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._error: PaddockError | None = None

    @property
    def is_closed(self) -> bool:
        """Nothing more is taken; what waits is still sent, unless the reader was too slow."""
        return self._closed

    def send(self, message: Message) -> None:
        """Queue it. A reader that is too far behind is cut off, and what waited for it is dropped."""
        if self._closed:
            return
        if len(self._waiting) >= self._limit_count:
            self._waiting.clear()
            message_text = f"the reader is {self._limit_count} messages behind; connect again, and read faster"
            self.close(Unavailable(message_text))
            return
        self._waiting.append(message)
        self._wake.set()

    def close(self, error: PaddockError | None = None) -> None:
        """End it after what waits; the error is raised to the reader then. The first close counts."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._wake.set()

    async def messages(self) -> AsyncIterator[Message]:
        """For the one reader: until closed. Raises the error of the close."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._closed:
                if self._error is not None:
                    raise self._error
                return
            self._wake.clear()
            await self._wake.wait()


class Streams(Generic[Message]):
    """All connections of one kind, by the number that events and effects carry."""

    def __init__(self, limit_count: int = LIMIT_COUNT) -> None:
        self._limit_count = limit_count
        self._open: dict[int, Stream[Message]] = {}

    def open(self, number: int) -> Stream[Message]:
        """A new connection."""
        stream = self._open[number] = Stream(number, self._limit_count)
        return stream

    def forget(self, number: int) -> None:
        """The connection is over."""
        self._open.pop(number, None)

    def send(self, number: int, message: Message) -> None:
        """To the connection, if it is still there."""
        stream = self._open.get(number)
        if stream is not None:
            stream.send(message)

    def close(self, number: int, error: PaddockError | None = None) -> None:
        """End the connection, if it is still there."""
        stream = self._open.get(number)
        if stream is not None:
            stream.close(error)

    def close_all(self, error: PaddockError) -> None:
        """The daemon ends."""
        for stream in self._open.values():
            stream.close(error)
