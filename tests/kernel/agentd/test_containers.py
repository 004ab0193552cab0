"""A real agentd, its containers launched, killed, watched, measured and entered over gRPC."""

import asyncio
import os
import pwd
import signal
from pathlib import Path

import pytest

from paddock.model.errors import AlreadyExists, InvalidRequest, NotFound, OutOfRange, ResourcesExhausted, Unsupported
from paddock.rpc.errors import remote_errors
from paddock.wire.v1 import container_service_pb2 as pb
from paddock.wire.v1 import containers_pb2, tasks_pb2
from tests.agentd_process import TIME_SCALE, AgentdProcess, assert_gone
from tests.kernel.agentd.calling import RUNNING, Caller, resources, shell

SLEEP = shell("exec sleep 1000")
PYTHON = "/usr/bin/python3"
EAT = "b=bytearray(256<<20)\nfor i in range(0,len(b),4096): b[i]=1"


async def test_a_whole_launch_is_one_call(agent: Caller, shared_agentd: AgentdProcess) -> None:
    ended = await agent.launch(shell("echo out; echo err >&2; exit 3"))
    assert ended.state == containers_pb2.CONTAINER_TERMINATED
    assert os.waitstatus_to_exitcode(ended.termination.wait_status) == 3
    assert ended.termination.state == tasks_pb2.TASK_FAILED
    assert ended.termination.reason == tasks_pb2.REASON_COMMAND_EXITED
    assert ended.pid > 0
    assert ended.shim_pid > 0
    assert await agent.read(ended, "stdout") == b"out\n"
    assert await agent.read(ended, "stderr") == b"err\n"
    assert not [path for path in shared_agentd.cgroups() if ended.container_id.value in path]


async def test_an_exit_record_goes_when_the_log_says_it_though_nothing_else_happens(
    agent: Caller, shared_agentd: AgentdProcess
) -> None:
    ended = await agent.launch(shell("true"))
    record = shared_agentd.directory / "state" / "records" / f"{ended.container_id.value}.json"
    async with asyncio.timeout(30 * TIME_SCALE):
        while record.exists():
            await asyncio.sleep(0.01)


async def test_the_limits_are_the_kernels(agent: Caller) -> None:
    running = await agent.launch(SLEEP, until=RUNNING, asked=resources(cpus_milli=250, mem_mib=48))
    limits = await agent.containers.ListEffectiveLimits(
        pb.ListEffectiveLimitsRequest(container_id=running.container_id)
    )
    by_resource = {limit.resource: limit for limit in limits.limits}
    assert {"cpus", "mem"} <= by_resource.keys()
    assert any(limit.path.endswith("pids.max") for limit in limits.limits)
    for limit in by_resource.values():
        assert limit.in_force == limit.planned, limit
    assert any(limit.in_force == str(48 * 2**20) for limit in limits.limits)
    assert Path(f"/proc/{running.pid}").exists()
    measured = await agent.containers.ListStatistics(pb.ListStatisticsRequest(container_ids=[running.container_id]))
    statistics = measured.statistics[0].statistics
    assert statistics.memory_limit_bytes == 48 * 2**20
    assert statistics.pids_count == 1
    await agent.kill(running)
    assert (await agent.wait(running)).termination.state == tasks_pb2.TASK_KILLED


async def test_a_kill_is_told_with_its_signal_and_latency(agent: Caller) -> None:
    running = await agent.launch(SLEEP, until=RUNNING)
    await agent.kill(running, grace_ms=100_000)
    told = (await agent.wait(running)).termination
    assert told.reason == tasks_pb2.REASON_KILL_REQUESTED
    assert told.evidence.stop.signal == signal.SIGTERM
    assert not told.evidence.stop.escalated
    assert told.evidence.stop.took_ms < 100_000
    assert "uid:0" in told.message


async def test_who_ignores_the_signal_is_killed_after_the_grace(agent: Caller) -> None:
    running = await agent.launch(shell("trap '' TERM; echo ready; while :; do sleep 1; done"), until=RUNNING)
    while await agent.read(running, "stdout") != b"ready\n":
        await asyncio.sleep(0.01)
    await agent.kill(running, grace_ms=200)
    told = (await agent.wait(running)).termination
    assert told.reason == tasks_pb2.REASON_KILL_GRACE_EXPIRED
    assert told.evidence.stop.escalated
    assert told.evidence.stop.took_ms >= 200


async def test_a_second_kill_may_only_hasten(agent: Caller) -> None:
    running = await agent.launch(shell("trap '' TERM; echo ready; while :; do sleep 1; done"), until=RUNNING)
    while await agent.read(running, "stdout") != b"ready\n":
        await asyncio.sleep(0.01)
    await agent.kill(running, grace_ms=60_000)
    await agent.kill(running, grace_ms=0)
    assert (await agent.wait(running)).termination.evidence.stop.escalated


async def test_killing_what_has_ended_is_no_error_and_what_never_was_is(agent: Caller) -> None:
    ended = await agent.run("/bin/true")
    await agent.kill(ended)
    with pytest.raises(NotFound):
        await agent.kill(containers_pb2.Container(container_id=containers_pb2.ContainerId(value="nobody")))


async def test_out_of_memory_is_told_with_limit_peak_and_victim(agent: Caller) -> None:
    ended = await agent.launch(tasks_pb2.CommandInfo(arguments=[PYTHON, "-c", EAT]), asked=resources(mem_mib=64))
    told = ended.termination
    assert told.state == tasks_pb2.TASK_FAILED
    assert told.reason == tasks_pb2.REASON_CONTAINER_LIMITATION_MEMORY
    assert told.evidence.memory.limit_bytes == 64 * 2**20
    assert told.evidence.memory.oom_kill_count == 1
    assert told.evidence.memory.peak_bytes > 60 * 2**20


async def test_a_childs_oom_kill_is_told_though_all_is_well(agent: Caller) -> None:
    ended = await agent.launch(shell(f"{PYTHON} -c '{EAT}'; exit 0"), asked=resources(mem_mib=64))
    assert ended.termination.state == tasks_pb2.TASK_FINISHED
    assert ended.termination.evidence.memory.oom_kill_count == 1
    assert "for memory" in ended.termination.message


async def test_too_much_disk_ends_it(agent: Caller) -> None:
    line = "dd if=/dev/zero of=big bs=1M count=20 2>/dev/null; exec sleep 1000"
    ended = await agent.launch(shell(line), asked=resources(disk_mib=16))
    assert ended.termination.reason == tasks_pb2.REASON_CONTAINER_LIMITATION_DISK
    assert ended.termination.evidence.disk.limit_bytes == 16 * 2**20
    # On a slow machine it is counted before all is written.
    assert ended.termination.evidence.disk.used_bytes > 16 * 2**20


async def test_the_maximum_completion_time_is_kept(agent: Caller) -> None:
    ended = await agent.launch(SLEEP, max_completion_time_ms=300)
    assert ended.termination.reason == tasks_pb2.REASON_MAX_COMPLETION_TIME_REACHED


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (tasks_pb2.CommandInfo(arguments=["/no/such/program"]), "/no/such/program"),
        (tasks_pb2.CommandInfo(arguments=["/etc/passwd"]), "/etc/passwd"),
    ],
)
async def test_a_command_that_cannot_be_executed(agent: Caller, command: tasks_pb2.CommandInfo, word: str) -> None:
    told = (await agent.launch(command)).termination
    assert told.state == tasks_pb2.TASK_FAILED
    assert told.reason == tasks_pb2.REASON_CONTAINER_LAUNCH_FAILED
    assert told.evidence.launch_failure.stage == "exec"
    assert told.evidence.launch_failure.errno > 0
    assert word in told.message


async def test_what_is_refused_at_the_edge(agent: Caller) -> None:
    with pytest.raises(InvalidRequest, match=r"command\.user"):
        await agent.launch(tasks_pb2.CommandInfo(arguments=["/bin/true"], user="nobody-of-that-name"))
    with pytest.raises(InvalidRequest, match=r"resources\[1\]"):
        await agent.launch(shell("true"), asked=resources(mem_mib=-1))
    with pytest.raises(InvalidRequest, match="container_id"):
        await agent.launch(shell("true"), container_id="../../etc")
    with pytest.raises(InvalidRequest, match="launcher"):
        await agent.launch(shell("true"), container_id="launcher")
    with pytest.raises(InvalidRequest, match="ask for cpus or mem"):
        await agent.launch(shell("true"), asked=[])
    with pytest.raises(ResourcesExhausted, match="is free here"):
        await agent.launch(shell("true"), asked=resources(cpus_milli=10**9))
    docker = tasks_pb2.ContainerInfo(type=tasks_pb2.CONTAINER_TYPE_DOCKER)
    with pytest.raises(InvalidRequest, match=r"container\.docker\.image"):
        await agent.launch(shell("true"), container=docker)
    docker.docker.image = "busybox"
    with pytest.raises(Unsupported, match="docker"):
        await agent.launch(shell("true"), container=docker)


async def test_an_id_is_used_once(agent: Caller) -> None:
    await agent.launch(shell("true"), container_id="once")
    with pytest.raises(AlreadyExists, match="once"):
        await agent.launch(shell("true"), container_id="once")


async def test_an_environment_of_a_mebibyte(agent: Caller) -> None:
    """To the last byte, `=` and NUL of each variable counted; one byte more is refused before anything is made."""
    variables = [tasks_pb2.EnvironmentVariable(name=f"V{i}", value="x" * (2**16 - 4)) for i in range(10)]
    variables += [tasks_pb2.EnvironmentVariable(name=f"W{i}", value="x" * (2**16 - 4)) for i in range(6)]
    command = tasks_pb2.CommandInfo(shell=True, value='echo "${#V9}"', environment=variables)
    ended = await agent.launch(command)
    assert ended.termination.state == tasks_pb2.TASK_FINISHED
    assert await agent.read(ended, "stdout") == b"65532\n"
    command.environment[0].value += "x"
    with pytest.raises(InvalidRequest, match=r"command\.environment: .* use at most 1048576 bytes"):
        await agent.launch(command)


async def test_a_task_runs_as_the_user_it_names(agent: Caller) -> None:
    line = "id -u; id -g; id -G; stat -c %u .; echo $HOME $USER"
    ended = await agent.launch(tasks_pb2.CommandInfo(shell=True, value=line, user="nobody"))
    home = pwd.getpwnam("nobody").pw_dir.encode()
    assert (await agent.read(ended, "stdout")).split() == [*[b"65534"] * 4, home, b"nobody"]


async def test_free_resources_come_back(agent: Caller) -> None:
    asked = resources(cpus_milli=1500)
    running = await agent.launch(SLEEP, until=RUNNING, asked=asked)
    with pytest.raises(ResourcesExhausted):
        await agent.launch(shell("true"), asked=asked)
    await agent.kill(running, grace_ms=0)
    await agent.wait(running)
    assert (await agent.launch(shell("true"), asked=asked)).termination.state == tasks_pb2.TASK_FINISHED


async def test_lists_have_pages(agent: Caller) -> None:
    launched = [await agent.launch(shell("true"), container_id=f"page-{i}") for i in range(3)]
    found = await agent.list(include_terminated=True, page_size=2)
    ids = [container.container_id.value for container in found]
    assert len(set(ids)) == len(ids)
    assert {container.container_id.value for container in launched} <= set(ids)
    assert [c.created.ToNanoseconds() for c in found] == sorted(c.created.ToNanoseconds() for c in found)


async def test_a_watch_begins_with_what_is_and_tells_each_change(agent: Caller) -> None:
    call = agent.containers.WatchContainers(pb.WatchContainersRequest())
    version = 0
    async for response in call:
        version = response.resource_version
        if response.bookmark:
            break
    launching = asyncio.create_task(agent.launch(shell("true"), container_id="watched"))
    states = []
    async for response in call:
        assert response.resource_version > version
        version = response.resource_version
        if response.container.container_id.value == "watched":
            states.append(response.container.state)
            if response.container.state == containers_pb2.CONTAINER_TERMINATED:
                break
    await launching
    call.cancel()
    assert states == sorted(set(states), key=states.index)
    assert states[0] == containers_pb2.CONTAINER_PREPARING
    with remote_errors(), pytest.raises(OutOfRange), remote_errors():
        async for _ in agent.containers.WatchContainers(pb.WatchContainersRequest(resource_version=1)):
            pass


async def test_exec_is_in_the_container_and_its_streams_are_ours(agent: Caller) -> None:
    running = await agent.launch(SLEEP, until=RUNNING)
    line = "cat; echo err >&2; cat /proc/self/cgroup; readlink /proc/self/ns/pid; exit 7"
    out, err, status = await agent.enter(running, shell(line), stdin=b"hello\n" * 20_000)
    assert out.startswith(b"hello\n" * 20_000)
    assert out.split()[-1].decode() == os.readlink(f"/proc/{running.pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
    told = out.removeprefix(b"hello\n" * 20_000).decode()
    assert told.count(f"/{running.container_id.value}\n") == len(running.cgroup_paths)
    assert err == b"err\n"
    assert os.waitstatus_to_exitcode(status) == 7
    await agent.kill(running, grace_ms=0)
    await agent.wait(running)


async def test_an_execs_caller_that_goes_away_ends_it(agent: Caller) -> None:
    running = await agent.launch(SLEEP, until=RUNNING)
    entering = asyncio.create_task(agent.enter(running, shell("exec sleep 999")))
    await _count_of(agent, running, 2)
    entering.cancel()
    await _count_of(agent, running, 1)
    await agent.kill(running, grace_ms=0)
    await agent.wait(running)


async def _count_of(agent: Caller, container: containers_pb2.Container, wanted: int) -> None:
    async with asyncio.timeout(30 * TIME_SCALE):
        while True:
            request = pb.ListStatisticsRequest(container_ids=[container.container_id])
            measured = await agent.containers.ListStatistics(request)
            if measured.statistics[0].statistics.pids_count == wanted:
                return
            await asyncio.sleep(0.01)


async def test_following_ends_with_the_container(agent: Caller) -> None:
    line = "for i in 1 2 3; do echo $i; sleep 0.1; done"
    running = await agent.launch(shell(line), until=RUNNING)
    assert await agent.follow(running, "stdout") == b"1\n2\n3\n"
    assert await agent.follow(running, "stdout", offset_bytes=-2) == b"3\n"


async def test_nothing_leads_out_of_a_sandbox(agent: Caller) -> None:
    line = "ln -s /etc/shadow link; mkfifo pipe; mkdir d; ln -s / d/root; echo x > d/file"
    ended = await agent.launch(shell(line))
    assert await agent.read(ended, "d/file") == b"x\n"
    for path in ("link", "pipe", "d", "d/root/etc/shadow", "../../x", "/etc/shadow"):
        with pytest.raises(InvalidRequest):
            await agent.read(ended, path)
    with pytest.raises(NotFound):
        await agent.read(ended, "nothing")


async def test_a_log_replaced_by_a_link_costs_only_the_log(agent: Caller) -> None:
    before = Path("/etc/shadow").read_bytes()
    ended = await agent.launch(shell("rm stdout; ln -s /etc/shadow stdout; echo pwned"))
    assert ended.termination.state == tasks_pb2.TASK_FINISHED
    assert Path("/etc/shadow").read_bytes() == before
    with pytest.raises(InvalidRequest):
        await agent.read(ended, "stdout")


async def test_a_dead_supervisor_is_told_and_takes_everything_with_it(
    agent: Caller, shared_agentd: AgentdProcess
) -> None:
    running = await agent.launch(SLEEP, until=RUNNING)
    os.kill(running.shim_pid, signal.SIGKILL)
    told = (await agent.wait(running)).termination
    assert told.reason == tasks_pb2.REASON_SUPERVISOR_LOST
    assert told.state == tasks_pb2.TASK_FAILED
    assert_gone(running.pid)
    assert not [path for path in shared_agentd.cgroups() if running.container_id.value in path]
