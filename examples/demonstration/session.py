"""The demonstration's framework: launches tasks on offers, hears their statuses, asks their agent what it sees."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from paddock.model.errors import NotFound, PaddockError, Unavailable
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import TaskId
from paddock.model.offer import Offer
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import CommandInfo, KillPolicy, ResourceLimits, TaskInfo, TaskStatus
from paddock.rpc.clients.agent import AgentClient, connect_agent
from paddock.scheduler import Offered, Rescinded, Scheduler, Updated
from paddock.scheduler.taking import take

_MILLI = 1000
_BEAT_S = 0.05
_USUAL_S = 0.005
"""What a sleep takes longer on a machine that has time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a row asks for one task: a shell line or a program with its arguments, and its bounds."""

    name: str
    shell: str = ""
    arguments: tuple[str, ...] = ()
    cpus_milli: int
    mem_mib: int
    disk_mib: int = 0
    pids_count: int | None = None
    user: str = ""

    @property
    def amounts_milli(self) -> dict[str, int]:
        """As resources of an offer."""
        amounts = {"cpus": self.cpus_milli, "mem": self.mem_mib * _MILLI}
        if self.disk_mib:
            amounts["disk"] = self.disk_mib * _MILLI
        return amounts


@dataclass(slots=True, kw_only=True)
class RunningTask:
    """A task on its way. `statuses` go oldest first, each once; the times are the event loop's."""

    task_id: TaskId
    offer: Offer
    agent: AgentClient
    scheduler: Scheduler
    accepted_at_s: float
    ended_at_s: float = 0.0
    statuses: list[TaskStatus] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hear(self, status: TaskStatus) -> None:
        """A status came."""
        async with self._news:
            self.statuses.append(status)
            if status.state.is_terminal:
                self.ended_at_s = asyncio.get_running_loop().time()
            self._news.notify_all()

    @property
    def has_ended(self) -> bool:
        """Whether its terminal status has come."""
        return bool(self.statuses) and self.statuses[-1].state.is_terminal

    @property
    def _container_id(self) -> str:
        return next((status.container_id for status in self.statuses if status.container_id), "")

    async def running(self) -> str:
        """Once it has a container: its id. Raises Unavailable when it ended without one."""
        async with self._news:
            await self._news.wait_for(lambda: self._container_id or self.has_ended)
        if not self._container_id:
            raise Unavailable(f"{self.task_id} did not start: {self.statuses[-1].message}")
        return self._container_id

    async def ended(self) -> TaskStatus:
        """Its terminal status."""
        async with self._news:
            await self._news.wait_for(lambda: self.has_ended)
        return self.statuses[-1]

    async def ended_ns(self) -> int:
        """When its command ended, as the agent recorded it (wall clock)."""
        return (await self.agent.get_container(await self.running())).ended_ns

    async def follow(self, path: str) -> AsyncIterator[bytes]:
        """A file of its sandbox, as it grows, until the end. Raises Unavailable when the launch failed before it was there."""
        try:
            async for data in self.agent.follow_file(await self.running(), path):
                yield data
        except NotFound:
            raise Unavailable(f"{self.task_id} has no {path}: {(await self.ended()).message}") from None

    async def read_all(self, path: str) -> bytes:
        """The same, whole, once it has ended."""
        return b"".join([data async for data in self.follow(path)])

    async def statistics(self) -> ResourceStatistics:
        """What it uses now."""
        views = await self.agent.list_statistics((await self.running(),))
        if not views:
            raise Unavailable(f"the agent has no statistics of {self.task_id}")
        return views[0].statistics

    async def kill(self, policy: KillPolicy) -> None:
        """Ask for its end."""
        await self.scheduler.kill(self.task_id, agent_id=self.offer.agent_id, policy=policy)


class Session:
    """One framework for all rows. Offers are kept until they are used; what is left of one comes back as another."""

    def __init__(self, scheduler: Scheduler, stack: AsyncExitStack) -> None:
        """Made by open_session."""
        self._scheduler = scheduler
        self._stack = stack
        self._agents: dict[str, AgentClient] = {}
        self._offers: dict[str, Offer] = {}
        self._tasks: dict[TaskId, RunningTask] = {}
        self._news = asyncio.Condition()
        self._failure: PaddockError | None = None
        self.late_ms = 0.0
        """What this machine, busy with other things, has kept us waiting so far, and so whoever is measured here."""

    async def feel_lateness(self) -> None:
        """Until the session ends: how much later each of many short sleeps ended than it should."""
        loop = asyncio.get_running_loop()
        while True:
            begun_s = loop.time()
            await asyncio.sleep(_BEAT_S)
            self.late_ms += _MILLI * max(loop.time() - begun_s - _BEAT_S - _USUAL_S, 0)

    async def hear_events(self) -> None:
        """Until the session ends. An error ends it, and everybody who waits hears of it."""
        try:
            async for event in self._scheduler:
                async with self._news:
                    match event:
                        case Offered():
                            self._offers.update({offer.offer_id: offer for offer in event.offers})
                        case Rescinded():
                            self._offers.pop(event.offer_id, None)
                        case Updated() if event.status.task_id in self._tasks:
                            await self._tasks[event.status.task_id].hear(event.status)
                        case _:
                            pass
                    self._news.notify_all()
        except PaddockError as error:
            async with self._news:
                self._failure = error
                self._news.notify_all()

    async def launch(self, wish: Wish) -> RunningTask:
        """On the first offer that fits; waits for one."""
        async with self._news:
            await self._news.wait_for(lambda: self._failure or self._fitting(wish))
            if self._failure:
                raise self._failure
            offer = self._fitting(wish)
            assert offer is not None
            del self._offers[offer.offer_id]
            task = await self._running_task(wish, offer)
            self._tasks[task.task_id] = task
        await self._scheduler.accept(offer, [_task_info(wish, task.task_id, offer)], refuse_s=0)
        return task

    async def _running_task(self, wish: Wish, offer: Offer) -> RunningTask:
        return RunningTask(
            task_id=TaskId(f"{wish.name}-{secrets.token_hex(3)}"),
            offer=offer,
            agent=await self._agent(offer),
            scheduler=self._scheduler,
            accepted_at_s=asyncio.get_running_loop().time(),
        )

    def _fitting(self, wish: Wish) -> Offer | None:
        fitting = (offer for offer in self._offers.values() if take(offer.resources, wish.amounts_milli) is not None)
        return next(fitting, None)

    async def _agent(self, offer: Offer) -> AgentClient:
        address = offer.unix_address or offer.tcp_address
        if address not in self._agents:
            self._agents[address] = await self._stack.enter_async_context(connect_agent(address))
        return self._agents[address]

    async def any_running(self) -> None:
        """Once one of its tasks has a container."""
        async with self._news:
            await self._news.wait_for(lambda: any(task.statuses for task in self._tasks.values()))

    async def kill_all(self, *, timeout_s: float) -> None:
        """End what still runs, at once, and wait for it. A task that cannot be ended is the cluster's stop to deal with."""
        running = [task for task in self._tasks.values() if not task.has_ended]
        try:
            async with asyncio.timeout(timeout_s):
                for task in running:
                    await task.kill(KillPolicy(grace_period_ms=0))
                for task in running:
                    await task.ended()
        except (PaddockError, TimeoutError):
            return


def _task_info(wish: Wish, task_id: TaskId, offer: Offer) -> TaskInfo:
    resources = take(offer.resources, wish.amounts_milli)
    assert resources is not None
    return TaskInfo(
        task_id=task_id,
        name=wish.name,
        agent_id=offer.agent_id,
        resources=resources,
        command=CommandInfo(shell=bool(wish.shell), value=wish.shell, arguments=wish.arguments, user=wish.user),
        limits=ResourceLimits(pids_count=wish.pids_count),
    )


@asynccontextmanager
async def open_session(master_address: str) -> AsyncIterator[Session]:
    """Subscribes; at the end tears the framework down."""
    framework = FrameworkInfo(name="demonstration")
    async with AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(Scheduler(master_address, framework, first_deadline_s=10))
        session = Session(scheduler, stack)
        beside = [asyncio.create_task(each) for each in (session.hear_events(), session.feel_lateness())]
        try:
            yield session
        finally:
            for each in beside:
                each.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
