"""Run on a host by the package's own Python: a framework that waits for its task through every trouble.

usage: MASTER NAME LINE
"""

import asyncio
import sys

from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, TaskId
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, TaskInfo
from paddock.scheduler import Offered, Scheduler, Updated, pack


async def run(master: str, name: str, line: str) -> None:
    """One task; ends with it."""
    waiting = [
        TaskInfo(
            task_id=TaskId(name),
            name=name,
            agent_id=AgentId(""),
            resources=parse_resources("cpus:0.1;mem:32"),
            command=CommandInfo(shell=True, value=line),
        )
    ]
    framework = FrameworkInfo(
        name=name, capabilities=frozenset({FrameworkCapability.PARTITION_AWARE}), failover_timeout_ms=600_000
    )
    async with Scheduler(master, framework) as scheduler:
        async for event in scheduler:
            if isinstance(event, Offered):
                for offer in event.offers:
                    await scheduler.accept(offer, pack(offer, waiting))
            elif isinstance(event, Updated):
                print(event.status.state.name, flush=True)
                if event.status.state.is_terminal:
                    return


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
