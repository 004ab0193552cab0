"""Runs inside the machine: agentd as the service of systemd/agentd.service, its launcher in the tasks' scope.

Not collected by name: tests/vm/test_cgroup2.py has it run where systemd is process 1 and the cgroups are v2. The unit, the
user and the directories are those of systemd/, word for word; only what the unit starts is this tree.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from paddock.wire.v1 import containers_pb2, tasks_pb2
from tests.kernel.agentd.calling import RUNNING, Caller, calling, shell
from tests.kernel.launch.running import wait_for
from tests.scraping import scrape

ROOT = Path(__file__).resolve().parents[2]
SCOPE = Path("/sys/fs/cgroup/system.slice/paddock-tasks.scope")
STATE = Path("/var/lib/paddock/agentd")
PROGRAM = Path("/opt/paddock/bin/agentd")
ADDRESS = "unix:/run/paddock/agentd.sock"
MEMORY_MIB = 64
RESTART_TIMEOUT_S = 240.0

# With agentd's start, emulated and on a busy host, more than a usual test here.
pytestmark = pytest.mark.timeout(360)


def systemctl(*words: str, check: bool = True) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{done.stderr}\n{last_words()}"
    return done.stdout.strip()


def last_words() -> str:
    command = ["journalctl", "--no-pager", "--lines=40", "--unit=agentd.service"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def shown(name: str) -> str:
    return systemctl("show", "--value", f"--property={name}", "agentd.service")


def cgroup_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")


def launcher_pid() -> int:
    """The one that announced itself last."""
    ready = [line for line in (STATE / "launcher.log").read_text().splitlines() if "event=ready" in line]
    return int(ready[-1].partition("pid=")[2].split()[0])


def kill(*pids: int) -> None:
    """In this order, by pidfd, and gone when this returns."""
    for pid in pids:
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), f"one of {pids} is still there")


def wait_until_it_serves_again(dead_pid: int) -> None:
    """As systemd sees it: started anew, and READY=1 has come. Asked seldom: each question costs what agentd needs too."""
    deadline_s = time.monotonic() + RESTART_TIMEOUT_S
    while int(shown("MainPID") or 0) in {0, dead_pid} or shown("ActiveState") != "active":
        assert time.monotonic() < deadline_s, f"systemd did not bring agentd back\n{last_words()}"
        time.sleep(1)


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    """As an operator installs and starts it; everything is taken back afterwards. One for all tests: it starts slowly here."""
    unit = Path("/run/systemd/system/agentd.service")
    unit.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "systemd/agentd.service", unit)
    PROGRAM.parent.mkdir(parents=True)
    PROGRAM.write_text(f'#!/bin/sh\nexec {sys.executable} -m agentd "$@"\n')
    PROGRAM.chmod(0o755)
    subprocess.run(["systemd-sysusers", ROOT / "systemd/sysusers.d/paddock.conf"], check=True)
    subprocess.run(["systemd-tmpfiles", "--create", ROOT / "systemd/tmpfiles.d/paddock.conf"], check=True)
    systemctl("daemon-reload")
    try:
        systemctl("start", "agentd.service")
        yield
    finally:
        systemctl("stop", "agentd.service", check=False)
        systemctl("stop", SCOPE.name, check=False)
    wait_for(lambda: not SCOPE.exists(), f"{SCOPE} stays")
    unit.unlink()
    systemctl("daemon-reload")
    for path in (PROGRAM.parents[1], STATE.parent, Path("/run/paddock")):
        shutil.rmtree(path)


@pytest.fixture
async def agent(installed: None) -> AsyncIterator[Caller]:
    async with calling(ADDRESS) as caller:
        yield caller
    # The test may have left a dead connection behind.
    async with calling(ADDRESS) as caller:
        for container in await caller.list():
            await caller.kill(container, grace_ms=0)
            await caller.wait(container)
    assert not [path for path in SCOPE.glob("paddock-*/*/") if path.name != "launcher"]


async def sleeper(agent: Caller, user: str = "nobody") -> containers_pb2.Container:
    command = shell("exec sleep 1000")
    command.user = user
    return await agent.launch(command, until=RUNNING)


def assert_in_place(container: containers_pb2.Container) -> None:
    """Task, shim and launcher in the scope, agentd in its service; the limit in force."""
    agent_root = f"/system.slice/{SCOPE.name}/paddock-{container.agent_id}"
    assert cgroup_of(int(shown("MainPID"))) == "/system.slice/agentd.service"
    assert cgroup_of(launcher_pid()) == f"{agent_root}/launcher"
    assert cgroup_of(container.shim_pid) == f"{agent_root}/launcher"
    own = f"{agent_root}/{container.container_id.value}"
    assert cgroup_of(container.pid) == own
    limit = Path(f"/sys/fs/cgroup{own}/memory.max").read_text()
    assert int(limit) == MEMORY_MIB << 20


async def test_agentd_makes_the_scope_and_tells_systemd_that_it_is_ready(agent: Caller) -> None:
    assert shown("StatusText").startswith("agent ")
    assert systemctl("is-active", SCOPE.name) == "active"
    assert systemctl("show", "--value", "--property=Delegate", SCOPE.name) == "yes"
    container = await sleeper(agent)
    assert_in_place(container)
    scores = [Path(f"/proc/{pid}/oom_score_adj").read_text().strip() for pid in (shown("MainPID"), container.pid)]
    assert scores == ["-900", "0"], "the agent outlives a shortage of memory, its tasks do not"
    assert Path(container.sandbox).stat().st_uid == Path(f"/proc/{container.pid}").stat().st_uid != 0


async def test_io_and_pressure_are_in_the_metrics(agent: Caller) -> None:
    """The sandbox is on a disk: its traffic is counted, and that somebody waited for it."""
    size_bytes = 1 << 20
    line = f"dd if=/dev/zero of=written bs={size_bytes} count=1 conv=fsync; echo written; exec sleep 1000"
    container = await agent.launch(shell(line), until=RUNNING)
    deadline_s = time.monotonic() + RESTART_TIMEOUT_S
    while await agent.read(container, "stdout") != b"written\n":
        assert time.monotonic() < deadline_s, await agent.read(container, "stderr")
        await asyncio.sleep(0.5)
    found = await asyncio.to_thread(scrape, f"{ADDRESS.removeprefix('unix:')}.http")
    own = ("container_id=" + container.container_id.value, "task_id=")
    assert found["agentd_container_io_bytes_total", own[0], "direction=write", own[1]] >= size_bytes
    waited = {
        (resource, waiting): found[
            "agentd_container_pressure_seconds_total", own[0], f"resource={resource}", own[1], f"waiting={waiting}"
        ]
        for resource in ("cpu", "memory", "io")
        for waiting in ("some", "full")
    }
    assert waited["io", "some"] > 0
    assert all(some >= waited[resource, "full"] for (resource, waiting), some in waited.items() if waiting == "some")


async def test_a_killed_agentd_finds_scope_launcher_and_task_again(agent: Caller) -> None:
    container = await sleeper(agent)
    launcher, dead_pid = launcher_pid(), int(shown("MainPID"))
    kill(dead_pid)
    wait_until_it_serves_again(dead_pid)
    assert launcher_pid() == launcher
    async with calling(ADDRESS) as again:
        found = await again.get(container)
        assert (found.state, found.pid) == (containers_pb2.CONTAINER_RUNNING, container.pid)
        assert_in_place(found)
        assert (await again.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED


async def test_agentd_and_launcher_killed_the_next_launcher_joins_the_living_scope(agent: Caller) -> None:
    container = await sleeper(agent)
    launcher, dead_pid = launcher_pid(), int(shown("MainPID"))
    # Stopped, agentd cannot start another launcher before it is killed itself.
    os.kill(dead_pid, signal.SIGSTOP)
    kill(launcher, dead_pid)
    wait_until_it_serves_again(dead_pid)
    assert launcher_pid() != launcher
    async with calling(ADDRESS) as again:
        assert (await again.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
        second = await sleeper(again)
        assert_in_place(second)
        assert (await again.get(container)).pid == container.pid


@pytest.mark.parametrize("with_task", [True, False])
async def test_a_killed_launcher_is_replaced_in_the_scope(agent: Caller, with_task: bool) -> None:
    """Without a task systemd takes the empty scope away meanwhile: tests/vm/inside_scope.py meets each moment of that."""
    if with_task:
        await sleeper(agent)
    first = launcher_pid()
    kill(first)
    assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
    assert launcher_pid() != first
    assert_in_place(await sleeper(agent))
    assert systemctl("is-active", SCOPE.name) == "active"


async def test_to_stop_the_service_ends_no_task(agent: Caller) -> None:
    container = await sleeper(agent, user="root")
    systemctl("stop", "agentd.service")
    assert Path(f"/proc/{container.pid}").exists()
    assert systemctl("is-active", SCOPE.name) == "active"
    systemctl("start", "agentd.service")
    async with calling(ADDRESS) as again:
        assert (await again.get(container)).pid == container.pid
        assert_in_place(container)


async def test_ten_tasks_outlive_whatever_systemd_does_but_the_end_of_their_scope(agent: Caller) -> None:
    ten = [await sleeper(agent) for _ in range(10)]
    pids = {container.container_id.value: container.pid for container in ten}
    for words in (["daemon-reload"], ["daemon-reexec"], ["restart", "agentd.service"]):
        systemctl(*words)
        async with calling(ADDRESS) as again:
            found = await again.list()
            assert {each.container_id.value: each.pid for each in found} == pids, words
            assert {each.state for each in found} == {containers_pb2.CONTAINER_RUNNING}, words
            for container in found:
                assert_in_place(container)
            assert (await again.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
    systemctl("stop", SCOPE.name)
    async with calling(ADDRESS) as again:
        for container in ten:
            ended = (await again.wait(container)).termination
            assert (ended.wait_status, ended.state) == (signal.SIGTERM, tasks_pb2.TASK_FAILED), ended
        assert (await again.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
    assert systemctl("is-active", SCOPE.name) == "active"
