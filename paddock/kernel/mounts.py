"""What is mounted here, and so which cgroup version is in force: read from mountinfo, never guessed."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

V1 = "v1"
V2 = "v2"
HYBRID = "hybrid"
NONE = "none"

# What a v1 mount's options may hold beside controllers' names.
_NOT_CONTROLLERS = frozenset(
    {"rw", "ro", "xattr", "noprefix", "clone_children", "none", "all", "cpuset_v2_mode", "favordynmods", "relatime"}
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount:
    """One line of mountinfo. `root` is which directory of the file system is mounted; `options` are the super block's."""

    __slots__ = ("fs_type", "mount_point", "options", "root", "source")

    def __init__(self, *, root: str, mount_point: str, fs_type: str, source: str, options: tuple[str, ...]) -> None:
        self.root = root
        self.mount_point = mount_point
        self.fs_type = fs_type
        self.source = source
        self.options = options


class Hierarchy:
    """`mode`: v1, v2, hybrid (v1 controllers with a cgroup2 mount beside them) or none.

    `controllers` (v1 and hybrid): controller → mount point; co-mounted controllers share one. `unified`: cgroup2's mount
    point, or "". `unified_controllers`: what cgroup2's root offers (on a hybrid host mostly nothing).
    """

    __slots__ = ("controllers", "mode", "roots", "unified", "unified_controllers")

    def __init__(
        self,
        *,
        mode: str,
        controllers: Mapping[str, str],
        roots: Mapping[str, str],
        unified: str,
        unified_controllers: frozenset[str],
    ) -> None:
        self.mode = mode
        self.controllers = dict(controllers)
        self.roots = dict(roots)
        self.unified = unified
        self.unified_controllers = unified_controllers

    def kernel_path(self, directory: str) -> str:
        """How the kernel's log and /proc/<pid>/cgroup name this cgroup directory; "" when it is in none of the mounts."""
        best = ""
        for mount_point in self.roots:
            if len(mount_point) > len(best) and (directory == mount_point or directory.startswith(f"{mount_point}/")):
                best = mount_point
        if not best:
            return ""
        root = self.roots[best]
        return (root if root != "/" else "") + directory[len(best) :] or "/"


def _unescaped(text: str) -> str:
    """Spaces and the like are octal escapes in mountinfo."""
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), text) if "\\" in text else text


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """Every well-formed line, in order; a line that is not well-formed is left out."""
    mounts = []
    for line in text.split("\n"):
        left, separator, right = line.partition(" - ")
        fields, rest = left.split(" "), right.split(" ")
        if not separator or len(fields) < 6 or len(rest) < 3:
            continue
        mounts.append(
            Mount(
                root=_unescaped(fields[3]),
                mount_point=_unescaped(fields[4]),
                fs_type=rest[0],
                source=_unescaped(rest[1]),
                options=tuple(rest[2].split(",")),
            )
        )
    return tuple(mounts)


def hierarchy_of(mounts: Iterable[Mount], unified_controllers: frozenset[str] = frozenset()) -> Hierarchy:
    """The cgroup layout that these mounts make; a later mount over the same point wins, as in the kernel."""
    controllers: dict[str, str] = {}
    roots: dict[str, str] = {}
    unified = ""
    for mount in mounts:
        if mount.fs_type == "cgroup2":
            unified = unified or mount.mount_point
        elif mount.fs_type == "cgroup":
            for option in mount.options:
                if "=" not in option and option not in _NOT_CONTROLLERS:
                    controllers.setdefault(option, mount.mount_point)
        else:
            continue
        roots[mount.mount_point] = mount.root
    if controllers:
        mode = HYBRID if unified else V1
    else:
        mode = V2 if unified else NONE
    return Hierarchy(
        mode=mode, controllers=controllers, roots=roots, unified=unified, unified_controllers=unified_controllers
    )


def read_mounts(pid: str = "self") -> tuple[Mount, ...]:
    """The mounts which that process sees."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return parse_mountinfo(file.read())


def fs_type_of(path: str) -> str:
    """Of the file system which this is on; "" where no mount has its device, as with a subvolume of btrfs. Raises OSError."""
    device = os.stat(path).st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _separator, right = line.partition(" - ")
            if left.split(" ", 3)[2] == name:
                return right.split(" ", 1)[0]
    return ""


def read_hierarchy() -> Hierarchy:
    """This host's cgroup layout."""
    mounts = read_mounts()
    layout = hierarchy_of(mounts)
    if not layout.unified:
        return layout
    try:
        with open(os.path.join(layout.unified, "cgroup.controllers"), encoding="ascii") as file:
            return hierarchy_of(mounts, frozenset(file.read().split()))
    except OSError:
        return layout
