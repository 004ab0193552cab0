"""cgroup v1: attaching oneself, and ending everything in a container which has no PID namespace."""

from __future__ import annotations

import errno
import os
import signal
import time

from paddock.kernel.cgroup_files import list_subgroups, open_directory, read_file, read_pids, write_file
from paddock.kernel.errors import KernelError
from paddock.kernel.processes import open_pidfd, send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def prepare_cpuset(path: str) -> None:
    """A new v1 cpuset has no CPUs and no memory, and lets nobody in: give it its parent's."""
    parent_fd, fd = open_directory(os.path.dirname(path)), open_directory(path)
    try:
        for name in ("cpuset.cpus", "cpuset.mems"):
            if not read_file(fd, name, path).strip():
                write_file(fd, name, read_file(parent_fd, name, path).strip(), path)
    finally:
        os.close(parent_fd)
        os.close(fd)


def set_frozen(path: str, *, frozen: bool) -> None:
    """Freeze or thaw the freezer cgroup at `path`; a frozen task ignores even SIGKILL until it is thawed."""
    fd = open_directory(path)
    try:
        write_file(fd, "freezer.state", "FROZEN" if frozen else "THAWED", path)
    finally:
        os.close(fd)


def list_processes(directories: Iterable[str]) -> set[int]:
    """Every process in these cgroups and in what the task made below them."""
    found: set[int] = set()
    for directory in directories:
        for subgroup in list_subgroups(directory):
            found.update(read_pids(subgroup, "cgroup.procs"))
    return found


def kill_all(directories: dict[str, str], timeout_s: float = 5.0) -> None:
    """SIGKILL everything in the container (controller → directory) until it is empty.

    With the freezer: freeze, kill all, thaw, again. Without it forks are first forbidden by pids.max, so that a fork bomb
    cannot outrun the loop. Raises KernelError ETIME naming how many are left.
    """
    freezer = directories.get("freezer")
    if freezer is None and "pids" in directories:
        _forbid_forks(directories["pids"])
    deadline_s = time.monotonic() + timeout_s
    while pids := list_processes(directories.values()):
        if freezer is not None:
            set_frozen(freezer, frozen=True)
        _kill(pids, directories)
        if freezer is not None:
            set_frozen(freezer, frozen=False)
        if time.monotonic() > deadline_s:
            raise KernelError("kill", next(iter(directories.values())), f"{len(pids)} processes left", errno.ETIME)
        time.sleep(0.001)


def _forbid_forks(path: str) -> None:
    try:
        fd = open_directory(path)
    except FileNotFoundError:
        return
    try:
        write_file(fd, "pids.max", "0", path)
    finally:
        os.close(fd)


def _kill(pids: set[int], directories: dict[str, str]) -> None:
    """By pidfd, and only who is still in the container once the descriptor is held: a number may be reused in between."""
    pidfds = {}
    for pid in pids:
        try:
            pidfds[pid] = open_pidfd(pid)
        except OSError:
            continue
    still_there = list_processes(directories.values())
    for pid, pidfd in pidfds.items():
        if pid in still_there:
            send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
