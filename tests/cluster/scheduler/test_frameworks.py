"""Frameworks on a real cluster: the forty lines, a master that dies in between, a foreign user (root needed)."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from paddock.model.errors import ResourcesExhausted
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, TaskId
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, Reason, TaskInfo, TaskState
from paddock.scheduler import Disconnected, Offered, Scheduler, Subscribed, Updated, pack
from testbed.one_host import OneHost

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def host() -> Iterator[OneHost]:
    cluster = OneHost.make()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def forty_lines(host: OneHost, *lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.forty_lines", host.master_address, *lines],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_forty_lines_run_what_they_are_given(host: OneHost) -> None:
    done = forty_lines(host, "true", "sleep 0.2")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(line.split()[:2] for line in done.stdout.splitlines()) == [
        ["line-1", "FINISHED"],
        ["line-1", "RUNNING"],
        ["line-2", "FINISHED"],
        ["line-2", "RUNNING"],
    ]


def test_the_forty_lines_say_what_failed_and_why(host: OneHost) -> None:
    done = forty_lines(host, "exit 3", "true")
    assert (done.returncode, done.stderr) == (1, "")
    failed = next(line for line in done.stdout.splitlines() if "FAILED" in line)
    assert failed.startswith("line-1 FAILED")
    assert "3" in failed.partition("FAILED")[2]


def a_task(name: str, line: str) -> TaskInfo:
    return TaskInfo(
        task_id=TaskId(name),
        name=name,
        agent_id=AgentId(""),
        resources=parse_resources("cpus:0.1;mem:32"),
        command=CommandInfo(shell=True, value=line),
    )


HOLD = "exec /usr/bin/python3 -c \"b = b'x' * (40 << 20); print('holds', flush=True); import time; time.sleep(1000)\""


async def test_a_framework_resizes_its_task_and_hears_what_the_kernel_says(host: OneHost) -> None:
    """Twice the size; less memory than it uses, which is refused and leaves the rest as it was; then the end."""
    waiting = [replace(a_task("grower", HOLD), resources=parse_resources("cpus:0.1;mem:64"))]
    told: list[tuple[Reason | int, str]] = []
    async with asyncio.timeout(120), Scheduler(host.master_address, FrameworkInfo(name="grower")) as scheduler:
        async for event in scheduler:
            if isinstance(event, Offered):
                for offer in event.offers:
                    await scheduler.accept(offer, pack(offer, waiting))
            if not isinstance(event, Updated):
                continue
            status = event.status
            if status.state.is_terminal:
                break
            told.append((status.reason, status.message))
            if len(told) == 1:
                with pytest.raises(ResourcesExhausted, match="more was asked for"):
                    await scheduler.resize(status.task_id, parse_resources("cpus:100000"))
                await scheduler.resize(status.task_id, parse_resources("cpus:0.2;mem:128"))
            elif len(told) == 2:
                await asyncio.to_thread(wait_for_rss, 40 << 20)
                await scheduler.resize(status.task_id, parse_resources("cpus:0.3;mem:16"))
            else:
                await scheduler.kill(status.task_id)
    assert [reason for reason, _ in told] == [0, Reason.TASK_RESIZED, Reason.CONTAINER_UPDATE_FAILED]
    assert told[1][1] == "the task has cpus:0.2;mem:128 now"
    assert told[2][1].startswith("the task still has cpus:0.2;mem:128: ")


def wait_for_rss(size_bytes: int) -> None:
    """Of the command that holds so much."""
    while True:
        for process in psutil.process_iter(["cmdline", "memory_info"]):
            words = " ".join(process.info["cmdline"] or ())
            if "(40 << 20)" in words and "sleep(1000)" in words and process.info["memory_info"].rss > size_bytes:
                return
        time.sleep(0.05)


async def test_a_framework_and_its_task_outlive_their_master(host: OneHost) -> None:
    waiting = [a_task("survivor", "sleep 3; exit 0")]
    framework = FrameworkInfo(name="survivor", failover_timeout_ms=60_000)
    seen: list[str] = []
    async with asyncio.timeout(120), Scheduler(host.master_address, framework) as scheduler:
        async for event in scheduler:
            if isinstance(event, Subscribed | Disconnected):
                seen.append(type(event).__name__)
            if isinstance(event, Offered):
                for offer in event.offers:
                    await scheduler.accept(offer, pack(offer, waiting))
            if isinstance(event, Updated):
                seen.append(event.status.state.name)
                if event.status.state is TaskState.RUNNING:
                    host.masterd.send(signal.SIGKILL)
                    host.masterd.stop()
                    await asyncio.to_thread(host.masterd.start)
                if event.status.state.is_terminal:
                    break
        first_id = scheduler.framework_id
    # A repetition of RUNNING under its old uuid is not handed out again.
    assert seen == ["Subscribed", "RUNNING", "Disconnected", "Subscribed", "FINISHED"]
    # Without a failover timeout this process now removes what it took over.
    async with (
        asyncio.timeout(60),
        Scheduler(host.master_address, FrameworkInfo(name="survivor", framework_id=first_id)) as heir,
    ):
        assert isinstance(await anext(heir), Subscribed)
        assert heir.framework_id == first_id


async def sleeps(seconds: int) -> bool:
    """Whether such a process is there."""
    found = await asyncio.to_thread(
        subprocess.run, ["pgrep", "-fx", f"sleep {seconds}"], stdout=subprocess.DEVNULL, check=False
    )
    return found.returncode == 0


async def test_leaving_kills_what_still_runs(host: OneHost) -> None:
    waiting = [a_task("orphan", "exec sleep 86397")]
    async with asyncio.timeout(120):
        async with Scheduler(host.master_address, FrameworkInfo(name="leaves")) as scheduler:
            async for event in scheduler:
                if isinstance(event, Offered):
                    for offer in event.offers:
                        await scheduler.accept(offer, pack(offer, waiting))
                if isinstance(event, Updated) and event.status.state is TaskState.RUNNING:
                    break
            while not await sleeps(86397):
                await asyncio.sleep(0.05)
        while await sleeps(86397):
            await asyncio.sleep(0.1)
