"""Which master is meant, and how a task's agent is reached: by its unix socket on its own host, by TCP from elsewhere."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from paddock.model.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from paddock.rpc.clients.agent import AgentClient
    from paddock.rpc.clients.master import MasterClient
    from paddock.rpc.clients.views import TaskView

DEFAULT_MASTER = "unix:/run/paddock/masterd.sock"
VARIABLE = "PADDOCK_MASTER"


def add_task_or_container_arguments(parser: argparse.ArgumentParser) -> None:
    """TASK|CONTAINER, --framework, --agent."""
    parser.add_argument(
        "task", metavar="TASK|CONTAINER", help="a task's id or a prefix of it; with --agent a container's id"
    )
    parser.add_argument(
        "--framework", metavar="ID", default="", help="the framework's id, when tasks of two have one id"
    )
    parser.add_argument(
        "--agent",
        metavar="AGENT",
        default="",
        help="the agent's id or address: the name is then a container's id there",
    )


def add_master_argument(parser: argparse.ArgumentParser) -> None:
    """--master."""
    parser.add_argument(
        "--master",
        metavar="ADDRESS",
        default=os.environ.get(VARIABLE) or DEFAULT_MASTER,
        help=f"unix:/path or host:port, several with commas (default: ${VARIABLE}, else {DEFAULT_MASTER})",
    )


def add_task_argument(parser: argparse.ArgumentParser) -> None:
    """The task, and --framework for when its id alone is not unique."""
    parser.add_argument("task", metavar="TASK", help="the task's id, or a prefix of it that is unique")
    parser.add_argument(
        "--framework", metavar="ID", default="", help="the framework's id, when tasks of two have one id"
    )


def master_addresses(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The masters to try, in order."""
    text: str = arguments.master
    return tuple(part.strip() for part in text.split(",") if part.strip()) or (DEFAULT_MASTER,)


@asynccontextmanager
async def master_of(arguments: argparse.Namespace) -> AsyncIterator[MasterClient]:
    """A client of the first master that leads."""
    from paddock.rpc.clients.master import connect_master  # noqa: PLC0415 - loads gRPC

    async with connect_master(master_addresses(arguments)) as client:
        yield client


@asynccontextmanager
async def agent_of(task: TaskView) -> AsyncIterator[AgentClient]:
    """A client of the agent that runs the task; what cannot be reached is named with its address."""
    address = agent_address(
        agent=task.agent_id,
        hostname=task.hostname,
        unix_address=task.agent_unix_address,
        tcp_address=task.agent_tcp_address,
    )
    async with agent_at(address) as client:
        yield client


@asynccontextmanager
async def agent_at(address: str) -> AsyncIterator[AgentClient]:
    """A client of the agent at this address."""
    from paddock.rpc.clients.agent import connect_agent  # noqa: PLC0415 - loads gRPC

    async with connect_agent(address) as client:
        yield client


def agent_address(*, agent: str, hostname: str, unix_address: str, tcp_address: str) -> str:
    """Where to dial. The same socket path may exist on every host: it counts only when the agent's host is this one."""
    path = unix_address.removeprefix("unix:")
    if path and hostname == socket.gethostname() and os.path.exists(path):
        return f"unix:{path}"
    if tcp_address:
        return tcp_address
    where = f"its socket {unix_address} is on host {hostname}" if unix_address else "it told no address"
    raise Unavailable(
        f"agent {agent} on {hostname or 'an unknown host'} cannot be reached from here: {where} and it listens on no TCP "
        f"address; run the command there, or start that agentd with a TCP address to listen on"
    )


async def named_agent_address(arguments: argparse.Namespace) -> str:
    """Where the agent listens that --agent names: by its address, or by an id that the master knows."""
    name: str = arguments.agent
    if ":" in name or "/" in name:
        return name
    async with master_of(arguments) as master:
        agents = await master.list_agents()
    for agent in agents:
        info = agent.info
        if info.agent_id == name:
            return agent_address(
                agent=name, hostname=info.hostname, unix_address=info.unix_address, tcp_address=info.tcp_address
            )
    raise NotFound("agent", name, "`paddock agents` lists them")


def container_of(task: TaskView) -> str:
    """The task's container; NotFound while its agent has named none."""
    if not task.container_id:
        raise NotFound("container of task", task.task.task_id)
    return task.container_id
