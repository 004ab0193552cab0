"""Runs inside the machine that has docker.io: Docker tasks of a real agentd on cgroup v2.

Not collected by name: tests/vm/test_docker.py has it run where systemd is process 1 and the cgroups are v2. Few whole lives,
each of which shows much: to start a container takes the emulated engine ten seconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from paddock.wire.v1 import container_service_pb2 as pb
from paddock.wire.v1 import containers_pb2, tasks_pb2
from testbed.engine import images
from testbed.engine.engine import PATIENCE_S, Engine, running_engine
from tests.agentd_process import AgentdProcess, lent, running_agentd
from tests.kernel.agentd.calling import CALL_TIMEOUT_S, RUNNING, Caller, calling, resources, shell
from tests.scraping import scrape

pytestmark = pytest.mark.timeout(900)

MIB = 1 << 20
EAT = "dd if=/dev/zero of=/dev/null bs=100M count=1"
SHOWN = ("cpu.weight", "memory.max", "memory.swap.max", "pids.max")
UNTIL_GO = "while [ ! -e $PADDOCK_SANDBOX/go ]; do sleep 1; done"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """With live-restore, as an operator wants it."""
    with running_engine(live_restore=True) as started:
        images.build_busybox(started)
        yield started


@pytest.fixture(scope="module")
def standing_agentd(engine: Engine) -> Iterator[AgentdProcess]:
    settings = ("--containerizers=docker,native", f"--docker-socket={engine.socket}", "--docker-call-timeout=120s")
    with running_agentd(*settings, "--container-disk-watch-interval=500ms") as agentd:
        yield agentd


@pytest.fixture
def agentd(standing_agentd: AgentdProcess, engine: Engine) -> Iterator[AgentdProcess]:
    with lent(standing_agentd) as lent_one:
        yield lent_one
    assert left_in(engine) == []


@pytest.fixture
async def agent(agentd: AgentdProcess) -> AsyncIterator[Caller]:
    async with calling(agentd.address) as caller:
        yield caller


def left_in(engine: Engine) -> list[str]:
    with images.client(engine) as api:
        return [str(each["Names"]) for each in api.containers(all=True)]


def docker() -> tasks_pb2.ContainerInfo:
    info = tasks_pb2.DockerInfo(image=images.BUSYBOX, network=tasks_pb2.DockerInfo.NETWORK_NONE, init=False)
    return tasks_pb2.ContainerInfo(type=tasks_pb2.CONTAINER_TYPE_DOCKER, docker=info)


async def until(happened: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not await happened():
        assert time.monotonic() < deadline_s, f"{what}: it did not happen"
        await asyncio.sleep(0.2)


async def said(agent: Caller, container: containers_pb2.Container, words: str) -> list[str]:
    """Its output's lines, once this is one of them."""
    lines: list[str] = []

    async def has_said() -> bool:
        lines[:] = (await agent.read(container, "stdout")).decode().splitlines()
        return words in lines

    try:
        await until(has_said, f"it says {words!r}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it says {lines}, and {await agent.read(container, 'stderr')!r}") from None
    return lines


async def measured(agent: Caller, container: containers_pb2.Container) -> containers_pb2.ResourceStatistics:
    request = pb.ListStatisticsRequest(container_ids=[container.container_id])
    return (await agent.containers.ListStatistics(request)).statistics[0].statistics


async def limits_of(agent: Caller, container: containers_pb2.Container) -> dict[str, str]:
    """What is in force in our own cgroup, above the engine's."""
    request = pb.ListEffectiveLimitsRequest(container_id=container.container_id)
    limits = (await agent.containers.ListEffectiveLimits(request)).limits
    return {limit.path.rpartition("/")[2]: limit.in_force for limit in limits}


async def test_a_life_within_limits_that_are_changed_to_a_kill_that_escalates(
    agent: Caller, agentd: AgentdProcess
) -> None:
    busy = "x=0; while [ $x -lt 20000 ]; do x=$((x+1)); done"
    line = f"trap 'echo asked' TERM; cd /sys/fs/cgroup; cat {' '.join(SHOWN)}; {busy}; echo ready; while :; do sleep 1; done"
    running = await agent.launch(
        shell(line),
        until=RUNNING,
        asked=resources(cpus_milli=250, mem_mib=48),
        limits=tasks_pb2.ResourceLimits(cpus_milli=300, pids_count=33),
        container=docker(),
        kill_policy=tasks_pb2.KillPolicy(grace_period_ms=2000),
    )
    wanted = {"cpu.weight": "25", "memory.max": str(48 * MIB), "memory.swap.max": "0", "pids.max": "33"}
    lines = await said(agent, running, "ready")
    assert dict(zip(SHOWN, lines, strict=False)) == wanted
    in_force = await limits_of(agent, running)
    assert {name: in_force[name] for name in SHOWN} == wanted
    used = await measured(agent, running)
    assert used.pids_count == 2
    assert 0 < used.memory_usage_bytes <= used.memory_peak_bytes <= 48 * MIB
    assert used.cpu_throttled_count > 0
    found = await asyncio.to_thread(scrape, f"{agentd.directory}/agentd.sock.http")
    own = {key[0] for key in found if f"container_id={running.container_id.value}" in key}
    assert {"agentd_container_io_bytes_total", "agentd_container_pressure_seconds_total"} <= own
    request = pb.UpdateContainerRequest(
        container_id=running.container_id,
        resources=resources(cpus_milli=250, mem_mib=64),
        limits=tasks_pb2.ResourceLimits(cpus_milli=400, pids_count=44),
    )
    await agent.containers.UpdateContainer(request, timeout=CALL_TIMEOUT_S)
    changed = {"memory.max": str(64 * MIB), "pids.max": "44"}
    in_force = await limits_of(agent, running)
    assert {name: in_force[name] for name in changed} == changed
    out, err, status = await agent.enter(running, shell("cd /sys/fs/cgroup; cat memory.max pids.max; exit 7"))
    assert (out.decode().split(), err, os.waitstatus_to_exitcode(status)) == (list(changed.values()), b"", 7)
    await agent.kill(running)
    told = (await agent.wait(running)).termination
    assert (told.state, told.reason) == (tasks_pb2.TASK_KILLED, tasks_pb2.REASON_KILL_GRACE_EXPIRED), told
    assert (told.evidence.stop.signal, told.evidence.stop.escalated) == (signal.SIGTERM, True)
    assert told.evidence.cpu.throttled_count >= used.cpu_throttled_count
    assert told.evidence.memory.peak_bytes >= used.memory_peak_bytes
    assert told.evidence.memory.limit_bytes == 64 * MIB
    assert (await agent.read(running, "stdout")).endswith(b"ready\nasked\n")


async def test_an_oom_kill_of_the_main_process_is_told(agent: Caller) -> None:
    line = f"echo out; echo err >&2; exec {EAT}"
    told = (await agent.launch(shell(line), asked=resources(mem_mib=40), container=docker())).termination
    assert (told.state, told.reason) == (tasks_pb2.TASK_FAILED, tasks_pb2.REASON_CONTAINER_LIMITATION_MEMORY), told
    memory = told.evidence.memory
    assert (memory.limit_bytes, memory.oom_kill_count) == (40 * MIB, 1)
    assert memory.peak_bytes > 30 * MIB
    assert [(victim.comm, victim.main) for victim in memory.victims] == [("dd", True)]


async def test_an_oom_kill_of_a_child_is_told_while_the_others_live_and_at_the_end(agent: Caller) -> None:
    line = f"{EAT}; echo lives; echo err >&2; {UNTIL_GO}; exit 3"
    running = await agent.launch(shell(line), until=RUNNING, asked=resources(mem_mib=40), container=docker())
    await said(agent, running, "lives")
    assert (await measured(agent, running)).memory_oom_kill_count == 1
    Path(running.sandbox, "go").touch()
    ended = await agent.wait(running)
    told = ended.termination
    assert os.waitstatus_to_exitcode(told.wait_status) == 3
    assert told.reason == tasks_pb2.REASON_COMMAND_EXITED
    assert told.evidence.memory.oom_kill_count == 1
    assert [(victim.comm, victim.main) for victim in told.evidence.memory.victims] == [("dd", False)]
    assert (await agent.read(ended, "stderr")).endswith(b"err\n")


async def test_what_is_written_into_the_image_is_its_disk(agent: Caller) -> None:
    line = "mkdir /big; dd if=/dev/zero of=/big/file bs=1M count=40; exec sleep 1000"
    told = (await agent.launch(shell(line), asked=resources(mem_mib=64, disk_mib=16), container=docker())).termination
    assert told.reason == tasks_pb2.REASON_CONTAINER_LIMITATION_DISK, told
    assert "/big" in told.message


async def test_agent_and_engine_may_go_and_come_back(agentd: AgentdProcess, engine: Engine) -> None:
    counting = "i=0; while [ ! -e $PADDOCK_SANDBOX/go ]; do i=$((i+1)); echo $i; sleep 1; done; exit 5"
    async with calling(agentd.address) as agent:
        lives = await agent.launch(shell(counting), until=RUNNING, container=docker())
        dies = await agent.launch(shell("exec sleep 1000"), until=RUNNING, container=docker())
        agentd.crash()
        engine.kill()
    agentd.start()
    async with calling(agentd.address) as agent:
        found = await agent.get(lives)
        assert (found.state, found.pid) == (containers_pb2.CONTAINER_RUNNING, lives.pid)
        assert (await measured(agent, lives)).pids_count >= 1
        await agent.kill(dies, grace_ms=1000)
        told = (await agent.wait(dies)).termination
        assert told.state == tasks_pb2.TASK_KILLED, told
        engine.start()
        Path(lives.sandbox, "go").touch()
        ended = await agent.wait(lives)
        assert os.waitstatus_to_exitcode(ended.termination.wait_status) == 5, ended.termination
        numbers = (await agent.read(ended, "stdout")).decode().split()
        assert numbers == [str(number) for number in range(1, len(numbers) + 1)]

    async def is_empty() -> bool:
        return left_in(engine) == []

    await until(is_empty, "the engine is rid of both")
