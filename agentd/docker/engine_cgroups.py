"""The cgroups that an engine makes below ours, and where we have none: what it leaves there, directories and sometimes more."""

from __future__ import annotations

import errno
import os
import re

from isolators.contract import HostFacts
from paddock.kernel import cgroup1, cgroup2, cgroup_files
from paddock.kernel.errors import KernelError
from paddock.kernel.mounts import read_hierarchy
from paddock.model.ids import ContainerId

_ENGINE_ID = re.compile(r"[0-9a-f]{64}")
_PATIENCE_S = 2.0


def remove_empty(host: HostFacts, container_id: ContainerId | None) -> bool:
    """The directories in hierarchies that we do not use, of one container, or of the agent: no engine ever removes those.
    False: something is in one of them, and it stays. v2 has one hierarchy, and that is ours.
    """
    found = [_is_gone(f"{parent}/{container_id}" if container_id else parent) for parent in _unused(host)]
    return all(found)


def clear(host: HostFacts, container_id: ContainerId, *, is_known: bool) -> bool:
    """Whatever an engine has made for a container that has ended: what runs in there, and the directories, everywhere. Of an
    unknown one, which nobody holds any more, ours above them too. False: the kernel keeps some of it.
    """
    unused, used = _unused(host), _used(host)
    own = [f"{parent}/{container_id}" for parent in (*used, *unused)]
    made = [child for directory in own for child in _engines(directory)]
    try:
        _kill(host, made)
        for directory in made:
            cgroup_files.remove(directory, _PATIENCE_S)
    except KernelError:
        return False
    found = [_is_gone(path) for path in (own[len(used) :] if is_known else own)]
    return all(found)


def strangers(host: HostFacts) -> set[ContainerId]:
    """Of whom there is a directory where only engines make any for us."""
    return {ContainerId(name) for parent in _unused(host) for name in _names(parent)}


def _used(host: HostFacts) -> list[str]:
    return sorted({root for _, root in host.cgroup_roots})


def _unused(host: HostFacts) -> list[str]:
    if host.cgroup_mode != "v1":
        return []
    known = {os.path.dirname(root) for _, root in host.cgroup_roots}
    return [f"{point}/paddock-{host.agent_id}" for point in read_hierarchy().roots if point not in known]


def _engines(directory: str) -> list[str]:
    """Of an engine's own below it: whatever else is there is the task's."""
    return [f"{directory}/{name}" for name in _names(directory) if _ENGINE_ID.fullmatch(name)]


def _names(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _kill(host: HostFacts, made: list[str]) -> None:
    """Raises KernelError."""
    if host.cgroup_mode != "v1":
        for directory in made:
            cgroup2.kill_all(directory, _PATIENCE_S)
        return
    freezer = read_hierarchy().controllers.get("freezer")
    cgroup1.kill_all({"freezer" if each.startswith(f"{freezer}/") else each: each for each in made}, _PATIENCE_S)


def _is_gone(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except OSError as error:
        return error.errno != errno.EBUSY
    return True
