"""Sandboxes of a whole agent: they go when nobody wants them any more, and not before."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from agentd.core import events
from agentd.gc.collector import Collector, CollectorSettings
from agentd.gc.pins import Pins
from agentd.gc.places import SandboxPlaces
from agentd.gc.remove import Emptying
from agentd.outside.programs import Programs
from agentd.sandbox import sandbox_path
from isolators.host import read_host_facts
from paddock.daemon.clock import SystemClock
from paddock.model.ids import AgentId, ContainerId, TaskId
from paddock.model.task import Evidence
from paddock.wire.v1 import containers_pb2, sandbox_service_pb2
from tests.agentd_process import TIME_SCALE, AgentdProcess, cgroup_points, lent, running_agentd
from tests.kernel.agentd.calling import RUNNING, Caller, calling, shell
from tests.unit.agentd.core import made

pytestmark = pytest.mark.no_cgroups


@pytest.fixture(scope="module")
def collecting_agentd() -> Iterator[AgentdProcess]:
    # The disk is always too full for this agent.
    with running_agentd("--gc-disk-headroom=1", "--disk-watch-interval=50ms") as agentd:
        yield agentd


@pytest.fixture
def agentd(collecting_agentd: AgentdProcess) -> Iterator[AgentdProcess]:
    with lent(collecting_agentd) as agentd:
        yield agentd


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + 20 * TIME_SCALE
    while not condition():
        assert time.monotonic() < deadline_s, what
        await asyncio.sleep(0.02)


async def test_an_ended_ones_sandbox_goes_and_a_running_ones_stays(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(shell("exec sleep 1000"), until=RUNNING)
        ended = await agent.launch(shell("mkdir -p a/b; ln -s / a/b/root; mkfifo pipe; chmod 0 a"))
        await until(lambda: not os.path.exists(ended.sandbox), "it stays")
        removed = agentd.directory / "work" / "agents" / agentd.agent_id / ".removed"
        await until(lambda: os.listdir(removed) == [], "it was put away and not removed")
        assert Path(running.sandbox, "stdout").exists()
        await agent.kill(running, grace_ms=0)
        await agent.wait(running)
        await until(lambda: not os.path.exists(running.sandbox), "it stays")


async def test_what_is_followed_stays_until_it_was_read(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(shell("while [ ! -e go ]; do sleep 0.02; done; echo last"), until=RUNNING)
        request = sandbox_service_pb2.FollowFileRequest(container_id=running.container_id, path="stdout")
        pieces = agent.sandbox.FollowFile(request, timeout=60 * TIME_SCALE)
        reading = asyncio.ensure_future(pieces.read())
        other = await agent.launch(shell("true"))
        Path(running.sandbox, "go").touch()
        # By the time that another's is gone, this one's reader has been served.
        piece = await reading
        assert isinstance(piece, sandbox_service_pb2.FollowFileResponse)
        assert piece.data == b"last\n"
        await until(lambda: not os.path.exists(other.sandbox), "it stays")
        await until(lambda: not os.path.exists(running.sandbox), "it stays after it was read")


async def followed(agent: Caller, of: containers_pb2.ContainerId, is_log: bool) -> AsyncIterator[bytes]:
    if is_log:
        log = sandbox_service_pb2.FollowLogRequest(
            container_id=of, stream=sandbox_service_pb2.LOG_STREAM_STDOUT, follow=True
        )
        async for piece in agent.sandbox.FollowLog(log, timeout=60 * TIME_SCALE):
            yield piece.data
        return
    file = sandbox_service_pb2.FollowFileRequest(container_id=of, path="stdout")
    async for part in agent.sandbox.FollowFile(file, timeout=60 * TIME_SCALE):
        yield part.data


@pytest.mark.parametrize("is_log", [True, False], ids=["log", "file"])
async def test_a_log_that_is_followed_stays_until_it_was_read(agentd: AgentdProcess, is_log: bool) -> None:
    async with calling(agentd.address) as agent:
        # More than what fits into a stream that nobody reads: its follower is still at it when the container has ended.
        line = "head -c 8000000 /dev/zero | tr '\\0' x; while [ ! -e go ]; do sleep 0.02; done; echo last"
        running = await agent.launch(shell(line), until=RUNNING)
        pieces = followed(agent, running.container_id, is_log)
        size_bytes = len(await anext(pieces))
        Path(running.sandbox, "go").touch()
        await agent.wait(running)
        # That of one that ends later goes first.
        other = await agent.launch(shell("true"))
        await until(lambda: not os.path.exists(other.sandbox), "it stays")
        assert os.path.exists(running.sandbox)
        async for piece in pieces:
            size_bytes += len(piece)
        assert size_bytes == 8_000_005
        await until(lambda: not os.path.exists(running.sandbox), "it stays after it was read")


async def test_what_was_read_just_now_stays_for_the_next_piece(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(shell("echo one; while [ ! -e go ]; do sleep 0.02; done"), until=RUNNING)
        while await agent.read(running, "stdout") != b"one\n":
            await asyncio.sleep(0.01)
        Path(running.sandbox, "go").touch()
        await agent.wait(running)
        other = await agent.launch(shell("true"))
        await until(lambda: not os.path.exists(other.sandbox), "it stays")
        assert await agent.read(running, "stdout") == b"one\n"


async def test_what_was_due_while_the_agent_was_away_goes_when_it_is_back(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(shell("while [ ! -e go ]; do sleep 0.02; done"), until=RUNNING)
    agentd.crash()
    Path(running.sandbox, "go").touch()
    assert not agentd.wait_for_no_cgroups()
    half_removed = agentd.directory / "work" / "agents" / agentd.agent_id / ".removed" / "c.1"
    (half_removed / "rest").mkdir(parents=True)
    agentd.start()
    await until(lambda: not os.path.exists(running.sandbox) and not half_removed.exists(), "it stays")


async def test_a_tasks_sandbox_stays_until_its_last_word_is_acknowledged(tmp_path: Path) -> None:
    machine, f, t, c = made.machine(), made.FRAMEWORK.framework_id, TaskId("t1"), ContainerId("c1")
    config = made.config(c, task_id=t)
    told: list[events.Event] = [
        events.MasterConnected(),
        events.LaunchTasks(framework=made.FRAMEWORK, launches=(events.TaskLaunch(task=made.task(t), config=config),)),
        events.Prepared(container_id=c),
        events.Started(container_id=c, pid=7, shim_pid=6, started_ns=1, cgroup_paths=()),
        events.Ended(container_id=c, record=made.record(c)),
        events.Concluded(container_id=c, evidence=Evidence()),
    ]
    collector = Collector(
        state=machine.state,
        pins=Pins(),
        places=SandboxPlaces(work_dir=str(tmp_path), agent_id=made.AGENT),
        programs=Programs(read_host_facts(AgentId(f"gc{os.getpid()}"))),
        clock=SystemClock(),
        settings=CollectorSettings(delay_s=0.0, headroom=0.1, interval_s=60.0),
    )
    sandbox = Path(sandbox_path(str(tmp_path), made.AGENT, f, t, c))
    sandbox.mkdir(parents=True)
    for event in told:
        machine.handle(event, now_ns=1, wall_ns=1)
        await collector.collect()
        # Before its launch nobody has said that it is anybody's.
        sandbox.mkdir(parents=True, exist_ok=True)
    (sandbox / "stdout").touch()
    await collector.collect()
    assert (sandbox / "stdout").exists()
    for _ in ("running", "finished"):
        status = machine.state.tasks[f, t].stream.head
        assert status is not None
        await collector.collect()
        assert (sandbox / "stdout").exists()
        machine.handle(events.AcknowledgeStatus(framework_id=f, task_id=t, uuid=status.uuid), now_ns=2, wall_ns=2)
    await collector.collect()
    assert not sandbox.exists()
    await until(
        lambda: not any(os.path.isdir(f"{point}/paddock-gc{os.getpid()}/.programs") for point in cgroup_points()),
        "left",
    )
    for point in cgroup_points():
        if os.path.isdir(f"{point}/paddock-gc{os.getpid()}"):
            os.rmdir(f"{point}/paddock-gc{os.getpid()}")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A file system of another's, bound into a sandbox."""
    source, point = tmp_path / "source", tmp_path / "removed" / "c1" / "deep" / "paddock-mount"
    source.mkdir()
    (source / "kept").write_text("x")
    point.mkdir(parents=True)
    subprocess.run(["mount", "--bind", source, point], check=True)
    try:
        yield source
    finally:
        for line in Path("/proc/self/mounts").read_text("utf-8").splitlines():
            if str(tmp_path) in line:
                subprocess.run(["umount", line.split()[1]], check=True)


def test_a_mounts_inside_is_not_touched_and_the_mount_is_named(mount: Path, tmp_path: Path) -> None:
    (tmp_path / "removed" / "c1" / "goes").write_text("y")
    found = Emptying(str(tmp_path / "removed"))
    found.run()
    assert (mount / "kept").read_text() == "x"
    assert any("paddock-mount" in name and why == "Device or resource busy" for name, why in found.left.items())
    assert not any(path.name == "goes" for path in (tmp_path / "removed").rglob("*"))
