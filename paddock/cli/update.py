"""`paddock update`: another size for a running task or a container that an operator launched."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from paddock.cli.connect import (
    add_master_argument,
    add_task_or_container_arguments,
    agent_at,
    agent_of,
    container_of,
    master_of,
    named_agent_address,
)
from paddock.cli.container_flags import limits_of
from paddock.cli.exit_codes import OK
from paddock.cli.explain import COLUMNS, row_of
from paddock.cli.find import find_task, not_ended
from paddock.cli.output import add_style_arguments, show
from paddock.model.errors import InvalidRequest
from paddock.model.resource_text import parse_scalar_milli
from paddock.model.task import ResourceLimits

if TYPE_CHECKING:
    from paddock.rpc.clients.views import LimitView

_RESOURCES = ("cpus", "mem", "disk")
_FLAGS = ("--cpus", "--mem", "--disk", "--cpus-limit", "--mem-limit", "--swap", "--pids")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_task_or_container_arguments(parser)
    for name in _RESOURCES:
        parser.add_argument(f"--{name}", metavar="AMOUNT", default="", help=f"{name} from now on")
    parser.add_argument("--cpus-limit", metavar="AMOUNT", default="", help="never more than so many CPUs, or none")
    parser.add_argument("--mem-limit", metavar="SIZE", default="", help="memory, not below what was requested, or none")
    parser.add_argument(
        "--swap", metavar="SIZE", default="", help="swap on top of the memory limit, or none for no limit"
    )
    parser.add_argument("--pids", metavar="COUNT", default="", help="processes and threads, or none")
    parser.add_argument(
        "--dry-run", action="store_true", help="only ask whether master and agent would take it, and change nothing"
    )
    add_style_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print what is in force afterwards. What is refused leaves every limit as it was; a task's limits come first, then its
    resources, which are its master's to account for.
    """
    amounts, limits = amounts_of(arguments), limits_of(arguments)
    if not amounts and limits == ResourceLimits():
        raise InvalidRequest("TASK", arguments.task, f"say what is to change: {', '.join(_FLAGS)}")
    if arguments.dry_run:
        await _tried(arguments, amounts, limits)
        words = "it would be tried, and nothing was changed; what the kernel alone can refuse shows when it is"
        print(f"paddock update: {words}", file=sys.stderr)
        return OK
    show(COLUMNS, [row_of(limit) for limit in await _updated(arguments, amounts, limits)], arguments)
    return OK


async def _tried(arguments: argparse.Namespace, amounts: dict[str, int], limits: ResourceLimits) -> None:
    """In the order in which it would be done. The agent is asked of a task's new resources too, since it may refuse them."""
    from paddock.rpc.clients.resizes import ResizeClient  # noqa: PLC0415 - loads gRPC

    if arguments.agent:
        async with agent_at(await named_agent_address(arguments)) as agent:
            await agent.update_container(arguments.task, amounts, limits, validate_only=True)
        return
    async with master_of(arguments) as master:
        task = not_ended(await find_task(master, arguments))
        async with agent_of(task) as agent:
            if limits != ResourceLimits():
                await agent.update_container(container_of(task), {}, limits, validate_only=True)
            if amounts:
                ids = task.framework_id, task.task.task_id
                await ResizeClient(master).resize_task(*ids, amounts, limits, validate_only=True)
                await agent.update_container(container_of(task), amounts, limits, validate_only=True)


async def _updated(
    arguments: argparse.Namespace, amounts: dict[str, int], limits: ResourceLimits
) -> tuple[LimitView, ...]:
    from paddock.rpc.clients.resizes import ResizeClient  # noqa: PLC0415 - loads gRPC

    if arguments.agent:
        async with agent_at(await named_agent_address(arguments)) as agent:
            return await agent.update_container(arguments.task, amounts, limits, validate_only=False)
    async with master_of(arguments) as master:
        task = not_ended(await find_task(master, arguments))
        async with agent_of(task) as agent:
            container_id = container_of(task)
            if limits != ResourceLimits():
                await agent.update_container(container_id, {}, limits, validate_only=False)
            if amounts:
                ids = task.framework_id, task.task.task_id
                await ResizeClient(master).resize_task(*ids, amounts, limits, validate_only=False)
            return await agent.list_effective_limits(container_id)


def amounts_of(arguments: argparse.Namespace) -> dict[str, int]:
    """Name → thousandths, of what was given."""
    given = {name: str(getattr(arguments, name)) for name in _RESOURCES if getattr(arguments, name)}
    return {name: parse_scalar_milli(name, text, f"--{name}") for name, text in given.items()}
