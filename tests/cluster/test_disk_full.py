"""What people see of a daemon whose disk is full."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from paddock.model.errors import Unavailable
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId, TaskId
from paddock.model.offer import Filters
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, TaskInfo, TaskState
from paddock.rpc.address import parse_address
from paddock.rpc.scheduling import LinkEvent, Offered, SchedulerLink, Subscribed, Updated
from paddock.scheduler.fitting import placed
from testbed.one_host import OneHost
from tests.cluster.conftest import Command
from tests.full_disk import FullDisk, full_disk

pytestmark = pytest.mark.timeout(180)

PATIENCE_S = 60


@contextmanager
def cluster_on_small_disk(daemon: str) -> Iterator[tuple[Command, FullDisk]]:
    """`daemon`: agent or master, whose state is on that disk."""
    host = OneHost.make()
    with full_disk("write", Path(host.directory)) as disk:
        argument = (f"--state-dir={disk.path}/{daemon}",)
        host = OneHost(
            host.directory,
            agent_arguments=argument if daemon == "agent" else (),
            master_arguments=argument if daemon == "master" else (),
        )
        os.symlink(disk.path / daemon, f"{host.directory}/{daemon}")
        try:
            host.start()
            yield Command(host=host), disk
        finally:
            disk.free()
            host.stop()
    shutil.rmtree(host.directory, ignore_errors=True)


def wait_until(holds: Callable[[], bool], words: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, words
        time.sleep(0.05)


@pytest.fixture(scope="module")
def agents_disk() -> Iterator[tuple[Command, FullDisk]]:
    with cluster_on_small_disk("agent") as made:
        yield made


def test_an_agents_full_disk_is_shown_and_its_launch_refused_and_it_is_not_offered_until_there_is_room(
    agents_disk: tuple[Command, FullDisk],
) -> None:
    paddock, disk = agents_disk
    large = [f"--env=LARGE{number}={'x' * 100_000}" for number in range(9)]
    disk.fill()
    refused = paddock("run", "--name=large", *large, "--", "/bin/true")
    assert refused.returncode == 125, refused.stderr
    assert "dropped [master] agent_problem" in paddock.text("describe", paddock.task("large", "dropped"))
    assert b"the agent takes no new work: " in refused.stderr
    assert b"No space left on device" in refused.stderr
    wait_until(lambda: b"takes no new work" in paddock("agents").stderr, "the problem is not shown")
    shown = paddock("agents", "-o", "wide")
    assert b"No space left on device; make room, or repair the file system" in shown.stdout
    waiting = paddock.start("run", "--", "/bin/echo", "done")
    wait_until(
        lambda: b"agent_problem" in paddock("explain", "role", "*").stdout, "it is offered, or nobody says why not"
    )
    assert waiting.poll() is None
    disk.free()
    out, err = waiting.communicate(timeout=PATIENCE_S)
    assert (waiting.returncode, out) == (0, b"done\n"), err
    assert not paddock("agents").stderr


@pytest.fixture(scope="module")
def masters_disk() -> Iterator[tuple[Command, FullDisk]]:
    with cluster_on_small_disk("master") as made:
        yield made


def found_out(paddock: Command) -> None:
    """By operators' changes: some still find room in what the registry has."""
    count = 1
    while paddock("weights", f"full={count}").returncode == 0:
        count += 1


def test_a_run_whose_launch_the_full_disk_refuses_says_what_becomes_of_it(
    masters_disk: tuple[Command, FullDisk],
) -> None:
    paddock, disk = masters_disk
    agent_id = json.loads(paddock.text("agents", "-o", "json"))[0]["info"]["agent_id"]
    assert paddock("deactivate", agent_id).returncode == 0
    run = paddock.start("run", "--name=late", "--", "/bin/sleep", "1000")
    wait_until(lambda: "paddock run late" in paddock.text("frameworks"), "not subscribed")
    # It is offered something while there is room, and answers when there is none.
    run.send_signal(signal.SIGSTOP)
    try:
        assert paddock("reactivate", agent_id).returncode == 0
        wait_until(lambda: bool(json.loads(paddock.text("offers", "-o", "json"))), "nothing is offered")
        disk.fill()
        found_out(paddock)
    finally:
        run.send_signal(signal.SIGCONT)
    _, words = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 6, words
    assert b"disk is full; make room" in words
    assert b"this run ends, and its task with it should it be launched all the same" in words
    disk.free()
    wait_until(lambda: paddock("weights", "full=1").returncode == 0, "it does not recover")


def scheduler_link(paddock: Command, framework_id: str = "") -> SchedulerLink:
    return SchedulerLink(
        parse_address(paddock.host.master_address), FrameworkInfo(name="again", framework_id=FrameworkId(framework_id))
    )


async def launched(link: SchedulerLink, events: AsyncIterator[LinkEvent], task_id: str) -> str:
    """The framework's id, when its task runs."""
    framework_id = ""
    async for event in events:
        match event:
            case Subscribed():
                framework_id = event.framework_id
            case Offered(offers=offers):
                task = TaskInfo(
                    task_id=TaskId(task_id),
                    name=task_id,
                    agent_id=AgentId(""),
                    resources=parse_resources("cpus:0.1;mem:32"),
                    command=CommandInfo(arguments=("/bin/sleep", "1000")),
                )
                await link.accept(offers, [placed(task, offers[0])], Filters())
            case Updated(status=status) if status.state is TaskState.RUNNING:
                await link.acknowledge(status)
                return framework_id
            case _:
                pass
    raise AssertionError("the stream has ended")


async def test_a_framework_that_finds_the_masters_full_disk_with_its_return_keeps_its_task(
    masters_disk: tuple[Command, FullDisk],
) -> None:
    """It has no failover time, and comes anew while the master still has its older stream."""
    paddock, disk = masters_disk
    async with asyncio.timeout(PATIENCE_S), AsyncExitStack() as stack:

        async def subscribed(framework_id: str) -> tuple[SchedulerLink, AsyncIterator[LinkEvent]]:
            link = await stack.enter_async_context(scheduler_link(paddock, framework_id))
            events = link.events()
            assert isinstance(await anext(events), Subscribed)
            return link, events

        first = await stack.enter_async_context(scheduler_link(paddock))
        framework_id = await launched(first, first.events(), "outlives")
        disk.fill()

        async def subscribed_while_there_is_room() -> None:
            while True:
                await subscribed(framework_id)

        with pytest.raises(Unavailable, match="disk is full; make room") as caught:
            await subscribed_while_there_is_room()
        assert "kept" not in str(caught.value)
        with pytest.raises(Unavailable, match="disk is full; make room"):
            await subscribed(framework_id)
        disk.free()
        await asyncio.to_thread(wait_until, lambda: paddock("weights", "full=2").returncode == 0, "it does not recover")
        link, events = await subscribed(framework_id)
        await link.reconcile([(TaskId("outlives"), AgentId(""))])
        status = await anext(event.status async for event in events if isinstance(event, Updated))
        assert (status.task_id, status.state) == ("outlives", TaskState.RUNNING)
        await link.teardown()


def test_a_masters_full_disk_refuses_what_is_new_and_keeps_what_there_is(
    masters_disk: tuple[Command, FullDisk],
) -> None:
    paddock, disk = masters_disk
    sleeper = paddock.start("run", "--name=sleeper", "--", "/bin/sh", "-c", "echo up; exec sleep 1000")
    task = paddock.task("sleeper", "running")
    disk.fill()
    finders = [paddock.start("run", "--", "/bin/true")]

    def is_found_out() -> bool:
        if finders[-1].poll() is not None:  # there was room for it in what the registry has
            finders.append(paddock.start("run", "--", "/bin/true"))
        return "nothing can be made durable" in paddock.host.masterd.log_tail()

    wait_until(is_found_out, "the full disk was not noticed")
    # Neither the one that finds it out waits for room, nor a later one.
    finders.append(paddock.start("run", "--", "/bin/true"))
    for finder in finders[-2:]:
        _, words = finder.communicate(timeout=PATIENCE_S)
        assert finder.returncode == 6, words
        assert b"masterd cannot make anything durable: " in words
        assert b"disk is full; make room" in words
    # What only asks is answered, and a kill goes through.
    assert task in paddock.text("ps", "-o", "name")
    assert paddock.text("logs", task) == "up\n"
    for verb in (("status",), ("explain", "role", "*"), ("explain", task)):
        said = paddock(*verb)
        assert said.returncode == 0, said.stderr
        assert b"the master promises nothing new: " in said.stdout + said.stderr, verb
    before = paddock("describe", task).stdout.decode()
    pid = int(re.search(r"pid (\d+) on the host", before)[1])  # type: ignore[index]
    killed = paddock("kill", task)
    assert killed.returncode == 0, killed.stderr
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the task was not killed")
    disk.free()
    sleeper.communicate(timeout=PATIENCE_S)
    assert paddock.task("sleeper", "killed") == task
    wait_until(lambda: paddock("run", "--", "/bin/true").returncode == 0, "it does not recover")
    assert b"promises nothing new" not in paddock("explain", "role", "*").stderr
