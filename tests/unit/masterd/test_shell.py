"""The shell around a real core: answers wait for the disk, bursts make one cycle, a broken disk ends it, a stop is no loss."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings, Grant, Shuffler
from masterd.core.effects import NoteOffers, NoteSubscribed, Save, SaveAgent, SaveFramework, SaveWeights, TellRegistered
from masterd.core.events import (
    AgentAnswered,
    AgentRegistered,
    FrameworkStreamLost,
    Reconcile,
    Revive,
    Subscribe,
    WeightsChanged,
)
from masterd.core.machine import Machine
from masterd.core.recovery import Remembered, recover
from masterd.core.state import Settings
from masterd.core.views import FrameworkState
from masterd.shell import MasterShell
from paddock.model.agent import AgentInfo, MasterInfo
from paddock.model.errors import CheckpointBlocked, CheckpointError, NotFound, Unavailable
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId, MasterId
from paddock.model.resource_text import parse_resources
from tests.fakes.clock import FakeClock
from tests.unit.masterd.core.world import ROOT

Write = Callable[[Sequence[Save]], None]


class CountingAllocator(DrfAllocator):
    """Counts its runs."""

    runs = 0

    def run(self, *, now_ns: int, shuffler: Shuffler, batch: bool) -> tuple[Grant, ...]:
        self.runs += 1
        return super().run(now_ns=now_ns, shuffler=shuffler, batch=batch)


def shell_of(write: Write, interval_s: float = 3600) -> tuple[MasterShell, CountingAllocator]:
    allocator = CountingAllocator(AllocatorSettings())
    state = recover(
        Remembered(),
        master=MasterInfo(master_id=MasterId("m"), epoch=1),
        settings=Settings(),
        allocator=allocator,
        shuffler=random.Random(1),
        now_ns=0,
        wall_ns=0,
    )
    shell = MasterShell(Machine(state), write=write, clock=FakeClock(), allocation_interval_s=interval_s)
    return shell, allocator


@asynccontextmanager
async def running(write: Write, *, interval_s: float = 3600) -> AsyncIterator[tuple[MasterShell, CountingAllocator]]:
    shell, allocator = shell_of(write, interval_s)
    task = asyncio.create_task(shell.run())
    try:
        yield shell, allocator
    finally:
        shell.stop()
        await task


def registered(stream: int, name: str, resources: str = "cpus:1;mem:64") -> AgentRegistered:
    info = AgentInfo(agent_id=AgentId(name), hostname=name, resources=parse_resources(resources))
    return AgentRegistered(stream=stream, agent=info)


def subscribe(stream: int) -> Subscribe:
    return Subscribe(stream=stream, caller=ROOT, framework=FrameworkInfo(name="f"))


async def test_nobody_is_told_before_the_disk_has_it() -> None:
    may_go_on = threading.Event()
    written: list[Save] = []

    def write(records: Sequence[Save]) -> None:
        may_go_on.wait(60)
        written.extend(records)

    async with running(write) as (shell, _):
        stream = shell.frameworks.open(1)
        call = asyncio.ensure_future(shell.call(subscribe(1)))
        heard = asyncio.ensure_future(anext(stream.messages()))
        await asyncio.sleep(0.1)
        assert not call.done()
        assert not heard.done()
        may_go_on.set()
        await asyncio.wait_for(call, 60)
        assert isinstance(await asyncio.wait_for(heard, 60), NoteSubscribed)
        assert [type(record) for record in written] == [SaveFramework]


async def test_a_refusal_is_raised_to_the_caller() -> None:
    async with running(lambda _: None) as (shell, _):
        with pytest.raises(NotFound, match="nobody"):
            await shell.call(Reconcile(caller=ROOT, framework_id=FrameworkId("nobody"), subscription_id=""))


async def test_a_burst_makes_one_cycle_and_offers_do_not_wait_for_the_timer() -> None:
    async with running(lambda _: None) as (shell, allocator):
        stream = shell.frameworks.open(1)
        await shell.call(subscribe(1))
        async with asyncio.timeout(60):
            while not allocator.runs:
                await asyncio.sleep(0.01)
        before = allocator.runs
        await asyncio.gather(*(shell.call(registered(number, f"a{number}")) for number in range(2, 32)))
        offers = 0
        async with asyncio.timeout(60):
            async for message in stream.messages():
                offers += len(message.offers) if isinstance(message, NoteOffers) else 0
                if offers == 30:
                    break
        assert allocator.runs - before == 1


async def test_a_disk_that_cannot_be_written_ends_the_master() -> None:
    def write(_: Sequence[Save]) -> None:
        raise CheckpointError("registry", 0, "the disk is full")

    shell, _ = shell_of(write)
    stream = shell.agents.open(1)
    call = asyncio.ensure_future(shell.call(registered(1, "a1")))
    with pytest.raises(CheckpointError, match="the disk is full"):
        await asyncio.wait_for(shell.run(), 60)
    assert not call.done()
    call.cancel()
    stream.close()
    assert [message async for message in stream.messages()] == []


async def test_while_the_disk_is_full_what_must_be_durable_is_refused_and_the_rest_goes_on() -> None:
    is_full = threading.Event()
    written: list[Save] = []

    def write(records: Sequence[Save]) -> None:
        if is_full.is_set():
            raise CheckpointBlocked("registry", 0, "no space; make room")
        written.extend(records)

    async with running(write) as (shell, _):
        stream = shell.agents.open(1)
        heard = stream.messages()
        await shell.call(registered(1, "a1"))
        assert isinstance(await asyncio.wait_for(anext(heard), 60), TellRegistered)
        is_full.set()
        weights = WeightsChanged(caller=ROOT, weights_milli=(("found", 2000),))
        found_out = [asyncio.ensure_future(shell.call(event)) for event in (subscribe(2), weights)]
        # Those that found it out do not wait for room, either. Of a subscription nothing is kept: its stream has ended.
        for call, words in zip(found_out, ("make room$", "make room; what was asked is kept"), strict=True):
            with pytest.raises(Unavailable, match=words):
                await asyncio.wait_for(call, 60)
        for event in (subscribe(3), registered(4, "a2"), WeightsChanged(caller=ROOT, weights_milli=(("r", 2000),))):
            with pytest.raises(Unavailable, match="make room$"):
                await asyncio.wait_for(shell.call(event), 60)
        # An agent is listened to, and hears that the master lives; who only asks, or has something ended, is answered.
        await asyncio.wait_for(shell.call(AgentAnswered(stream=1, sequence=0)), 60)
        (framework,) = shell.machine.state.frameworks.values()
        revive = Revive(
            caller=ROOT, framework_id=framework.info.framework_id, subscription_id=framework.subscription_id
        )
        await asyncio.wait_for(shell.call(revive), 60)
        assert len(shell.machine.state.agents) == 1
        assert shell.machine.state.weights_milli == {"found": 2000}
        is_full.clear()
        await freed(shell)
        await asyncio.wait_for(shell.call(registered(5, "a2")), 60)
    kinds = [type(record) for record in written]
    assert kinds == [SaveAgent, SaveFramework, SaveWeights, SaveAgent]


async def freed(shell: MasterShell) -> None:
    async with asyncio.timeout(60):
        while shell.problem:
            shell.problem_changed.clear()
            await shell.problem_changed.wait()


async def test_connections_that_end_because_we_stop_are_nobodys_end() -> None:
    written: list[Save] = []
    async with running(written.extend) as (shell, _):
        stream = shell.frameworks.open(1)
        await shell.call(subscribe(1))
        shell.stop()
        shell.post(FrameworkStreamLost(stream=1))
        with pytest.raises(Unavailable, match="stopping"):
            async for _message in stream.messages():
                pass
        with pytest.raises(Unavailable, match="stopping"):
            await shell.call(subscribe(2))
        await asyncio.sleep(0.05)
        (framework,) = shell.machine.state.frameworks.values()
        assert framework.state is FrameworkState.SUBSCRIBED
    assert not any(isinstance(record, SaveFramework) and record.completed for record in written)


async def test_a_caller_that_has_gone_changes_nothing() -> None:
    async with running(lambda _: None) as (shell, _):
        call = asyncio.ensure_future(shell.call(registered(1, "a1")))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.sleep(0.05)
        assert not shell.machine.state.agents


async def test_the_timer_runs_cycles_and_a_group_is_written_together() -> None:
    groups: list[int] = []
    gate = threading.Event()

    def write(records: Sequence[Save]) -> None:
        gate.wait(60)
        groups.append(sum(isinstance(record, SaveAgent) for record in records))

    async with running(write, interval_s=0.02) as (shell, allocator):
        calls = [asyncio.ensure_future(shell.call(registered(number, f"a{number}"))) for number in range(20)]
        async with asyncio.timeout(60):
            while allocator.runs < 2:
                await asyncio.sleep(0.01)
        gate.set()
        await asyncio.wait_for(asyncio.gather(*calls), 60)
    assert sum(groups) == 20
    assert len(groups) <= 3
