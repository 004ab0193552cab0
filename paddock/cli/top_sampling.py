"""Where the figures of `paddock top` come from: every agent is asked once for all that runs on it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from paddock.cli.connect import agent_address, agent_at
from paddock.cli.rates import Rates, rates_between
from paddock.cli.top_rows import AgentUse, TaskUse
from paddock.model.errors import PaddockError
from paddock.model.statistics import ResourceStatistics

if TYPE_CHECKING:
    from paddock.rpc.clients.agent import AgentClient
    from paddock.rpc.clients.views import AgentView, TaskView

Use = tuple[ResourceStatistics, Rates]
_SUMMED = (
    "memory_anon_bytes",
    "memory_working_set_bytes",
    "memory_usage_bytes",
    "memory_oom_kill_count",
    "pids_count",
    "pids_refused_count",
    "disk_used_bytes",
)


class Fleet:
    """Keeps its connections, and what it saw last: rates need two looks. `say` hears once of each agent that is not reached."""

    def __init__(self, stack: AsyncExitStack, say: Callable[[str], None]) -> None:
        """The stack ends the connections."""
        self._stack = stack
        self._say = say
        self._clients: dict[str, AgentClient] = {}
        self._last: dict[str, dict[str, ResourceStatistics]] = {}
        self._told: set[str] = set()

    async def tasks(self, tasks: Sequence[TaskView]) -> list[TaskUse]:
        """Those that have a container; a caller who is not root has figures of its own only."""
        running = [task for task in tasks if task.container_id]
        addresses = {task.agent_id: _address_of_task(task) for task in running}
        used = await self._ask_all(addresses)
        return [_task_use(task, used[task.agent_id]) for task in running]

    async def agents(self, agents: Sequence[AgentView]) -> list[AgentUse]:
        """All of them, each with the sum of its containers."""
        used = await self._ask_all({agent.info.agent_id: _address_of_agent(agent) for agent in agents})
        return [_agent_use(agent, used[agent.info.agent_id]) for agent in agents]

    async def _ask_all(self, addresses: dict[str, str | PaddockError]) -> dict[str, dict[str, Use] | None]:
        found = await asyncio.gather(*(self._ask(agent_id, address) for agent_id, address in addresses.items()))
        return dict(zip(addresses, found, strict=True))

    async def _ask(self, agent_id: str, address: str | PaddockError) -> dict[str, Use] | None:
        """By container; None when it cannot be asked."""
        try:
            if isinstance(address, PaddockError):
                raise address
            if address not in self._clients:
                self._clients[address] = await self._stack.enter_async_context(agent_at(address))
            views = await self._clients[address].list_statistics()
        except PaddockError as error:
            if agent_id not in self._told:
                self._told.add(agent_id)
                self._say(str(error))
            return None
        self._told.discard(agent_id)
        last = self._last.get(agent_id, {})
        self._last[agent_id] = {view.container_id: view.statistics for view in views}
        return {
            view.container_id: (view.statistics, rates_between(last.get(view.container_id), view.statistics))
            for view in views
        }


def _address_of_task(task: TaskView) -> str | PaddockError:
    return _address(task.agent_id, task.hostname, task.agent_unix_address, task.agent_tcp_address)


def _address_of_agent(agent: AgentView) -> str | PaddockError:
    info = agent.info
    return _address(info.agent_id, info.hostname, info.unix_address, info.tcp_address)


def _address(agent: str, hostname: str, unix_address: str, tcp_address: str) -> str | PaddockError:
    """Where to ask, or why nobody can: the others are asked all the same."""
    try:
        return agent_address(agent=agent, hostname=hostname, unix_address=unix_address, tcp_address=tcp_address)
    except PaddockError as error:
        return error


def _task_use(task: TaskView, used: dict[str, Use] | None) -> TaskUse:
    measured, rates = (used or {}).get(task.container_id, (ResourceStatistics(), Rates()))
    return TaskUse(
        name=task.task.task_id,
        task_name=task.task.name,
        framework_id=task.framework_id,
        framework_name=task.framework_name,
        role=task.role,
        agent_id=task.agent_id,
        hostname=task.hostname,
        measured=measured,
        rates=rates,
    )


def _agent_use(agent: AgentView, used: dict[str, Use] | None) -> AgentUse:
    uses = list((used or {}).values())
    held = agent.used.unallocated() + agent.standalone.unallocated()
    return AgentUse(
        name=agent.info.agent_id,
        hostname=agent.info.hostname,
        state=agent.state,
        container_count=None if used is None else len(uses),
        cpus_held_milli=held.scalar_milli("cpus"),
        cpus_milli=agent.info.resources.scalar_milli("cpus"),
        mem_held_milli=held.scalar_milli("mem"),
        mem_milli=agent.info.resources.scalar_milli("mem"),
        measured=total_of([measured for measured, _ in uses]),
        rates=total_rates([rates for _, rates in uses], is_asked=used is not None),
    )


def total_of(measured: Iterable[ResourceStatistics]) -> ResourceStatistics:
    """Each figure's sum over those that have it; None where nobody has."""
    sums: defaultdict[str, int] = defaultdict(int)
    total = ResourceStatistics()
    for each in measured:
        for name in _SUMMED:
            value: int | None = getattr(each, name)
            if value is not None:
                sums[name] += value
                setattr(total, name, sums[name])
    return total


def total_rates(rates: Sequence[Rates], *, is_asked: bool) -> Rates:
    """CPUs add up; of throttling the worst is told. An agent on which nothing runs uses nothing."""
    if not rates:
        return Rates(cpus_milli=0, throttled_permille=0) if is_asked else Rates()
    cpus = [each.cpus_milli for each in rates if each.cpus_milli is not None]
    throttled = [each.throttled_permille for each in rates if each.throttled_permille is not None]
    return Rates(cpus_milli=sum(cpus) if cpus else None, throttled_permille=max(throttled, default=None))
