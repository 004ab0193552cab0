"""Frameworks that flood, never read, never answer, die in the middle of calls, or are too many: others notice nothing."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc.aio import AioRpcError

from masterd.__main__ import STREAMS_PER_CONNECTION
from masterd.streams import LIMIT_COUNT
from paddock.model.framework import FrameworkInfo
from paddock.scheduler import Scheduler, Subscribed
from paddock.wire.v1 import agent_registry_service_pb2 as registry_pb
from paddock.wire.v1 import operator_service_pb2 as operator_pb
from paddock.wire.v1 import scheduler_service_pb2 as scheduler_pb
from paddock.wire.v1 import tasks_pb2
from tests.cluster.masterd.speakers import AgentSpeaker, FrameworkSpeaker, task
from tests.cluster.masterd.stage import stage
from tests.masterd_process import ROOT, MasterdProcess

if TYPE_CHECKING:  # the class is in the stubs only
    from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceAsyncStub

UNDER_WAY_COUNT = 1_000
CALLS_COUNT = 10
WAIT_S = 60.0


def revive(framework: FrameworkSpeaker) -> scheduler_pb.ReviveRequest:
    return scheduler_pb.ReviveRequest(framework_id=framework.framework_id, subscription_id=framework.subscription_id)


async def test_a_flood_of_calls_is_taken_in_turn_with_those_of_others(masterd: MasterdProcess) -> None:
    """Counted, not timed: of a flood's thousand calls under way, one connection's share goes first, and not all of them."""
    answered_count, is_over = 0, False

    async def flood(framework: FrameworkSpeaker) -> None:
        nonlocal answered_count
        while not is_over:
            # Refused are those for which the connection had no room left.
            with suppress(AioRpcError):
                await framework.stub.Revive(revive(framework))
                answered_count += 1

    async with stage(masterd) as on:
        flooder, other = await on.framework("flood"), await on.framework("other")
        await flooder.subscribe()
        await other.subscribe()
        lanes = [asyncio.create_task(flood(flooder)) for _ in range(UNDER_WAY_COUNT)]
        async with asyncio.timeout(WAIT_S):
            while answered_count < STREAMS_PER_CONNECTION:
                await asyncio.sleep(0.01)
            before = answered_count
            for _ in range(CALLS_COUNT):
                await other.stub.Revive(revive(other))
            went_first_count = answered_count - before
            is_over = True
            await asyncio.gather(*lanes)
        assert went_first_count < CALLS_COUNT * UNDER_WAY_COUNT / 2


async def test_the_library_makes_any_number_of_calls_at_once(masterd: MasterdProcess) -> None:
    async with Scheduler(masterd.address, FrameworkInfo(name="many", roles=("many",))) as scheduler:
        assert isinstance(await anext(scheduler), Subscribed)
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*(scheduler.suppress() for _ in range(4 * STREAMS_PER_CONNECTION)))


async def test_who_does_not_read_is_cut_off_and_costs_nobody_else_anything(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        agent, other, operator = await on.agent("a1"), await on.framework("other"), await on.operator()
        deaf = await on.framework("deaf")
        stream = deaf.stub.Subscribe(scheduler_pb.SubscribeRequest(framework=deaf.info))
        first = await stream.read()
        assert isinstance(first, scheduler_pb.SchedulerEvent)
        subscribed = first.subscribed
        asked = [scheduler_pb.ReconcileRequest.TaskToReconcile(task_id=f"t{number}") for number in range(LIMIT_COUNT)]
        request = scheduler_pb.ReconcileRequest(
            framework_id=subscribed.framework_id, subscription_id=subscribed.subscription_id, tasks=asked
        )
        await other.subscribe()
        # Each call's answers would fill its queue; what is on the way to it is little.
        for _ in range(2):
            await deaf.stub.Reconcile(request)
        await agent.register()
        await other.accept(await other.offer("a1"), task("t1", "a1"))
        await agent.launched("t1")
        async with asyncio.timeout(WAIT_S):
            while await is_connected(operator, subscribed.framework_id):
                await asyncio.sleep(0.02)
        with pytest.raises(AioRpcError) as caught:
            await read_to_the_end(stream)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert f"{LIMIT_COUNT} messages behind" in str(caught.value.details())


async def read_to_the_end(
    stream: grpc.aio.UnaryStreamCall[scheduler_pb.SubscribeRequest, scheduler_pb.SchedulerEvent],
) -> None:
    async with asyncio.timeout(WAIT_S):
        while await stream.read() is not grpc.aio.EOF:
            pass


async def is_connected(operator: OperatorServiceAsyncStub, framework_id: str) -> bool:
    listed = await operator.ListFrameworks(operator_pb.ListFrameworksRequest())
    return any(each.info.framework_id == framework_id and each.connected for each in listed.frameworks)


async def test_who_never_answers_keeps_nothing_from_others(tmp_path: Path) -> None:
    flags = ("--allocation-interval=100ms", "--offer-timeout=6s")
    with MasterdProcess(tmp_path, *flags) as masterd:
        async with stage(masterd) as on:
            agent, silent, other = await on.agent("a1"), await on.framework("silent"), await on.framework("other")
            await silent.subscribe()
            await agent.register()
            offer = await silent.offer("a1")
            await other.subscribe()
            await silent.heard.wait_for(
                scheduler_pb.SchedulerEvent, lambda event: event.rescind.offer_id == offer.offer_id
            )
            await other.accept(await other.offer("a1"), task("t1", "a1", "cpus:4;mem:1024;ports:[31000-31009]"))
            await agent.launched("t1")


DIES_IN_MID_CALL = """
import asyncio, os, signal, sys
from paddock.rpc.channel import open_channel
from paddock.wire.v1 import scheduler_service_pb2 as pb
from tests.cluster.masterd.speakers import FrameworkSpeaker, task

async def main():
    async with open_channel(sys.argv[1]) as channel:
        framework = FrameworkSpeaker(channel, "dies")
        await framework.subscribe()
        offer = await framework.offer("a1")
        print(framework.framework_id, flush=True)
        named = {"framework_id": framework.framework_id, "subscription_id": framework.subscription_id}
        calls = [framework.accept(offer, *(task(f"t{n}", "a1", "cpus:0.1;mem:8") for n in range(20)))]
        for _ in range(10):
            calls.append(framework.stub.Decline(pb.DeclineRequest(**named, offer_ids=[offer.offer_id])))
            calls.append(framework.stub.Reconcile(pb.ReconcileRequest(**named)))
        under_way = [asyncio.ensure_future(call) for call in calls]
        await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_who_dies_in_mid_call_leaves_nothing_held(masterd: MasterdProcess) -> None:
    """Its offer was accepted or it was not; either way all of the agent is offered to the next one, to the unit, perhaps in
    pieces, as it comes back.
    """
    async with stage(masterd) as on:
        agent, operator = await on.agent("a1"), await on.operator()
        await agent.register()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", DIES_IN_MID_CALL, masterd.address, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        framework_id = (await process.stdout.readline()).decode().strip()
        assert await process.wait() == -9
        await agent.heard.wait_for(
            registry_pb.MasterMessage, lambda message: message.remove_framework.framework_id == framework_id
        )
        for launched in tasks_of(agent):
            agent.report(framework_id, launched, tasks_pb2.TASK_KILLED, uuid=launched.encode().rjust(16, b"-"))
        heir = await on.framework("heir")
        await heir.subscribe()
        await heir.heard.wait_for(
            scheduler_pb.SchedulerEvent, lambda _event: offered(heir) == {"cpus": 4000, "mem": 1024 * 1000, "ports": 10}
        )
        assert not await is_connected(operator, framework_id)


def tasks_of(agent: AgentSpeaker) -> list[str]:
    messages = [message for message in agent.heard.messages if isinstance(message, registry_pb.MasterMessage)]
    return [each.task_id for message in messages for each in message.launch_tasks.tasks]


def offered(framework: FrameworkSpeaker) -> dict[str, int]:
    """By name, of all its offers together: thousandths, of ports their number."""
    found: Counter[str] = Counter()
    for event in framework.heard.messages:
        assert isinstance(event, scheduler_pb.SchedulerEvent)
        assert not event.HasField("rescind")
        for each in (resource for offer in event.offers.offers for resource in offer.resources):
            found[each.name] += each.scalar_milli + sum(range_.end - range_.begin + 1 for range_ in each.ranges.ranges)
    return dict(found)


async def test_the_framework_over_the_limit_is_told_so_and_the_others_go_on(tmp_path: Path) -> None:
    with MasterdProcess(tmp_path, "--max-frameworks=10", "--allocation-interval=100ms") as masterd:
        async with stage(masterd) as on:
            channel = await on.channel()
            frameworks = [FrameworkSpeaker(channel, "many") for _ in range(10)]
            await asyncio.gather(*(each.subscribe() for each in frameworks))
            late = await on.framework("late")
            for _ in range(3):
                with pytest.raises(AioRpcError) as caught:
                    await late.stub.Subscribe(scheduler_pb.SubscribeRequest(framework=late.info)).read()
                assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert "has 10 frameworks, and takes 10 (max_frameworks)" in str(caught.value.details())
            await frameworks[0].stub.Revive(revive(frameworks[0]))
            await frameworks[0].leave()
            async with asyncio.timeout(WAIT_S):
                while await is_connected(await on.operator(), frameworks[0].framework_id):
                    await asyncio.sleep(0.02)
            await late.subscribe()
            await asyncio.gather(*(each.leave() for each in frameworks))
