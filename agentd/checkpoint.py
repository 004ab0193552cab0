"""The agent's log: frames appended and synced one after the other, so that what is durable can be told from what is torn.

A file begins with a line naming its format. A frame is length (4 bytes), CRC-32 (4), sequence (8), all big-endian, and that
many bytes; the sum covers sequence and bytes. (zlib's CRC-32: the standard library has no CRC-32C.) A frame is
written only after the one before it is durable. So an unreadable frame with nothing readable behind it was never promised to
anybody: it is cut off. With a readable one behind it, it was durable once: somebody changed the file, and the agent stops.

After a write or a sync that failed nobody knows what of it is on the disk, and a second sync that succeeds proves nothing: the
kernel may have given up the pages already. So such a file is never written again, but for an attempt to cut the frame off:
who asked for what is in it is told that it was refused. `replace` makes a new one of what is in memory. And the last frame that
is found at the start is written once more before it is built upon: an agent that was killed after a failed sync may have left
one that is in the page cache only.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from paddock.kernel.paths import sync_directory
from paddock.model.errors import CheckpointError

_HEADER = struct.Struct(">IIQ")
FORMAT = 1
_MAGIC_WORDS = b"paddock agent log "
_MAGIC = _MAGIC_WORDS + f"{FORMAT}\n".encode()
FRAME_LIMIT_BYTES = 64 * 2**20


class CheckpointLog:
    """One file, one writer. Everything in here blocks: it belongs to the writer thread."""

    def __init__(
        self, path: str, fd: int, *, sequence: int, size_bytes: int, failure: CheckpointError | None = None
    ) -> None:
        """Use `open`. `failure`: what was read cannot be built upon; only `replace` may follow."""
        self.failure = failure
        self.path = path
        self._fd = fd
        self._sequence = sequence
        self.size_bytes = size_bytes

    @classmethod
    def open(cls, path: str) -> tuple[Self, list[bytes]]:
        """The log, made when it is not there, and its frames' contents in order. Raises CheckpointError."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CheckpointError(path, 0, f"it cannot be opened: {error.strerror}; look at its directory") from None
        failure = None
        try:
            content = _read_all(fd)
            if len(content) < len(_MAGIC) and _MAGIC.startswith(content):
                frames: list[bytes] = []
                sequence, end = 0, len(_MAGIC)
                os.ftruncate(fd, 0)
                os.pwrite(fd, _MAGIC, 0)
                os.fsync(fd)
                sync_directory(os.path.dirname(path))
            else:
                frames, sequence, end = parse(path, content)
                if end < len(content):
                    os.ftruncate(fd, end)
                begin = end - _HEADER.size - len(frames[-1]) if frames else 0
                failure = _write_again(path, fd, content[begin:end], begin)
            os.lseek(fd, end, os.SEEK_SET)
        except OSError as error:
            os.close(fd)
            raise CheckpointError(path, 0, f"it cannot be made ready: {error.strerror}") from None
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, sequence=sequence, size_bytes=end, failure=failure), frames

    def append(self, content: bytes) -> None:
        """Durable when this returns. Raises CheckpointError; then only `replace` may follow."""
        frame = frame_of(content, self._sequence + 1)
        try:
            _write_all(self._fd, frame)
            os.fdatasync(self._fd)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._fd, self.size_bytes)
            raise CheckpointError(self.path, self.size_bytes, _cannot_write(error)) from None
        self._sequence += 1
        self.size_bytes += len(frame)

    def replace(self, contents: Sequence[bytes]) -> None:
        """Put these frames in place of all that is there: a new file, synced, renamed over the old one.

        Raises CheckpointError: then all is as it was, and it may be tried again.
        """
        temporary = f"{self.path}.new"
        sequence = self._sequence
        fd = -1
        try:
            fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            size_bytes = _write_all(fd, _MAGIC)
            for content in contents:
                sequence += 1
                size_bytes += _write_all(fd, frame_of(content, sequence))
            os.fsync(fd)
            os.rename(temporary, self.path)
            sync_directory(os.path.dirname(self.path))
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            # What it has taken may be just what is missing.
            with suppress(OSError):
                os.unlink(temporary)
            raise CheckpointError(temporary, 0, _cannot_write(error)) from None
        os.close(self._fd)
        self._fd, self._sequence, self.size_bytes = fd, sequence, size_bytes

    def close(self) -> None:
        """Everything appended is durable already."""
        os.close(self._fd)


def frame_of(content: bytes, sequence: int) -> bytes:
    """One frame."""
    return _HEADER.pack(len(content), _sum(content, sequence), sequence) + content


def parse(path: str, content: bytes) -> tuple[list[bytes], int, int]:
    """The frames' contents, the last sequence, and where the readable part ends. Raises CheckpointError."""
    if not content.startswith(_MAGIC):
        raise CheckpointError(path, 0, _not_ours(content))
    frames: list[bytes] = []
    sequence, offset = 0, len(_MAGIC)
    while (frame := _frame_at(content, offset)) is not None:
        number, body = frame
        if sequence and number != sequence + 1:
            raise CheckpointError(path, offset, _damaged(f"frame {number} follows frame {sequence}"))
        frames.append(body)
        sequence = number
        offset += _HEADER.size + len(body)
    for behind in range(offset + 1, len(content) - _HEADER.size + 1):
        later = _frame_at(content, behind)
        if later is not None and sequence < later[0] <= sequence + 2**32:
            raise CheckpointError(
                path, offset, _damaged(f"frame {later[0]} stands readable behind it, at byte {behind}")
            )
    return frames, sequence, offset


def _not_ours(content: bytes) -> str:
    line = content[: content.find(b"\n") + 1][:64]
    found = line.removeprefix(_MAGIC_WORDS).strip()
    if line.startswith(_MAGIC_WORDS) and found.isdigit():
        return f"the log has format {found.decode()}, this version reads {FORMAT}; start the agentd that wrote it"
    return "this is no agent's log; restore it, or move it away to begin anew"


def _frame_at(content: bytes, offset: int) -> tuple[int, bytes] | None:
    if offset + _HEADER.size > len(content):
        return None
    length, checksum, sequence = _HEADER.unpack_from(content, offset)
    begin = offset + _HEADER.size
    if length == 0 or length > FRAME_LIMIT_BYTES or begin + length > len(content):
        return None
    body = content[begin : begin + length]
    return (sequence, body) if _sum(body, sequence) == checksum else None


def _sum(content: bytes, sequence: int) -> int:
    return zlib.crc32(content, zlib.crc32(sequence.to_bytes(8, "big")))


def _damaged(why: str) -> str:
    return (
        f"this frame is damaged ({why}), so what the agent knew cannot be trusted. Restore the file from a copy; or stop "
        "every container of this agent, move the file away, and start the agent: it begins with nothing and sweeps up"
    )


def _cannot_write(error: OSError) -> str:
    return f"it cannot be written: {error.strerror}; make room, or repair the file system"


def _write_again(path: str, fd: int, content: bytes, offset: int) -> CheckpointError | None:
    try:
        os.pwrite(fd, content, offset)
        os.fsync(fd)
    except OSError as error:
        return CheckpointError(path, offset, _cannot_write(error))
    return None


def _read_all(fd: int) -> bytes:
    pieces = []
    while piece := os.read(fd, 2**20):
        pieces.append(piece)
    return b"".join(pieces)


def _write_all(fd: int, content: bytes) -> int:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    return len(content)
