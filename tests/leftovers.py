"""What of Paddock is on this machine: compared before and after the suite, because nothing of ours may stay."""

import os
import re
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from testbed.engine.names import PREFIX

_OURS = "paddock"
_DAEMONS = frozenset({"agentd", "masterd", "paddock"})
_ENGINES = f"{tempfile.gettempdir()}/"
_MOUNTINFO = re.compile(r"^\d+ \d+ \S+ (?P<root>\S+) (?P<point>\S+) .*? - (?P<type>\S+) (?P<source>\S+)")
_FILE_PATTERNS = ("/run/paddock*", "/var/lib/paddock*", "/tmp/paddock*", "/dev/shm/paddock*", "/run/netns/paddock*")


def snapshot() -> frozenset[str]:
    """Everything of ours, one line each, naming what it is and where; stable for as long as the thing exists."""
    return frozenset([*_cgroups(), *_mounts(), *_processes(), *_files(), *_loop_devices(), *_swaps()])


def remaining(before: frozenset[str], *, grace_s: float) -> list[str]:
    """What is here now, was not `before`, and is still here after `grace_s`: dying takes a moment."""
    left = snapshot() - before
    deadline_s = time.monotonic() + grace_s
    while left and time.monotonic() < deadline_s:
        time.sleep(0.1)
        left &= snapshot()
    return sorted(left)


def _mount_lines() -> Iterator[re.Match[str]]:
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        match = _MOUNTINFO.match(line)
        if match:
            yield match


def _cgroups() -> Iterator[str]:
    points = {match["point"] for match in _mount_lines() if match["type"] in {"cgroup", "cgroup2"}}
    for point in sorted(points):
        for directory, names, _ in os.walk(point):
            for name in [name for name in names if name.startswith(_OURS)]:
                names.remove(name)  # what is inside goes when it goes
                yield f"cgroup {directory}/{name}"


def _mounts() -> Iterator[str]:
    for match in _mount_lines():
        if any(_OURS in match[part] for part in ("root", "point", "source")):
            yield f"mount {match['point']} ({match['type']} of {match['source']})"


def _processes() -> Iterator[str]:
    parents = _parents()
    us = _ancestors(os.getpid(), parents)
    for pid, parent in parents.items():
        if pid in us:
            continue
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
            executable = os.readlink(f"/proc/{pid}/exe")
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # gone, or a kernel thread
        command, fields = stat[stat.index("(") + 1 :].rsplit(")", 1)
        is_child = os.getpid() in _ancestors(pid, parents) and not any("resource_tracker" in word for word in arguments)
        if is_child or command.startswith(_OURS) or f"memfd:{_OURS}" in executable or _is_daemon(arguments):
            # The start time tells it from a later process with the same number.
            yield f"process {pid} of {parent}, started at {fields.split()[19]}: {' '.join(arguments)[:200] or command}"


def _is_daemon(arguments: list[str]) -> bool:
    """Whether it is our launcher's (and thereby its shims'), a daemon's, the command's, or a Docker engine's of the tests."""
    if any("paddock.launch" in word or "paddock/launch" in word for word in arguments):
        return True
    if any(f"{_ENGINES}{PREFIX}" in word for word in arguments[1:]):
        return True
    if any(os.path.basename(word) in _DAEMONS for word in arguments[:2]):
        return True
    return any(option == "-m" and module.split(".")[0] in _DAEMONS for option, module in pairwise(arguments))


def _parents() -> dict[int, int]:
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            parents[int(name)] = int(stat.rsplit(")", 1)[1].split()[1])
    return parents


def _ancestors(pid: int, parents: dict[int, int]) -> set[int]:
    """`pid` and all above it; process 0 is not one."""
    chain: set[int] = set()
    while pid and pid not in chain:
        chain.add(pid)
        pid = parents.get(pid, 0)
    return chain


def _files() -> Iterator[str]:
    for pattern in _FILE_PATTERNS:
        for path in Path("/").glob(pattern.lstrip("/")):
            yield f"{'network namespace' if path.parent.name == 'netns' else 'file'} {path}"


def _loop_devices() -> Iterator[str]:
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            path = backing.read_text(encoding="utf-8").strip()
        except OSError:
            continue  # detached meanwhile
        if _OURS in path:
            yield f"loop device /dev/{backing.parent.parent.name} on {path}"


def _swaps() -> Iterator[str]:
    for line in Path("/proc/swaps").read_text(encoding="utf-8").splitlines()[1:]:
        yield f"swap {line.split()[0]}"
