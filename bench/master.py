"""A real masterd with a thousand simulated agents and a hundred frameworks over real gRPC, and one that starts after a crash.

`python -m bench.master` measures it alone. Beside it, in the same run, a bare gRPC server with as many calls and messages.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from bench.master_load import FREED_COUNT, PACE_S
from bench.peers import TREE
from bench.processes import cpu_s, pss_kib
from bench.table import Figure, render
from masterd.core.effects import SaveAgent
from masterd.registry import Registry
from paddock.model.ids import AgentId
from testbed.daemon_process import DaemonProcess

PROCESSES = 2
AGENT_COUNT = 1_000
FRAMEWORK_COUNT = 100
WINDOW_S = 4.0
WINDOWS = 3
BARE_S = 6.0
KNOWN_AGENT_COUNT = 10_000
STARTS = 3
ANSWER_TIMEOUT_S = 120.0
READY_TIMEOUT_S = 120.0
WEIGHTS = ",".join(f"role{number}={1 + number % 3}" for number in range(20))


class MasterBenchError(Exception):
    """The load could not be made: what broke."""


class Loader:
    """One process of the load."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, word: str) -> object:
        """Its answer. Raises MasterBenchError when it breaks, or says nothing for too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word.encode() + b"\n")
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            line = await self._process.stdout.readline()
        told = json.loads(line or b'{"error": "the process ended"}')
        if "error" in told:
            raise MasterBenchError(f"{word}: {told['error']}")
        return told["answer"]


@asynccontextmanager
async def loaders(address: str, agent_count: int, framework_count: int) -> AsyncIterator[list[Loader]]:
    """So many agents and frameworks in all, spread over the processes; gone afterwards."""
    async with AsyncExitStack() as stack:
        made = []
        for number in range(PROCESSES):
            words = (address, f"p{number}", str(agent_count // PROCESSES), str(framework_count // PROCESSES))
            made.append(Loader(await _process(stack, "bench.master_load", *words)))
        yield made


async def _process(stack: AsyncExitStack, module: str, *words: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *words),
        cwd=TREE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=64 * 1024 * 1024,
    )

    async def end() -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    stack.push_async_callback(end)
    return process


async def _all(made: Sequence[Loader], word: str) -> list[object]:
    return await asyncio.gather(*(loader.ask(word) for loader in made))


class Master:
    """A masterd in a directory of its own, on loopback."""

    def __init__(self, directory: str, *more: str) -> None:
        self.address = f"127.0.0.1:{_free_port()}"
        (Path(directory) / "empty.toml").touch()
        arguments = [
            *(f"--config={directory}/empty.toml", f"--state-dir={directory}/state"),
            *(f"--listen={self.address}", "--tcp-uid=0", f"--weights={WEIGHTS}", *more),
        ]
        self.daemon = DaemonProcess("masterd", arguments, directory)

    async def start(self) -> None:
        """Returns when it serves."""
        await asyncio.to_thread(self.daemon.start, READY_TIMEOUT_S)

    async def crash(self) -> None:
        """SIGKILL, and gone when this returns."""
        self.daemon.send(signal.SIGKILL)
        await self.stop()

    async def stop(self) -> None:
        """Idempotent."""
        await asyncio.to_thread(self.daemon.stop)


@asynccontextmanager
async def _new_master() -> AsyncIterator[Master]:
    directory = tempfile.mkdtemp(prefix="paddock-bench-", dir="/var/tmp")
    master = Master(directory)
    try:
        yield master
    finally:
        await master.stop()
        shutil.rmtree(directory)


async def measure() -> list[Figure]:
    """Everything, one after the other."""
    return [*await _busy(), *await _starts()]


async def _busy() -> list[Figure]:
    agent_kib = await _agent_kib()
    async with _new_master() as master:
        await master.start()
        async with loaders(master.address, AGENT_COUNT, FRAMEWORK_COUNT) as made:
            # In this order: the first framework would else be offered all agents, and be what is measured.
            await _all(made, "frameworks")
            await _all(made, "agents")
            tasks_per_s, cpu_ms = await _throughput(made, master.daemon.pid)
            latencies_ms = await _latencies(made)
    bare = await _bare()
    peer, streams = "bare gRPC, as many messages", f"bare gRPC, {bare.stream_kib:.0f} KiB for a stream"
    waits, bare_waits = quantiles(latencies_ms, n=100), quantiles(bare.trips_ms, n=100)
    event, there, runs = "from an end of a task to its offer", "bare gRPC, there and back", len(latencies_ms)
    return [
        Figure(name="master_tasks_per_s", value=tasks_per_s, unit="/s", peer=peer, runs=WINDOWS),
        Figure(name="master_bare_tasks_per_s", value=bare.tasks_per_s, unit="/s", peer=peer, runs=1),
        Figure(name="master_task_cpu_ms", value=cpu_ms, unit="ms", peer=peer, runs=WINDOWS),
        Figure(name="master_bare_task_cpu_ms", value=bare.cpu_ms, unit="ms", peer=peer, runs=1),
        Figure(name="master_agent_pss_kib", value=agent_kib, unit="KiB", peer=streams, runs=AGENT_COUNT),
        Figure(name="master_offer_p50_ms", value=waits[49], unit="ms", peer=event, runs=runs),
        Figure(name="master_offer_p99_ms", value=waits[98], unit="ms", peer=event, runs=runs),
        Figure(name="master_bare_offer_p50_ms", value=bare_waits[49], unit="ms", peer=there, runs=len(bare.trips_ms)),
        Figure(name="master_bare_offer_p99_ms", value=bare_waits[98], unit="ms", peer=there, runs=len(bare.trips_ms)),
    ]


async def _agent_kib() -> float:
    """What a master grows by for each agent that comes, with nobody to offer it to."""
    async with _new_master() as master:
        await master.start()
        async with loaders(master.address, AGENT_COUNT, 0) as made:
            # The load's processes share Python's pages with the master: they have started when they answer.
            await _all(made, "count")
            empty_kib = pss_kib(master.daemon.pid)
            await _all(made, "agents")
            return (pss_kib(master.daemon.pid) - empty_kib) / AGENT_COUNT


async def _throughput(made: Sequence[Loader], pid: int) -> tuple[float, float]:
    """Tasks per second whose end was acknowledged, and the master's processor time for one, in ms: medians."""
    await _quiet(made)
    await _all(made, "go")
    # In the beginning all tasks end at once: until the agents have had two each.
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while await _count(made) < 2 * AGENT_COUNT:
            await asyncio.sleep(0.2)
    rates, costs_ms = [], []
    for _ in range(WINDOWS):
        before, begin_cpu_s, begin_s = await _count(made), cpu_s(pid), time.monotonic()
        await asyncio.sleep(WINDOW_S)
        done, used_s, took_s = await _count(made) - before, cpu_s(pid) - begin_cpu_s, time.monotonic() - begin_s
        if done == 0:
            raise MasterBenchError("no task ended while they were counted")
        rates.append(done / took_s)
        costs_ms.append(used_s / done * 1000)
    await _all(made, "rest")
    return median(rates), median(costs_ms)


async def _count(made: Sequence[Loader]) -> int:
    return sum(int(str(each)) for each in await _all(made, "count"))


async def _latencies(made: Sequence[Loader]) -> list[float]:
    """One after the other, on a master that has nothing else to do; all processes of a host have one clock."""
    await _quiet(made)
    for loader in made:
        await loader.ask("free")
    await _quiet(made)
    freed: list[tuple[str, int]] = []
    offered: dict[str, list[int]] = {}
    for seen in await _all(made, "seen"):
        assert isinstance(seen, dict)
        freed += [(str(agent_id), int(at_ns)) for agent_id, at_ns in seen["freed"]]
        for agent_id, at_ns in seen["offered"]:
            offered.setdefault(str(agent_id), []).append(int(at_ns))
    return [_wait_ns(sorted(offered.get(agent_id, ())), at_ns) / 1e6 for agent_id, at_ns in freed]


def _wait_ns(offered_ns: Sequence[int], freed_ns: int) -> int:
    place = bisect_left(offered_ns, freed_ns)
    if place == len(offered_ns):
        raise MasterBenchError("what was freed was never offered")
    return offered_ns[place] - freed_ns


async def _quiet(made: Sequence[Loader]) -> None:
    """Until all that is offered runs: no task has begun or ended for a second."""
    before: list[object] = []
    while (now := [*await _all(made, "count"), *await _all(made, "running")]) != before:
        before = now
        await asyncio.sleep(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """Of the bare server: its tasks, its processor time for one, its memory for a stream, and messages there and back."""

    tasks_per_s: float
    cpu_ms: float
    stream_kib: float
    trips_ms: Sequence[float]


async def _bare() -> Bare:
    port = str(_free_port())
    async with AsyncExitStack() as stack:
        server = await _process(stack, "bench.echo", "serve", port)
        await _line(server)
        holder = await _process(stack, "bench.echo", "hold", port, str(AGENT_COUNT))
        await _line(holder)
        empty_kib = pss_kib(server.pid)
        assert holder.stdin is not None
        holder.stdin.write(b"\n")
        await _line(holder)
        stream_kib = (pss_kib(server.pid) - empty_kib) / AGENT_COUNT
        trips = await _process(stack, "bench.echo", "trip", port, str(PROCESSES * FREED_COUNT), str(PACE_S))
        trips_ms = json.loads(await _line(trips))
        begin_cpu_s = cpu_s(server.pid)
        loads = [await _process(stack, "bench.echo", "load", port, str(BARE_S)) for _ in range(PROCESSES)]
        done = sum([int(await _line(load)) for load in loads])
        cpu_ms = (cpu_s(server.pid) - begin_cpu_s) / done * 1000
        return Bare(tasks_per_s=done / BARE_S, cpu_ms=cpu_ms, stream_kib=stream_kib, trips_ms=trips_ms)


async def _line(process: asyncio.subprocess.Process) -> bytes:
    """The next one that it prints."""
    assert process.stdout is not None
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        line = await process.stdout.readline()
    if not line:
        raise MasterBenchError("a process of the bare server's load ended: its words are above")
    return line


async def _starts() -> list[Figure]:
    """After a SIGKILL, with many agents known and with none: until it serves, and until what comes first is offered."""
    known, none = await _start_times(KNOWN_AGENT_COUNT), await _start_times(0)
    peer = f"no agent known: {none[0]:.2f} s, {none[1]:.2f} s"
    return [
        Figure(name="master_start_10k_s", value=known[0], unit="s", peer=peer, runs=STARTS),
        Figure(name="master_start_offer_10k_s", value=known[1], unit="s", peer=peer, runs=STARTS),
        Figure(name="master_start_empty_s", value=none[0], unit="s", runs=STARTS),
        Figure(name="master_start_offer_empty_s", value=none[1], unit="s", runs=STARTS),
    ]


async def _start_times(agent_count: int) -> tuple[float, float]:
    serves, offers = [], []
    async with _new_master() as master:
        registry = Registry.open(f"{Path(master.daemon.log_path).parent}/state")
        registry.write([_known(number) for number in range(agent_count)])
        registry.close()
        await master.start()
        for _ in range(STARTS):
            async with loaders(master.address, PROCESSES, PROCESSES) as made:
                # The load's processes have started when they answer.
                await _all(made, "count")
                await master.crash()
                begin_s = time.monotonic()
                await master.start()
                serves.append(time.monotonic() - begin_s)
                await _all(made, "frameworks")
                await _all(made, "agents")
                offers.append(min(int(str(at_ns)) for at_ns in await _all(made, "offered")) / 1e9 - begin_s)
    return median(serves), median(offers)


def _known(number: int) -> SaveAgent:
    host = f"host-{number}"
    return SaveAgent(
        agent_id=AgentId(f"known-{number}"),
        hostname=host,
        unix_address="",
        tcp_address=f"{host}:5051",
        unreachable_ns=None,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    print(render(asyncio.run(measure())))
