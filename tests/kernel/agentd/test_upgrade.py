"""Real older builds: what they launched is found, followed and ended by this one; their launchers serve it, or are replaced.

`builds/` has them as they were (see its README): `plans-1` and `plans-2-agent` to `plans-4-agent`, whole agents with the
layouts of plans before today's, and `plans-5`, the launcher and shims of the first build with today's. Who changes a layout and
not its number breaks that test.
"""

import asyncio
import json
import os
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import paddock
from paddock.model.errors import PaddockError
from paddock.rpc.errors import remote_errors
from paddock.wire.v1 import container_service_pb2 as pb
from paddock.wire.v1 import containers_pb2, tasks_pb2
from tests.agentd_process import PREFIX, TIME_SCALE, AgentdProcess, assert_gone, wait_for_path
from tests.kernel.agentd.calling import RUNNING, Caller, calling, resources, shell

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]

BUILDS = Path(__file__).parent / "builds"
OURS = Path(paddock.__file__).parents[1]
COUNT = shell("trap 'echo bye; exit 5' TERM; n=0; while :; do echo $n; n=$((n + 1)); sleep 0.02; done")
SLEEP = shell("exec sleep 1000")
Container = containers_pb2.Container


@pytest.fixture(scope="module")
def builds() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="paddock-builds-") as directory:
        for archive in BUILDS.glob("*.tar.xz"):
            with tarfile.open(archive) as content:
                content.extractall(Path(directory, archive.name.partition(".")[0]))
        yield Path(directory)


@pytest.fixture(params=["plans-1", "plans-2-agent", "plans-3-agent", "plans-4-agent"])
def build(builds: Path, request: pytest.FixtureRequest) -> Path:
    return builds / str(request.param)


@pytest.fixture
def older(build: Path) -> Iterator[AgentdProcess]:
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    directory.chmod(0o711)
    agentd = AgentdProcess(directory)
    try:
        agentd.use_build(build)
        agentd.start()
        yield agentd
    finally:
        agentd.use_build(None)
        left = agentd.close()
    assert not left, f"left behind: {left}"


def root_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().partition("sys.path[:0] = ['")[2].partition("']")[0]


def record_of(agentd: AgentdProcess, container: Container) -> Path:
    return agentd.directory / "state" / "records" / f"{container.container_id.value}.json"


async def test_what_an_agent_of_an_older_layout_launched_goes_on_and_ends_truly(
    older: AgentdProcess, build: Path
) -> None:
    agentd = older
    async with calling(agentd.address) as agent:
        counting = await agent.launch(COUNT, until=RUNNING)
        orphaned = await agent.launch(SLEEP, until=RUNNING)
        unwilling = await agent.launch(shell("trap '' TERM; echo up; while :; do sleep 0.05; done"), until=RUNNING)
        ending = await agent.launch(shell("until [ -e go ]; do sleep 0.01; done; exit 7"), until=RUNNING)
        forgotten = await agent.launch(SLEEP, until=RUNNING)
        while await agent.read(unwilling, "stdout") != b"up\n":
            await asyncio.sleep(0.01)
        # Its grace ends when the agent has gone; on a machine that stands still perhaps before, and its record with it.
        await agent.kill(unwilling, grace_ms=4000)
    launcher = agentd.launcher_pid()
    assert root_of(launcher) == str(build)
    agentd.crash()
    records = {path for path in record_of(agentd, counting).parent.iterdir() if path.suffix == ".json"}
    assert records <= {record_of(agentd, unwilling)}
    Path(ending.sandbox, "go").touch()
    os.kill(forgotten.shim_pid, signal.SIGKILL)
    for container in (ending, unwilling, forgotten):
        await asyncio.to_thread(wait_for_path, record_of(agentd, container))
    agentd.use_build(None)
    agentd.start()
    assert_gone(launcher)
    assert root_of(agentd.launcher_pid()) == str(OURS)
    async with calling(agentd.address) as agent:
        await assert_it_ended(agent, ending, tasks_pb2.TASK_FAILED, 7)
        ended = await assert_it_ended(agent, unwilling, tasks_pb2.TASK_KILLED, -signal.SIGKILL)
        assert ended.termination.reason == tasks_pb2.REASON_KILL_GRACE_EXPIRED
        lost = await agent.wait(forgotten)
        assert lost.termination.reason == tasks_pb2.REASON_SUPERVISOR_LOST
        await assert_it_goes_on(agent, counting)
        await agent.kill(counting, grace_ms=100_000)
        ended = await assert_it_ended(agent, counting, tasks_pb2.TASK_KILLED, 5)
        assert not ended.termination.evidence.stop.escalated
        lines = (await agent.log(counting))[0].decode().split()
        assert lines == [*map(str, range(len(lines) - 1)), "bye"]
        # Its launcher is gone, so nobody but the new agent ends what this shim leaves: by the old shim's note.
        os.kill(orphaned.shim_pid, signal.SIGKILL)
        lost = await agent.wait(orphaned)
        assert lost.termination.reason == tasks_pb2.REASON_SUPERVISOR_LOST
        assert_gone(orphaned.pid)
        assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
        newer = await agent.launch(COUNT, until=RUNNING)
        ending = await agent.launch(shell("until [ -e go ]; do sleep 0.01; done; exit 7"), until=RUNNING)
    assert agentd.stop() == 0
    Path(ending.sandbox, "go").touch()
    await asyncio.to_thread(wait_for_path, record_of(agentd, ending))
    agentd.use_build(build)
    await (assert_it_is_refused(agentd) if build.name == "plans-1" else assert_it_ended_there(agentd, ending, newer))
    agentd.use_build(None)
    agentd.start()
    async with calling(agentd.address) as agent:
        assert (await agent.get(newer)).pid == newer.pid
        await agent.kill(newer, grace_ms=100_000)
        await assert_it_ended(agent, newer, tasks_pb2.TASK_KILLED, 5)


async def assert_it_is_refused(agentd: AgentdProcess) -> None:
    """Back again: that build knows no change of size. It says so and touches nothing."""
    log = agentd.directory / "state" / "log"
    content = log.read_bytes()
    with pytest.raises(
        PaddockError, match=r"state/log .*a newer agent wrote this. Start the version of agentd that wrote"
    ):
        agentd.start()
    assert log.read_bytes() == content


async def assert_it_ended_there(agentd: AgentdProcess, ending: Container, newer: Container) -> None:
    """Back again: the newer one's end is read, its shims are spoken to, and what is launched is that build's own."""
    agentd.start()
    async with calling(agentd.address) as agent:
        await assert_it_ended(agent, ending, tasks_pb2.TASK_FAILED, 7)
        await assert_it_goes_on(agent, newer)
        assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
    assert agentd.stop() == 0


async def assert_it_goes_on(agent: Caller, before: Container) -> None:
    """With its output, its limits, and everything that is asked of its shim."""
    found = await agent.recovered(before)
    assert (found.state, found.pid, found.shim_pid) == (containers_pb2.CONTAINER_RUNNING, before.pid, before.shim_pid)
    assert found.started == before.started
    read = await agent.read(before, "stdout")
    deadline_s = time.monotonic() + 30 * TIME_SCALE
    while len(await agent.read(before, "stdout")) == len(read):
        assert time.monotonic() < deadline_s, "its output does not flow"
        await asyncio.sleep(0.02)
    out, _, status = await agent.enter(before, shell("echo $PADDOCK_CONTAINER_ID"))
    assert (out.decode().strip(), status) == (before.container_id.value, 0)
    with remote_errors():
        await agent.containers.UpdateContainer(
            pb.UpdateContainerRequest(container_id=before.container_id, resources=resources(mem_mib=96))
        )
        limits = await agent.containers.ListEffectiveLimits(
            pb.ListEffectiveLimitsRequest(container_id=before.container_id)
        )
    assert str(96 << 20) in {limit.in_force for limit in limits.limits if limit.resource == "mem"}


async def assert_it_ended(
    agent: Caller, before: Container, state: tasks_pb2.TaskState.ValueType, code: int
) -> Container:
    ended = await agent.wait(before)
    assert (ended.termination.state, ended.pid) == (state, before.pid)
    assert os.waitstatus_to_exitcode(ended.termination.wait_status) == code
    return ended


async def test_a_launcher_of_the_first_build_with_todays_layout_serves_this_one(
    agentd: AgentdProcess, builds: Path
) -> None:
    first = agentd.launcher_pid()
    words = Path(f"/proc/{first}/cmdline").read_text().split("\0")[:-1]
    assert agentd.stop() == 0
    os.kill(first, signal.SIGTERM)
    await asyncio.to_thread(assert_gone, first)
    words = [word.replace(str(OURS), str(builds / "plans-5")) for word in words]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as other:
        assert other.stderr is not None
        assert b"event=ready" in await asyncio.to_thread(other.stderr.readline)
        try:
            agentd.start()
            async with calling(agentd.address) as agent:
                counting = await agent.launch(COUNT, until=RUNNING)
                assert other.poll() is None
                assert root_of(counting.shim_pid) == str(builds / "plans-5")
                await assert_it_goes_on(agent, counting)
                orphaned = await agent.launch(SLEEP, until=RUNNING)
                os.kill(orphaned.shim_pid, signal.SIGKILL)
                assert (await agent.wait(orphaned)).termination.reason == tasks_pb2.REASON_SUPERVISOR_LOST
                assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
                failed = await agent.run("/bin/nothing")
                assert failed.termination.reason == tasks_pb2.REASON_CONTAINER_LAUNCH_FAILED
                assert "/bin/nothing" in failed.termination.message
                await agent.kill(counting, grace_ms=100_000)
                await assert_it_ended(agent, counting, tasks_pb2.TASK_KILLED, 5)
        finally:
            other.terminate()


async def test_an_end_that_a_newer_build_wrote_is_shown_and_waited_for(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        ending = await agent.launch(shell("until [ -e go ]; do sleep 0.01; done; exit 7"), until=RUNNING)
        other = await agent.launch(SLEEP, until=RUNNING)
    agentd.crash()
    Path(ending.sandbox, "go").touch()
    record = record_of(agentd, ending)
    await asyncio.to_thread(wait_for_path, record)
    content = record.read_bytes()
    assert json.loads(content.rstrip(b"\0"))["format"] == 1
    record.write_bytes(content.replace(b'"format":1', b'"format":2', 1))
    agentd.start()
    async with calling(agentd.address) as agent:
        held = await agent.get(ending)
        assert held.state == containers_pb2.CONTAINER_STUCK
        assert held.stuck.endswith(f"{record}: format: is 2, and this build reads 1: start the build that wrote it")
        assert (await agent.recovered(other)).state == containers_pb2.CONTAINER_RUNNING
        whole = record.with_name(f"{record.name}.whole")  # the agent looks again and again, and finds either
        whole.write_bytes(content)
        whole.rename(record)
        await assert_it_ended(agent, ending, tasks_pb2.TASK_FAILED, 7)
        await agent.kill(other, grace_ms=100_000)
        await agent.wait(other)
