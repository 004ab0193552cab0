"""Health checks by a real agentd: what they find becomes statuses, too many failures end the task, and one runs at a time."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agentd.health_network import check_http, check_tcp
from paddock.model.health import HttpCheck, TcpCheck
from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1 import tasks_pb2
from tests.agentd_process import TIME_SCALE, AgentdProcess, lent, running_agentd
from tests.kernel.agentd.calling import RUNNING, calling, resources, shell
from tests.kernel.agentd.scripted_master import Connection, scripted_master
from tests.kernel.agentd.test_master import tasks_end

TIMEOUT_S = 30.0 * TIME_SCALE
SLEEP = "exec sleep 1000"
QUICK = {"delay_ms": 0, "interval_ms": 100, "grace_period_ms": 0}


@pytest.fixture(scope="module")
def master_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("master") / "master.sock"


@pytest.fixture(scope="module")
def standing_agentd(master_path: Path) -> Iterator[AgentdProcess]:
    with running_agentd(f"--master=unix:{master_path}", "--resources=cpus:2;mem:1024;disk:1024") as agentd:
        yield agentd


@pytest.fixture
def agentd(standing_agentd: AgentdProcess) -> Iterator[AgentdProcess]:
    with lent(standing_agentd) as agentd:
        yield agentd
        asyncio.run(tasks_end(agentd.address))


@pytest.fixture
async def master(agentd: AgentdProcess, master_path: Path) -> AsyncIterator[Connection]:
    async with scripted_master(master_path) as scripted:
        connection, _ = await scripted.connected()
        yield connection


def launch(master: Connection, line: str, *, informing: tasks_pb2.CheckInfo | None = None, **check: object) -> None:
    info = tasks_pb2.CheckInfo(**{**QUICK, **check})  # type: ignore[arg-type]
    task = tasks_pb2.TaskInfo(
        task_id="t1", name="t1", agent_id="a", resources=resources(), command=shell(line), health_check=info
    )
    task.command.user = "root"
    task.kill_policy.grace_period_ms = 100_000  # what heeds its signal ends by it, however slow the machine is
    if informing is not None:
        task.check.CopyFrom(informing)
    master.launch(task)


async def told(master: Connection) -> tasks_pb2.TaskStatus:
    update = await master.status()
    master.acknowledge(update)
    return update.status


async def end(master: Connection) -> tasks_pb2.TaskStatus:
    master.send(kill_task=pb.KillTask(framework_id="f1", task_id="t1"))
    while (status := await told(master)).state == tasks_pb2.TASK_RUNNING:
        pass
    await master.heard()
    return status


def sandbox(agentd: AgentdProcess, status: tasks_pb2.TaskStatus) -> Path:
    (found,) = (agentd.directory / "work").rglob(status.container_id)
    return found


async def grown(path: Path, beyond: int) -> int:
    """Once there are more lines than that."""
    async with asyncio.timeout(TIMEOUT_S):
        while (count := path.read_text().count("\n") if path.exists() else 0) <= beyond:
            await asyncio.sleep(0.01)
    return count


async def test_a_command_in_the_container_says_how_it_is_and_each_change_is_told_once(
    agentd: AgentdProcess, master: Connection
) -> None:
    line = (
        "cat /proc/self/cgroup > groups.new; mv groups.new groups; "
        'echo "$PADDOCK_TASK_ID" >> checks; test -e ok || { echo not yet >&2; exit 7; }'
    )
    launch(master, SLEEP, command=line, consecutive_failures=1000)
    running = await told(master)
    assert (running.state, running.HasField("healthy")) == (tasks_pb2.TASK_RUNNING, False)
    status = await told(master)
    assert (status.state, status.healthy) == (tasks_pb2.TASK_RUNNING, False)
    assert status.reason == tasks_pb2.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
    found = status.evidence.health
    assert (found.passed, found.exit_code, found.output) == (False, 7, "not yet")
    place = sandbox(agentd, status)
    assert status.container_id in (place / "groups").read_text()
    assert set((place / "checks").read_text().split()) == {"t1"}
    await grown(place / "checks", 4)
    (place / "ok").touch()
    status = await told(master)
    assert (status.healthy, status.evidence.health.exit_code) == (True, 0)
    (place / "ok").unlink()
    status = await told(master)
    assert (status.healthy, status.evidence.health.failed_count) == (False, 1)
    ended = await end(master)
    assert (ended.state, ended.reason) == (tasks_pb2.TASK_KILLED, tasks_pb2.REASON_KILL_REQUESTED)


async def test_too_many_failures_kill_it_and_the_end_shows_the_last(agentd: AgentdProcess, master: Connection) -> None:
    check = "until test -e ready; do sleep 0.01; done; echo disk is gone; exit 9"
    launch(master, "trap 'exit 3' TERM; touch ready; while :; do sleep 0.05; done", command=check)
    await told(master)
    unhealthy = await told(master)
    assert unhealthy.healthy is False
    ended = await told(master)
    await master.heard()
    assert (ended.state, ended.reason) == (tasks_pb2.TASK_KILLED, tasks_pb2.REASON_HEALTH_CHECK_FAILED)
    assert ended.HasField("healthy")
    assert ended.healthy is False
    assert "failed 3 times in a row" in ended.message
    assert "exit code 9" in ended.message
    assert (ended.evidence.health.output, ended.evidence.health.failed_count) == ("disk is gone", 3)
    assert ended.evidence.stop.signal == 15
    assert ended.evidence.exit_code == 3  # by the task's own kill policy


@pytest.mark.no_cgroups
async def test_failures_in_the_grace_do_not_count(agentd: AgentdProcess, master: Connection) -> None:
    launch(master, SLEEP, command="echo x >> checks; test -e ok", grace_period_ms=3_600_000, consecutive_failures=1)
    running = await told(master)
    place = sandbox(agentd, running)
    await grown(place / "checks", 3)
    (place / "ok").touch()
    assert (await told(master)).healthy is True
    (place / "ok").unlink()  # the first success has ended the grace
    ended = await told(master)
    await master.heard()
    assert ended.reason == tasks_pb2.REASON_HEALTH_CHECK_FAILED


@pytest.mark.no_cgroups
async def test_a_check_that_hangs_is_killed_in_time_and_two_never_run_at_once(
    agentd: AgentdProcess, master: Connection
) -> None:
    # Long enough for a check to begin, on a slow machine too.
    timeout_ms = int(500 * TIME_SCALE)
    # Each holds the lock for as long as it lives, however it ends.
    line = "exec 9>>lock; flock --nonblock 9 || echo >> twice; echo x >> checks; exec sleep 1000"
    launch(master, SLEEP, command=line, timeout_ms=timeout_ms, consecutive_failures=1000)
    place = sandbox(agentd, await told(master))
    count = await grown(place / "checks", 2)
    async with calling(agentd.address) as agent:
        (container,) = await agent.list()
    os.kill(container.shim_pid, signal.SIGSTOP)  # slow: now even the beginning takes longer than a check may
    await asyncio.sleep(3 * timeout_ms / 1000)
    os.kill(container.shim_pid, signal.SIGCONT)
    await grown(place / "checks", count + 2)
    assert not (place / "twice").exists()
    unhealthy = await told(master)
    assert unhealthy.healthy is False
    assert f"no result within {timeout_ms} ms" in unhealthy.message
    await end(master)


async def test_a_kill_gives_up_a_check_that_is_under_way(agentd: AgentdProcess, master: Connection) -> None:
    # Nobody here waits until it is given up by its own time-out.
    launch(master, SLEEP, command="echo x >> checks; exec sleep 1000", timeout_ms=3_600_000)
    running = await told(master)
    await grown(sandbox(agentd, running) / "checks", 0)
    ended = await end(master)
    assert ended.reason == tasks_pb2.REASON_KILL_REQUESTED


@pytest.mark.no_cgroups
async def test_checks_go_on_when_the_agent_is_back(agentd: AgentdProcess, master_path: Path) -> None:
    async with scripted_master(master_path) as scripted:
        master, _ = await scripted.connected()
        launch(master, SLEEP, command="echo x >> checks; test ! -e bad || exit 4", consecutive_failures=2)
        place = sandbox(agentd, await told(master))
        healthy = await told(master)
        assert healthy.healthy is True
        await master.heard()
        await asyncio.to_thread(agentd.crash)
        before = (place / "checks").read_text().count("\n")
        await asyncio.to_thread(agentd.start)
        master, _ = await scripted.connected()
        await grown(place / "checks", before + 2)
        (place / "bad").touch()
        status = await told(master)
        if status.uuid == healthy.uuid:  # its acknowledgement was not yet on the disk; a new one would be wrong
            status = await told(master)
        assert (status.healthy, status.evidence.health.exit_code) == (False, 4)
        ended = await told(master)
        await master.heard()
        assert (ended.reason, ended.healthy) == (tasks_pb2.REASON_HEALTH_CHECK_FAILED, False)


@pytest.mark.no_cgroups
async def test_a_standalone_containers_health_is_shown_outlives_the_agent_and_can_end_it(agentd: AgentdProcess) -> None:
    check = tasks_pb2.CheckInfo(command="test ! -e bad || exit 4", consecutive_failures=2, **QUICK)  # type: ignore[arg-type]
    async with calling(agentd.address) as agent:
        begun = await agent.launch(shell(SLEEP), until=RUNNING, health_check=check)
        assert (begun.health_check.command, begun.health_check.interval_ms) == (check.command, 100)
        async with asyncio.timeout(TIMEOUT_S):
            while not (await agent.get(begun)).healthy:
                await asyncio.sleep(0.01)
    await asyncio.to_thread(agentd.crash)
    await asyncio.to_thread(agentd.start)
    async with calling(agentd.address) as agent:
        (listed,) = await agent.list()
        assert (listed.healthy, listed.health.exit_code) == (True, 0)
        Path(begun.sandbox, "bad").touch()
        ended = await agent.wait(begun)
    assert ended.HasField("healthy")
    assert ended.healthy is False
    assert (ended.termination.state, ended.termination.reason) == (
        tasks_pb2.TASK_KILLED,
        tasks_pb2.REASON_HEALTH_CHECK_FAILED,
    )
    assert "failed 2 times in a row" in ended.termination.message
    assert ended.termination.evidence.health.exit_code == 4


@pytest.mark.no_cgroups
async def test_a_check_that_only_informs_tells_each_change_and_kills_nothing(
    agentd: AgentdProcess, master: Connection
) -> None:
    check = tasks_pb2.CheckInfo(command="echo x >> informs; test -e ok || exit 3", delay_ms=0, interval_ms=100)
    launch(master, SLEEP, command="echo x >> checks", informing=check)
    place = sandbox(agentd, await told(master))
    found = [await told(master), await told(master)]  # either comes first
    assert {status.reason for status in found} == {
        tasks_pb2.REASON_TASK_CHECK_STATUS_UPDATED,
        tasks_pb2.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED,
    }
    assert (found[1].healthy, found[1].check_status.exit_code) == (True, 3)
    await grown(place / "informs", 5)
    (place / "ok").touch()
    status = await told(master)
    assert (status.state, status.reason) == (tasks_pb2.TASK_RUNNING, tasks_pb2.REASON_TASK_CHECK_STATUS_UPDATED)
    assert status.check_status.HasField("exit_code")
    assert (status.check_status.exit_code, status.healthy) == (0, True)
    ended = await end(master)
    assert (ended.reason, ended.check_status.exit_code) == (tasks_pb2.REASON_KILL_REQUESTED, 0)


async def test_two_never_run_at_once_though_the_agent_died_in_between(agentd: AgentdProcess, master_path: Path) -> None:
    async with scripted_master(master_path) as scripted:
        master, _ = await scripted.connected()
        launch(master, SLEEP, command="echo x >> checks; exec sleep 1000")
        place = sandbox(agentd, await told(master))
        group = Path(agentd.cgroups()[0], "cgroup.procs")
        await grown(place / "checks", 0)
        await master.heard()
        async with calling(agentd.address) as agent:
            (container,) = await agent.list()
        await asyncio.to_thread(agentd.crash)
        (begun,) = set(group.read_text().split()) - {str(container.pid)}
        await asyncio.to_thread(agentd.start)
        master, _ = await scripted.connected()
        await grown(place / "checks", 1)
        now = group.read_text().split()
        assert begun not in now
        assert len(now) == 2
        await end(master)


@pytest.mark.no_cgroups
async def test_http_and_tcp(agentd: AgentdProcess, master: Connection) -> None:
    answer = b"HTTP/1.1 503 Service Unavailable\r\n\r\n"
    asked = asyncio.Queue[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            asked.put_nowait(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        http = tasks_pb2.HttpCheck(port=port, path="/healthz?full=1")
        launch(master, SLEEP, http=http, consecutive_failures=1000)
        await told(master)
        status = await told(master)
        assert (status.healthy, status.evidence.health.http_status) == (False, 503)
        assert (await asked.get()).startswith(b"GET /healthz?full=1 HTTP/1.1\r\nHost: 127.0.0.1:")
        answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        assert (await told(master)).healthy is True
        server.close()
        await server.wait_closed()
        status = await told(master)
        assert status.healthy is False
        assert "onnect" in status.message
        await end(master)

    with socket.socket() as ours:  # taken, so that nobody else listens there before it does
        ours.bind(("127.0.0.1", 0))
        launch(master, SLEEP, tcp=tasks_pb2.TcpCheck(port=ours.getsockname()[1]), consecutive_failures=1000)
        await told(master)
        assert (await told(master)).healthy is False
        ours.listen()
        assert (await told(master)).healthy is True
        await end(master)


@pytest.mark.no_cgroups
async def test_a_network_of_the_containers_own_is_asked_in_there_and_nowhere_else() -> None:
    serve = (
        "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler); "
        "print(s.server_port, flush=True); s.serve_forever()"
    )
    line = f'ip link set lo up && exec {sys.executable} -c "{serve}"'
    words = ["unshare", "--net", "sh", "-c", line]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/proc/self/fdinfo") as server:
        try:
            assert server.stdout is not None
            port = int(await asyncio.to_thread(server.stdout.readline))
            network = f"/proc/{server.pid}/ns/net"
            found = await check_http(HttpCheck(port=port), network)
            assert (found.passed, found.http_status) == (True, 200)
            assert (await check_tcp(TcpCheck(port=port), network)).passed
            with socket.create_server(("127.0.0.1", 0)) as ours:
                here = ours.getsockname()[1]
                assert (await check_tcp(TcpCheck(port=here))).passed
                if here != port:
                    with pytest.raises(ConnectionRefusedError):
                        await check_tcp(TcpCheck(port=here), network)
        finally:
            server.kill()
    with pytest.raises(OSError, match="No such file|not permitted|No such process"):
        await check_tcp(TcpCheck(port=port), network)
    # The threads that have asked there end with the question, and the last of them perhaps a little later.
    async with asyncio.timeout(TIMEOUT_S):
        while networks_of_threads() != {os.readlink("/proc/self/ns/net")}:
            await asyncio.sleep(0.01)


def networks_of_threads() -> set[str]:
    found = set()
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):  # one that ends meanwhile has none, or none to be seen
            found.add(os.readlink(f"/proc/self/task/{thread}/ns/net"))
    return found
