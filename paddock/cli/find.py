"""From what people type to the task or agent that they mean: the whole id, or a prefix when it is unique."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from paddock.cli.outcome import Conflict
from paddock.model.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from paddock.rpc.clients.master import MasterClient
    from paddock.rpc.clients.views import AgentView, TaskView

_NAMED_COUNT = 5
_TASKS = (
    "`paddock ps -a` lists the tasks; what still waits for an offer is none yet, and "
    "`paddock explain role ROLE` says why it waits"
)
_AGENTS = "`paddock agents` lists them"


async def find_task(master: MasterClient, arguments: argparse.Namespace) -> TaskView:
    """The task that `TASK` and `--framework` name. Raises NotFound, or Conflict naming the candidates."""
    text: str = arguments.task
    framework: str = arguments.framework
    return choose(await master.list_tasks(framework_id=framework, include_terminated=True), text)


def choose(tasks: tuple[TaskView, ...], text: str) -> TaskView:
    """A whole id wins over a prefix; of several with the prefix the only one that has not ended."""
    if not text:
        raise InvalidRequest("TASK", text, "write a task's id, or a prefix of it")
    whole = [task for task in tasks if task.task.task_id == text]
    candidates = whole or [task for task in tasks if task.task.task_id.startswith(text)]
    if not candidates:
        raise NotFound("task", text, _TASKS)
    live = [task for task in candidates if not task.state.is_terminal]
    if len(candidates) == 1 or (len(live) == 1 and not whole):
        return (live or candidates)[0]
    if whole:
        owners = ", ".join(sorted(task.framework_id for task in whole)[:_NAMED_COUNT])
        raise Conflict(f"task {text!r} exists in {len(whole)} frameworks ({owners}): say which with --framework ID")
    names = sorted(task.task.task_id for task in candidates)
    more = ", …" if len(names) > _NAMED_COUNT else ""
    raise Conflict(
        f"{text!r} is the beginning of {len(names)} tasks ({', '.join(names[:_NAMED_COUNT])}{more}): write more of it"
    )


def not_ended(task: TaskView) -> TaskView:
    """The task, for what can only be done to one that goes on. Raises Conflict with the state in which it ended."""
    if task.state.is_terminal:
        raise Conflict(f"task {task.task.task_id!r} has ended already: {task.state.name.lower()}")
    return task


async def find_agent(master: MasterClient, text: str) -> AgentView:
    """By id, a prefix of it, or its host's name. Raises NotFound, or Conflict naming the candidates."""
    if not text:
        raise InvalidRequest("AGENT", text, "write an agent's id, a prefix of it, or its host's name")
    agents = await master.list_agents()
    whole = [agent for agent in agents if text in {agent.info.agent_id, agent.info.hostname}]
    found = whole or [agent for agent in agents if agent.info.agent_id.startswith(text)]
    if not found:
        raise NotFound("agent", text, _AGENTS)
    if len(found) > 1:
        names = ", ".join(sorted(agent.info.agent_id for agent in found)[:_NAMED_COUNT])
        raise Conflict(f"{text!r} means {len(found)} agents ({names}, …): write an id")
    return found[0]
