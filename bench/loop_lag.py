"""How late the agent's event loop gets: its slowest answer during a thousand launches with du and statistics, and idle."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.agent import Agent
from bench.peers import TREE
from bench.table import Figure
from bench.thousand import end_all, start_thousand

LAUNCHES = 1000
IN_FLIGHT = 4
SLEEPERS = 50
DISK_MIB = 64
STATISTICS_PERIOD_S = 0.5
IDLE_S = 10.0
ANSWER_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """What one probe saw."""

    largest_s: float
    median_s: float
    count: int


async def measure(agent: Agent) -> list[Figure]:
    """Idle first, with nothing alive; then everything at once."""
    idle = await probed(agent, lambda: asyncio.sleep(IDLE_S))
    sleepers = await start_thousand(agent, count=SLEEPERS, disk_mib=DISK_MIB)
    busy = await probed(agent, lambda: _busy(agent))
    await end_all(agent, sleepers)
    during = f"{LAUNCHES} launches, {IN_FLIGHT} in flight, du and statistics running"
    return [
        Figure(
            name="loop_lag_ratio",
            value=busy.largest_s / idle.largest_s,
            unit="ratio",
            peer="itself, idle",
            runs=busy.count,
        ),
        Figure(name="loop_lag_ms", value=busy.largest_s * 1000, unit="ms", peer=during, runs=busy.count),
        Figure(name="loop_lag_idle_ms", value=idle.largest_s * 1000, unit="ms", runs=idle.count),
        Figure(name="loop_answer_ms", value=busy.median_s * 1000, unit="ms", peer=during, runs=busy.count),
        Figure(name="loop_answer_idle_ms", value=idle.median_s * 1000, unit="ms", runs=idle.count),
    ]


async def _busy(agent: Agent) -> None:
    async def statistics() -> None:
        while True:
            await agent.statistics()
            await asyncio.sleep(STATISTICS_PERIOD_S)

    reading = asyncio.create_task(statistics())
    try:
        await agent.run_many(count=LAUNCHES, in_flight=IN_FLIGHT, disk_mib=DISK_MIB)
    finally:
        reading.cancel()


async def probed(agent: Agent, during: Callable[[], Awaitable[None]]) -> Lag:
    """Run ``during`` while the probe asks, and return what the probe saw."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.lag_probe", agent.address),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=TREE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await asyncio.wait_for(process.stdout.readline(), ANSWER_LIMIT_S)
        await during()
    finally:
        process.stdin.close()
    seen = json.loads(await asyncio.wait_for(process.stdout.readline(), ANSWER_LIMIT_S))
    await process.wait()
    return Lag(largest_s=seen["largest_s"], median_s=seen["median_s"], count=seen["count"])
