"""A thousand containers that sleep: how long until all are up, how long until all are gone, and what they cost alive."""

from __future__ import annotations

import asyncio
import time

from bench.agent import Agent, in_turn
from bench.peers import Peers
from bench.processes import cpu_s
from bench.table import Figure
from paddock.wire.v1 import containers_pb2

COUNT = 1000
IN_FLIGHT = 4
IDLE_S = 20.0


async def start_thousand(agent: Agent, *, count: int = COUNT, disk_mib: int = 0) -> list[containers_pb2.Container]:
    """That many sleeping containers."""
    containers: list[containers_pb2.Container] = []

    async def one() -> None:
        containers.append(await agent.start_sleeper(disk_mib=disk_mib))

    await in_turn(count, IN_FLIGHT, one)
    return containers


async def end_all(agent: Agent, containers: list[containers_pb2.Container]) -> None:
    """Until every one is recorded and removed."""
    left = list(containers)

    async def one() -> None:
        await agent.end(left.pop())

    await in_turn(len(containers), IN_FLIGHT, one)


async def measure(agent: Agent, peers: Peers) -> list[Figure]:
    """Ours, then crun's; the agent's processor time is taken in between."""
    begin_s = time.perf_counter()
    containers = await start_thousand(agent)
    up_s = time.perf_counter() - begin_s
    before_s = cpu_s(agent.agentd_pid)
    await asyncio.sleep(IDLE_S)
    idle_percent = (cpu_s(agent.agentd_pid) - before_s) / IDLE_S * 100
    begin_s = time.perf_counter()
    await end_all(agent, containers)
    down_s = time.perf_counter() - begin_s
    crun_up_s = await peers.up("crun", count=COUNT, in_flight=IN_FLIGHT)
    crun_down_s = await peers.down(in_flight=IN_FLIGHT)
    up_text, down_text = f"crun run --detach, {IN_FLIGHT} in flight", f"crun delete --force, {IN_FLIGHT} in flight"
    return [
        Figure(name="thousand_up_s", value=up_s, unit="s", peer=up_text, runs=1),
        Figure(name="thousand_up_crun_s", value=crun_up_s, unit="s", peer=up_text, runs=1),
        Figure(name="thousand_down_s", value=down_s, unit="s", peer=down_text, runs=1),
        Figure(name="thousand_down_crun_s", value=crun_down_s, unit="s", peer=down_text, runs=1),
        Figure(name="thousand_agent_cpu_percent", value=idle_percent, unit="% of a CPU", runs=1),
    ]
