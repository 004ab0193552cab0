"""Reads back from the kernel, inside one launch, that both sides of a pair really are as limited as they were asked."""

from __future__ import annotations

from pathlib import Path

from bench.bundle import CPU_SHARES, MEMORY_BYTES, PIDS_COUNT

# (controller, file, what it must say); v2's weight follows from cpus by our own formula, and crun's by its own.
_V1 = (
    ("memory", "memory.limit_in_bytes", MEMORY_BYTES),
    ("memory", "memory.memsw.limit_in_bytes", MEMORY_BYTES),
    ("cpu", "cpu.shares", CPU_SHARES),
    ("pids", "pids.max", PIDS_COUNT),
)
_V2 = (("", "memory.max", MEMORY_BYTES), ("", "memory.swap.max", 0), ("", "pids.max", PIDS_COUNT))


class UnfairError(Exception):
    """The two sides are not asked for the same: the figures would mean nothing."""


def check_limits(pid: int, who: str) -> None:
    """Raise UnfairError unless the process has a PID namespace of its own and the limits of the bundle."""
    if Path(f"/proc/{pid}/ns/pid").readlink() == Path("/proc/self/ns/pid").readlink():
        raise UnfairError(f"{who}: process {pid} shares the host's PID namespace")
    directories = _directories(pid)
    for controller, file, wanted in _V1 if "memory" in directories else _V2:
        path = directories[controller] / file
        if not path.exists() and "memsw" in file:
            continue  # a kernel without swap accounting: it has this file for neither side
        seen = path.read_text().strip()
        if seen != str(wanted):
            raise UnfairError(f"{who}: {path} says {seen}, not {wanted}")


def _directories(pid: int) -> dict[str, Path]:
    """The process' cgroup directory for each v1 controller, and for v2 under the empty name."""
    mounts: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ", 1)
        kind, _source, options = after.split(" ", 2)
        if kind == "cgroup2":
            mounts[""] = Path(before.split()[4])
        elif kind == "cgroup":
            mounts.update(dict.fromkeys(options.split(","), Path(before.split()[4])))
    found = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in mounts:
                found[controller] = mounts[controller] / path.lstrip("/")
    return found
