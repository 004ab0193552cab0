"""Who is still in a container that should be gone, and what the kernel lets each of them wait for."""

from __future__ import annotations

import os
from collections.abc import Iterable

from paddock.kernel.cgroup1 import list_processes

_SHOWN_COUNT = 3
_UNINTERRUPTIBLE = "D"
_STATES = {"R": "running", "S": "sleeping", "D": "uninterruptible", "T": "stopped", "t": "traced", "Z": "zombie"}


def describe_holders(directories: Iterable[str]) -> str:
    """In words, those first that no signal reaches; empty when nobody is in these cgroups (of v1 or v2) any more."""
    found = [text for pid in sorted(list_processes(directories)) if (text := _described(pid))]
    found.sort(key=lambda text: f"state {_UNINTERRUPTIBLE} " not in text)
    more = len(found) - _SHOWN_COUNT
    return "; ".join([*found[:_SHOWN_COUNT], *([f"and {more} more"] if more > 0 else [])])


def _described(pid: int) -> str:
    """Empty when it has gone. A process whose first thread has ended is held by another of its threads."""
    states = [each for thread in _threads(pid) if (each := _name_and_state(pid, thread))]
    if not states:
        return ""
    name, state, channel = min(states, key=lambda each: each[1] != _UNINTERRUPTIBLE)
    waits = f", waits in {channel}" if channel else ""
    return f"process {pid} ({name}) is in state {state} ({_STATES.get(state, 'see proc(5)')}){waits}"


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _name_and_state(pid: int, thread: str) -> tuple[str, str, str] | None:
    """The last is the function of the kernel in which it waits; empty when it waits in none."""
    directory = f"/proc/{pid}/task/{thread}"
    try:
        with open(f"{directory}/stat", encoding="utf-8", errors="replace") as file:
            head, _, tail = file.read().rpartition(")")
        with open(f"{directory}/wchan", encoding="ascii") as file:
            channel = file.read()
    except OSError:
        return None
    return head.partition("(")[2], tail.split()[0], "" if channel == "0" else channel
