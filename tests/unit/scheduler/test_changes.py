"""Reservations by the library, and what the master tells of them and of maintenance."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from paddock.model.errors import InvalidRequest
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, TaskId
from paddock.model.offer import Reserve, Unavailability
from paddock.model.resources import Reservation, Resource, Resources, Scalar
from paddock.model.task import CommandInfo, KillPolicy, TaskInfo
from paddock.scheduler import LeaveAsked, Offered, OperationUpdated, Scheduler
from paddock.wire import convert
from paddock.wire.v1 import scheduler_service_pb2 as pb
from tests.unit.scheduler.scripted_master import ScriptedMaster, mastered, offer, offers

WINDOW = Unavailability(start_ns=10**18, duration_ns=60 * 10**9)


def task(task_id: str) -> TaskInfo:
    command = CommandInfo(arguments=("/bin/true",))
    return TaskInfo(
        task_id=TaskId(task_id),
        name=task_id,
        agent_id=AgentId(""),
        resources=Resources.scalars({"cpus": 100}),
        command=command,
    )


async def following(scheduler: Scheduler) -> object:
    return await asyncio.wait_for(anext(scheduler), 60)


async def test_changes_go_before_the_launch_and_what_became_of_them_comes_back(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FrameworkInfo(name="t")) as scheduler:
        await following(scheduler)
        await master.say.put(offers(offer("o1", role="prod")))
        offered = await following(scheduler)
        assert isinstance(offered, Offered)
        reserved = Resource(
            name="cpus", value=Scalar(milli=1_000), reservations=(Reservation(role="prod", dynamic=True),)
        )
        change = Reserve(resources=Resources((reserved,)), operation_id="op")
        await scheduler.accept(offered.offers[0], [], changes=[change])
        (request,) = await master.until(pb.AcceptRequest)
        assert isinstance(request, pb.AcceptRequest)
        assert [convert.operation_from_wire(each) for each in request.operations] == [change]
        update = pb.SchedulerEvent.OperationUpdate(operation_id="op", agent_id="a1", error="no")
        await master.say.put(pb.SchedulerEvent(operation_update=update))
        assert await following(scheduler) == OperationUpdated(operation_id="op", agent_id=AgentId("a1"), error="no")


async def test_whoever_is_asked_to_leave_can_answer(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FrameworkInfo(name="t")) as scheduler:
        await following(scheduler)
        asked = pb.SchedulerEvent.InverseOffer(
            agent_id="a1", hostname="h", unavailability=convert.unavailability_to_wire(WINDOW)
        )
        await master.say.put(pb.SchedulerEvent(inverse_offer=asked))
        assert await following(scheduler) == LeaveAsked(agent_id=AgentId("a1"), hostname="h", unavailability=WINDOW)
        await scheduler.answer_inverse_offer(AgentId("a1"), accepted=True)
        (answer,) = await master.until(pb.AnswerInverseOfferRequest)
        assert answer == pb.AnswerInverseOfferRequest(
            framework_id="f1", subscription_id="s1", agent_id="a1", accepted=True
        )


async def test_what_no_message_can_hold_is_refused_by_whose_it_is(tmp_path: Path) -> None:
    master, never = ScriptedMaster(), KillPolicy(grace_period_ms=-1)
    async with mastered(tmp_path / "m", master) as address:
        with pytest.raises(InvalidRequest, match=r"framework: 't' .*out of range: -1"):
            async with Scheduler(address, FrameworkInfo(name="t", failover_timeout_ms=-1)) as scheduler:
                await following(scheduler)
        async with Scheduler(address, FrameworkInfo(name="t")) as scheduler:
            await following(scheduler)
            await master.say.put(offers(offer("o1")))
            offered = await following(scheduler)
            assert isinstance(offered, Offered)
            with pytest.raises(InvalidRequest, match=r"task: 'bad' .*out of range: -1"):
                await scheduler.accept(offered.offers[0], [task("good"), replace(task("bad"), kill_policy=never)])
            with pytest.raises(InvalidRequest, match=r"policy: .*out of range: -1"):
                await scheduler.kill(TaskId("good"), policy=never)
