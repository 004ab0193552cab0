"""A framework outside the three hosts: launches what it is asked for where it is asked for, and tells all that it hears.

usage: MASTER NAME REFUSE_S. A line of stdin is a task, {"task": …, "host": …, "line": …}; a line of stdout a status of one, the
words with which a call was refused, {"refused": …} (then it is made again), or an offer, {"offered": …}, refused for so long
where nothing waits for it. Ends with its stdin.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from paddock.model.errors import Unavailable
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, TaskId
from paddock.model.offer import Offer
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, Evidence, Reason, TaskInfo, TaskStatus
from paddock.scheduler import Offered, Scheduler, Updated, pack

EACH = parse_resources("cpus:0.1;mem:32")


def _task(name: str, line: str) -> TaskInfo:
    command = CommandInfo(arguments=("/bin/sh", "-c", line, name))
    return TaskInfo(task_id=TaskId(name), name=name, agent_id=AgentId(""), resources=EACH, command=command)


def _told(status: TaskStatus) -> str:
    evidence = status.evidence or Evidence()
    return json.dumps(
        {
            "task": status.task_id,
            "state": status.state.name,
            "reason": Reason(status.reason).name,
            "message": status.message,
            "exit_code": evidence.exit_code,
            "signal": evidence.signal,
            "timestamp_ns": status.timestamp_ns,
        }
    )


async def _asked(waiting: dict[str, list[TaskInfo]], scheduler: Scheduler) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        waiting.setdefault(asked["host"], []).append(_task(asked["task"], asked["line"]))


async def run(master: str, name: str, refuse_s: float) -> None:
    """Until stdin has ended."""
    waiting: dict[str, list[TaskInfo]] = {}
    framework = FrameworkInfo(
        name=name, capabilities=frozenset({FrameworkCapability.PARTITION_AWARE}), failover_timeout_ms=600_000
    )
    async with Scheduler(master, framework) as scheduler:
        asking = asyncio.create_task(_asked(waiting, scheduler))
        listening = asyncio.create_task(_listen(waiting, scheduler, refuse_s))
        await asyncio.wait((asking, listening), return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()


async def _listen(waiting: dict[str, list[TaskInfo]], scheduler: Scheduler, refuse_s: float) -> None:
    async for event in scheduler:
        if isinstance(event, Offered):
            for offer in event.offers:
                print(json.dumps({"offered": offer.hostname, "at_s": time.monotonic()}), flush=True)
                await _use(offer, waiting.setdefault(offer.hostname, []), scheduler, refuse_s)
        elif isinstance(event, Updated):
            print(_told(event.status), flush=True)


async def _use(offer: Offer, waiting: list[TaskInfo], scheduler: Scheduler, refuse_s: float) -> None:
    before = tuple(waiting)
    try:
        await scheduler.accept(offer, pack(offer, waiting), refuse_s=refuse_s)
    except Unavailable as error:
        waiting[:0] = [task for task in before if task not in waiting]
        print(json.dumps({"refused": str(error)}), flush=True)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], float(sys.argv[3])))
