"""What a full disk does to those that the shell must not lose for it: tasks that were killed, frameworks that were refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from masterd.core.effects import AgentMessage, Save, SaveFramework, TellKill, TellLaunch
from masterd.core.events import Accept, Kill, Revive, WeightsChanged
from masterd.rpc.schedulers import Schedulers
from masterd.shell import MasterShell
from masterd.streams import Stream
from paddock.model.errors import CheckpointBlocked, Unavailable
from paddock.model.ids import FrameworkId, TaskId
from paddock.model.offer import Filters, Launch
from paddock.rpc.principal import Principal, serve_as
from paddock.wire.v1 import parties_pb2
from paddock.wire.v1 import scheduler_service_pb2 as pb
from tests.unit.masterd.core.world import ROOT, Subscription, call, task_info
from tests.unit.masterd.rpc.serving import NO_CONTEXT
from tests.unit.masterd.test_shell import freed, registered, running, subscribe


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
    async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
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
            await asyncio.wait_for(shell.call(Kill(**call(framework), task_id=TaskId(task_id))), 60)
        # Who was told that it is killed has not to wait for room, nor for this master to live until then.
        assert await heard_task(agent) == "kill runs"
        assert shell.problem
        disk.is_full.clear()
        assert [await heard_task(agent), await heard_task(agent)] == ["launch waits", "kill waits"]


async def subscribed(shell: MasterShell, framework: parties_pb2.FrameworkInfo) -> AsyncIterator[pb.SchedulerEvent]:
    """The first answer, and the stream until it is closed."""
    stream = Schedulers(shell).Subscribe(pb.SubscribeRequest(framework=framework), NO_CONTEXT)
    async for message in stream:
        yield pb.SchedulerEvent.FromString(cast("bytes", message))


async def refused(shell: MasterShell, framework: parties_pb2.FrameworkInfo) -> None:
    with pytest.raises(Unavailable, match="make room$"):
        await asyncio.wait_for(anext(subscribed(shell, framework)), 60)


async def test_who_finds_it_out_with_its_return_loses_no_task_and_subscribes_once_there_is_room() -> None:
    serve_as(Principal(uid=0))
    async with on_disk() as (shell, disk):
        agent = shell.agents.open(-1)
        await shell.call(registered(-1, "a1"))
        before = subscribed(shell, parties_pb2.FrameworkInfo(name="f", roles=["*"]))
        (known_id,) = [(await anext(before)).subscribed.framework_id]
        (entry,) = shell.machine.state.frameworks.values()
        await launch(shell, (entry.info.framework_id, entry.subscription_id, 0), "runs")
        assert await heard_task(agent) == "launch runs"
        disk.is_full.set()
        # It has no failover time; its older stream ends as the new one is taken, and that one is refused.
        framework = parties_pb2.FrameworkInfo(name="f", roles=["*"], framework_id=known_id)
        await refused(shell, framework)
        await refused(shell, framework)
        assert [message async for message in before][-1].error.message
        disk.is_full.clear()
        await freed(shell)
        again = subscribed(shell, framework)
        assert (await asyncio.wait_for(anext(again), 60)).subscribed.framework_id == known_id
        assert list(shell.machine.state.frameworks[FrameworkId(known_id)].tasks) == ["runs"]
        assert not shell.machine.state.completed_frameworks
        await again.aclose()  # type: ignore[attr-defined]


async def test_a_new_framework_that_finds_it_out_leaves_nothing_that_nobody_knows() -> None:
    serve_as(Principal(uid=0))
    async with on_disk() as (shell, disk):
        disk.is_full.set()
        framework = parties_pb2.FrameworkInfo(name="f", roles=["*"], failover_timeout_ms=604_800_000)
        await refused(shell, framework)
        await refused(shell, framework)
        disk.is_full.clear()
        await freed(shell)
        stream = subscribed(shell, framework)
        told = (await asyncio.wait_for(anext(stream), 60)).subscribed.framework_id
        assert list(shell.machine.state.frameworks) == [told]
        await stream.aclose()  # type: ignore[attr-defined]
    saved = {each.framework.framework_id: each.completed for each in disk.written if isinstance(each, SaveFramework)}
    assert [completed for framework_id, completed in saved.items() if framework_id != told] == [True]
