"""A whole framework: runs each argument as a shell line somewhere on the cluster, and prints how it went.

python -m examples.forty_lines unix:/run/paddock/masterd.sock 'sleep 1' 'exit 3'
"""

import asyncio
import sys

from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, TaskId
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, TaskInfo, TaskState
from paddock.scheduler import Offered, Scheduler, Updated, pack

ANYWHERE, EACH = AgentId(""), parse_resources("cpus:0.1;mem:32")


def task(number: int, line: str) -> TaskInfo:
    """What is asked: a tenth of a CPU and 32 MiB for one shell line."""
    command, task_id = CommandInfo(shell=True, value=line), TaskId(f"line-{number}")
    return TaskInfo(task_id=task_id, name=task_id, agent_id=ANYWHERE, resources=EACH, command=command)


async def run(master: str, lines: list[str]) -> bool:
    """Whether every line ended with exit code 0."""
    waiting = [task(number, line) for number, line in enumerate(lines, 1)]
    states = dict.fromkeys((each.task_id for each in waiting), TaskState.STAGING)
    async with Scheduler(master, FrameworkInfo(name="forty lines"), first_deadline_s=10) as scheduler:
        while not all(state.is_terminal for state in states.values()):
            event = await anext(scheduler)
            for offer in event.offers if isinstance(event, Offered) else ():
                await scheduler.accept(offer, pack(offer, waiting))
            if isinstance(event, Updated):
                states[event.status.task_id] = event.status.state
                print(event.status.task_id, event.status.state.name, event.status.message, flush=True)
    return set(states.values()) <= {TaskState.FINISHED}


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(run(sys.argv[1], sys.argv[2:])) else 1)
