"""Where this agent's cgroups are, by what is mounted."""

import pytest

from isolators.host import cgroup_roots
from paddock.kernel.mounts import hierarchy_of, parse_mountinfo
from paddock.model.errors import ConfigError
from paddock.model.ids import AgentId

AGENT = AgentId("a1")
CPU = "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
MEMORY = "31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
UNIFIED = "32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


def roots(mountinfo: str, parent: str = "") -> dict[str, str]:
    return dict(cgroup_roots(hierarchy_of(parse_mountinfo(mountinfo)), AGENT, parent))


def test_v1_one_directory_per_controller_also_where_two_share_a_mount() -> None:
    assert roots(CPU + MEMORY) == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct/paddock-a1",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/paddock-a1",
        "memory": "/sys/fs/cgroup/memory/paddock-a1",
    }


def test_in_a_hybrid_layout_the_controllers_are_v1s() -> None:
    assert roots(CPU + UNIFIED) == roots(CPU)


def test_v2_below_the_mount_or_the_scope() -> None:
    assert roots(UNIFIED) == {"": "/sys/fs/cgroup/unified/paddock-a1"}
    assert roots(UNIFIED, "/sys/fs/cgroup/unified/system.slice/x.scope") == {
        "": "/sys/fs/cgroup/unified/system.slice/x.scope/paddock-a1"
    }


def test_no_cgroup_file_system_is_said() -> None:
    with pytest.raises(ConfigError, match="no cgroup file system is mounted"):
        roots("")
