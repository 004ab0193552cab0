"""A running container's size is changed by a real agentd and its shim; what the kernel refuses leaves everything as it was."""

import asyncio
import os
import random
import signal
from collections import Counter

import pytest

from paddock.model.errors import (
    ContainerizerError,
    InvalidRequest,
    InvalidTransition,
    NotFound,
    ResourcesExhausted,
)
from paddock.rpc.errors import remote_errors
from paddock.wire.v1 import container_service_pb2 as pb
from paddock.wire.v1 import containers_pb2, tasks_pb2
from paddock.wire.v1.resources_pb2 import Resource
from tests.agentd_process import AgentdProcess
from tests.kernel.agentd.calling import CALL_TIMEOUT_S, RUNNING, Caller, calling, resources, shell

SLEEP = shell("exec sleep 1000")
PYTHON = "/usr/bin/python3"
MIB = 2**20
HOLD = "import time; b = b'x' * (80 << 20); print('holds', flush=True); time.sleep(1000)"


async def update(
    agent: Caller,
    container: containers_pb2.Container,
    *asked: Resource,
    limits: tasks_pb2.ResourceLimits | None = None,
) -> pb.UpdateContainerResponse:
    request = pb.UpdateContainerRequest(container_id=container.container_id, resources=asked, limits=limits)
    with remote_errors():
        return await agent.containers.UpdateContainer(request, timeout=CALL_TIMEOUT_S)


async def in_force(agent: Caller, container: containers_pb2.Container) -> dict[str, str]:
    """By resource, and every file says what was planned."""
    answer = await agent.containers.ListEffectiveLimits(
        pb.ListEffectiveLimitsRequest(container_id=container.container_id)
    )
    for limit in answer.limits:
        is_optional = limit.resource in {"disk", "swap limit", "mem+swap limit"}  # a host may not count swap
        assert is_optional or limit.remark in {"", "no limit"}, limit
    return {limit.path.rpartition("/")[2]: limit.in_force for limit in answer.limits}


async def measured(agent: Caller, container: containers_pb2.Container) -> containers_pb2.ResourceStatistics:
    request = pb.ListStatisticsRequest(container_ids=[container.container_id])
    return (await agent.containers.ListStatistics(request)).statistics[0].statistics


def amount(name: str, milli: int) -> Resource:
    return Resource(name=name, scalar_milli=milli)


async def end(agent: Caller, container: containers_pb2.Container) -> containers_pb2.Container:
    await agent.kill(container, grace_ms=0)
    return await agent.wait(container)


async def test_all_four_go_up_and_down_and_every_view_agrees(agent: Caller) -> None:
    running = await agent.launch(SLEEP, until=RUNNING, asked=resources(cpus_milli=200, mem_mib=64, disk_mib=16))
    before = await in_force(agent, running)
    bigger = tasks_pb2.ResourceLimits(cpus_milli=800, pids_count=7)
    wanted = (amount("cpus", 400), amount("mem", 128_000), amount("disk", 64_000))
    answer = await update(agent, running, *wanted, limits=bigger)
    assert {r.name: r.scalar_milli for r in answer.container.resources} == {"cpus": 400, "mem": 128_000, "disk": 64_000}
    assert (answer.container.limits.cpus_milli, answer.container.limits.pids_count) == (800, 7)
    after = await in_force(agent, running)
    assert {file for file in before if after[file] != before[file]} >= set(before) - {"disk"} - {"memory.swap.max"}
    use = await measured(agent, running)
    assert (use.memory_limit_bytes, use.pids_limit_count, use.disk_limit_bytes) == (128 * MIB, 7, 64 * MIB)
    assert "80000" in (after.get("cpu.cfs_quota_us") or after["cpu.max"])
    again = tasks_pb2.ResourceLimits(cpus_milli=-1, pids_count=1024)
    back = (amount("cpus", 200), amount("mem", 64_000), amount("disk", 16_000))
    await update(agent, running, *back, limits=again)
    lowered = await in_force(agent, running)
    assert {file: lowered[file] for file in before} == before
    assert (await measured(agent, running)).memory_limit_bytes == 64 * MIB
    assert (await end(agent, running)).termination.evidence.memory.limit_bytes == 64 * MIB


async def test_a_new_limit_is_the_kernels_at_once(agent: Caller) -> None:
    line = "while [ ! -e go ]; do sleep 0.05; done; (sleep 1 & sleep 1 & sleep 1 & wait) || exit 9; exit 0"
    running = await agent.launch(shell(line), until=RUNNING)
    await update(agent, running, limits=tasks_pb2.ResourceLimits(pids_count=2))
    open(os.path.join(running.sandbox, "go"), "w").close()
    ended = await agent.wait(running)
    assert ended.termination.evidence.pids.limit_count == 2
    assert ended.termination.evidence.pids.refused_count > 0


async def test_memory_below_what_is_in_use_is_refused_with_file_value_and_why(agent: Caller) -> None:
    running = await agent.launch(
        tasks_pb2.CommandInfo(arguments=[PYTHON, "-c", HOLD]),
        until=RUNNING,
        asked=resources(cpus_milli=200, mem_mib=128),
    )
    while await agent.read(running, "stdout") != b"holds\n":
        await asyncio.sleep(0.01)
    before = await in_force(agent, running)
    view = await agent.get(running)
    with pytest.raises(ContainerizerError) as caught:
        await update(agent, running, amount("cpus", 400), amount("mem", 48_000))
    said = str(caught.value)
    assert "/memory." in said
    assert str(48 * MIB) in said
    assert "EBUSY" in said or "in use" in said  # v1's kernel, or the isolator where v2's kernel would kill
    assert caught.value.stage == "update"
    assert await in_force(agent, running) == before
    assert (await agent.get(running)).resources == view.resources
    assert (await measured(agent, running)).memory_oom_kill_count == 0
    # Nothing of it stays behind: what was refused is still free, and the next one is as if it had never been.
    await update(agent, running, amount("mem", 100_000))
    assert (await measured(agent, running)).memory_limit_bytes == 100 * MIB
    await end(agent, running)


async def test_what_is_refused_at_the_edge(agent: Caller) -> None:
    running = await agent.launch(SLEEP, until=RUNNING)
    before = await in_force(agent, running)
    with pytest.raises(ResourcesExhausted, match="is free here"):
        await update(agent, running, amount("cpus", 10**9))
    with pytest.raises(InvalidRequest, match=r"limits\.cpus: '0\.05' is not accepted"):
        await update(agent, running, limits=tasks_pb2.ResourceLimits(cpus_milli=50))
    with pytest.raises(InvalidRequest, match="say what is to change"):
        await update(agent, running)
    with pytest.raises(InvalidRequest, match="twice|once"):
        await update(agent, running, amount("cpus", 100), amount("cpus", 200))
    with pytest.raises(InvalidRequest, match="pids"):
        await update(agent, running, limits=tasks_pb2.ResourceLimits(pids_count=10**12))
    assert await in_force(agent, running) == before
    ended = await end(agent, running)
    with pytest.raises(InvalidTransition):
        await update(agent, ended, amount("cpus", 200))
    with pytest.raises(NotFound):
        await update(
            agent, containers_pb2.Container(container_id=containers_pb2.ContainerId(value="nobody")), amount("cpus", 1)
        )


def agrees(limits: list[containers_pb2.EffectiveLimit]) -> list[tuple[str, str, str]]:
    return [(limit.path, limit.asked, limit.in_force) for limit in limits]


async def test_what_is_only_tried_is_refused_alike_and_changes_nothing(agent: Caller) -> None:
    running = await agent.launch(SLEEP, until=RUNNING, asked=resources(cpus_milli=200, mem_mib=64, disk_mib=16))
    listed = pb.ListEffectiveLimitsRequest(container_id=running.container_id)
    before = agrees(list((await agent.containers.ListEffectiveLimits(listed)).limits))

    async def tried(*asked: Resource, limits: tasks_pb2.ResourceLimits | None = None) -> None:
        request = pb.UpdateContainerRequest(
            container_id=running.container_id, resources=asked, limits=limits, validate_only=True
        )
        with remote_errors():
            answer = await agent.containers.UpdateContainer(request, timeout=CALL_TIMEOUT_S)
        assert {each.name: each.scalar_milli for each in answer.container.resources}["cpus"] == 200
        assert agrees(list(answer.limits)) == before

    wanted = (amount("cpus", 400), amount("mem", 128_000), amount("disk", 64_000))
    await tried(*wanted, limits=tasks_pb2.ResourceLimits(cpus_milli=800, pids_count=7))
    with pytest.raises(ResourcesExhausted, match="is free here"):
        await tried(amount("cpus", 10**9))
    # The isolators' own word: without a request that is met the limit is none.
    with pytest.raises(InvalidRequest, match=r"limits\.cpus: '0\.05' is not accepted"):
        await tried(limits=tasks_pb2.ResourceLimits(cpus_milli=50))
    # A real one on its way meets those that are only tried.
    calls = [update(agent, running, *wanted)]
    tries = [tried(amount("mem", 100_000)) for _ in range(3)]
    done, *_ = await asyncio.gather(*calls, *tries, return_exceptions=True)
    assert isinstance(done, pb.UpdateContainerResponse), done
    for limit in (await agent.containers.ListEffectiveLimits(listed)).limits:
        is_optional = limit.resource in {"disk", "swap limit", "mem+swap limit"}
        assert is_optional or limit.remark in {"", "no limit"}, limit
    await end(agent, running)


def drawn(dice: random.Random) -> tuple[list[Resource], tasks_pb2.ResourceLimits]:
    """A size that may be fine, below what is in use, or against the rules."""
    amounts = {
        "cpus": dice.randint(50, 800),
        "mem": dice.choice([32_000, 64_000, 110_000, 200_000]),  # none close to what is held
        "disk": dice.randint(1_000, 90_000),
    }
    named = [amount(name, milli) for name, milli in amounts.items() if dice.random() < 0.5]
    limits = tasks_pb2.ResourceLimits(pids_count=dice.choice([-1, 5, 4096]))
    if dice.random() < 0.5:
        limits.cpus_milli = dice.choice([-1, 300, 900])
    if dice.random() < 0.5:
        limits.memory_bytes = dice.choice([-1, 60 * MIB, 60 * MIB, 300 * MIB])
    if dice.random() < 0.3:
        limits.swap_bytes = dice.choice([-1, 0, 64 * MIB])
    return named, limits


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_after_any_row_of_sizes_files_accounts_and_views_agree(agent: Caller, seed: int) -> None:
    running = await agent.launch(
        tasks_pb2.CommandInfo(arguments=[PYTHON, "-c", HOLD]),
        until=RUNNING,
        asked=resources(cpus_milli=200, mem_mib=128, disk_mib=64),
    )
    while await agent.read(running, "stdout") != b"holds\n":
        await asyncio.sleep(0.01)
    dice = random.Random(seed)
    view, values = await agent.get(running), await in_force(agent, running)
    outcomes: Counter[str] = Counter()
    for step in range(40):
        named, limits = drawn(dice)
        if step == 20:  # one that is surely below what is in use
            named, limits = [amount("mem", 48_000)], tasks_pb2.ResourceLimits(memory_bytes=48 * MIB, swap_bytes=0)
        try:
            view = (await update(agent, running, *named, limits=limits)).container
        except (ContainerizerError, InvalidRequest) as error:
            outcomes[type(error).__name__] += 1
            assert await in_force(agent, running) == values
        else:
            outcomes["changed"] += 1
            values = await in_force(agent, running)  # and each is what was planned
        assert await agent.get(running) == view
    assert len(outcomes) == 3, outcomes  # each kind has been met
    assert (await measured(agent, running)).memory_oom_kill_count == 0
    await end(agent, running)


async def test_disk_is_counted_from_the_moment_that_it_is_limited(agent: Caller) -> None:
    line = "dd if=/dev/zero of=big bs=1M count=20 2>/dev/null; exec sleep 1000"
    running = await agent.launch(shell(line), until=RUNNING)
    await update(agent, running, amount("disk", 16_000))
    ended = await agent.wait(running)
    assert ended.termination.reason == tasks_pb2.REASON_CONTAINER_LIMITATION_DISK
    assert ended.termination.evidence.disk.limit_bytes == 16 * MIB


async def test_a_size_survives_the_agent(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
        await update(agent, running, amount("mem", 96_000), limits=tasks_pb2.ResourceLimits(pids_count=9))
        before = await in_force(agent, running)
        view = await agent.get(running)
    agentd.crash()
    agentd.start()
    async with calling(agentd.address) as agent:
        assert await agent.get(running) == view
        assert await in_force(agent, running) == before
        await update(agent, running, amount("mem", 80_000))
        assert (await measured(agent, running)).memory_limit_bytes == 80 * MIB
        await end(agent, running)


async def test_an_agent_that_died_before_it_knew_the_outcome_makes_it_so(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
        log = agentd.directory / "state" / "log"
        known = log.read_bytes().count(b"ContainerResizing")
        os.kill(running.shim_pid, signal.SIGSTOP)
        asking = asyncio.create_task(update(agent, running, amount("mem", 96_000)))
        try:
            while log.read_bytes().count(b"ContainerResizing") == known:
                await asyncio.sleep(0.01)
            agentd.crash()
        finally:
            os.kill(running.shim_pid, signal.SIGCONT)
        await asyncio.gather(asking, return_exceptions=True)
    agentd.start()
    async with calling(agentd.address) as agent:
        while {r.name: r.scalar_milli for r in (await agent.get(running)).resources}["mem"] != 96_000:
            await asyncio.sleep(0.01)
        await in_force(agent, running)
        assert (await measured(agent, running)).memory_limit_bytes == 96 * MIB
        await end(agent, running)
