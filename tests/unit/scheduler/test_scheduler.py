"""The library against a real server that says what the test wants said."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from random import Random

import pytest

from paddock.model.errors import InvalidRequest, NotLeading, PaddockError, Unauthenticated, Unavailable
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, OfferId, TaskId
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, KillPolicy, TaskInfo, TaskState, TaskStatus
from paddock.rpc import scheduling
from paddock.rpc.knock import AWAY_LIMIT_S
from paddock.scheduler import (
    Disconnected,
    FrameworkRefused,
    Offered,
    Rescinded,
    Scheduler,
    Subscribed,
    Updated,
    fits,
)
from paddock.scheduler.once import HandledOnce
from paddock.wire.convert import task_status_from_wire
from paddock.wire.v1 import scheduler_service_pb2 as pb
from paddock.wire.v1 import tasks_pb2
from tests.unit.scheduler.scripted_master import ScriptedMaster, mastered, offer, offers, update

UUID = b"0123456789abcdef"
FRAMEWORK = FrameworkInfo(name="tested")


def a_task(resources: str = "cpus:1;mem:64") -> TaskInfo:
    return TaskInfo(
        task_id=TaskId("t1"),
        name="t1",
        agent_id=AgentId(""),
        resources=parse_resources(resources),
        command=CommandInfo(arguments=("/bin/true",)),
    )


async def following(scheduler: Scheduler) -> object:
    return await asyncio.wait_for(anext(scheduler), 60)


async def test_offers_are_accepted_with_the_agent_and_role_filled_in(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        subscribed = await following(scheduler)
        assert isinstance(subscribed, Subscribed)
        assert (subscribed.framework_id, subscribed.master.master_id, scheduler.framework_id) == ("f1", "m1", "f1")
        await master.say.put(offers(offer("o1", role="prod")))
        offered = await following(scheduler)
        assert isinstance(offered, Offered)
        task = a_task()
        assert fits(offered.offers[0], task.resources)
        assert not fits(offered.offers[0], parse_resources("cpus:4.001"))
        await scheduler.accept(offered.offers[0], [task], refuse_s=2.5)
        (accepted,) = await master.until(pb.AcceptRequest)
        assert isinstance(accepted, pb.AcceptRequest)
        assert (accepted.framework_id, accepted.subscription_id, list(accepted.offer_ids)) == ("f1", "s1", ["o1"])
        launched = accepted.operations[0].launch.tasks[0]
        assert launched.agent_id == "a1"
        assert {resource.allocation_role for resource in launched.resources} == {"prod"}
        assert accepted.filters.refuse_ms == 2500


async def test_a_status_is_acknowledged_when_the_body_is_done_with_it_and_not_before(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        await master.say.put(update("t1", tasks_pb2.TASK_RUNNING, UUID))
        await master.say.put(update("t1", tasks_pb2.TASK_FINISHED))
        running = await following(scheduler)
        assert isinstance(running, Updated)
        assert running.status.state is TaskState.RUNNING
        await asyncio.sleep(0.05)
        assert not master.calls
        finished = await following(scheduler)
        assert isinstance(finished, Updated)
        (acknowledged,) = await master.until(pb.AcknowledgeRequest)
        assert isinstance(acknowledged, pb.AcknowledgeRequest)
        assert (acknowledged.task_id, acknowledged.agent_id, acknowledged.uuid) == ("t1", "a1", UUID)


async def test_the_last_status_is_acknowledged_on_leaving_the_block(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address:
        async with Scheduler(address, FRAMEWORK) as scheduler:
            await master.say.put(update("t1", tasks_pb2.TASK_FINISHED, UUID))
            async for event in scheduler:
                if isinstance(event, Updated):
                    break
        assert [type(call) for call in master.calls] == [pb.AcknowledgeRequest, pb.TeardownRequest]


async def test_a_goodbye_is_answered_although_it_ends_the_stream(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
    assert [type(call) for call in master.calls] == [pb.TeardownRequest]
    # Ours only: grpc.aio may still be handing an earlier test's event to that test's closed loop, and asyncio says so.
    assert [record.message for record in caplog.records if record.name != "asyncio"] == []


async def test_a_body_that_raises_acknowledges_nothing(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address:
        await master.say.put(update("t1", tasks_pb2.TASK_FINISHED, UUID))

        async def body_that_raises() -> None:
            async with Scheduler(address, FRAMEWORK) as scheduler:
                async for event in scheduler:
                    if isinstance(event, Updated):
                        raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await body_that_raises()
        assert [type(call) for call in master.calls] == [pb.TeardownRequest]


async def test_a_repeated_status_is_handed_out_once_and_acknowledged_again(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        await master.say.put(update("t1", tasks_pb2.TASK_RUNNING, UUID))
        await master.say.put(update("t1", tasks_pb2.TASK_RUNNING, UUID))
        assert isinstance(await following(scheduler), Updated)
        waiting = asyncio.create_task(anext(scheduler))
        await master.until(pb.AcknowledgeRequest)
        await master.say.put(update("t1", tasks_pb2.TASK_RUNNING, UUID))
        await master.until(pb.AcknowledgeRequest, 2)
        await master.say.put(update("t2", tasks_pb2.TASK_RUNNING))
        event = await asyncio.wait_for(waiting, 60)
        assert isinstance(event, Updated)
        assert event.status.task_id == "t2"


async def test_asking_for_an_event_may_be_given_up_without_losing_one(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(scheduler), 0.05)
        await master.say.put(pb.SchedulerEvent(rescind=pb.SchedulerEvent.Rescind(offer_id="o1")))
        assert await following(scheduler) == Rescinded(offer_id=OfferId("o1"))


async def test_a_lost_subscription_is_renewed_under_the_same_id(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        await master.say.put(None)
        assert isinstance(await following(scheduler), Disconnected)
        with pytest.raises(Unavailable, match="not subscribed"):
            await scheduler.revive()
        assert isinstance(await following(scheduler), Subscribed)
        assert [request.framework.framework_id for request in master.subscriptions] == ["", "f1"]
        await scheduler.revive(["prod"])
        (revived,) = await master.until(pb.ReviveRequest)
        assert isinstance(revived, pb.ReviveRequest)
        assert (revived.subscription_id, list(revived.roles)) == ("s2", ["prod"])


class SlowMaster(ScriptedMaster):
    """Answers no `Suppress` before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def Suppress(self, request: pb.SuppressRequest, context: object) -> pb.SuppressResponse:  # noqa: N802
        await super().Suppress(request, context)
        await self.may_answer.wait()
        return pb.SuppressResponse()


async def test_a_call_after_the_stream_has_ended_does_not_go_to_a_connection_that_waits_to_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "_CLOSE_TIMEOUT_S", 60.0)
    master = SlowMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        under_way = asyncio.create_task(scheduler.suppress())
        await master.until(pb.SuppressRequest)
        await master.say.put(offers(offer("o1", role="prod")))
        await master.say.put(None)

        async def ask_until_refused() -> None:
            # The end is noticed at some time; what is asked until then is answered as before.
            async with asyncio.timeout(60):
                while not under_way.done():
                    await scheduler.revive()

        with pytest.raises(Unavailable, match="not subscribed"):
            await ask_until_refused()
        with pytest.raises(TimeoutError):
            # The offer that nobody has taken is void already.
            await asyncio.wait_for(anext(scheduler), 0.2)
        assert not under_way.done()
        master.may_answer.set()
        await under_way
        assert isinstance(await following(scheduler), Disconnected)
        assert isinstance(await following(scheduler), Subscribed)


async def test_offers_that_nobody_took_before_the_loss_are_not_handed_out_after_it(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        await master.say.put(offers(offer("o1", role="prod")))
        await master.say.put(update("t1", tasks_pb2.TASK_RUNNING, UUID))
        await master.say.put(pb.SchedulerEvent(rescind=pb.SchedulerEvent.Rescind(offer_id="o1")))
        await master.say.put(None)
        async with asyncio.timeout(60):
            while len(master.subscriptions) < 2:
                await asyncio.sleep(0.01)
        await master.say.put(offers(offer("o2", role="prod")))
        kinds = [type(await following(scheduler)) for _ in range(4)]
        assert kinds == [Updated, Disconnected, Subscribed, Offered]


async def test_an_acknowledgement_that_nobody_heard_is_said_again(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        await master.say.put(update("t1", tasks_pb2.TASK_RUNNING, UUID))
        assert isinstance(await following(scheduler), Updated)
        await master.say.put(None)
        await asyncio.sleep(0.05)
        # Dealt with while there is no master to tell.
        assert isinstance(await following(scheduler), Disconnected)
        assert not master.calls
        (acknowledged,) = await master.until(pb.AcknowledgeRequest)
        assert isinstance(acknowledged, pb.AcknowledgeRequest)
        assert (acknowledged.subscription_id, acknowledged.uuid) == ("s2", UUID)


async def test_a_master_that_restarts_is_found_again(tmp_path: Path) -> None:
    first, second = ScriptedMaster(), ScriptedMaster()
    async with Scheduler(f"unix:{tmp_path}/m", FRAMEWORK) as scheduler:
        async with mastered(tmp_path / "m", first):
            assert isinstance(await following(scheduler), Subscribed)
        assert isinstance(await following(scheduler), Disconnected)
        async with mastered(tmp_path / "m", second):
            assert isinstance(await following(scheduler), Subscribed)
            assert second.subscriptions[0].framework.framework_id == "f1"


async def test_the_named_leader_is_followed(tmp_path: Path) -> None:
    follower, leader = ScriptedMaster(), ScriptedMaster()
    follower.refuse = NotLeading(f"unix:{tmp_path}/leader")
    async with (
        mastered(tmp_path / "follower", follower) as address,
        mastered(tmp_path / "leader", leader),
        Scheduler(address, FRAMEWORK) as scheduler,
    ):
        assert isinstance(await following(scheduler), Subscribed)
    assert len(leader.subscriptions) == 1


async def test_the_next_master_is_asked_when_one_is_absent(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with (
        mastered(tmp_path / "b", master) as address,
        Scheduler([f"unix:{tmp_path}/a", address], FRAMEWORK) as scheduler,
    ):
        assert isinstance(await following(scheduler), Subscribed)


async def test_a_silent_master_is_left(tmp_path: Path) -> None:
    master = ScriptedMaster(heartbeat_interval_ms=100)
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        lost = await following(scheduler)
        assert isinstance(lost, Disconnected)
        assert "silent for 1 s" in lost.message
        assert isinstance(await following(scheduler), Subscribed)


async def test_heartbeats_keep_a_quiet_subscription(tmp_path: Path) -> None:
    master = ScriptedMaster(heartbeat_interval_ms=1500)
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        # Longer than it would wait without them, each long before its time.
        for _ in range(12):
            await asyncio.sleep(0.4)
            await master.say.put(pb.SchedulerEvent(heartbeat=pb.SchedulerEvent.SchedulerHeartbeat()))
        await master.say.put(offers(offer("o1")))
        assert isinstance(await following(scheduler), Offered)


@pytest.mark.parametrize(
    "refusal", [InvalidRequest("framework.roles[0]", "a b", "no blanks"), Unauthenticated("who are you")]
)
async def test_what_can_never_succeed_is_raised_to_whoever_iterates(tmp_path: Path, refusal: PaddockError) -> None:
    master = ScriptedMaster()
    master.refuse = refusal
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        for _ in range(2):
            with pytest.raises(type(refusal), match=re.escape(str(refusal))):
                await following(scheduler)


async def test_a_framework_that_the_master_ends_does_not_come_back(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        error = pb.SchedulerEvent.SchedulerError(message="taken over by another process")
        await master.say.put(pb.SchedulerEvent(error=error))
        with pytest.raises(FrameworkRefused, match="taken over"):
            await following(scheduler)
    assert len(master.subscriptions) == 1


async def test_nonsense_from_a_master_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        await master.say.put(update("../etc", tasks_pb2.TASK_RUNNING))
        with pytest.raises(InvalidRequest, match="task_id"):
            await following(scheduler)


async def test_the_first_subscription_may_have_a_deadline(tmp_path: Path) -> None:
    async with Scheduler(f"unix:{tmp_path}/none", FRAMEWORK, first_deadline_s=0.5) as scheduler:
        with pytest.raises(Unavailable, match="is the daemon running"):
            await following(scheduler)


class Hasty(Random):
    """Waits a hundredth."""

    def uniform(self, a: float, b: float) -> float:
        return b / 100


async def test_a_master_that_was_away_for_long_is_still_looked_for_every_few_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="paddock.scheduler")
    async with Scheduler(f"unix:{tmp_path}/m", FRAMEWORK, random=Hasty()) as scheduler:
        async with asyncio.timeout(30):
            while len(caplog.records) < 12:
                await asyncio.sleep(0.01)
        waits_s = [record.__dict__["again_in_s"] for record in caplog.records]
        assert waits_s[-1] == AWAY_LIMIT_S / 100 == max(waits_s)
        async with mastered(tmp_path / "m", ScriptedMaster()):
            assert isinstance(await following(scheduler), Subscribed)


async def test_a_framework_with_a_failover_timeout_leaves_its_tasks(tmp_path: Path) -> None:
    master = ScriptedMaster()
    staying = FrameworkInfo(name="stays", failover_timeout_ms=60_000)
    async with mastered(tmp_path / "m", master) as address:
        async with Scheduler(address, staying) as scheduler:
            await following(scheduler)
        await asyncio.sleep(0.05)
    assert not master.calls


async def test_the_other_calls_carry_what_they_were_given(tmp_path: Path) -> None:
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address, Scheduler(address, FRAMEWORK) as scheduler:
        await following(scheduler)
        await master.say.put(offers(offer("o1"), offer("o2")))
        offered = await following(scheduler)
        assert isinstance(offered, Offered)
        await scheduler.decline(offered.offers, refuse_s=0)
        await scheduler.kill(TaskId("t1"), policy=KillPolicy(signal=2, grace_period_ms=0))
        await scheduler.kill(TaskId("t2"))
        await scheduler.reconcile([(TaskId("t1"), AgentId("a1"))])
        await scheduler.suppress()
        declined, killed, killed_by_default, reconciled, suppressed = master.calls
        assert isinstance(declined, pb.DeclineRequest)
        assert (list(declined.offer_ids), declined.filters.refuse_ms) == (["o1", "o2"], 0)
        assert isinstance(killed, pb.KillRequest)
        assert (killed.kill_policy.signal, killed.kill_policy.grace_period_ms) == (2, 0)
        assert killed.kill_policy.HasField("grace_period_ms")
        assert isinstance(killed_by_default, pb.KillRequest)
        assert not killed_by_default.HasField("kill_policy")
        assert isinstance(reconciled, pb.ReconcileRequest)
        assert [(task.task_id, task.agent_id) for task in reconciled.tasks] == [("t1", "a1")]
        assert isinstance(suppressed, pb.SuppressRequest)
        for wrong in (-1.0, float("nan")):
            with pytest.raises(InvalidRequest, match="refuse_s"):
                await scheduler.decline(offered.offers, refuse_s=wrong)
        with pytest.raises(InvalidRequest, match="offers"):
            await scheduler.accept([], [])


async def test_only_the_newest_uuids_are_remembered() -> None:
    once = HandledOnce(remembered_count=2)

    def status(number: int) -> TaskStatus:
        return task_status_from_wire(update("t", tasks_pb2.TASK_RUNNING, bytes([number]) * 16).update.status)

    one, two, three = (status(number) for number in (1, 2, 3))
    assert [once.is_new(each) for each in (one, two, one, three, one)] == [True, True, False, True, True]
