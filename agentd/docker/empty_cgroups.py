"""The directories that an engine makes for its own cgroups in hierarchies that we do not use, and never removes."""

from __future__ import annotations

import errno
import os

from isolators.contract import HostFacts
from paddock.kernel.mounts import read_hierarchy
from paddock.model.ids import ContainerId


def remove(host: HostFacts, container_id: ContainerId | None) -> bool:
    """Of one container, or of the agent. False: something is in one of them, and it stays. v2 has one hierarchy, and that is
    ours.
    """
    if host.cgroup_mode != "v1":
        return True
    hierarchy = read_hierarchy()
    name = f"paddock-{host.agent_id}" + (f"/{container_id}" if container_id else "")
    known = {os.path.dirname(root) for _, root in host.cgroup_roots}
    found = [_is_gone(f"{mount_point}/{name}") for mount_point in hierarchy.roots if mount_point not in known]
    return all(found)


def _is_gone(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except OSError as error:
        return error.errno != errno.EBUSY
    return True
