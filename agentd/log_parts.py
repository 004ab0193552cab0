"""Which of a log's files goes on at a position. Pure.

A position counts all bytes that were ever written to the log, so it means the same whatever the files are called by then, and
whoever asks: a follower that comes back after the agent's restart goes on exactly where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """One file. `begin`, `end`: positions that its mark tells; None where it tells none."""

    identity: tuple[int, int]
    begin: int | None
    end: int | None
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """A part whose place is known. `end` None: it may grow."""

    identity: tuple[int, int]
    begin: int
    end: int | None
    size_bytes: int


def arranged(active: LogPart | None, rotated: Sequence[LogPart]) -> tuple[Arranged, ...]:
    """The oldest first. What has no mark was never rotated; beside a marked file it is not, or not yet, one of the log's."""
    found = {part.identity: part for part in (*reversed(rotated), *([active] if active else []))}
    marked = sorted(
        (
            Arranged(identity=part.identity, begin=part.begin, end=part.end, size_bytes=part.size_bytes)
            for part in found.values()
            if part.begin is not None
        ),
        key=lambda part: (part.begin, part.end or part.begin),
    )
    if not marked:
        if active is None:
            return ()
        return (Arranged(identity=active.identity, begin=0, end=None, size_bytes=active.size_bytes),)
    # A file is full once there is a next one, even if that is all that tells it.
    ended = [replace(part, end=following.begin) if part.end is None else part for part, following in pairwise(marked)]
    return (*ended, marked[-1])


def part_at(parts: Sequence[Arranged], position: int) -> Arranged | None:
    """The file with the byte at this position; else the next that is there: then what lies between is lost. None: not yet."""
    for part in parts:
        if part.begin > position or part.end is None or position < part.end:
            return part
    return None


def part_before(parts: Sequence[Arranged], position: int) -> Arranged | None:
    """The newest file that begins before this position."""
    return next((part for part in reversed(parts) if part.begin < position), None)
