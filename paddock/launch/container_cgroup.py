"""The cgroups of one container: made, filled with limits, read, emptied and removed, alike on v1 and v2."""

from __future__ import annotations

import errno
import os

from paddock.kernel import cgroup1, cgroup2, cgroup_files
from paddock.kernel.errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from paddock.launch.plan import CgroupPlace, CgroupRead, CgroupWrite

MAX_COUNTER_CHARACTERS = 8192
_V2_CONTROLLERS = ("cpu", "memory", "pids")
_MISSING = frozenset({errno.ENOENT, errno.EOPNOTSUPP})


class ContainerCgroup:
    """Made by a launch's list or found by `adopt`; holds a descriptor of each directory that it has used."""

    __slots__ = ("_fds", "made", "place")

    def __init__(self, place: CgroupPlace) -> None:
        self.place = place
        # Only what this object made, or adopted as its container's own, is ever removed.
        self.made: list[str] = []
        self._fds: dict[str, int] = {}

    @property
    def is_v2(self) -> bool:
        """Which version the container is in."""
        return self.place.mode == "v2"

    @property
    def paths(self) -> tuple[str, ...]:
        """Each directory once: co-mounted controllers share one."""
        return tuple(dict.fromkeys(self.place.directories.values()))

    def prepare_parents(self, extra_controllers: Iterable[str]) -> None:
        """Make what is missing above the container's own directories; raises KernelError.

        v2: a controller works in the container only when every cgroup above hands it down.
        """
        for parent in dict.fromkeys(os.path.dirname(path) for path in self.paths):
            cgroup_files.make_directory(parent)
            if self.is_v2:
                controllers = (*_V2_CONTROLLERS, *sorted(set(extra_controllers) - set(_V2_CONTROLLERS)))
                cgroup2.enable_controllers(os.path.dirname(parent), controllers)
                cgroup2.enable_controllers(parent, controllers)
        if not self.is_v2 and "cpuset" in self.place.directories:
            cgroup1.prepare_cpuset(os.path.dirname(self.place.directories["cpuset"]))

    def adopt(self) -> None:
        """Take over what another process made; directories that are gone stay gone."""
        self.made = [path for path in self.paths if os.path.isdir(path)]

    def fd_of(self, controller: str) -> tuple[int, str]:
        """(descriptor, path) of the controller's directory, opened when it is first needed."""
        key = "" if self.is_v2 else controller
        path = self.place.directories.get(key)
        if path is None or path not in self.made:
            raise KernelError("open", path or controller, "", errno.ENOENT)
        fd = self._fds.get(path)
        if fd is None:
            fd = self._fds[path] = cgroup_files.open_directory(path)
        return fd, path

    def rewrite_limits(self, writes: Iterable[CgroupWrite]) -> list[dict[str, object]]:
        """The same while the container runs: at the first refusal the earlier values are put back, then it is raised."""
        earlier: list[tuple[int, str, str, str]] = []
        unapplied: list[dict[str, object]] = []
        for write in writes:
            fd, path = self.fd_of(write.controller)
            try:
                old = cgroup_files.read_file(fd, write.file, path).strip()
                cgroup_files.write_file(fd, write.file, write.value, path)
            except KernelError as error:
                if write.optional and error.errno in _MISSING:
                    unapplied.append({"controller": write.controller, "file": write.file, "value": write.value})
                    continue
                for old_fd, old_path, name, value in reversed(earlier):
                    try:
                        cgroup_files.write_file(old_fd, name, value, old_path)
                    except KernelError:
                        pass  # the others go back all the same
                raise
            earlier.append((fd, path, write.file, old))
        return unapplied

    def read(self, wanted: CgroupRead) -> str:
        """One file's text, cut to what a record can hold."""
        fd, path = self.fd_of(wanted.controller)
        return cgroup_files.read_file(fd, wanted.file, path)[:MAX_COUNTER_CHARACTERS]

    def is_empty(self) -> bool:
        """Whether no process is left, not even in cgroups that the task made below its own."""
        if self.is_v2:
            return not any(cgroup2.is_populated(path) for path in self.made)
        return not cgroup1.list_processes(self.made[:1])

    def thaw(self) -> None:
        """v1: a frozen task does not even die of SIGKILL. v2: of nothing else, and would not hear what it is asked."""
        if self.is_v2:
            for path in self.made:
                cgroup2.thaw(path)
        elif (freezer := self.place.directories.get("freezer")) in self.made:
            cgroup1.set_frozen(freezer, frozen=False)

    def kill_all(self, timeout_s: float) -> None:
        """SIGKILL everything inside until it is empty; raises ETIME after `timeout_s`."""
        if self.is_v2:
            for path in self.made:
                cgroup2.kill_all(path, timeout_s)
        else:
            made = {c: path for c, path in self.place.directories.items() if path in self.made}
            if made:
                cgroup1.kill_all(made, timeout_s)

    def remove(self, timeout_s: float = 2.0) -> list[KernelError]:
        """Remove every directory, going on past a failure; returns the failures. May be called again."""
        self.close()
        failures = []
        for path in tuple(self.made):
            try:
                cgroup_files.remove(path, timeout_s)
            except KernelError as error:
                failures.append(error)
            else:
                self.made.remove(path)
        return failures

    def close(self) -> None:
        """Close the descriptors."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
