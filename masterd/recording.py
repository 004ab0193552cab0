"""Recordings: everything that happened to a master's core, from its start on, in a file from which it can happen again.

One line of JSON each: first the header (format, settings, the registry's content, the seed of randomness), then every event
with its two times and a digest of what came of it. A file that ends in the middle of a line is whole without it.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import cast

from masterd.beginning import Beginning
from masterd.core.effects import Effect
from masterd.core.events import Event
from masterd.core.machine import Machine
from masterd.core.state import MasterState
from paddock.daemon.durable_codec import CodecError, Json, codec_of, from_bytes, to_bytes
from paddock.model.errors import PaddockError

FORMAT = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """An event, when it was, and a digest of what came of it."""

    now_ns: int
    wall_ns: int
    event: Event
    outcome: str


class Recorder:
    """Appends to a file of bounded size, readable by its owner only: tasks' environments are in it. The recording of the run
    before is kept as `PATH.1`. When it is full, or cannot be written, it ends with a word in the log; the master goes on.
    """

    def __init__(self, path: str, limit_bytes: int, beginning: Beginning) -> None:
        """Raises OSError when the file cannot be made."""
        with suppress(FileNotFoundError):
            os.replace(path, f"{path}.1")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._path, self._left_bytes = path, limit_bytes
        self._fd: int | None = os.open(path, flags, 0o600)
        self._append(to_bytes(beginning, Beginning))

    def note(self, happened: Happened) -> None:
        """One more."""
        if self._fd is not None:
            self._append(_line_of(happened))

    def _append(self, line: bytes) -> None:
        assert self._fd is not None
        if len(line) + 1 > self._left_bytes:
            _log.warning("the recording of events is full", extra={"path": self._path})
            self.close()
            return
        try:
            written = os.write(self._fd, line + b"\n")
        except OSError as error:
            _log.warning("the recording of events ends", extra={"path": self._path, "error": str(error)})
            self.close()
            return
        self._left_bytes -= written
        if written <= len(line):
            _log.warning("the recording of events ends: the disk is full", extra={"path": self._path})
            self.close()

    def close(self) -> None:
        """What comes is not recorded any more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class RecordedMachine(Machine):
    """A machine whose events are recorded."""

    def __init__(self, state: MasterState, recorder: Recorder) -> None:
        super().__init__(state)
        self._recorder = recorder

    def handle(self, event: Event, *, now_ns: int, wall_ns: int) -> tuple[Effect, ...]:
        """As the machine does. A core that breaks is recorded too: that is what recordings are for."""
        try:
            effects = super().handle(event, now_ns=now_ns, wall_ns=wall_ns)
        except Exception as error:
            self._recorder.note(Happened(now_ns=now_ns, wall_ns=wall_ns, event=event, outcome=outcome_of(error)))
            raise
        self._recorder.note(Happened(now_ns=now_ns, wall_ns=wall_ns, event=event, outcome=outcome_of(effects)))
        return effects


def outcome_of(result: tuple[Effect, ...] | Exception) -> str:
    """A short digest: the same for the same effects, in any process."""
    if isinstance(result, Exception):
        return f"{type(result).__name__}: {result}"
    if not result:
        return ""
    return f"{len(result)}:{zlib.crc32(plain(result).encode()):08x}"


def plain(value: object) -> str:
    """A value in words that do not depend on where it is, nor on the order of sets."""
    if isinstance(value, Enum):
        return value.name
    if is_dataclass(value):
        parts = ",".join(f"{each.name}={plain(getattr(value, each.name))}" for each in fields(value))
        return f"{type(value).__name__}({parts})"
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{plain(key)}:{plain(part)}" for key, part in value.items())) + "}"
    if isinstance(value, tuple | list):
        return "(" + ",".join(map(plain, value)) + ")"
    if isinstance(value, frozenset | set):
        return "{" + ",".join(sorted(map(plain, value))) + "}"
    if isinstance(value, PaddockError):
        return f"{type(value).__name__}: {value}"
    return repr(value)


_EVENT = codec_of(Event)


def _line_of(happened: Happened) -> bytes:
    words = [happened.now_ns, happened.wall_ns, _EVENT.encode(happened.event), happened.outcome]
    return json.dumps(words, separators=(",", ":")).encode()


def read(path: str) -> tuple[Beginning, Iterator[Happened]]:
    """The header, and one event after the other. Raises CodecError, naming the line, and OSError."""
    try:
        with open(path, "rb") as file:
            beginning = _header(file.readline())
    except CodecError as error:
        raise CodecError(f"{path}: line 1: {error}") from None
    return beginning, _events(path)


def _events(path: str) -> Iterator[Happened]:
    with open(path, "rb") as file:
        file.readline()
        for line_number, line in enumerate(file, start=2):
            if line.endswith(b"\n"):
                yield _happened(line, f"{path}: line {line_number}")


def _header(line: bytes) -> Beginning:
    try:
        found: Json = json.loads(line)
    except ValueError as error:
        raise CodecError(f"not JSON: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        number = found.get("format") if isinstance(found, dict) else None
        raise CodecError(f"the recording has format {number}, this version reads {FORMAT}")
    return cast("Beginning", from_bytes(line, Beginning))


def _happened(line: bytes, place: str) -> Happened:
    try:
        words: Json = json.loads(line)
    except ValueError as error:
        raise CodecError(f"{place}: not JSON: {error}") from None
    if not isinstance(words, list) or len(words) != 4:
        raise CodecError(f"{place}: not [now_ns, wall_ns, event, outcome]")
    now_ns, wall_ns, event, outcome = words
    if not isinstance(now_ns, int) or not isinstance(wall_ns, int) or not isinstance(outcome, str):
        raise CodecError(f"{place}: not [now_ns, wall_ns, event, outcome]")
    try:
        return Happened(now_ns=now_ns, wall_ns=wall_ns, event=cast("Event", _EVENT.decode(event)), outcome=outcome)
    except CodecError as error:
        raise CodecError(f"{place}: {error}") from None
