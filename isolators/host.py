"""Reads, once at start, what isolators may know about this host."""

from __future__ import annotations

import os

from isolators.contract import HostFacts
from paddock.kernel.capabilities import names_of, read_own_bounding, read_own_permitted
from paddock.kernel.mounts import Hierarchy, read_hierarchy
from paddock.model.errors import ConfigError
from paddock.model.ids import AgentId

CGROUP_PREFIX = "paddock-"


def read_host_facts(agent_id: AgentId, cgroup_parent: str = "") -> HostFacts:
    """`cgroup_parent`: v2 only, the directory under which `paddock-<agent>` stands; empty: the mount's root.

    Raises ConfigError where no cgroup file system is mounted.
    """
    hierarchy = read_hierarchy()
    roots = cgroup_roots(hierarchy, agent_id, cgroup_parent)
    mode = "v2" if roots and roots[0][0] == "" else "v1"
    return HostFacts(
        agent_id=agent_id,
        cgroup_mode=mode,
        cgroup_roots=roots,
        cpu_count=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        swap_accounting=_has_swap_accounting(hierarchy, mode),
        capabilities=names_of(read_own_bounding() & read_own_permitted()),
    )


def cgroup_roots(hierarchy: Hierarchy, agent_id: AgentId, cgroup_parent: str) -> tuple[tuple[str, str], ...]:
    """Controller → this agent's directory; in a hybrid layout v1's, because that is where the controllers are."""
    name = f"{CGROUP_PREFIX}{agent_id}"
    if hierarchy.controllers:
        return tuple((controller, f"{mount}/{name}") for controller, mount in sorted(hierarchy.controllers.items()))
    if hierarchy.unified:
        return (("", f"{cgroup_parent or hierarchy.unified}/{name}"),)
    raise ConfigError(
        ("no cgroup file system is mounted here: mount one, e.g. `mount -t cgroup2 cgroup2 /sys/fs/cgroup`",)
    )


def _has_swap_accounting(hierarchy: Hierarchy, mode: str) -> bool:
    """v1: the root has the memsw files or not (swapaccount=).

    v2: every cgroup but the root has the file or has not, so one that exists is asked.
    """
    if mode == "v1":
        return os.path.exists(f"{hierarchy.controllers.get('memory', '')}/memory.memsw.limit_in_bytes")
    with os.scandir(hierarchy.unified) as entries:
        groups = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    with_memory = [group for group in groups if os.path.exists(f"{group}/memory.max")]
    return not with_memory or os.path.exists(f"{with_memory[0]}/memory.swap.max")
