"""What it costs in memory to keep a container: the proportional set size of each shim while a hundred are alive."""

from __future__ import annotations

from statistics import median

from bench.agent import Agent
from bench.containerd import running_containerd
from bench.peers import Peers
from bench.processes import pss_kib
from bench.table import Figure, Goal

ALIVE = 100
GOAL = Goal(at_most=1000)


async def measure(agent: Agent, peers: Peers) -> list[Figure]:
    """One after the other: pages shared between kinds would flatter all of them."""
    containers = [await agent.start_sleeper() for _number in range(ALIVE)]
    ours = median(pss_kib(container.shim_pid) for container in containers)
    agentd = pss_kib(agent.agentd_pid)
    for container in containers:
        await agent.end(container)
    conmon = median(pss_kib(pid) for pid in await peers.conmons(count=ALIVE))
    await peers.down(in_flight=4)
    async with running_containerd(peers.directory / "containerd") as daemon:
        for _number in range(ALIVE):
            await daemon.start_sleeper(peers.directory / "sleep-0" / "rootfs")
        shims = daemon.shims()
        containerd = median(pss_kib(pid) for pid in shims)
    return [
        Figure(name="shim_pss_kib", value=ours, unit="KiB", peer="conmon, containerd-shim", goal=GOAL, runs=ALIVE),
        Figure(name="conmon_pss_kib", value=conmon, unit="KiB", peer="conmon", runs=ALIVE),
        Figure(name="containerd_shim_pss_kib", value=containerd, unit="KiB", peer="containerd-shim", runs=len(shims)),
        Figure(name="agentd_pss_kib", value=agentd, unit="KiB", runs=1),
    ]
