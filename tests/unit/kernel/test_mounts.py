"""Which cgroup version is in force, from mountinfo alone."""

from hypothesis import given
from hypothesis import strategies as st

from paddock.kernel.mounts import fs_type_of, hierarchy_of, parse_mountinfo

V1 = """\
31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd
"""
UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
V2 = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


def test_v1_with_controllers_mounted_together() -> None:
    found = hierarchy_of(parse_mountinfo(V1))
    assert found.mode == "v1"
    assert found.controllers == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/memory",
    }
    assert found.unified == ""


def test_hybrid() -> None:
    found = hierarchy_of(parse_mountinfo(V1 + UNIFIED))
    assert (found.mode, found.unified) == ("hybrid", "/sys/fs/cgroup/unified")


def test_v2() -> None:
    found = hierarchy_of(parse_mountinfo(V2), frozenset({"memory", "cpu"}))
    assert (found.mode, found.unified, found.controllers) == ("v2", "/sys/fs/cgroup", {})
    assert found.unified_controllers == {"memory", "cpu"}


def test_none() -> None:
    assert hierarchy_of(parse_mountinfo("1 1 0:1 / / rw - ext4 /dev/vda rw")).mode == "none"


def test_a_named_hierarchy_alone_is_no_v1() -> None:
    lines = "34 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n" + V2
    assert hierarchy_of(parse_mountinfo(lines)).mode == "v2"


def test_escaped_names() -> None:
    (mount,) = parse_mountinfo(r"1 1 0:1 /a\040b /mnt\134x rw - ext4 /dev/v\011a rw,x")
    assert (mount.root, mount.mount_point, mount.source) == ("/a b", "/mnt\\x", "/dev/v\ta")


def test_how_the_kernel_names_a_directory() -> None:
    found = hierarchy_of(parse_mountinfo(V1))
    assert found.kernel_path("/sys/fs/cgroup/memory/paddock-a/c") == "/paddock-a/c"
    assert found.kernel_path("/sys/fs/cgroup/memory") == "/"
    assert found.kernel_path("/sys/fs/cgroup/memoryx/c") == ""
    inner = hierarchy_of(parse_mountinfo("33 31 0:32 /docker/x /cg rw - cgroup cgroup rw,memory"))
    assert inner.kernel_path("/cg/paddock-a/c") == "/docker/x/paddock-a/c"


@given(st.text())
def test_any_text_is_parsed(text: str) -> None:
    hierarchy_of(parse_mountinfo(text))


def test_on_which_file_system_something_is() -> None:
    assert fs_type_of("/proc/self") == "proc"
    assert fs_type_of("/sys/kernel") == "sysfs"
