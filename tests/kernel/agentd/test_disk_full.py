"""An agent whose state directory is on a full disk: it takes no new work and says why, keeps what runs, and recovers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

from paddock.model.errors import Unavailable
from paddock.rpc.channel import open_channel
from paddock.wire.v1 import containers_pb2, tasks_pb2
from tests.agentd_process import PREFIX, TIME_SCALE, AgentdProcess, assert_gone, wait_for_path
from tests.full_disk import KINDS, FullDisk, full_disk
from tests.kernel.agentd.calling import RUNNING, Caller, calling, shell

pytestmark = pytest.mark.no_cgroups

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
PATIENCE_S = 30 * TIME_SCALE
# More than what is left of the last block that the log has, and than what a file system finds at its second look.
LARGE = tasks_pb2.CommandInfo(
    shell=True,
    value="exec sleep 1000",
    environment=[tasks_pb2.EnvironmentVariable(name=f"LARGE{number}", value="x" * 100_000) for number in range(9)],
)
BEATING = "n=0; while :; do n=$((n+1)); echo $n > beat.new; mv beat.new beat; sleep 0.02; done"


@contextmanager
def agentd_on(kind: str) -> Iterator[tuple[AgentdProcess, FullDisk]]:
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        directory = Path(name)
        directory.chmod(0o711)
        with full_disk(kind, directory) as disk:
            agentd = AgentdProcess(directory, f"--state-dir={disk.path}/state")
            (directory / "state").symlink_to(disk.path / "state")
            try:
                agentd.start()
                yield agentd, disk
            finally:
                disk.free()
                left = agentd.close()
            assert not left, f"left behind: {left}"


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[AgentdProcess, FullDisk]]:
    with agentd_on(request.param) as made:
        yield made


async def wait_for_health(agentd: AgentdProcess, wanted: int) -> None:
    async with open_channel(agentd.address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        deadline_s = asyncio.get_running_loop().time() + PATIENCE_S
        while (await check(health_pb2.HealthCheckRequest())).status != wanted:
            assert asyncio.get_running_loop().time() < deadline_s, agentd.last_words()
            await asyncio.sleep(0.02)


async def beats(container: containers_pb2.Container) -> None:
    """It goes on."""
    path = Path(container.sandbox, "beat")
    before = path.read_text()
    deadline_s = asyncio.get_running_loop().time() + PATIENCE_S
    while path.read_text() == before:
        assert asyncio.get_running_loop().time() < deadline_s
        await asyncio.sleep(0.02)


async def start_beating(agent: Caller) -> containers_pb2.Container:
    container = await agent.launch(shell(BEATING), until=RUNNING)
    wait_for_path(Path(container.sandbox, "beat"))
    return container


async def test_no_new_work_is_taken_what_runs_goes_on_and_it_recovers(pair: tuple[AgentdProcess, FullDisk]) -> None:
    agentd, disk = pair
    async with calling(agentd.address) as agent:
        running, doomed = await start_beating(agent), await start_beating(agent)
        await wait_for_health(agentd, SERVING)
        disk.fill()
        # The one that finds it out, and the next one.
        for command in (LARGE, shell("exit 0")):
            with pytest.raises(
                Unavailable, match=r"the agent takes no new work: .*/state/log.* cannot be written: .*make room"
            ):
                await agent.launch(command)
        await wait_for_health(agentd, NOT_SERVING)
        # Who fills the disk must be killed: that waits for nothing but its answer.
        kill = asyncio.create_task(agent.kill(doomed, grace_ms=0))
        await asyncio.to_thread(assert_gone, doomed.pid)
        await beats(running)
        assert not kill.done()
        assert (await agent.get(doomed)).state == containers_pb2.CONTAINER_RUNNING
        disk.free()
        await wait_for_health(agentd, SERVING)
        await kill
        assert (await agent.wait(doomed)).termination.state == tasks_pb2.TASK_KILLED
        (refused,) = [each for each in await agent.list(include_terminated=True) if each.command.value == LARGE.value]
        assert (refused.state, refused.pid) == (containers_pb2.CONTAINER_TERMINATED, 0)
        assert "No space left" in refused.termination.message or "Read-only" in refused.termination.message
        started = await agent.launch(LARGE, until=RUNNING)
        assert (await agent.launch(shell("exit 3"))).termination.wait_status == 3 << 8
    agentd.stop()
    agentd.start()
    async with calling(agentd.address) as agent:
        assert {(each.pid, each.state) for each in await agent.list()} == {
            (running.pid, containers_pb2.CONTAINER_RUNNING),
            (started.pid, containers_pb2.CONTAINER_RUNNING),
        }
        assert (await agent.get(doomed)).termination.state == tasks_pb2.TASK_KILLED
    assert "the log cannot be written" in agentd.log
    assert "the log can be written again" in agentd.log


async def test_killed_and_started_again_on_a_full_disk_nothing_is_lost(pair: tuple[AgentdProcess, FullDisk]) -> None:
    agentd, disk = pair
    async with calling(agentd.address) as agent:
        running, ending = (
            await start_beating(agent),
            await agent.launch(shell("while [ ! -e go ]; do sleep 0.02; done; exit 42"), until=RUNNING),
        )
        disk.fill()
        with pytest.raises(Unavailable):
            await agent.launch(LARGE)
        await wait_for_health(agentd, NOT_SERVING)
        Path(ending.sandbox, "go").touch()
        await asyncio.to_thread(assert_gone, ending.pid)
        agentd.crash()
    agentd.start()
    async with calling(agentd.address) as agent:
        assert (await agent.get(running)).pid == running.pid
        await beats(running)
        disk.free()
        ended = await agent.wait(ending)
        assert ended.termination.wait_status == 42 << 8
        await wait_for_health(agentd, SERVING)
        assert [container.pid for container in await agent.list()] == [running.pid]
        assert (await agent.launch(shell("exit 3"))).termination.wait_status == 3 << 8
    agentd.stop()
    agentd.start()
    async with calling(agentd.address) as agent:
        assert (await agent.get(ending)).termination.wait_status == 42 << 8
