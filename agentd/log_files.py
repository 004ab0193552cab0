"""Reading a container's log through all of its files, while its shim rotates them and whatever its task does to them.

The shim writes without holes, at its own offset. So a hole, or a file that is shorter than it was, is the task's own doing
(it truncated its log): what is gone is counted as lost, and never made up of zeros.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from agentd.log_parts import Arranged, LogPart, arranged, part_at, part_before
from agentd.sandbox import open_file
from paddock.launch.log_rotation import MARK
from paddock.model.errors import InvalidRequest, NotFound, PermissionRefused

PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPiece:
    """What stands at the position. `lost_bytes`: so many before it are no longer there."""

    content: bytes
    position: int
    lost_bytes: int = 0


class LogFiles:
    """Where a log's files are: `name`, and `name.1` to `name.<file_count - 1>`."""

    def __init__(self, sandbox: str, name: str, file_count: int) -> None:
        """Nothing is opened yet."""
        self._sandbox = sandbox
        self._names = (name, *(f"{name}.{number}" for number in range(1, file_count)))

    def take(self, choose: Callable[[tuple[Arranged, ...]], Arranged | None]) -> tuple[Arranged, int] | None:
        """One of the files, open. The newest name is looked at first: what is renamed meanwhile is seen twice, not missed.

        Raises NotFound, InvalidRequest when there is no file at all.
        """
        opened: dict[tuple[int, int], int] = {}
        try:
            parts = [self._look(name, opened) for name in self._names]
            rotated = [part for part in parts[1:] if part is not None]
            if parts[0] is None and not rotated:
                with open_file(self._sandbox, self._names[0]):
                    return None  # it has just come back
            chosen = choose(arranged(parts[0], rotated))
            return None if chosen is None else (chosen, opened.pop(chosen.identity))
        finally:
            for fd in opened.values():
                os.close(fd)

    def is_active(self, identity: tuple[int, int]) -> bool:
        """Whether the active name is this file's."""
        opened: dict[tuple[int, int], int] = {}
        try:
            part = self._look(self._names[0], opened)
        finally:
            for fd in opened.values():
                os.close(fd)
        return part is not None and part.identity == identity

    def _look(self, name: str, opened: dict[tuple[int, int], int]) -> LogPart | None:
        try:
            with open_file(self._sandbox, name) as fd:
                found = os.fstat(fd)
                identity = (found.st_dev, found.st_ino)
                if identity not in opened:
                    opened[identity] = os.dup(fd)
                begin, end = read_mark(fd)
        except (NotFound, InvalidRequest, PermissionRefused):
            return None
        return LogPart(identity=identity, begin=begin, end=end, size_bytes=found.st_size)


def read_mark(fd: int) -> tuple[int | None, int | None]:
    """Begin and end, as the shim wrote them."""
    try:
        words = os.getxattr(fd, MARK).split()
    except OSError:
        return None, None
    numbers = [int(word) for word in words if word.isdigit()]
    if not 1 <= len(numbers) == len(words) <= 2:
        return None, None
    return numbers[0], numbers[1] if len(numbers) == 2 else None


class LogReader:
    """One follower's place. For one thread at a time; every call may wait for the disk."""

    def __init__(self, files: LogFiles, position: int | None) -> None:
        """`position` None: the oldest byte that is still there."""
        self._files = files
        self._wanted = position
        self._part: Arranged | None = None
        self._lock = threading.Lock()
        self._is_closed = False
        self.fd = -1
        """Of the file that is read now, for whoever wants to watch it."""

    @property
    def position(self) -> int:
        """Of the next byte."""
        return self._wanted or 0

    @property
    def identity(self) -> tuple[int, int] | None:
        """Of the file that is read now."""
        return None if self._part is None else self._part.identity

    def close(self) -> None:
        """From any thread. A read that is under way ends first, and nobody waits for it."""
        self._is_closed = True
        if self._lock.acquire(blocking=False):
            self._let_go()
            self._lock.release()

    def _let_go(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self._part = None

    def read(self, length_bytes: int = PIECE_BYTES) -> LogPiece | None:
        """The next piece; None while nothing more is there. Raises NotFound, InvalidRequest when there is no log."""
        with self._lock:
            piece = None if self._is_closed else self._next(length_bytes)
        if self._is_closed:
            self.close()
        return piece

    def _next(self, length_bytes: int) -> LogPiece | None:
        while True:
            if self._part is None and not self._open():
                return None
            part = self._part
            assert part is not None
            lost_bytes = max(part.begin - self.position, 0)
            self._wanted = max(part.begin, self.position)
            # The mark first: what it tells was written before it.
            _, end = read_mark(self.fd)
            piece = self._read(part.begin, end, length_bytes, lost_bytes)
            if piece is not None or end is None or self.position < end:
                return piece
            if not self._goes_on(end):
                return None

    def is_moved(self) -> bool:
        """Whether the file that is read, though not known to be full, no longer has its name."""
        part = self._part
        return part is not None and read_mark(self.fd)[1] is None and not self._files.is_active(part.identity)

    def _open(self) -> bool:
        wanted = self._wanted
        found = self._files.take(
            lambda parts: (parts[0] if parts else None) if wanted is None else part_at(parts, wanted)
        )
        if found is None:
            return False
        self._part, self.fd = found
        if wanted is None:
            self._wanted = self._part.begin
        return True

    def _goes_on(self, end: int) -> bool:
        """Change over to the next file; while there is none, the full one stays, to be watched."""
        try:
            found = self._files.take(lambda parts: part_at(parts, end))
        except (NotFound, InvalidRequest, PermissionRefused):
            return False  # the task has removed all of them; what is open stays
        if found is None:
            return False
        self._let_go()
        self._part, self.fd = found
        return True

    def _read(self, begin: int, end: int | None, length_bytes: int, lost_bytes: int) -> LogPiece | None:
        position = self.position
        size_bytes = os.fstat(self.fd).st_size
        stop = size_bytes if end is None else min(size_bytes, end - begin)
        content, skipped_bytes = read_written(self.fd, position - begin, min(length_bytes, stop - (position - begin)))
        lost_bytes += skipped_bytes
        position += skipped_bytes
        if not content and end is not None and position < end and skipped_bytes == 0:
            lost_bytes += end - position
            position = end
        self._wanted = position + len(content)
        if not content and not lost_bytes:
            return None
        return LogPiece(content=content, position=position, lost_bytes=lost_bytes)


def read_written(fd: int, offset: int, length_bytes: int) -> tuple[bytes, int]:
    """What was written at this offset or, where a hole comes first, behind it; and how much is gone before it.

    Zeros beside a hole are taken for its part: a block is filled up with them.
    """
    if length_bytes <= 0:
        return b"", 0
    hole = os.lseek(fd, offset, os.SEEK_HOLE)
    if hole >= offset + length_bytes:
        return os.pread(fd, length_bytes, offset), 0
    size_bytes = os.fstat(fd).st_size
    content = os.pread(fd, hole - offset, offset)
    if hole >= size_bytes:
        return content, 0
    content = content.rstrip(b"\0")
    if content:
        return content, 0
    try:
        data = os.lseek(fd, hole, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return b"", 0  # the task made its log longer: what will be written there is not there yet
    block = os.pread(fd, min(length_bytes, 4096), data)
    begin = data + len(block) - len(block.lstrip(b"\0"))
    return b"", begin - offset


def tail_position(files: LogFiles, line_count: int) -> int:
    """Where the last so many lines begin; an unfinished last line counts. Reads backwards, piece by piece."""
    found = files.take(lambda parts: parts[-1] if parts else None)
    if found is None:
        return 0
    part, fd = found
    missing, is_last = line_count, True
    while True:
        try:
            offset = end = min(os.fstat(fd).st_size, (part.end or 2**63) - part.begin)
            if is_last and line_count == 0:
                return part.begin + end
            while offset > 0:
                length = min(PIECE_BYTES, offset)
                offset -= length
                content = os.pread(fd, length, offset)
                searched = len(content) - 1 if is_last and content.endswith(b"\n") else len(content)
                is_last = False
                while (newline := content.rfind(b"\n", 0, searched)) >= 0:
                    missing -= 1
                    if missing == 0:
                        return part.begin + offset + newline + 1
                    searched = newline
        finally:
            os.close(fd)
        found = files.take(partial(part_before, position=part.begin))
        if found is None:
            return part.begin
        part, fd = found
