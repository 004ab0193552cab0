"""Removes an engine without a trace, however it ended: processes, mounts, cgroups, network namespace, files.

Works from the name alone and without the engine's help, so that a session can clean up after one that crashed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from testbed.engine.names import directory_of, is_abandoned

NETWORK_NAMESPACES = Path("/run/netns")
_MOUNTINFO = re.compile(r"^\d+ \d+ \S+ \S+ (?P<point>\S+) .*? - (?P<type>\S+) ")
_PATIENCE_S = 30


def sweep() -> list[str]:
    """Remove the engines whose session is dead; their names."""
    places = [directory_of("").parent, NETWORK_NAMESPACES, *_hierarchies()]
    found = {entry for place in places if place.is_dir() for entry in os.listdir(place)}
    abandoned = sorted(name for name in found if is_abandoned(name))
    for name in abandoned:
        clear(name)
    return abandoned


def clear(name: str) -> None:
    """Remove all that is of this engine; says no word about what is gone already. What stays is an AssertionError."""
    deadline_s = time.monotonic() + _PATIENCE_S
    containers = container_ids(name)
    while pids := processes(name):
        kill(pids)
        assert time.monotonic() < deadline_s, f"of {name} these do not die: {pids}"
        time.sleep(0.01)
    shim_sockets = _shim_sockets(name)
    while points := mounts(name):
        for point in reversed(points):
            subprocess.run(["umount", point], check=False, capture_output=True)
        assert time.monotonic() < deadline_s, f"of {name} these are still mounted: {points}"
    while directories := cgroups(name, containers):
        for directory in sorted(directories, reverse=True):
            _remove_cgroup(directory)
        assert time.monotonic() < deadline_s, f"of {name} these cgroups stay: {directories}"
    if (NETWORK_NAMESPACES / name).exists():
        subprocess.run(["ip", "netns", "delete", name], check=True)
    for socket in shim_sockets:
        socket.unlink(missing_ok=True)
    if directory_of(name).exists():
        shutil.rmtree(directory_of(name))


def container_ids(name: str) -> frozenset[str]:
    """Of every container that the engine knows, or of which something is still there."""
    directory = directory_of(name)
    places = [directory / "root/containers", *directory.glob("containerd/state/*/moby")]
    return frozenset(entry for place in places if place.is_dir() for entry in os.listdir(place))


def processes(name: str) -> set[int]:
    """The engine's own, by its directory among their arguments or its network namespace; and its containers', by cgroup."""
    found = members(name, container_ids(name))
    namespace = _namespace_number(NETWORK_NAMESPACES / name)
    word = f"{directory_of(name)}/".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            is_engine = word in Path(f"/proc/{entry}/cmdline").read_bytes()
            is_inside = namespace is not None and os.stat(f"/proc/{entry}/ns/net").st_ino == namespace
            is_dead = Path(f"/proc/{entry}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            continue
        if (is_engine or is_inside) and not is_dead:
            found.add(int(entry))
    return found


def members(name: str, containers: frozenset[str]) -> set[int]:
    """The processes of these containers. Thawed: frozen by v1, they would ignore SIGKILL until then."""
    found = set()
    for directory in cgroups(name, containers):
        try:
            if (directory / "freezer.state").exists():
                (directory / "freezer.state").write_text("THAWED")
            found |= {int(pid) for pid in (directory / "cgroup.procs").read_text().split()}
        except OSError:
            pass  # gone meanwhile
    return found - {0}


def kill(pids: set[int]) -> None:
    """SIGKILL each."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def mounts(name: str) -> list[str]:
    """In the order in which they were mounted."""
    points = [match["point"] for match in _mount_lines()]
    return [point for point in points if point.startswith(f"{directory_of(name)}/")]


def cgroups(name: str, containers: frozenset[str]) -> list[Path]:
    """The engine's own parent and what is below it; and its containers' below the parents of others."""
    found = []
    for hierarchy in _hierarchies():
        for path, names, _ in os.walk(hierarchy):
            found += [
                Path(path, below)
                for below in names
                if below == name
                or f"/{name}/" in f"{path}/"
                or any(word in containers for word in re.split("[-.]", below))
            ]
    return found


def _remove_cgroup(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        time.sleep(0.01)  # a process of it is still dying


def _shim_sockets(name: str) -> list[Path]:
    """containerd's shims listen where every containerd's do, whatever its own directories are; a killed one's socket stays."""
    addresses = directory_of(name).glob("containerd/state/*/moby/*/address")
    sockets = [address.read_text().strip().removeprefix("unix://") for address in addresses]
    return [Path(socket) for socket in sockets if socket.startswith("/run/containerd/s/")]


def _hierarchies() -> list[Path]:
    return sorted({Path(match["point"]) for match in _mount_lines() if match["type"] in {"cgroup", "cgroup2"}})


def _mount_lines() -> Iterator[re.Match[str]]:
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        if match := _MOUNTINFO.match(line):
            yield match


def _namespace_number(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
