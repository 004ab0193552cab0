"""cgroup v2: controllers for children, and ending everything in a container at once."""

from __future__ import annotations

import errno
import os
import signal
import time

from paddock.kernel.cgroup_files import list_subgroups, make_directory, open_directory, read_file, read_pids, write_file
from paddock.kernel.errors import KernelError
from paddock.kernel.processes import open_pidfd, send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def enable_controllers(path: str, controllers: Iterable[str]) -> tuple[str, ...]:
    """Give the children of `path` those of the controllers that it has itself; returns what is enabled afterwards.

    EBUSY: a process sits in `path` itself (no processes in inner cgroups).
    """
    fd = open_directory(path)
    try:
        available = read_file(fd, "cgroup.controllers", path).split()
        enabled = read_file(fd, "cgroup.subtree_control", path).split()
        missing = [name for name in controllers if name in available and name not in enabled]
        if missing:
            write_file(fd, "cgroup.subtree_control", " ".join(f"+{name}" for name in missing), path)
        return (*enabled, *missing)
    finally:
        os.close(fd)


def move_self(path: str) -> None:
    """Move this process into the cgroup; takes milliseconds (an RCU grace period), so once in a process's life."""
    make_directory(path)
    fd = open_directory(path)
    try:
        write_file(fd, "cgroup.procs", "0", path)
    finally:
        os.close(fd)


def is_populated(path: str) -> bool:
    """Whether a live process is in the cgroup or below; a cgroup that is gone has none."""
    try:
        fd = open_directory(path)
    except FileNotFoundError:
        return False
    try:
        return "populated 1" in read_file(fd, "cgroup.events", path)
    finally:
        os.close(fd)


def thaw(path: str) -> None:
    """The cgroup itself; one that is gone has nobody frozen."""
    try:
        fd = open_directory(path)
    except FileNotFoundError:
        return
    try:
        write_file(fd, "cgroup.freeze", "0", path)
    except FileNotFoundError:
        pass  # Linux before 5.2 freezes nothing on v2
    finally:
        os.close(fd)


def kill_all(path: str, timeout_s: float = 5.0) -> None:
    """SIGKILL everything in the cgroup and below, frozen or not, until it is empty.

    One write to cgroup.kill where the kernel has it (5.14), else a loop. Raises KernelError ETIME.
    """
    deadline_s = time.monotonic() + timeout_s
    while is_populated(path):
        _kill_once(path)
        if time.monotonic() > deadline_s:
            raise KernelError("kill", path, "processes left", errno.ETIME)
        time.sleep(0.001)


def _kill_once(path: str) -> None:
    try:
        fd = open_directory(path)
    except FileNotFoundError:
        return
    try:
        write_file(fd, "cgroup.kill", "1", path)
    except FileNotFoundError:
        _kill_each(path)
    finally:
        os.close(fd)


def _kill_each(path: str) -> None:
    for subgroup in list_subgroups(path):
        for pid in read_pids(subgroup, "cgroup.procs"):
            try:
                pidfd = open_pidfd(pid)
            except OSError:
                continue
            # Only who is still inside once the descriptor is held: a number may be reused in between.
            if pid in read_pids(subgroup, "cgroup.procs"):
                send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
