"""The host was started anew: another boot id, none of its processes; what is told of each task, and who the agent is then."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.launch import record
from paddock.wire.v1 import containers_pb2, tasks_pb2
from tests.agentd_process import TIME_SCALE, AgentdProcess, assert_gone, running_agentd
from tests.kernel.agentd.calling import calling, resources, shell
from tests.kernel.agentd.scripted_master import scripted_master

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def master_path(tmp_path: Path) -> Path:
    return tmp_path / "master.sock"


@pytest.fixture
def boot_id_file(tmp_path: Path) -> Path:
    path = tmp_path / "boot-id"
    path.write_text("the-first-boot\n")
    return path


@pytest.fixture
def agentd(master_path: Path, boot_id_file: Path) -> Iterator[AgentdProcess]:
    arguments = (
        f"--master=unix:{master_path}",
        f"--boot-id-file={boot_id_file}",
        "--resources=cpus:2;mem:1024;disk:1024",
    )
    with running_agentd(*arguments) as agentd:
        yield agentd


def task(task_id: str, line: str) -> tasks_pb2.TaskInfo:
    return tasks_pb2.TaskInfo(task_id=task_id, name=task_id, agent_id="a", resources=resources(), command=shell(line))


async def containers_of(agentd: AgentdProcess) -> dict[str, containers_pb2.Container]:
    async with calling(agentd.address) as agent:
        return {container.task_id: container for container in await agent.list()}


def end_as_a_reboot_does(agentd: AgentdProcess, *containers: containers_pb2.Container) -> None:
    """Nobody has time for a last word: neither agent nor launcher nor shim."""
    launcher_pid = agentd.launcher_pid()
    agentd.crash()
    os.kill(launcher_pid, signal.SIGKILL)
    for container in containers:
        os.kill(container.shim_pid, signal.SIGKILL)
        assert_gone(container.shim_pid)


@pytest.mark.no_cgroups
async def test_every_task_of_the_old_boot_is_told_as_it_ended(
    agentd: AgentdProcess, master_path: Path, boot_id_file: Path
) -> None:
    async with scripted_master(master_path) as master:
        connection, first = await master.connected()
        tasks = (task("runs", "exec sleep 1000"), task("ends", "while [ ! -e go ]; do sleep 0.02; done; exit 5"))
        connection.launch(*tasks)
        for _ in tasks:
            connection.acknowledge(await connection.status())
        await connection.heard()
    containers = await containers_of(agentd)
    # This one ends before the host goes down, and its supervisor has time to write it down; the agent has not.
    os.kill(agentd.pid, signal.SIGSTOP)
    Path(containers["ends"].sandbox, "go").touch()
    assert_gone(containers["ends"].shim_pid)
    end_as_a_reboot_does(agentd, containers["runs"])
    boot_id_file.write_text("the-second-boot\n")
    async with scripted_master(master_path) as master:
        agentd.start()
        connection, again = await master.connected()
        assert (first.agent.boot_id, again.agent.boot_id) == ("the-first-boot", "the-second-boot")
        assert again.agent.agent_id == first.agent.agent_id
        told: dict[str, tasks_pb2.TaskStatus] = {}
        while len(told) < len(tasks):
            update = await connection.status()
            connection.acknowledge(update)
            if update.status.state != tasks_pb2.TASK_RUNNING:
                told[update.status.task_id] = update.status
        await connection.heard()
        runs, ends = told["runs"], told["ends"]
        assert (runs.state, runs.reason) == (tasks_pb2.TASK_GONE, tasks_pb2.REASON_AGENT_REBOOTED)
        assert "started anew" in runs.message
        assert (ends.state, ends.evidence.exit_code) == (tasks_pb2.TASK_FAILED, 5)
        assert len(runs.uuid) == len(ends.uuid) == 16
        connection.launch(task("new", "exit 0"))
        assert (await connection.status()).status.task_id == "new"


@pytest.mark.no_cgroups
async def test_a_process_that_has_a_pid_of_the_old_boot_is_left_alone(
    agentd: AgentdProcess, master_path: Path, boot_id_file: Path
) -> None:
    """The records are of a boot that is over, and name pids that strangers have now."""
    async with scripted_master(master_path) as master:
        connection, _ = await master.connected()
        connection.launch(task("runs", "exec sleep 1000"))
        connection.acknowledge(await connection.status())
        await connection.heard()
    container = (await containers_of(agentd))["runs"]
    end_as_a_reboot_does(agentd, container)
    boot_id_file.write_text("the-second-boot\n")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"]) as stranger:
        stat = Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()
        path = str(agentd.directory / "state" / "records" / f"{container.container_id.value}.json.new")
        note = record.read_json(path)
        assert note is not None
        assert note["shim_pid"] == container.shim_pid
        # The launcher reads the kernel's own id: as if that boot were over, and the shim's numbers were a stranger's now.
        older = {"boot_id": "older", "shim_pid": stranger.pid, "shim_start_time_ticks": int(stat[19])}
        Path(path).write_bytes(json.dumps({**note, **older}).encode() + b"\0")
        try:
            async with scripted_master(master_path) as master:
                agentd.start()
                connection, _ = await master.connected()
                while (gone := await connection.status()).status.state == tasks_pb2.TASK_RUNNING:
                    connection.acknowledge(gone)
                connection.acknowledge(gone)
                await connection.heard()
                assert gone.status.reason == tasks_pb2.REASON_AGENT_REBOOTED
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.no_cgroups
def test_an_agent_that_is_configured_as_another_does_not_start_under_its_old_id(agentd: AgentdProcess) -> None:
    agentd.stop()
    command = [
        sys.executable,
        "-m",
        "agentd",
        f"--state-dir={agentd.directory}/state",
        f"--work-dir={agentd.directory}/work",
        f"--listen={agentd.address}",
        "--resources=cpus:1;mem:1024;disk:1024",
    ]
    for more in ([], ["--check-config"]):
        done = subprocess.run(
            [*command, *more], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60 * TIME_SCALE
        )
        assert done.returncode == 2
        assert "resources: cpus:2 became cpus:1" in done.stderr
        assert "--reconfiguration-policy=any" in done.stderr
        known = Path(f"{agentd.directory}/state/agent-id").read_text().strip()
        assert f"(paddock drain {known})" in done.stderr
    agentd.start()
