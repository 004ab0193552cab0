"""Many small files of the kernel's, read at once, and beside other Python: no line of it runs between two of them."""

from __future__ import annotations

import array

from paddock.kernel.call_list import INSTRUCTION_BYTES, CallList, value_at
from paddock.kernel.call_runner import CallRunner
from paddock.kernel.syscalls import MACHINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_RESULT_WORD = 7
_WORDS_PER_INSTRUCTION = INSTRUCTION_BYTES // 8


class BatchReads:
    """Up to `count` files of fewer than `size_bytes` each: `begin`, `run`, `texts`. For one thread at a time, but it may be
    another one that runs: only that takes long, and it needs the interpreter for nothing.
    """

    __slots__ = ("_begun_count", "_buffers_at", "_count", "_end", "_fds_at", "_memory", "_runner", "_size_bytes")

    def __init__(self, count: int, size_bytes: int, machine: str = MACHINE) -> None:
        """Where this processor has no machine code, it is Python that reads them."""
        calls = CallList()
        fds = calls.put(bytes(4 * count))
        buffers = calls.put(bytes(size_bytes * count))
        for index in range(count):
            place = (buffers[0], buffers[1], buffers[2] + index * size_bytes)
            calls.call("pread64", value_at(fds, 4 * index), place, size_bytes, 0)
        self._end = calls.here
        calls.end()
        self._count = count
        self._size_bytes = size_bytes
        self._memory = calls.to_bytes()
        self._fds_at, self._buffers_at = calls.size + fds[2], calls.size + buffers[2]
        self._runner = CallRunner(machine, keeps_gil=False)
        self._begun_count = 0

    def begin(self, fds: Sequence[int]) -> None:
        """These are to be read. Raises ValueError for more than `count`."""
        skipped = self._count - len(fds)
        if skipped < 0:
            raise ValueError(f"{len(fds)} files, at most {self._count}")
        # The last places, so that the list ends after them.
        at = self._fds_at + 4 * skipped
        memoryview(self._memory)[at : at + 4 * len(fds)] = array.array("i", fds).tobytes()
        self._begun_count = len(fds)

    def run(self) -> None:
        """Read them."""
        self._runner.run(self._memory, self._end - self._begun_count)

    def texts(self) -> list[bytes | None]:
        """Of each from its beginning; None: it cannot be read, or it is longer."""
        memory, size, count = memoryview(self._memory), self._size_bytes, self._begun_count
        first = self._end - count
        words = memory[first * INSTRUCTION_BYTES : self._end * INSTRUCTION_BYTES].cast("q")
        lengths = words[_RESULT_WORD::_WORDS_PER_INSTRUCTION].tolist()
        begin = self._buffers_at + (self._count - count) * size
        return [
            memory[at : at + length].tobytes() if 0 <= length < size else None
            for at, length in zip(range(begin, begin + count * size, size), lengths, strict=True)
        ]
