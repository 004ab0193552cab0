"""The writer thread: entries that come while it syncs go into the next frame together.

When the log cannot be written, the thread goes on: it says so, and takes nothing but a snapshot of everything from then on.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agentd.checkpoint import CheckpointLog
from agentd.core.durable import DurableEntry
from paddock.daemon.durable_codec import CodecError, from_bytes, to_bytes
from paddock.metrics.histogram import Histogram
from paddock.model.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class _Append:
    """Number of the last of the entries."""

    number: int
    lines: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class _Replace:
    """Number of the last entry that the snapshot contains."""

    number: int
    entries: Sequence[DurableEntry]


class _Close:
    pass


def decode_frames(path: str, frames: Sequence[bytes]) -> Iterator[DurableEntry]:
    """The entries of a log. Raises CheckpointError naming the frame."""
    for index, frame in enumerate(frames):
        for line in frame.split(b"\n"):
            try:
                entry = from_bytes(line, DurableEntry)
            except CodecError as error:
                message = f"frame {index} of it cannot be read: {error}. Start the version of agentd that wrote it"
                raise CheckpointError(path, 0, message) from None
            assert isinstance(entry, DurableEntry)
            yield entry


class CheckpointWriter:
    """Owns the log. `on_durable(number)` and `on_failure(error)` are called on the writer thread.

    After a failure appended entries are let go of, until a `replace` that says them too has succeeded: `on_durable` tells that.
    """

    def __init__(
        self,
        log: CheckpointLog,
        *,
        on_durable: Callable[[int], None],
        on_failure: Callable[[CheckpointError], None],
    ) -> None:
        """The thread starts at once."""
        self._log = log
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._queue: queue.SimpleQueue[_Append | _Replace | _Close] = queue.SimpleQueue()
        self._collected: list[DurableEntry] = []
        self.last_number = 0
        self.sync_s = Histogram()
        """The writer thread's."""
        self._has_failed = log.failure is not None
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    @property
    def size_bytes(self) -> int:
        """Of the log now; read by other threads for a rough idea only."""
        return self._log.size_bytes

    def append(self, entry: DurableEntry) -> int:
        """Give it a number. Once it is flushed `on_durable` with that number, or a higher one, follows."""
        self.last_number += 1
        self._collected.append(entry)
        return self.last_number

    def flush(self) -> None:
        """Have everything appended so far written: the thread wakes for this, not for each entry.

        Put into words here: on the thread that would take the interpreter away from the caller, a piece at a time.
        """
        if self._collected:
            lines = [to_bytes(entry, DurableEntry) for entry in self._collected]
            self._queue.put(_Append(self.last_number, lines))
            self._collected = []

    def replace(self, entries: Sequence[DurableEntry]) -> None:
        """Compact: these entries say all that was appended so far."""
        self._collected = []
        self._queue.put(_Replace(self.last_number, entries))

    def close(self) -> None:
        """Everything appended is durable when this returns, unless the log cannot be written."""
        self.flush()
        self._queue.put(_Close())
        self._thread.join()

    def _run(self) -> None:
        if self._log.failure is not None:
            self._on_failure(self._log.failure)
        try:
            self._write_until_closed()
        finally:
            self._log.close()

    def _write_until_closed(self) -> None:
        waiting: list[_Append] = []
        while True:
            item = self._queue.get()
            match item:
                case _Append():
                    waiting.append(item)
                    if self._queue.empty():
                        self._sync(waiting)
                case _Replace():
                    waiting.clear()
                    self._replace(item)
                case _Close():
                    self._sync(waiting)
                    return

    def _sync(self, waiting: list[_Append]) -> None:
        if waiting and not self._has_failed:
            begun_s = time.monotonic()
            try:
                self._log.append(b"\n".join([line for append in waiting for line in append.lines]))
            except CheckpointError as error:
                self._fail(error)
            else:
                self.sync_s.observe(time.monotonic() - begun_s)
                self._on_durable(waiting[-1].number)
        waiting.clear()

    def _replace(self, item: _Replace) -> None:
        try:
            self._log.replace([to_bytes(entry, DurableEntry) for entry in item.entries])
        except CheckpointError as error:
            self._fail(error)
        else:
            self._has_failed = False
            self._on_durable(item.number)

    def _fail(self, error: CheckpointError) -> None:
        self._has_failed = True
        self._on_failure(error)
