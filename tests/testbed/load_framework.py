"""A framework outside the three hosts: keeps some short tasks under way until its stdin ends, then waits for the last of them.

usage: MASTER NAME IN_FLIGHT. Prints at its end one JSON object: each task's statuses, as [state, uuid, message].
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys

from paddock.model.errors import PaddockError, Unavailable
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, TaskId
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, TaskInfo, TaskState, TaskStatus
from paddock.scheduler import Offered, Scheduler, Subscribed, Updated, pack

ASK_INTERVAL_S = 5.0
EACH = parse_resources("cpus:0.1;mem:16")
# What it did is on its host's disk: once for its begin and once for its end, whoever asks.
COMMAND = 'echo "$0 begin" >>/var/tmp/ran; sleep 0.5; echo "$0 end" >>/var/tmp/ran'


class Load:
    """`heard`: all that was told of each task that was launched."""

    def __init__(self, name: str, in_flight_count: int) -> None:
        self.heard: dict[TaskId, list[TaskStatus]] = {}
        self.is_ending = False
        self._agents: dict[TaskId, AgentId] = {}
        self._names = (f"{name}-{number}" for number in itertools.count())
        self._in_flight_count = in_flight_count

    @property
    def open(self) -> list[TaskId]:
        """Those of which no end was told."""
        return [each for each, heard in self.heard.items() if not any(status.state.is_terminal for status in heard)]

    def wanted(self) -> list[TaskInfo]:
        """Who is out of reach holds nobody up."""
        away = [
            each for each in self.open if self.heard[each][-1:] and self.heard[each][-1].state is TaskState.UNREACHABLE
        ]
        missing_count = 0 if self.is_ending else self._in_flight_count - len(self.open) + len(away)
        return [self._task(name) for name in itertools.islice(self._names, max(missing_count, 0))]

    def _task(self, name: str) -> TaskInfo:
        command = CommandInfo(arguments=("/bin/sh", "-c", COMMAND, name))
        return TaskInfo(task_id=TaskId(name), name=name, agent_id=AgentId(""), resources=EACH, command=command)

    async def use(self, scheduler: Scheduler, offered: Offered) -> None:
        """What fits is launched, and counts as launched whatever became of the call."""
        for offer in offered.offers:
            tasks = pack(offer, self.wanted())
            for task in tasks:
                self.heard[task.task_id] = []
                self._agents[task.task_id] = offer.agent_id
            try:
                await scheduler.accept(offer, tasks, refuse_s=0.2)
            except Unavailable:
                continue  # asked for after the next subscription

    async def ask(self, scheduler: Scheduler) -> None:
        """For those that no end was told of."""
        if self.open:
            await scheduler.reconcile([(each, self._agents[each]) for each in self.open])


async def run(master: str, name: str, in_flight_count: int) -> Load:
    """Until stdin has ended, and every task."""
    load = Load(name, in_flight_count)
    framework = FrameworkInfo(
        name=name, capabilities=frozenset({FrameworkCapability.PARTITION_AWARE}), failover_timeout_ms=600_000
    )
    async with Scheduler(master, framework) as scheduler:
        beside = [asyncio.create_task(each) for each in (_ask_again(load, scheduler), _until_stdin_ends(load))]
        async for event in scheduler:
            match event:
                case Offered():
                    await load.use(scheduler, event)
                case Updated(status=status) if status.task_id in load.heard:
                    load.heard[status.task_id].append(status)
                case Subscribed():
                    await load.ask(scheduler)
                case _:
                    pass
            if load.is_ending and not load.open:
                break
        for each in beside:
            each.cancel()
    return load


async def _ask_again(load: Load, scheduler: Scheduler) -> None:
    while True:
        await asyncio.sleep(ASK_INTERVAL_S)
        try:
            await load.ask(scheduler)
        except PaddockError:
            continue


async def _until_stdin_ends(load: Load) -> None:
    await asyncio.to_thread(sys.stdin.read)
    load.is_ending = True


if __name__ == "__main__":
    done = asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    told = {task: [[s.state.name, s.uuid.hex(), s.message] for s in heard] for task, heard in done.heard.items()}
    print(json.dumps(told))
