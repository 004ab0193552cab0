"""An agent that dies, stops, or is there twice; a launcher that dies: containers go on, and the truth is told once."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paddock.model.errors import PaddockError
from paddock.wire.v1 import containers_pb2, tasks_pb2
from tests.agentd_process import STOP_TIMEOUT_S, TIME_SCALE, AgentdProcess, assert_gone, wait_for_path
from tests.kernel.agentd.calling import RUNNING, Caller, calling, shell

pytestmark = pytest.mark.timeout(180 * TIME_SCALE)

SLEEP = shell("exec sleep 1000")


async def test_a_container_outlives_its_agent(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(
            shell("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done"), until=RUNNING
        )
        while await agent.read(running, "stdout") != b"up\n":
            await asyncio.sleep(0.01)
    agentd.crash()
    assert Path(f"/proc/{running.pid}").exists()
    agentd.start()
    async with calling(agentd.address) as agent:
        again = await agent.recovered(running)
        assert (again.state, again.pid, again.shim_pid) == (
            containers_pb2.CONTAINER_RUNNING,
            running.pid,
            running.shim_pid,
        )
        assert again.started == running.started
        out, _, status = await agent.enter(running, shell("echo $PADDOCK_CONTAINER_ID"))
        assert (out.decode().strip(), status) == (running.container_id.value, 0)
        await agent.kill(running, grace_ms=100_000)
        ended = await agent.wait(running)
        assert ended.termination.state == tasks_pb2.TASK_KILLED
        assert os.waitstatus_to_exitcode(ended.termination.wait_status) == 5
        assert (await agent.read(ended, "stdout")).startswith(b"up\n")


async def test_what_was_executed_inside_goes_with_the_agent_whose_caller_wanted_it(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
        entering = asyncio.create_task(
            agent.enter(running, shell("trap '' PIPE HUP; echo $$ > inside; exec sleep 1000"))
        )
        inside = Path(running.sandbox, "inside")
        await asyncio.to_thread(wait_for_path, inside)
        agentd.crash()
        await asyncio.gather(entering, return_exceptions=True)
    group = Path(agentd.cgroups()[0], "cgroup.procs")
    assert len(group.read_text().split()) == 2
    agentd.start()
    async with calling(agentd.address) as agent:
        deadline_s = time.monotonic() + 20 * TIME_SCALE
        while group.read_text().split() != [str(running.pid)]:
            assert time.monotonic() < deadline_s, group.read_text()
            await asyncio.sleep(0.01)
        await agent.kill(running, grace_ms=0)
        await agent.wait(running)


async def test_what_ended_meanwhile_is_told_as_it_was(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(shell("while [ ! -e go ]; do sleep 0.02; done; exit 42"), until=RUNNING)
    agentd.crash()
    Path(running.sandbox, "go").touch()
    assert not agentd.wait_for_no_cgroups()
    agentd.start()
    async with calling(agentd.address) as agent:
        ended = await agent.wait(running)
        assert os.waitstatus_to_exitcode(ended.termination.wait_status) == 42
        # What is needed no more, once the log has its end, is kept, empty, for the next containers.
        records = agentd.directory / "state" / "records"
        await asyncio.to_thread(wait_until_gone, records / f"{running.container_id.value}.json")
    agentd.stop()
    left = list(records.iterdir())
    assert all(path.name.startswith("spare-") and not path.read_bytes().strip(b"\0") for path in left)


async def test_the_last_word_survives_too(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        ended = await agent.launch(shell("exit 9"))
    agentd.crash()
    agentd.start()
    async with calling(agentd.address) as agent:
        again = await agent.get(ended)
        assert again.termination == ended.termination
        assert again.state == containers_pb2.CONTAINER_TERMINATED
        assert await agent.read(again, "stdout") == b""


async def test_a_kill_goes_on_while_the_agent_is_away(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(shell("trap '' TERM; echo up; while :; do sleep 0.05; done"), until=RUNNING)
        while await agent.read(running, "stdout") != b"up\n":
            pass
        await agent.kill(running, grace_ms=int(400 * TIME_SCALE))
    agentd.crash()
    assert not agentd.wait_for_no_cgroups()
    agentd.start()
    async with calling(agentd.address) as agent:
        told = (await agent.wait(running)).termination
        assert told.reason == tasks_pb2.REASON_KILL_GRACE_EXPIRED
        assert "uid:0" in told.message


@pytest.mark.no_cgroups
async def test_the_maximum_completion_time_is_kept_while_the_agent_is_away(agentd: AgentdProcess) -> None:
    line = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    policy = tasks_pb2.KillPolicy(grace_period_ms=100)
    for limit_ms in (int(3000 * TIME_SCALE), int(20_000 * TIME_SCALE)):  # the longer one where the machine stands still
        async with calling(agentd.address) as agent:
            running = await agent.launch(
                shell(line), until=RUNNING, max_completion_time_ms=limit_ms, kill_policy=policy
            )
        agentd.crash()
        if Path(f"/proc/{running.pid}").exists():
            break
        agentd.start()
    else:
        pytest.fail("the agent's own end has ended it")
    # It is the shim that ends it.
    assert not agentd.wait_for_no_cgroups(timeout_s=60 * TIME_SCALE)
    agentd.start()
    async with calling(agentd.address) as agent:
        ended = await agent.wait(running)
        told = ended.termination
        assert (told.state, told.reason) == (tasks_pb2.TASK_FAILED, tasks_pb2.REASON_MAX_COMPLETION_TIME_REACHED)
        assert (ended.ended.ToNanoseconds() - running.started.ToNanoseconds()) / 1e6 >= limit_ms


@pytest.mark.no_cgroups
async def test_a_shim_that_does_not_answer_in_time_keeps_its_container(agentd: AgentdProcess) -> None:
    """Nobody has asked for its end: a slow shim, on a host that swaps for example, is no dead one."""
    async with calling(agentd.address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
        wait_for_path(agentd.directory / "state" / "run" / f"{running.container_id.value}.sock")
    agentd.crash()
    os.kill(running.shim_pid, signal.SIGSTOP)
    try:
        agentd.start()
        async with calling(agentd.address) as agent:
            assert (await agent.get(running)).state == containers_pb2.CONTAINER_STUCK
            # Longer than the first attempts, which are a second and two apart.
            await asyncio.sleep(4)
    finally:
        os.kill(running.shim_pid, signal.SIGCONT)
    async with calling(agentd.address) as agent:
        async with asyncio.timeout(20 * TIME_SCALE):
            while (again := await agent.get(running)).state != containers_pb2.CONTAINER_RUNNING:
                await asyncio.sleep(0.05)
        assert (again.pid, again.stuck) == (running.pid, "")
        await agent.kill(running, grace_ms=100_000)
        assert (await agent.wait(running)).termination.reason == tasks_pb2.REASON_KILL_REQUESTED


async def test_agent_and_shim_both_die(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
    agentd.crash()
    os.kill(running.shim_pid, signal.SIGKILL)
    agentd.start()
    async with calling(agentd.address) as agent:
        told = (await agent.wait(running)).termination
        assert told.reason == tasks_pb2.REASON_SUPERVISOR_LOST
    assert_gone(running.pid)
    assert not agentd.wait_for_no_cgroups()


async def test_agent_launcher_and_shim_all_die(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
    agentd.crash()
    os.kill(agentd.launcher_pid(), signal.SIGKILL)
    os.kill(running.shim_pid, signal.SIGKILL)
    agentd.start()
    async with calling(agentd.address) as agent:
        told = (await agent.wait(running)).termination
        assert told.reason == tasks_pb2.REASON_SUPERVISOR_LOST
        assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
    assert not agentd.wait_for_no_cgroups()


async def test_a_dead_launcher_is_replaced_and_nobody_notices(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
        first = agentd.launcher_pid()
        os.kill(first, signal.SIGKILL)
        assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
        assert agentd.launcher_pid() != first
        assert (await agent.get(running)).state == containers_pb2.CONTAINER_RUNNING
        await agent.kill(running, grace_ms=100_000)
        assert (await agent.wait(running)).termination.reason == tasks_pb2.REASON_KILL_REQUESTED


@pytest.mark.parametrize("is_asked_first", [True, False])
async def test_a_kill_and_its_launchers_death_at_one_moment_launch_nothing(
    agentd: AgentdProcess, is_asked_first: bool
) -> None:
    """The next launcher would get the launch that the first one has not begun."""
    async with calling(agentd.address) as agent:
        first, second = [await agent.launch(SLEEP, until=RUNNING) for _ in range(2)]
        launcher, container_id = agentd.launcher_pid(), f"killed-{is_asked_first}"
        os.kill(launcher, signal.SIGSTOP)
        wanted = containers_pb2.Container(container_id=containers_pb2.ContainerId(value=container_id))
        launch = asyncio.create_task(agent.launch(shell("touch ran; exec sleep 1000"), container_id=container_id))
        async with asyncio.timeout(20 * TIME_SCALE):
            while not await is_launching(agent, container_id):
                await asyncio.sleep(0.01)
        # The agent does one thing after the other: with another's end the launch, or the kill, has been carried out.
        await agent.kill(first)
        await agent.wait(first)
        if is_asked_first:
            await agent.kill(wanted)
            await agent.kill(second)
            await agent.wait(second)
            os.kill(launcher, signal.SIGKILL)
        else:
            os.kill(agentd.pid, signal.SIGSTOP)
            os.kill(launcher, signal.SIGKILL)
            kill = asyncio.create_task(agent.kill(wanted))
            # Both wait for the agent then; if the kill does not, it comes a little later, which is no other matter.
            await asyncio.sleep(0.2)
            os.kill(agentd.pid, signal.SIGCONT)
            await kill
            await agent.kill(second)
        ended = await launch
        assert ended.termination.state == tasks_pb2.TASK_KILLED
        ran = ended.termination.reason != tasks_pb2.REASON_TASK_KILLED_DURING_LAUNCH
        # A kill that comes when the next launcher has the launch is an ordinary one.
        assert not (ran and is_asked_first)
        # What comes to the next launcher later is behind it.
        assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
        assert ran or not Path(ended.sandbox, "ran").exists()
    assert not agentd.wait_for_no_cgroups()


async def is_launching(agent: Caller, container_id: str) -> bool:
    return any(
        each.container_id.value == container_id and each.state == containers_pb2.CONTAINER_LAUNCHING
        for each in await agent.list()
    )


@pytest.mark.no_cgroups
async def test_a_launcher_of_another_build_is_replaced_and_its_containers_go_on(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
    first = agentd.launcher_pid()
    words = Path(f"/proc/{first}/cmdline").read_text().split("\0")[:-1]
    assert agentd.stop() == 0
    os.kill(first, signal.SIGTERM)
    await asyncio.to_thread(assert_gone, first)
    where = words.index("-c") + 1
    words[where] = words[where].replace("main()", "from paddock.launch import plan_file; plan_file.FORMAT = 1; main()")
    with subprocess.Popen(words, stderr=subprocess.PIPE) as other:
        assert other.stderr is not None
        assert b"event=ready" in await asyncio.to_thread(other.stderr.readline)
        agentd.start()
        assert await asyncio.to_thread(other.wait) == 0
    assert agentd.launcher_pid() not in {first, other.pid}
    async with calling(agentd.address) as agent:
        assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
        assert (await agent.recovered(running)).state == containers_pb2.CONTAINER_RUNNING
        await agent.kill(running, grace_ms=100_000)
        assert (await agent.wait(running)).termination.reason == tasks_pb2.REASON_KILL_REQUESTED


def wait_until_gone(path: Path) -> None:
    deadline_s = time.monotonic() + STOP_TIMEOUT_S
    while path.exists():
        assert time.monotonic() < deadline_s, f"{path} stays"
        time.sleep(0.01)


async def test_a_launcher_that_runs_is_found(agentd: AgentdProcess) -> None:
    first = agentd.launcher_pid()
    assert agentd.stop() == 0
    agentd.start()
    assert agentd.launcher_pid() == first
    async with calling(agentd.address) as agent:
        assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED


async def test_what_the_log_does_not_know_is_destroyed(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
    agentd.crash()
    os.unlink(agentd.directory / "state" / "log")
    agentd.start()
    assert not agentd.wait_for_no_cgroups()
    assert_gone(running.pid)
    async with calling(agentd.address) as agent:
        assert not await agent.list(include_terminated=True)


@pytest.mark.no_cgroups
async def test_a_damaged_log_stops_the_agent_with_words(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        for _ in range(3):
            await agent.run("/bin/true")
    agentd.stop()
    log = agentd.directory / "state" / "log"
    content = bytearray(log.read_bytes())
    content[60] ^= 0xFF
    log.write_bytes(content)
    with pytest.raises(PaddockError, match=r"state/log at byte 20: this frame is damaged"):
        agentd.start()
    content[60] ^= 0xFF
    log.write_bytes(content)
    agentd.start()


@pytest.mark.no_cgroups
async def test_a_torn_tail_is_cut(agentd: AgentdProcess) -> None:
    async with calling(agentd.address) as agent:
        ended = await agent.run("/bin/true")
    agentd.stop()
    with (agentd.directory / "state" / "log").open("ab") as log:
        log.write(b"\0\0\0\x40torn")
    agentd.start()
    async with calling(agentd.address) as agent:
        assert (await agent.get(ended)).termination == ended.termination
        assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED


@pytest.mark.no_cgroups
async def test_garbage_on_its_sockets_hurts_nobody(agentd: AgentdProcess) -> None:
    run = agentd.directory / "state" / "run"
    async with calling(agentd.address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
        for path in (agentd.directory / "agentd.sock", agentd.directory / "agentd.sock.id"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.connect(str(path))
                try:
                    connection.sendall(os.urandom(100_000))
                except OSError:
                    pass  # it hung up on us, as it should
        wait_for_path(run / f"{running.container_id.value}.sock")
        for name in ("launcher.sock", f"{running.container_id.value}.sock"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.connect(str(run / name))
                connection.send(os.urandom(1000))
        assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
        assert (await agent.get(running)).state == containers_pb2.CONTAINER_RUNNING
        await agent.kill(running, grace_ms=0)
        await agent.wait(running)


@pytest.mark.no_cgroups
@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--resources=cpus:-1", "resources"),
        ("--isolation=cgroups/cpus", "did you mean"),
        ("--stat-dir=/x", "did you mean"),
        ("--log-level=loud", "write debug, info, warning or error"),
    ],
)
def test_a_bad_configuration_is_one_clear_answer(argument: str, words: str) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "agentd", argument, "--check-config"],
        capture_output=True,
        text=True,
        timeout=30 * TIME_SCALE,
        check=False,
    )
    assert checked.returncode == 2
    assert words in checked.stderr
    assert "Traceback" not in checked.stderr
