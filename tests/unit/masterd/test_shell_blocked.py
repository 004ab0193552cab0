"""What a full disk does to those that the shell must not lose for it: tasks that were killed, frameworks that were refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from masterd.core.effects import AgentMessage, Save, TellKill, TellLaunch
from masterd.core.events import Accept, Kill, Revive, WeightsChanged
from masterd.shell import MasterShell
from masterd.streams import Stream
from paddock.model.errors import CheckpointBlocked, Unavailable
from paddock.model.ids import TaskId
from paddock.model.offer import Filters, Launch
from tests.unit.masterd.core.world import ROOT, Subscription, call, task_info
from tests.unit.masterd.test_shell import registered, running, subscribe


class Disk:
    """Full while `is_full`."""

    def __init__(self) -> None:
        self.is_full = threading.Event()
        self.written: list[Save] = []

    def write(self, records: Sequence[Save]) -> None:
        if self.is_full.is_set():
            raise CheckpointBlocked("registry", 0, "no space; make room")
        self.written.extend(records)


@asynccontextmanager
async def on_disk() -> AsyncIterator[tuple[MasterShell, Disk]]:
    disk = Disk()
    async with running(disk.write) as (shell, _):
        try:
            yield shell, disk
        finally:
            disk.is_full.clear()


async def heard_task(stream: Stream[AgentMessage]) -> str:
    """The next launch or kill that the agent is told of, in words."""
    async with asyncio.timeout(10):
        async for message in stream.messages():
            match message:
                case TellLaunch(tasks=tasks):
                    return f"launch {' '.join(task.task_id for task in tasks)}"
                case TellKill(task_id=task_id):
                    return f"kill {task_id}"
                case _:
                    pass
    raise AssertionError("the stream has ended")


async def launch(shell: MasterShell, framework: Subscription, task_id: str) -> None:
    """On the agent a1, once the framework is offered it."""
    await shell.call(Revive(**call(framework)))
    async with asyncio.timeout(10):
        while not shell.machine.state.offers:
            await asyncio.sleep(0.01)
    await shell.call(
        Accept(
            **call(framework),
            offer_ids=tuple(shell.machine.state.offers),
            operations=(Launch(tasks=(task_info(task_id, "a1"),)),),
            filters=Filters(refuse_ms=0),
        )
    )


async def test_a_kill_waits_for_the_launch_of_its_own_task_and_for_no_other() -> None:
    async with on_disk() as (shell, disk):
        agent = shell.agents.open(1)
        await shell.call(registered(1, "a1", "cpus:2;mem:128"))
        await shell.call(subscribe(2))
        (entry,) = shell.machine.state.frameworks.values()
        framework = (entry.info.framework_id, entry.subscription_id, 2)
        await launch(shell, framework, "runs")
        assert await heard_task(agent) == "launch runs"
        disk.is_full.set()
        finds_out = asyncio.ensure_future(shell.call(WeightsChanged(caller=ROOT, weights_milli=(("r", 2000),))))
        with pytest.raises(Unavailable, match="what was asked is kept"):
            await launch(shell, framework, "waits")
        with pytest.raises(Unavailable, match="what was asked is kept"):
            await finds_out
        for task_id in ("waits", "runs"):
            await asyncio.wait_for(shell.call(Kill(**call(framework), task_id=TaskId(task_id))), 10)
        # Who was told that it is killed has not to wait for room, nor for this master to live until then.
        assert await heard_task(agent) == "kill runs"
        assert shell.problem
        disk.is_full.clear()
        assert [await heard_task(agent), await heard_task(agent)] == ["launch waits", "kill waits"]
