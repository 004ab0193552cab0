"""What cgroup v2 alone tells of a container: its block devices' traffic, and how long it waited for what (PSI)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_FILE_BYTES = 16 * 1024
_US_PER_S = 1e6
_TOTAL = re.compile(r"^(some|full) .*total=([0-9]+)$", re.ASCII | re.MULTILINE)
_TRAFFIC = re.compile(r"\b([rw])bytes=([0-9]+)", re.ASCII)
RESOURCES = ("cpu", "memory", "io")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unified:
    """`pressure_s`: by resource, and whether some or all waited. What the kernel does not tell is not there."""

    pressure_s: tuple[tuple[str, str, float], ...] = ()
    read_bytes: int | None = None
    written_bytes: int | None = None


def read(directory: str) -> Unified:
    """Of the cgroup at this path. Blocking. A cgroup that is gone, or a kernel that does not tell, tells nothing."""
    pressure = []
    for resource in RESOURCES:
        for waiting, total_us in _TOTAL.findall(_text(f"{directory}/{resource}.pressure")):
            pressure.append((resource, waiting, int(total_us) / _US_PER_S))
    traffic = _text(f"{directory}/io.stat")
    sums = {"r": 0, "w": 0}
    for direction, count in _TRAFFIC.findall(traffic):
        sums[direction] += int(count)
    is_told = os.path.exists(f"{directory}/io.stat")
    return Unified(
        pressure_s=tuple(pressure),
        read_bytes=sums["r"] if is_told else None,
        written_bytes=sums["w"] if is_told else None,
    )


def _text(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, _FILE_BYTES).decode("ascii", "replace")
    except OSError:  # PSI is compiled in and switched off
        return ""
    finally:
        os.close(fd)
