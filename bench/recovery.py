"""An agent that comes back: how long until it knows its containers again, and what a checkpoint costs beside a bare fsync."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from agentd.checkpoint import CheckpointLog
from bench.agent import Agent, LaunchError
from bench.cluster import RESOURCES
from bench.table import Figure, Goal
from bench.thousand import end_all, start_thousand
from paddock.rpc.channel import open_channel
from paddock.wire.v1 import containers_pb2
from testbed.one_host import OneHost

COUNTS = (0, 250, 500, 1000)
RESTARTS = 3
ENDED_COUNT = 10
START_TIMEOUT_S = 120.0
GOAL = Goal(at_most=1.0)
CHECKPOINTS = 200
ENTRY_BYTES = 1500
"""About what the log has of a container's launch."""


async def measure() -> list[Figure]:
    """With more and more containers. An agent without any starts in the time of its imports: that is taken off."""
    host = OneHost.make(agent_arguments=[f"--resources={RESOURCES}"])
    try:
        await asyncio.to_thread(host.start)
        containers: list[containers_pb2.Container] = []
        times: dict[int, float] = {}
        for count in COUNTS:
            async with open_channel(host.agent_address) as channel:
                agent = Agent(channel, host.agentd.pid, host.agent_address)
                containers += await start_thousand(agent, count=count - len(containers))
            times[count] = median([await asyncio.to_thread(_restart, host) for _attempt in range(RESTARTS)])
        loop_s = min(_loop(host, containers) for _attempt in range(RESTARTS))
        await _lose_none(host, containers)
    finally:
        await asyncio.to_thread(host.stop)
    bare_s = times[0]
    figures = [
        Figure(
            name=f"recover_{count}_s",
            value=times[count] - bare_s,
            unit="s",
            peer="a connection to each ear, and each /proc entry",
            goal=GOAL if count == COUNTS[-1] else None,
            runs=RESTARTS,
        )
        for count in COUNTS[1:]
    ]
    figures.append(Figure(name="recover_loop_s", value=loop_s, unit="s", runs=RESTARTS))
    return [*figures, *_checkpoints()]


def _restart(host: OneHost) -> float:
    """Seconds from the start of the program to its word that it is ready."""
    host.agentd.send(signal.SIGKILL)
    host.agentd.stop()
    begin_s = time.perf_counter()
    host.agentd.start(START_TIMEOUT_S)
    return time.perf_counter() - begin_s


def _loop(host: OneHost, containers: Sequence[containers_pb2.Container]) -> float:
    """The least that anybody has to do: each shim is spoken to, and it is what it was."""
    sockets_dir = Path(host.directory) / "agent" / "run"
    begin_s = time.perf_counter()
    for container in containers:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as ear:
            ear.connect(str(sockets_dir / f"{container.container_id.value}.sock"))
        for pid in (container.pid, container.shim_pid):
            Path(f"/proc/{pid}/stat").read_bytes()
    return time.perf_counter() - begin_s


async def _lose_none(host: OneHost, containers: list[containers_pb2.Container]) -> None:
    """Some end while the agent is away: each is told, with its own cause; the others run."""
    host.agentd.send(signal.SIGKILL)
    host.agentd.stop()
    for container in containers[:ENDED_COUNT]:
        os.kill(container.pid, signal.SIGTERM)
    host.agentd.start(START_TIMEOUT_S)
    async with open_channel(host.agent_address) as channel:
        agent = Agent(channel, host.agentd.pid, host.agent_address)
        for container in containers[:ENDED_COUNT]:
            ended = await agent.wait(container)
            if os.waitstatus_to_exitcode(ended.termination.wait_status) != -signal.SIGTERM:
                raise LaunchError(
                    f"it was ended by SIGTERM while the agent was away, and is told as {ended.termination}"
                )
        running = await agent.running_count()
        if running != len(containers) - ENDED_COUNT:
            raise LaunchError(f"{running} containers run after the restart, of {len(containers) - ENDED_COUNT}")
        await end_all(agent, containers[ENDED_COUNT:])


def _checkpoints() -> list[Figure]:
    """One launch's entry, durable, by the agent's own log; and as many bytes written and synced by themselves."""
    content = os.urandom(ENTRY_BYTES)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="paddock-bench-", dir="/var/tmp") as directory:
        log, _frames = CheckpointLog.open(f"{directory}/log")
        fd = os.open(f"{directory}/bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for _number in range(CHECKPOINTS):
            begin_s = time.perf_counter()
            log.append(content)
            middle_s = time.perf_counter()
            os.write(fd, content)
            os.fdatasync(fd)
            ours.append(middle_s - begin_s)
            theirs.append(time.perf_counter() - middle_s)
        os.close(fd)
        log.close()
    peer = "write and fdatasync of as much"
    return [
        Figure(name="checkpoint_ms", value=median(ours) * 1000, unit="ms", peer=peer, runs=CHECKPOINTS),
        Figure(name="checkpoint_bare_ms", value=median(theirs) * 1000, unit="ms", peer=peer, runs=CHECKPOINTS),
    ]
