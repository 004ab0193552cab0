"""The engine's log stream: frames with a header, in each one message with its time; and where to go on after an interruption.

A message is a line, or a part of one of more than 16 KiB; parts of one line have the same time. After a reconnection the engine
is asked for everything since the last time, and what was written of that very time is left out: no gap, nothing twice.
"""

from __future__ import annotations

import struct
import time

_HEADER = struct.Struct(">BxxxI")
_STDOUT, _STDERR = 1, 2
MAX_FRAME_BYTES = 1 << 20
_TIME_BYTES = 64
_NANOSECOND_DIGITS = 9


class FrameError(Exception):
    """What came is no log stream."""


class LogFrames:
    """What has come of one container's output, over any number of connections."""

    __slots__ = ("_last", "_pending", "_seen_count", "_skip_count")

    def __init__(self) -> None:
        """Nothing has come."""
        self._pending = b""
        self._last = b""
        self._seen_count = 0
        self._skip_count = 0

    @property
    def since(self) -> str:
        """The time of the last message, as the engine wrote it; empty: none has come."""
        return self._last.decode("ascii", "replace")

    def reconnect(self) -> None:
        """A new connection begins, with everything since `since`: half a frame of the old one will come again."""
        self._pending = b""
        self._skip_count = self._seen_count

    def take(self, content: bytes) -> list[tuple[int, bytes]]:
        """(file descriptor, bytes) in order. Raises FrameError."""
        self._pending += content
        found = []
        at = 0
        while len(self._pending) - at >= _HEADER.size:
            stream, size = _HEADER.unpack_from(self._pending, at)
            if stream not in {_STDOUT, _STDERR} or size > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of stream {stream} with {size} bytes")
            begin = at + _HEADER.size
            if len(self._pending) - begin < size:
                break
            at = begin + size
            text = self._new_of(self._pending[begin:at])
            if text:
                found.append((stream, text))
        self._pending = self._pending[at:]
        return found

    def _new_of(self, message: bytes) -> bytes:
        """Without its time; nothing where it was there before."""
        moment, space, text = message.partition(b" ")
        if not space or len(moment) > _TIME_BYTES:
            raise FrameError(f"a message without a time: {message[:40]!r}")
        if moment != self._last:
            self._skip_count = 0
            self._last = moment
            self._seen_count = 0
        elif self._skip_count:
            self._skip_count -= 1
            return b""
        self._seen_count += 1
        return text


def since_of(text: str) -> str:
    """The engine's `since` for a time as it writes it: seconds and nanoseconds. Empty for none, or for nonsense."""
    seconds, dot, rest = text.partition(".")
    fraction = rest.rstrip("Z")
    if not dot or not fraction.isdigit():
        return ""
    try:
        whole = _seconds(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return ""
    return f"&since={whole}.{fraction[:_NANOSECOND_DIGITS].ljust(_NANOSECOND_DIGITS, '0')}"


def _seconds(moment: time.struct_time) -> int:
    """Since 1970, of a time in UTC (calendar.timegm, without importing it)."""
    year, month, day = moment[:3]
    year -= month <= 2
    era, of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = of_era * 365 + of_era // 4 - of_era // 100 + day_of_year
    return (era * 146_097 + day_of_era - 719_468) * 86_400 + moment[3] * 3600 + moment[4] * 60 + moment[5]
