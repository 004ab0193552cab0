"""Between real daemons: an agent out of reach and back, a master that is away, a framework that does not come back."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from paddock.model.errors import Unavailable
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, TaskId
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, Reason, StatusSource, TaskInfo, TaskState, TaskStatus
from paddock.rpc.channel import open_channel
from paddock.scheduler import Offered, Scheduler, Updated, pack
from paddock.wire.v1 import scheduler_service_pb2 as scheduler_pb
from paddock.wire.v1 import tasks_pb2
from testbed.daemon_process import DaemonProcess
from testbed.one_host import OneHost
from tests.cluster.masterd.speakers import FrameworkSpeaker, task

pytestmark = pytest.mark.timeout(400)

AWARE = frozenset({FrameworkCapability.PARTITION_AWARE})
SILENCE_S = 3
FAILOVER_S = 5


@pytest.fixture(scope="module")
def host() -> Iterator[OneHost]:
    cluster = OneHost.make(
        agent_arguments=["--resources=cpus:8;mem:1024;disk:1024"],
        master_arguments=[
            "--agent-ping-timeout=1s",
            f"--max-agent-ping-timeouts={SILENCE_S}",
            "--framework-resubscribe-timeout=1s",
            "--allocation-interval=200ms",
        ],
    )
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def a_task(name: str, line: str) -> TaskInfo:
    return TaskInfo(
        task_id=TaskId(name),
        name=name,
        agent_id=AgentId(""),
        resources=parse_resources("cpus:0.1;mem:32"),
        command=CommandInfo(shell=True, value=line),
    )


async def statuses_until(
    scheduler: Scheduler, wanted: Callable[[TaskStatus], bool], launches: list[TaskInfo] | None = None
) -> list[TaskStatus]:
    """What is told until then; launches are made on the way."""
    told: list[TaskStatus] = []
    async for event in scheduler:
        if isinstance(event, Offered):
            # Offers that came before their master went are void: the word of its end stands behind them in the queue.
            with suppress(Unavailable):
                for offer in event.offers:
                    await scheduler.accept(offer, pack(offer, launches or []), refuse_s=0)
        if isinstance(event, Updated):
            told.append(event.status)
            if wanted(event.status):
                return told
    raise AssertionError("a scheduler's events do not end")


def is_state(*states: TaskState) -> Callable[[TaskStatus], bool]:
    return lambda status: status.state in states


@pytest.mark.parametrize(
    ("capabilities", "away"),
    [(AWARE, TaskState.UNREACHABLE), (frozenset(), TaskState.LOST)],
    ids=["aware", "not aware"],
)
async def test_an_agent_that_is_out_of_reach_comes_back_with_its_task(
    host: OneHost, capabilities: frozenset[FrameworkCapability], away: TaskState
) -> None:
    framework = FrameworkInfo(name="watcher", capabilities=capabilities)
    async with asyncio.timeout(120), Scheduler(host.master_address, framework) as scheduler:
        waiting = [a_task("stays", "exec sleep 1000")]
        await statuses_until(scheduler, is_state(TaskState.RUNNING), waiting)
        host.agentd.send(signal.SIGSTOP)
        try:
            lost = (await statuses_until(scheduler, is_state(away)))[-1]
        finally:
            host.agentd.resume()
        # The master's word: nobody acknowledges it, and the agent's own may follow.
        assert (lost.uuid, lost.source, lost.reason) == (b"", StatusSource.MASTER, Reason.AGENT_REMOVED)
        back = (await statuses_until(scheduler, lambda status: status.reason == Reason.AGENT_REREGISTERED))[-1]
        assert back.state is TaskState.RUNNING
        await scheduler.kill(TaskId("stays"))
        ended = (await statuses_until(scheduler, is_state(TaskState.KILLED)))[-1]
        assert (len(ended.uuid), ended.source) == (16, StatusSource.AGENT)


async def test_statuses_wait_for_a_master_that_is_away_though_the_agent_is_restarted(host: OneHost) -> None:
    framework = FrameworkInfo(name="patient", failover_timeout_ms=600_000, capabilities=AWARE)
    async with asyncio.timeout(150), Scheduler(host.master_address, framework) as scheduler:
        line = "while [ ! -e go ]; do sleep 0.05; done; exit 7"
        running = (await statuses_until(scheduler, is_state(TaskState.RUNNING), [a_task("ends", line)]))[-1]
        host.masterd.send(signal.SIGKILL)
        host.masterd.stop()
        (sandbox,) = Path(host.directory, "work").rglob(running.container_id)
        (sandbox / "go").touch()
        host.agentd.send(signal.SIGKILL)
        host.agentd.stop()
        await asyncio.to_thread(host.agentd.start)
        await asyncio.to_thread(host.masterd.start)
        told = await statuses_until(scheduler, lambda status: status.state.is_terminal)
        assert [status.state for status in told if status.uuid] == [TaskState.FAILED]
        assert told[-1].evidence is not None
        assert told[-1].evidence.exit_code == 7
        await scheduler.reconcile()
        await scheduler.reconcile([(TaskId("ends"), AgentId(host.agent_id)), (TaskId("never"), AgentId(""))])
        answers = await statuses_until(scheduler, lambda status: status.task_id == "never")
        assert {status.task_id: status.state for status in answers} == {
            TaskId("ends"): TaskState.FAILED,
            TaskId("never"): TaskState.UNKNOWN,
        }
        scheduler_id = scheduler.framework_id
    heir = FrameworkInfo(name="patient", framework_id=scheduler_id)
    async with asyncio.timeout(60), Scheduler(host.master_address, heir) as last:
        await anext(last)


CRASHES = (("agentd",), ("masterd",), ("agentd", "masterd"))


async def test_whoever_crashes_a_status_keeps_its_uuid_and_a_task_has_one_last_one(host: OneHost) -> None:
    """Over the raw wire, so that every repetition is seen; nothing is acknowledged before the last crash of each round."""
    recorded: list[tasks_pb2.TaskStatus] = []
    async with recording(host, recorded) as speaker:
        offer = await speaker.offer()
        asked = task("repeats", offer.agent_id, "cpus:0.1;mem:32")
        asked.command.CopyFrom(tasks_pb2.CommandInfo(shell=True, value="exit 7"))
        await speaker.accept(offer, asked)
        await under_uuid(speaker, tasks_pb2.TASK_RUNNING)
        framework_id = speaker.framework_id
    for state in (tasks_pb2.TASK_RUNNING, tasks_pb2.TASK_FAILED):
        for names in CRASHES:
            for name in names:
                await asyncio.to_thread(crash_and_start, host.agentd if name == "agentd" else host.masterd)
            async with recording(host, recorded, framework_id) as speaker:
                status = await under_uuid(speaker, state)
                if names is CRASHES[-1]:
                    await speaker.acknowledge(status)
                    if state == tasks_pb2.TASK_RUNNING:
                        await under_uuid(speaker, tasks_pb2.TASK_FAILED)
                    else:
                        await speaker.stub.Teardown(
                            scheduler_pb.TeardownRequest(
                                framework_id=framework_id, subscription_id=speaker.subscription_id
                            )
                        )
    repeats = [status for status in recorded if status.uuid]
    assert len(repeats) >= 2 * len(CRASHES) + 2
    assert len({(status.state, status.uuid) for status in repeats}) == 2
    assert [status.state for status in repeats] == sorted(status.state for status in repeats)


@asynccontextmanager
async def recording(
    host: OneHost, recorded: list[tasks_pb2.TaskStatus], framework_id: str = ""
) -> AsyncIterator[FrameworkSpeaker]:
    """A subscription; every status that it heard is kept."""
    async with open_channel(host.master_address) as channel:
        speaker = FrameworkSpeaker(channel, "*", framework_id=framework_id, failover_timeout_ms=600_000)
        try:
            await speaker.subscribe()
            yield speaker
        finally:
            await speaker.leave()
            events = [event for event in speaker.heard.messages if isinstance(event, scheduler_pb.SchedulerEvent)]
            recorded += [event.update.status for event in events if event.HasField("update")]


async def under_uuid(speaker: FrameworkSpeaker, state: tasks_pb2.TaskState.ValueType) -> tasks_pb2.TaskStatus:
    """Agents need a moment to come back: longer than a speaker waits for one event by itself."""
    deadline_s = time.monotonic() + 60
    while True:
        try:
            event = await speaker.heard.wait_for(
                scheduler_pb.SchedulerEvent,
                lambda event: bool(event.update.status.uuid) and event.update.status.state == state,
            )
        except TimeoutError:
            assert time.monotonic() < deadline_s, speaker.heard.messages
        else:
            return event.update.status


def crash_and_start(daemon: DaemonProcess) -> None:
    daemon.send(signal.SIGKILL)
    daemon.stop()
    daemon.start()


async def test_the_failover_time_of_a_framework_runs_on_while_the_master_is_away(host: OneHost) -> None:
    framework = FrameworkInfo(name="leaves", failover_timeout_ms=FAILOVER_S * 1000)
    async with asyncio.timeout(120):
        async with Scheduler(host.master_address, framework) as scheduler:
            await statuses_until(scheduler, is_state(TaskState.RUNNING), [a_task("orphan", "exec sleep 86396")])
            # To leave takes a while, and the master may see it at once.
            left_s = time.monotonic()
        while not any("framework is disconnected" in line and "leaves" in line for line in log_of(host)):
            await asyncio.sleep(0.05)
        host.masterd.send(signal.SIGKILL)
        host.masterd.stop()
        await asyncio.to_thread(host.masterd.start)
        while await sleeps(86396):
            await asyncio.sleep(0.1)
        assert time.monotonic() - left_s > FAILOVER_S - 0.5


def log_of(host: OneHost) -> list[str]:
    return Path(host.masterd.log_path).read_text("utf-8").splitlines()


async def sleeps(seconds: int) -> bool:
    """Whether such a process is there."""
    found = await asyncio.create_subprocess_exec("pgrep", "-fx", f"sleep {seconds}", stdout=asyncio.subprocess.DEVNULL)
    return await found.wait() == 0
