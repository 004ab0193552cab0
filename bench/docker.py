"""Launches of the same command native, in Docker through the agent, by the bare Engine API, and by `docker run`; in one run.

The agent's own time is what a launch through it takes longer than the four calls of the API that make the same life: create,
start, wait, remove. All use one engine, in a network namespace and a directory of its own, and one image.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import docker

from bench.agent import MIB, LaunchError, in_turn
from bench.bundle import CPU_SHARES, CPUS_MILLI, MEMORY_BYTES, PIDS_COUNT
from bench.cluster import RESOURCES
from bench.pairing import Pairs, measure_pairs
from bench.peer_process import PeerError
from bench.table import Figure, Goal
from paddock.rpc.channel import NO_DEADLINE_S, Channel, open_channel
from paddock.wire.v1 import container_service_pb2 as service
from paddock.wire.v1 import resources_pb2, tasks_pb2
from paddock.wire.v1.container_service_pb2_grpc import ContainerServiceStub
from testbed.engine import images
from testbed.engine.engine import Engine, running_engine
from testbed.one_host import OneHost

PAIRS = 30
NATIVE_PAIRS = 15
RATE_LAUNCHES = 24
IN_FLIGHT = 4
OVERHEAD_GOAL = Goal(at_most=15)
NATIVE_GOAL = Goal(at_most=0.1)
_COMMAND = "/bin/true"


async def measure() -> list[Figure]:
    """Both figures, and what they are made of."""
    with running_engine() as engine:
        images.build_busybox(engine)
        async with _subject(engine) as ours:
            with images.client(engine) as api:
                peers = _Peers(engine, api)
                return [*await _latencies(ours, peers), *await _rates(ours, peers)]


async def _latencies(ours: _Subject, peers: _Peers) -> list[Figure]:
    beside = await measure_pairs(ours.docker, peers.bare, count=PAIRS)
    native = await measure_pairs(ours.native, peers.docker_run, count=NATIVE_PAIRS)
    return [
        Figure(
            name="docker_overhead_ms",
            value=_overhead_ms(beside),
            unit="ms",
            peer="create, start, wait, remove by the Engine API",
            goal=OVERHEAD_GOAL,
            runs=beside.count(),
        ),
        Figure(name="docker_launch_ms", value=beside.our_median() * 1000, unit="ms", runs=beside.count()),
        Figure(name="docker_bare_ms", value=beside.their_median() * 1000, unit="ms", runs=beside.count()),
        Figure(
            name="native_vs_docker_run",
            value=native.ratio(),
            unit="ratio",
            peer="docker run --rm",
            goal=NATIVE_GOAL,
            runs=native.count(),
        ),
        Figure(name="docker_run_ms", value=native.their_median() * 1000, unit="ms", runs=native.count()),
    ]


def _overhead_ms(pairs: Pairs) -> float:
    """The median of the differences of each pair."""
    differences = sorted(ours - theirs for ours, theirs in zip(pairs.ours, pairs.theirs, strict=True))
    return differences[len(differences) // 2] * 1000


async def _rates(ours: _Subject, peers: _Peers) -> list[Figure]:
    found = []
    for name, one in (
        ("native", ours.native),
        ("docker", ours.docker),
        ("docker_bare", peers.bare),
        ("docker_run", peers.docker_run),
    ):
        begin_s = time.perf_counter()
        await in_turn(RATE_LAUNCHES, IN_FLIGHT, one)
        rate = RATE_LAUNCHES / (time.perf_counter() - begin_s)
        found.append(Figure(name=f"{name}_launches_per_s", value=rate, unit="launches/s", runs=RATE_LAUNCHES))
    return found


class _Subject:
    """One agent with both containerizers."""

    def __init__(self, channel: Channel) -> None:
        self._containers = ContainerServiceStub(channel)

    async def native(self) -> float:
        """Seconds of one whole life."""
        return await self._live(tasks_pb2.ContainerInfo(type=tasks_pb2.CONTAINER_TYPE_NATIVE))

    async def docker(self) -> float:
        """Seconds of one whole life."""
        info = tasks_pb2.DockerInfo(image=images.BUSYBOX, network=tasks_pb2.DockerInfo.NETWORK_NONE, init=False)
        return await self._live(tasks_pb2.ContainerInfo(type=tasks_pb2.CONTAINER_TYPE_DOCKER, docker=info))

    async def _live(self, container: tasks_pb2.ContainerInfo) -> float:
        resources = [
            resources_pb2.Resource(name="cpus", scalar_milli=CPUS_MILLI),
            resources_pb2.Resource(name="mem", scalar_milli=MEMORY_BYTES // MIB * 1000),
        ]
        request = service.LaunchContainerRequest(
            command=tasks_pb2.CommandInfo(arguments=[_COMMAND]),
            resources=resources,
            limits=tasks_pb2.ResourceLimits(pids_count=PIDS_COUNT),
            container=container,
            wait_until=service.WAIT_UNTIL_TERMINATED,
        )
        begin_s = time.perf_counter()
        answer = await self._containers.LaunchContainer(request, timeout=NO_DEADLINE_S)
        took_s = time.perf_counter() - begin_s
        if answer.container.termination.state != tasks_pb2.TASK_FINISHED:
            raise LaunchError(f"{_COMMAND}: {answer.container.termination}")
        return took_s


class _Peers:
    """The engine by itself, asked for the same limits."""

    def __init__(self, engine: Engine, api: docker.APIClient) -> None:
        self._engine = engine
        self._api = api

    async def bare(self) -> float:
        """Seconds of the four calls."""
        return await asyncio.to_thread(self._bare)

    def _bare(self) -> float:
        begin_s = time.perf_counter()
        host = self._api.create_host_config(
            network_mode="none",
            mem_limit=MEMORY_BYTES,
            memswap_limit=MEMORY_BYTES,
            cpu_shares=CPU_SHARES,
            pids_limit=PIDS_COUNT,
        )
        container = self._api.create_container(images.BUSYBOX, [_COMMAND], host_config=host)["Id"]
        self._api.start(container)
        code = self._api.wait(container)["StatusCode"]
        self._api.remove_container(container)
        took_s = time.perf_counter() - begin_s
        if code:
            raise PeerError(f"the engine's {_COMMAND} ended with code {code}")
        return took_s

    async def docker_run(self) -> float:
        """Seconds of the command."""
        begin_s = time.perf_counter()
        limits = (f"--memory={MEMORY_BYTES}", f"--memory-swap={MEMORY_BYTES}", f"--cpu-shares={CPU_SHARES}")
        process = await asyncio.create_subprocess_exec(
            *("docker", f"--host={self._engine.url}", "run", "--rm", "--network=none", f"--pids-limit={PIDS_COUNT}"),
            *limits,
            images.BUSYBOX,
            _COMMAND,
        )
        code = await process.wait()
        if code:
            raise PeerError(f"docker run ended with code {code}")
        return time.perf_counter() - begin_s


@asynccontextmanager
async def _subject(engine: Engine) -> AsyncIterator[_Subject]:
    host = OneHost.make(
        agent_arguments=[
            f"--resources={RESOURCES}",
            "--containerizers=native,docker",
            f"--docker-socket={engine.socket}",
        ]
    )
    try:
        await asyncio.to_thread(host.start)
        async with open_channel(host.agent_address) as channel:
            yield _Subject(channel)
    finally:
        await asyncio.to_thread(host.stop)
