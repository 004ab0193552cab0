"""Statistics of a thousand containers in one call, against building a cgroupspy tree and reading the same from it."""

from __future__ import annotations

import time
from pathlib import Path

from cgroupspy.trees import Tree

from bench.agent import Agent, LaunchError
from bench.pairing import measure_pairs
from bench.table import Figure, Goal
from bench.thousand import COUNT, end_all, start_thousand

PAIRS = 7
GOAL = Goal(at_most=0.1)

# What cgroupspy knows of that which our statistics hold; it has nothing for pids.
_READ = {
    b"memory": (
        "usage_in_bytes",
        "max_usage_in_bytes",
        "limit_in_bytes",
        "memsw_usage_in_bytes",
        "stat",
        "oom_control",
    ),
    b"cpu": ("stat",),
    b"cpuacct": ("usage", "acct_stat"),
}


class NotMeasurableError(Exception):
    """This host lacks what the figure needs: says what."""


async def measure(agent: Agent) -> list[Figure]:
    """Both read from the kernel each time: nothing is cached on either side between two runs."""
    if not all(Path(f"/sys/fs/cgroup/{name.decode()}").is_dir() for name in _READ):
        raise NotMeasurableError("cgroupspy knows cgroup v1 only, and this host has each controller elsewhere")
    containers = await start_thousand(agent)
    paths = {path.rsplit("/", 1)[1] for container in containers for path in container.cgroup_paths}

    async def ours() -> float:
        begin_s = time.perf_counter()
        statistics = await agent.statistics()
        took_s = time.perf_counter() - begin_s
        if len([entry for entry in statistics if entry.statistics.memory_usage_bytes]) < COUNT:
            raise LaunchError(f"statistics of {COUNT} containers: {len(statistics)} entries, some without memory")
        return took_s

    async def theirs() -> float:
        begin_s = time.perf_counter()
        seen = read_tree({path.encode() for path in paths})
        took_s = time.perf_counter() - begin_s
        if seen < COUNT * len(_READ):
            raise LaunchError(f"cgroupspy found {seen} cgroups of {COUNT} containers")
        return took_s

    pairs = await measure_pairs(ours, theirs, count=PAIRS)
    await end_all(agent, containers)
    text = f"cgroupspy tree of {COUNT} containers"
    return [
        Figure(name="stats_vs_cgroupspy", value=pairs.ratio(), unit="ratio", peer=text, goal=GOAL, runs=PAIRS),
        Figure(name="stats_ms", value=pairs.our_median() * 1000, unit="ms", runs=PAIRS),
        Figure(name="stats_cgroupspy_ms", value=pairs.their_median() * 1000, unit="ms", peer=text, runs=PAIRS),
    ]


def read_tree(names: set[bytes]) -> int:
    """Build the tree of the controllers that count and read our containers' nodes; how many nodes were read."""
    seen = 0
    waiting = list(Tree(groups=list(_READ)).root.children)
    while waiting:
        node = waiting.pop()
        waiting.extend(node.children)
        if node.name in names:
            for attribute in _READ[node.controller_type]:
                getattr(node.controller, attribute)
            seen += 1
    return seen
