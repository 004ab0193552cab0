"""Statistics of many containers: while those of some are made, the kernel's files of the next are read beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from agentd.isolation import Isolation
from isolators.contract import Source
from paddock.kernel.batch_reads import BatchReads
from paddock.model.ids import ContainerId
from paddock.model.statistics import ResourceStatistics

AT_ONCE_COUNT = 128
"""Some five milliseconds of the isolation thread: a launch that comes meanwhile waits for as long."""

FIRST_COUNT = 16
"""Nothing is read beside the first ones' turn but what comes after them: they are few."""

_FILES_COUNT = 1024
_FILE_BYTES = 4096
"""memory.stat has about half of it. A longer file is read by its isolator."""


class BulkUsage:
    """For the isolation thread, and one thread of its own that runs no Python while it reads."""

    def __init__(self, isolation: Isolation) -> None:
        """The thread starts when there is something to read."""
        self._isolation = isolation
        self._reads = BatchReads(_FILES_COUNT, _FILE_BYTES)
        self._beside = ThreadPoolExecutor(1, "statistics")

    def turns(self, container_ids: Sequence[ContainerId]) -> list[Callable[[], list[ResourceStatistics]]]:
        """Calls for the isolation thread, in this order; together they give the statistics of all, in theirs.

        Between two of them no file is being read: whoever has a turn there may close it.
        """
        starts = range(FIRST_COUNT, len(container_ids), AT_ONCE_COUNT)
        parts = [container_ids[:FIRST_COUNT], *(container_ids[start : start + AT_ONCE_COUNT] for start in starts)]

        def turn(index: int) -> list[ResourceStatistics]:
            return self._measure(parts[index], parts[index + 1] if index + 1 < len(parts) else ())

        return [lambda index=index: turn(index) for index in range(len(parts))]  # type: ignore[misc]

    def _measure(
        self, container_ids: Sequence[ContainerId], following: Sequence[ContainerId]
    ) -> list[ResourceStatistics]:
        sources = self._bounded(self._isolation.sources(following)) if following else []
        self._reads.begin([fd for source in sources for fd in source.fds])
        begun = threading.Event()
        reading = self._beside.submit(self._read, begun)
        # Once it has begun it needs the interpreter no more; before that it would wait for as long as this thread has it.
        begun.wait()
        try:
            return [self._isolation.usage(container_id) for container_id in container_ids]
        finally:
            reading.result()
            _give(sources, self._reads.texts())

    def _read(self, begun: threading.Event) -> None:
        begun.set()
        self._reads.run()

    @staticmethod
    def _bounded(sources: list[Source]) -> list[Source]:
        """As many as are read at once; the others are read by their isolators."""
        left_count, bounded = _FILES_COUNT, []
        for source in sources:
            left_count -= len(source.fds)
            if left_count >= 0 and source.fds:
                bounded.append(source)
        return bounded

    def close(self) -> None:
        """Who measures afterwards is refused."""
        self._beside.shutdown()


def _give(sources: Sequence[Source], texts: Sequence[bytes | None]) -> None:
    begin = 0
    for source in sources:
        count = len(source.fds)
        found = [text for text in texts[begin : begin + count] if text is not None]
        begin += count
        if len(found) == count:
            source.give(found)
