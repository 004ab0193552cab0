"""The cgroups that an engine, or a task, makes below its container's: what cgroup v1 counts there alone."""

from __future__ import annotations

from isolators.counters import Names
from paddock.kernel.cgroup_files import list_children
from paddock.kernel.errors import KernelError

CHILDREN_COUNT = 8
"""So many are looked at: an engine makes one, and a task that makes thousands costs nobody else time."""

_READ_BYTES = 4096
_OOM_KILLS = Names.of("oom_kill")


def children(directory: str) -> tuple[str, ...]:
    """Nothing where they cannot be listed."""
    try:
        return list_children(directory, CHILDREN_COUNT)
    except KernelError:
        return ()


def oom_kill_count(directory: str, file: str) -> int:
    """Of all of them together; one that goes away meanwhile counts no more."""
    return sum(_OOM_KILLS.numbers(_text(f"{child}/{file}"))[0] or 0 for child in children(directory))


def _text(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(_READ_BYTES)
    except OSError:
        return None
