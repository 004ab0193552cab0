"""A real agentd over HTTP: what its containers use, how long launches take, why it is not ready; and Mesos' names of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.metrics.pages import FRESH_S
from paddock.wire.v1 import containers_pb2
from tests.agentd_process import AgentdProcess, running_agentd
from tests.kernel.agentd.calling import RUNNING, Caller, calling, resources, shell
from tests.scraping import get, scrape

BUSY = shell("x=0; while [ $x -lt 20000 ]; do x=$((x+1)); done; exec sleep 1000")


@pytest.fixture(scope="module")
def agentd() -> Iterator[AgentdProcess]:
    """Its master is not there."""
    with running_agentd("--metrics-container-limit=2", "--master=127.0.0.1:1") as process:
        yield process


def tells_pressure(cgroup: str) -> bool:
    """Whether this kernel does: on cgroup v2, unless PSI is switched off."""
    try:
        return b"total=" in Path(cgroup, "cpu.pressure").read_bytes()
    except OSError:
        return False


async def ended(caller: Caller, container: containers_pb2.Container) -> None:
    await caller.kill(container, grace_ms=0)
    await caller.wait(container)


async def test_an_agent_is_scraped(agentd: AgentdProcess) -> None:
    path = f"{agentd.directory}/agentd.sock.http"
    async with calling(agentd.address) as caller:
        running = [
            await caller.launch(BUSY, until=RUNNING, asked=resources(mem_mib=48), container_id=f"c{i}")
            for i in range(3)
        ]
        found = await asyncio.to_thread(scrape, path)
        own = {key[1] for key in found if key[0] == "agentd_container_pids"}
        assert own == {"container_id=c2", "container_id=c1", "container_id=other"}, (
            "the two newest, and the sum of the rest"
        )
        assert found["agentd_metrics_containers_cut",] == 1
        assert found["agentd_container_pids", "container_id=c2", "task_id="] >= 1
        assert found["agentd_container_memory_limit_bytes", "container_id=c2", "task_id="] == 48 * 2**20
        for kind in ("usage", "anon", "file", "working_set"):
            assert ("agentd_container_memory_bytes", "container_id=c1", f"kind={kind}", "task_id=") in found
        cpu = [
            value
            for key, value in found.items()
            if key[:2] == ("agentd_container_cpu_seconds_total", "container_id=c1")
        ]
        assert len(cpu) == 2
        assert found["agentd_containers", "state=running"] == 3
        for stage in ("prepare", "launch", "total"):
            assert found["agentd_launch_seconds_count", f"stage={stage}"] == 3
        assert found["agentd_launch_seconds_count", "stage=fetch"] == 0
        assert found["agentd_isolator_seconds_count", "isolator=cgroups/mem", "operation=prepare"] == 3
        assert found["agentd_checkpoint_seconds_count",] >= 3
        assert found["agentd_ready",] == 0
        psi = [key for key in found if key[0] == "agentd_container_pressure_seconds_total"]
        paths = [path for each in running for path in each.cgroup_paths]
        assert bool(psi) is any(map(tells_pressure, paths))
        _, text = await asyncio.to_thread(get, path, "/monitor/statistics.json")
        rows = {row["container_id"]: row["statistics"] for row in json.loads(text)}
        assert rows.keys() == {"c0", "c1", "c2"}
        assert rows["c0"]["mem_limit_bytes"] == 48 * 2**20
        assert rows["c0"]["cpus_soft_limit"] == 0.1
        _, text = await asyncio.to_thread(get, path, "/metrics/snapshot")
        assert json.loads(text)["slave/executors_running"] == 3
        for container in running:
            await ended(caller, container)
    await asyncio.sleep(FRESH_S * 1.2)  # what was asked before is told no more
    found = await asyncio.to_thread(scrape, path)
    assert sum(value for key, value in found.items() if key[0] == "agentd_containers_ended_total") == 3
    assert found["agentd_isolator_seconds_count", "isolator=cgroups/mem", "operation=cleanup"] == 3
    assert not [key for key in found if key[0] == "agentd_container_pids"]


def test_ready_tells_why_not(agentd: AgentdProcess) -> None:
    path = f"{agentd.directory}/agentd.sock.http"
    assert get(path, "/healthz") == (200, b"ok\n")
    assert get(path, "/readyz") == (503, b"not registered with a master: 127.0.0.1:1\n")
