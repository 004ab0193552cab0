"""The framework of these tests: it launches, kills, and keeps every status that it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from masterd.core.reconciliation import NOT_SENT_ON, SENT_ON
from paddock.model.errors import PaddockError
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, OfferId, TaskId
from paddock.model.offer import Offer
from paddock.model.task import KillPolicy, TaskInfo, TaskState, TaskStatus
from paddock.scheduler import Disconnected, Offered, Rescinded, Scheduler, Updated, fits

PLAIN = frozenset({FrameworkCapability.PARTITION_AWARE})
CAPABILITIES = frozenset({FrameworkCapability.TASK_KILLING_STATE, FrameworkCapability.PARTITION_AWARE})
UNKNOWN = frozenset({TaskState.LOST, TaskState.DROPPED, TaskState.GONE, TaskState.ERROR})
ASK_AGAIN_S = 3.0
LONG_S = 3600.0


class Framework:
    """Written with the library, as anybody's would be: masters come and go behind it. It keeps no offers."""

    def __init__(self, master_address: str, capabilities: frozenset[FrameworkCapability] = CAPABILITIES) -> None:
        info = FrameworkInfo(name="faults", capabilities=capabilities, failover_timeout_ms=3_600_000)
        self._scheduler = Scheduler(master_address, info)
        self._offers: dict[OfferId, Offer] = {}
        self._waiting: list[TaskInfo] = []
        self._news = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self.statuses: dict[TaskId, list[TaskStatus]] = {}
        self.agents: dict[TaskId, AgentId] = {}
        """Where each task went."""

    async def start(self) -> None:
        await self._scheduler.__aenter__()
        self._listening = asyncio.create_task(self._listen())
        await self._scheduler.connected()

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            await self._scheduler.__aexit__(None, None, None)

    async def _listen(self) -> None:
        async for event in self._scheduler:
            match event:
                case Offered():
                    self._offers.update((offer.offer_id, offer) for offer in event.offers)
                    await self._place()
                    await self._give_back()
                case Rescinded():
                    self._offers.pop(event.offer_id, None)
                case Disconnected():
                    self._offers.clear()
                case Updated():
                    self.statuses.setdefault(event.status.task_id, []).append(event.status)
                    self._wake()
                case _:
                    pass

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _place(self) -> None:
        for task in tuple(self._waiting):
            offer = next((each for each in self._offers.values() if self._may_take(task, each)), None)
            if offer is not None:
                self._waiting.remove(task)
                del self._offers[offer.offer_id]
                self.agents[task.task_id] = offer.agent_id
                # One that is lost on its way is found by asking for its state.
                with suppress(PaddockError):
                    await self._scheduler.accept(offer, [task], refuse_s=0)
        self._wake()

    async def _give_back(self) -> None:
        offers = tuple(self._offers.values())
        self._offers.clear()
        for offer in offers:
            with suppress(PaddockError):
                await self._scheduler.decline(offer, refuse_s=0 if self._waiting else LONG_S)

    @staticmethod
    def _may_take(task: TaskInfo, offer: Offer) -> bool:
        return fits(offer, task.resources) and task.agent_id in {"", offer.agent_id}

    async def launch(self, task: TaskInfo, timeout_s: float) -> None:
        """Returns when it has been given to a master."""
        self._waiting.append(task)
        async with asyncio.timeout(timeout_s):
            while task.task_id not in self.agents:
                # Again and again: a master may die with the wish.
                with suppress(PaddockError):
                    await self._scheduler.revive()
                with suppress(TimeoutError):
                    async with asyncio.timeout(ASK_AGAIN_S):
                        await self._news.wait()

    async def kill(self, task_id: TaskId, grace_ms: int) -> None:
        """As soon as there is a master to tell."""
        while True:
            await self._scheduler.connected()
            with suppress(PaddockError):
                await self._scheduler.kill(
                    task_id, agent_id=self.agents[task_id], policy=KillPolicy(grace_period_ms=grace_ms)
                )
                return
            await asyncio.sleep(0.05)

    async def reach(self, task_id: TaskId, fits: Callable[[TaskStatus], bool], timeout_s: float) -> TaskStatus:
        """The first status that fits, or the last one of all, whichever comes first. Who hears nothing asks."""
        async with asyncio.timeout(timeout_s):
            while True:
                for status in self.statuses.get(task_id, ()):
                    if fits(status) or is_last(status):
                        return status
                try:
                    async with asyncio.timeout(ASK_AGAIN_S):
                        await self._news.wait()
                except TimeoutError:
                    await self.ask(task_id)

    async def ask(self, task_id: TaskId) -> None:
        """For its state: a launch that was lost on its way is told as that."""
        with suppress(PaddockError):
            await self._scheduler.reconcile([(task_id, self.agents[task_id])])


def is_last(status: TaskStatus) -> bool:
    """The agent's last word, or anybody's that there is no such task; not the master's that its end is on its way."""
    is_known = status.message in {SENT_ON, NOT_SENT_ON}
    return status.state.is_terminal and (bool(status.uuid) or (status.state in UNKNOWN and not is_known))
