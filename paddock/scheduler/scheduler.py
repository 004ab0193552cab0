"""A framework's side of the offer cycle: an iterator of events that survives masters, and the calls of a framework."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from types import TracebackType
from typing import Self, TypeAlias

from paddock.model.errors import (
    AlreadyExists,
    InvalidRequest,
    NotLeading,
    PaddockError,
    PermissionRefused,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId, OfferId, TaskId
from paddock.model.offer import DEFAULT_REFUSE_MS, Filters, Offer, Operation
from paddock.model.resources import Resources
from paddock.model.task import KillPolicy, TaskInfo, TaskStatus
from paddock.rpc.backoff import Backoff
from paddock.rpc.knock import AWAY_LIMIT_S, NobodyThere, knock
from paddock.rpc.leader import LeaderDetector, StaticMasters
from paddock.rpc.scheduling import (
    FrameworkRefused,
    LinkEvent,
    Offered,
    Rescinded,
    SchedulerLink,
    Subscribed,
    Updated,
)
from paddock.scheduler.fitting import placed
from paddock.scheduler.once import HandledOnce

_log = logging.getLogger(__name__)

_FINAL = (InvalidRequest, Unsupported, PermissionRefused, AlreadyExists, FrameworkRefused)
"""What the next attempt would only meet again."""

_REFUSED_LIMIT_COUNT = 3
"""A token is refused once when the master restarted in between; a caller that cannot prove itself is refused always."""

_QUEUE_LIMIT_COUNT = 10_000
_ANY_AGENT = AgentId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """The subscription ended; another attempt is under way. Offers are void, tasks live on, calls raise Unavailable."""

    message: str


Event: TypeAlias = LinkEvent | Disconnected


class Scheduler:
    """Use it as `async with`, and iterate: `async for event in scheduler: match event: …`.

    What happens by itself: subscribing, and again after a loss, at the master that leads; each status that wants it is
    acknowledged once the body of the loop is done with it, and not when the body raised; a status that comes again is
    handed out once and acknowledged again. Leaving the block tears the framework down (its tasks are killed) when it
    has no failover timeout; otherwise its tasks go on, and a process that gives the same framework id takes over.
    """

    def __init__(
        self,
        masters: str | Sequence[str] | LeaderDetector,
        framework: FrameworkInfo,
        *,
        suppressed_roles: tuple[str, ...] = (),
        first_deadline_s: float | None = None,
        random: Random | None = None,
    ) -> None:
        """`masters`: an address, several, or a detector. `first_deadline_s`: the first subscription's; None: for ever."""
        if isinstance(masters, str):
            masters = (masters,)
        self._detector: LeaderDetector = StaticMasters(tuple(masters)) if isinstance(masters, Sequence) else masters
        self._framework = framework
        self._suppressed_roles = suppressed_roles
        self._first_deadline_s = first_deadline_s
        self._backoff = Backoff(random or Random())
        self._away = Backoff(random or Random(), longest_s=AWAY_LIMIT_S)
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue(_QUEUE_LIMIT_COUNT)
        self._once = HandledOnce()
        self._in_hand: TaskStatus | None = None
        self._unheard: deque[TaskStatus] = deque(maxlen=_QUEUE_LIMIT_COUNT)
        self._link: SchedulerLink | None = None
        self._subscribed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._saying_goodbye = False

    @property
    def framework_id(self) -> FrameworkId:
        """Empty before the first subscription, unless it was given."""
        return self._framework.framework_id

    async def __aenter__(self) -> Self:
        """Begins to subscribe; calls may be made after the first Subscribed."""
        self._pump = asyncio.create_task(self._keep_subscribed(), name="paddock-scheduler")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Acknowledges what the loop's last body did (not when it raised), tears down or leaves."""
        self._saying_goodbye = True
        try:
            if kind is None:
                await self._acknowledge_in_hand()
            link = self._link
            if link is not None and self._framework.failover_timeout_ms == 0:
                await link.teardown()
        except PaddockError as failed:
            _log.warning("the framework could not say goodbye", extra={"error": str(failed)})
        finally:
            if self._pump is not None:
                self._pump.cancel()
                await asyncio.gather(self._pump, return_exceptions=True)

    def __aiter__(self) -> Self:
        """The scheduler iterates over its own events."""
        return self

    async def __anext__(self) -> Event:
        """The next event. Asking for it says that the one before is dealt with. May be cancelled without losing any."""
        await self._acknowledge_in_hand()
        event = await self._events.get()
        if isinstance(event, Exception):
            # It stays what the next one asking hears too.
            self._events.put_nowait(event)
            raise event
        if isinstance(event, Updated) and event.status.uuid:
            self._in_hand = event.status
        return event

    # --- calls ---

    async def accept(
        self,
        offers: Offer | Sequence[Offer],
        tasks: Sequence[TaskInfo],
        *,
        refuse_s: float = DEFAULT_REFUSE_MS / 1000,
        changes: Sequence[Operation] = (),
    ) -> None:
        """Launch the tasks on offers of one agent and role; agent and role are filled in. The rest goes back, filtered.

        `changes` (reservations, volumes) are made before; what became of them comes as `OperationUpdated`.
        """
        offers = (offers,) if isinstance(offers, Offer) else tuple(offers)
        if not offers:
            raise InvalidRequest("offers", "()", "name the offers that are accepted")
        await self._connected().accept(offers, [placed(task, offers[0]) for task in tasks], _filters(refuse_s), changes)

    async def decline(self, offers: Offer | Sequence[Offer], *, refuse_s: float = DEFAULT_REFUSE_MS / 1000) -> None:
        """Give them back; not offered again for so long."""
        offers = (offers,) if isinstance(offers, Offer) else tuple(offers)
        offer_ids: list[OfferId] = [offer.offer_id for offer in offers]
        await self._connected().decline(offer_ids, _filters(refuse_s))

    async def answer_inverse_offer(self, agent_id: AgentId, *, accepted: bool) -> None:
        """To `LeaveAsked`: whether the framework will leave the agent in time. Operators see it; nobody is held to it."""
        await self._connected().answer_inverse_offer(agent_id, accepted=accepted)

    async def kill(self, task_id: TaskId, *, agent_id: AgentId = _ANY_AGENT, policy: KillPolicy | None = None) -> None:
        """`policy` None: the task's own. What became of it comes as Updated, also when there is no such task."""
        await self._connected().kill(task_id, agent_id, policy)

    async def resize(self, task_id: TaskId, resources: Resources) -> None:
        """Other cpus, mem or disk for a task that runs; what is not named stays. Raises ResourcesExhausted when its agent has
        not so much. The outcome comes as Updated: TASK_RESIZED, or CONTAINER_UPDATE_FAILED and all is as it was.
        """
        await self._connected().resize(task_id, resources)

    async def reconcile(self, tasks: Sequence[tuple[TaskId, AgentId]] = ()) -> None:
        """Ask for the state of these tasks, or of all; it comes as Updated."""
        await self._connected().reconcile(tasks)

    async def revive(self, roles: Sequence[str] = ()) -> None:
        """Be offered everything again, in these roles or all."""
        await self._connected().revive(roles)

    async def suppress(self, roles: Sequence[str] = ()) -> None:
        """Be offered nothing, in these roles or all, until revived."""
        await self._connected().suppress(roles)

    async def connected(self) -> None:
        """Waits for the subscription; needs somebody who iterates only when there was an error to hear."""
        await self._subscribed.wait()

    def _connected(self) -> SchedulerLink:
        if self._link is None:
            raise Unavailable("not subscribed at a master now; wait for Subscribed and try again")
        return self._link

    # --- acknowledgements ---

    async def _acknowledge_in_hand(self) -> None:
        status, self._in_hand = self._in_hand, None
        if status is not None:
            self._once.done(status)
            await self._acknowledge(status)

    async def _acknowledge(self, status: TaskStatus) -> None:
        try:
            await self._connected().acknowledge(status)
        except PaddockError as error:
            # Said again at the next subscription: until then the agent holds back the task's later statuses.
            self._unheard.append(status)
            fields = {"task_id": status.task_id, "error": str(error)}
            _log.info("an acknowledgement did not reach the master", extra=fields)

    async def _acknowledge_unheard(self) -> None:
        unheard = tuple(self._unheard)
        self._unheard.clear()
        for status in unheard:
            await self._acknowledge(status)

    # --- the subscription ---

    async def _keep_subscribed(self) -> None:
        try:
            await self._subscribe_for_ever()
        except Exception as error:  # noqa: BLE001 - handed to whoever iterates
            await self._events.put(error)

    async def _subscribe_for_ever(self) -> None:
        refused_count = 0
        give_up_at_s = None if self._first_deadline_s is None else _now_s() + self._first_deadline_s
        while True:
            address = self._detector.current()
            error = await self._subscribe_once()
            if isinstance(error, _FINAL):
                raise error
            if self._subscribed.is_set():
                self._subscribed.clear()
                self._backoff.reset()
                refused_count, give_up_at_s = 0, None
                await self._events.put(Disconnected(message=str(error)))
            if isinstance(error, NotLeading):
                self._detector.redirected(error.leader_address)
            else:
                self._detector.failed(address)
            refused_count += isinstance(error, Unauthenticated)
            wait_s = (self._away if isinstance(error, NobodyThere) else self._backoff).next_s()
            if refused_count >= _REFUSED_LIMIT_COUNT or (give_up_at_s is not None and _now_s() + wait_s > give_up_at_s):
                raise error
            _log.info(
                "not subscribed", extra={"master": str(address), "error": str(error), "again_in_s": round(wait_s, 2)}
            )
            await asyncio.sleep(wait_s)

    def _forget_offers(self) -> None:
        """Those that nobody has taken yet are void with their subscription: an accept of one could only fail."""
        waiting = [self._events.get_nowait() for _ in range(self._events.qsize())]
        for event in waiting:
            if not isinstance(event, Offered | Rescinded):
                self._events.put_nowait(event)

    async def _subscribe_once(self) -> PaddockError:
        """Until it ends, and why it did."""
        address = self._detector.current()
        try:
            await knock(address, f"master {address}")
            self._away.reset()
            async with SchedulerLink(address, self._framework, self._suppressed_roles) as link:
                try:
                    async for event in link.events():
                        await self._take(link, event)
                    if self._saying_goodbye:
                        # The master ends the stream for a teardown that is still to be answered over this connection.
                        await asyncio.Event().wait()
                finally:
                    # Before it is closed: that waits for the calls under way, and another one would only come too late.
                    self._link = None
                    self._forget_offers()
        except PaddockError as error:
            return error
        return Unavailable(f"master {address}: it ended the subscription")

    async def _take(self, link: SchedulerLink, event: LinkEvent) -> None:
        if isinstance(event, Subscribed):
            self._framework = replace(self._framework, framework_id=event.framework_id)
            self._link = link
            self._subscribed.set()
            await self._acknowledge_unheard()
        if isinstance(event, Updated) and event.status.uuid and not self._once.is_new(event.status):
            if self._once.is_done(event.status):
                await self._acknowledge(event.status)
            return
        await self._events.put(event)


def _filters(refuse_s: float) -> Filters:
    if not refuse_s >= 0:
        raise InvalidRequest("refuse_s", refuse_s, "use seconds, 0 or more")
    return Filters(refuse_ms=int(min(refuse_s, 1e9) * 1000))


def _now_s() -> float:
    return asyncio.get_running_loop().time()
