"""What an engine's container has come to: the shim's record, with what only its stand-in has seen."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace

from agentd.core.exit_record import ExitRecord, KillOutcome
from agentd.docker.notes import Note
from paddock.kernel.errors import KernelError
from paddock.kernel.kmsg import OomKill
from paddock.model.task import OomVictim

_FLAT = re.compile(r"(?:[a-z_.]+ \d+\n)+")
_OOM_KILLS = re.compile(r"^oom_kill ([1-9]\d*)$", re.MULTILINE)
_ANY_OOM_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_OOM_FILES = ("memory.oom_control", "memory.events")
_MAX_VICTIMS = 64


KillsIn = Callable[[str], tuple[OomKill, ...]]
"""What the kernel's log has of this memory cgroup. Raises KernelError."""


def merged(record: ExitRecord, note: Note, memory_path: str, kills_in: KillsIn) -> ExitRecord:
    """The record of the whole. `memory_path`: the task's memory cgroup, as the kernel's log names it: asked if need be.

    Both cgroups have the same limits, and either may have been the first to hold something back: the larger count of the two.
    cgroup v1 counts an OOM kill only where its victim was; where that was gone before the stand-in could look, the log tells.
    """
    counters = {key: _larger(text, note.counters.get(key, "")) for key, text in record.counters}
    problems = (*record.problems, note.problem) if note.problem else record.problems
    victims = record.victims
    if _has_oom_kills(counters) or _may_have_oom_kills(record, note):
        victims = _victims(note, memory_path, kills_in)
        counters = {key: _at_least(text, len(victims or ())) for key, text in counters.items()}
    # Who is killed while its stand-in waits for the engine has ended already, by itself.
    kill = record.kill if record.kill and record.kill.took_ms >= note.late_ms else None
    return replace(
        record,
        pid=note.pid or record.pid,
        ended_ns=max(record.ended_ns - note.late_ms * 1_000_000, 0),
        kill=kill and _in_its_own_time(kill, note.late_ms),
        max_completion_reached=record.max_completion_reached and kill is not None,
        counters=tuple(counters.items()),
        victims=victims,
        problems=problems,
        engine_away=note.engine_away,
        engine_silent_ms=note.engine_silent_ms,
    )


def _in_its_own_time(kill: KillOutcome, late_ms: int) -> KillOutcome:
    """A grace period that ended while the stand-in waited for a hung engine is not one that the command has outlived."""
    took_ms = kill.took_ms - late_ms
    return replace(kill, took_ms=took_ms, escalated=kill.escalated and took_ms >= kill.grace_ms)


def _may_have_oom_kills(record: ExitRecord, note: Note) -> bool:
    """Its end looks like one, or nobody has read the counter."""
    is_unread = any(key.endswith(_OOM_FILES) and key not in note.counters for key, _ in record.counters)
    return is_unread or record.wait_status == signal.SIGKILL or bool(note.oom_killed)


def _at_least(text: str, count: int) -> str:
    return _ANY_OOM_KILLS.sub(lambda found: f"oom_kill {max(int(found[1]), count)}", text) if count else text


def _victims(note: Note, memory_path: str, kills_in: KillsIn) -> tuple[OomVictim, ...] | None:
    try:
        kills = kills_in(memory_path)
    except KernelError:
        return None
    main = {note.pid, note.main_pid} - {0}
    return tuple(OomVictim(pid=kill.pid, comm=kill.comm, main=kill.pid in main) for kill in kills[:_MAX_VICTIMS])


def _has_oom_kills(counters: Mapping[str, str]) -> bool:
    return any(key.endswith(_OOM_FILES) and _OOM_KILLS.search(text) for key, text in counters.items())


def _larger(ours: str, engines: str) -> str:
    """Line by line where both are `name number` lines; else ours."""
    if not _FLAT.fullmatch(ours) or not _FLAT.fullmatch(engines):
        return ours
    found = dict(_counts(engines))
    return "".join(f"{name} {max(count, found.get(name, 0))}\n" for name, count in _counts(ours))


def _counts(text: str) -> list[tuple[str, int]]:
    return [(name, int(count)) for name, _, count in (line.partition(" ") for line in text.splitlines())]
