"""`paddock inspect`: everything about a task as one JSON object, for programs."""

from __future__ import annotations

import argparse
import sys

from paddock.cli.connect import add_master_argument, add_task_argument, agent_of, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_task
from paddock.cli.output import json_list
from paddock.model.errors import PaddockError
from paddock.rpc.clients.views import TaskView


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_task_argument(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print {"task", "container", "limits", "statistics"}; what the agent does not give is null, and stderr says why."""
    async with master_of(arguments) as master:
        task = await find_task(master, arguments)
    container, limits, statistics = await _from_agent(task)
    parts = (("task", task.document), ("container", container), ("limits", limits), ("statistics", statistics))
    sys.stdout.write("{\n" + ",\n".join(f'"{name}": {document.strip()}' for name, document in parts) + "\n}\n")
    return OK


async def _from_agent(task: TaskView) -> tuple[str, str, str]:
    if not task.container_id:
        return "null", "null", "null"
    container = limits = statistics = "null"
    try:
        async with agent_of(task) as agent:
            container = (await agent.get_container(task.container_id)).document
            limits = json_list([view.document for view in await agent.list_effective_limits(task.container_id)])
            if not task.state.is_terminal:
                found = await agent.list_statistics((task.container_id,))
                statistics = found[0].document if found else "null"
    except PaddockError as error:
        print(f"paddock inspect: {error}", file=sys.stderr)
    return container, limits, statistics
