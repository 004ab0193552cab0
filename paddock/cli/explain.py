"""`paddock explain`: of a task what was asked and by whom, what is in force, how close it is to it, and what ended it; of a
framework or a role why it gets no offer, of an agent why it is not offered.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paddock.cli import explain_offers
from paddock.cli.closeness import closeness_lines, measured_at_the_end
from paddock.cli.connect import add_master_argument, agent_of, master_of
from paddock.cli.describe import Line, check_lines, evidence_lines, show_lines, status_text
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_task
from paddock.cli.output import Column, Row, add_style_arguments, bytes_text, json_list, show
from paddock.cli.quantities import signal_name
from paddock.model.errors import InvalidRequest, PaddockError
from paddock.model.resource_text import format_resources, format_scalar
from paddock.model.task import Evidence, ResourceLimits, TaskState

if TYPE_CHECKING:
    from paddock.rpc.clients.views import AgentView, ContainerView, FrameworkView, LimitView, StatisticsView, TaskView

_PAIR = ("KIND", "NAME")
_KINDS = frozenset({"task", "framework", "role", "agent"})
_FORMS = "TASK, or: task TASK, framework ID, role ROLE, agent AGENT"

COLUMNS = (
    Column(title="RESOURCE"),
    Column(title="ASKED"),
    Column(title="PLANNED"),
    Column(title="IN FORCE"),
    Column(title="ISOLATOR", wide=True),
    Column(title="FILE"),
    Column(title="REMARK"),
)
_NO_LIMIT = -1


@dataclass(slots=True, kw_only=True)
class Known:
    """What master and agent say about one task; what the agent does not say stays empty."""

    task: TaskView
    framework: FrameworkView | None = None
    agent: AgentView | None = None
    container: ContainerView | None = None
    limits: tuple[LimitView, ...] = ()
    statistics: StatisticsView | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("words", nargs="+", metavar="WHAT", help=_FORMS)
    parser.add_argument(
        "--framework",
        metavar="ID",
        default="",
        help="which framework's task; only this framework in a role, on an agent",
    )
    parser.add_argument(
        "--role", metavar="ROLE", default="", help="of a framework or an agent: only in this role and those below it"
    )
    parser.add_argument("--agent", metavar="ID", default="", help="of a framework or a role: only on this agent")
    add_style_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """A single word is a task's id."""
    words: list[str] = arguments.words
    kind, name = ("task", words[0]) if len(words) == 1 else (words[0], words[1])
    if len(words) > len(_PAIR) or kind not in _KINDS:
        raise InvalidRequest("WHAT", " ".join(words), f"write {_FORMS}")
    if kind != "task":
        return await explain_offers.run(kind, name, arguments)
    arguments.task = name
    return await _explain_task(arguments)


async def _explain_task(arguments: argparse.Namespace) -> int:
    """Have the agent read the kernel's files now. When it cannot be asked the rest is printed all the same."""
    async with master_of(arguments) as master:
        task = await find_task(master, arguments)
        frameworks = await master.list_frameworks()
        agents = await master.list_agents()
        await explain_offers.tell_problem(master)
    framework = next((each for each in frameworks if each.info.framework_id == task.framework_id), None)
    agent = next((each for each in agents if each.info.agent_id == task.agent_id), None)
    known = Known(task=task, framework=framework, agent=agent)
    failure = None
    try:
        await _ask_agent(known)
    except PaddockError as error:
        failure = error
    _show(known, arguments)
    if failure is not None:
        raise failure
    return OK


async def _ask_agent(known: Known) -> None:
    task = known.task
    if not task.container_id:
        return
    async with agent_of(task) as agent:
        known.container = await agent.get_container(task.container_id)
        known.limits = await agent.list_effective_limits(task.container_id)
        if not task.state.is_terminal:
            found = await agent.list_statistics((task.container_id,))
            known.statistics = found[0] if found else None


def _show(known: Known, arguments: argparse.Namespace) -> None:
    task = known.task
    if task.state.is_terminal and not known.limits:
        words = f"task {task.task.task_id!r} has ended, and nothing is in force any more"
        print(f"paddock explain: {words}", file=sys.stderr)
    if arguments.output == "json":
        sys.stdout.write(document_of(known))
        return
    if arguments.output == "name":
        show(COLUMNS, [row_of(limit) for limit in known.limits], arguments)
        return
    show_lines(asked_lines(known))
    if known.agent is not None and not task.state.is_terminal:
        show_lines(explain_offers.withheld_lines(known.agent, time.time_ns()))
    sys.stdout.write("\n")
    if known.limits:
        show(COLUMNS, [row_of(limit) for limit in known.limits], arguments)
        sys.stdout.write("\n")
    show_lines(close_lines(known, time.time_ns()))
    show_lines(end_lines(task))


def document_of(known: Known) -> str:
    """One JSON object; what is not known is null."""
    parts = (
        ("task", known.task.document),
        ("framework", known.framework.document if known.framework else "null"),
        ("agent", known.agent.document if known.agent else "null"),
        ("container", known.container.document if known.container else "null"),
        ("limits", json_list([view.document for view in known.limits])),
        ("statistics", known.statistics.document if known.statistics else "null"),
    )
    return "{\n" + ",\n".join(f'"{name}": {document.strip()}' for name, document in parts) + "\n}\n"


def asked_lines(known: Known) -> Iterator[Line]:
    """What was asked, by whom, and what of it was changed since."""
    task, info = known.task, known.task.task
    yield "Task", f"{info.task_id}, {task.state.name.lower()} on {task.hostname or task.agent_id}"
    yield "Asked", format_resources(info.resources.unallocated()) + limits_text(info.limits, before="; limits: ")
    container = known.container
    # The agent knows it first, and its master longer.
    limits = task.limits if container is None else container.limits
    if limits != info.limits:
        yield "Changed", f"limits now: {limits_text(limits) or 'none of its own'}"
    principal = known.framework.info.principal if known.framework else "not known any more"
    yield "By", f"framework {task.framework_name} ({task.framework_id}), principal {principal}, role {task.role}"
    user = container.user if container is not None and container.user else info.command.user
    yield "Runs as", user or "the framework's user"
    policy = info.kill_policy
    longest = f"; ended after {info.max_completion_time_ms} ms" if info.max_completion_time_ms else ""
    yield "Stopped by", f"{signal_name(policy.signal)}, SIGKILL after {policy.grace_period_ms} ms{longest}"
    yield from check_lines(task)


def limits_text(limits: ResourceLimits, *, before: str = "") -> str:
    """The limits that were given; empty without any."""
    parts = []
    if limits.cpus_milli is not None:
        parts.append(f"cpus {'none' if limits.cpus_milli == _NO_LIMIT else format_scalar(limits.cpus_milli)}")
    for name, size_bytes in (("memory", limits.memory_bytes), ("swap", limits.swap_bytes)):
        if size_bytes is not None:
            parts.append(f"{name} {'none' if size_bytes == _NO_LIMIT else bytes_text(size_bytes)}")
    if limits.pids_count is not None:
        parts.append(f"pids {'none' if limits.pids_count == _NO_LIMIT else limits.pids_count}")
    return before + ", ".join(parts) if parts else ""


def close_lines(known: Known, now_ns: int) -> Iterator[Line]:
    """How close it is, or was by the last counters."""
    container = known.container
    started_ns = container.started_ns if container is not None else 0
    if known.statistics is not None:
        yield from closeness_lines(known.statistics.statistics, now_ns - started_ns if started_ns else 0)
        return
    evidence = _last_evidence(known.task)
    ended_ns = container.ended_ns if container is not None else 0
    age_ns = max(ended_ns - started_ns, 0) if started_ns and ended_ns else 0
    yield from closeness_lines(measured_at_the_end(evidence), age_ns)


def _last_evidence(task: TaskView) -> Evidence:
    last = task.statuses[-1].evidence if task.statuses and task.state.is_terminal else None
    return last or Evidence()


def end_lines(task: TaskView) -> Iterator[Line]:
    """What ended it, with all that was seen; how it is when nothing did."""
    if not task.statuses:
        # A master that began anew knows the state from the agent, and none of the words.
        began = task.state not in {TaskState.STAGING, TaskState.STARTING}
        yield "Ended", task.state.name.lower() if task.state.is_terminal else "not yet" if began else "not begun"
    elif not task.state.is_terminal:
        yield "Ended", f"not yet; last heard: {status_text(task.statuses[-1])}"
    else:
        yield "Ended", status_text(task.statuses[-1])
        evidence = _last_evidence(task)
        # Peaks and limits are said above; who was killed for memory is not.
        has_victims = evidence.memory is not None and evidence.memory.oom_kill_count > 0
        said_above = {"Pids"} if has_victims else {"Pids", "Memory"}
        yield from (line for line in evidence_lines(evidence) if line[0] not in said_above)


def row_of(view: LimitView) -> Row:
    """One line; what could not be read shows as `?`, with the reason as its remark."""
    limit = view.limit
    in_force = "?" if limit.in_force is None else limit.in_force
    return Row(
        name=limit.resource,
        cells=(limit.resource, limit.asked, limit.planned, in_force, limit.isolator, limit.path, limit.remark),
        document=view.document,
    )
