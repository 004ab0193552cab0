"""The framework behind `paddock run`: one task, the first offer that fits, its output, its end."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from paddock.cli.connect import agent_address
from paddock.cli.exit_codes import INTERRUPTED
from paddock.cli.outcome import ended_by_itself, exit_code_of_status, lost_something
from paddock.cli.run_absence import Absence
from paddock.cli.run_parted import end_of_task, is_parting, unanswered, unlaunched
from paddock.cli.run_request import RunRequest
from paddock.cli.run_streams import OutputStreams
from paddock.model.errors import PaddockError, TimedOut, Unavailable
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId
from paddock.model.offer import Offer
from paddock.model.offer_terms import RUNS_DOCKER, OfferTerms
from paddock.model.resource_text import format_resources
from paddock.model.resources import Resources
from paddock.model.task import ContainerInfo, KillPolicy, Reason, TaskInfo, TaskState, TaskStatus
from paddock.rpc.clients.master import no_master
from paddock.scheduler import Disconnected, Offered, Scheduler, Subscribed, Updated
from paddock.scheduler.taking import take, take_ports

_FIRST_DEADLINE_S = 5.0
_TELL_AFTER_S = 2.0
_REFUSE_S = 1.0
"""For an offer that is too small: soon again, because others' tasks end."""

_NOT_WANTED_S = 3600.0
"""For offers after the launch: this framework has one task."""


async def run_request(request: RunRequest, masters: tuple[str, ...]) -> int:
    """The exit code for the task's end. Raises TimedOut when no offer fitted in time, Unavailable without a master."""
    terms = OfferTerms(role=request.role, constraints=((RUNS_DOCKER,),))
    framework = FrameworkInfo(
        name=f"paddock run {request.name}",
        roles=(request.role,),
        hostname=socket.gethostname(),
        capabilities=frozenset({FrameworkCapability.PARTITION_AWARE}),
        offer_terms=(terms,) if request.docker else (),
    )
    async with Scheduler(masters, framework, first_deadline_s=_FIRST_DEADLINE_S) as scheduler:
        run = _Run(request, scheduler, masters)
        with _interrupts(run.interrupt):
            status = await run.until_ended()
    if status is None:
        return INTERRUPTED
    if not ended_by_itself(status) or lost_something(status):
        print(f"paddock run: {status.message or status.state.name}", file=sys.stderr)
    return exit_code_of_status(status)


def _was_launched(status: TaskStatus) -> bool:
    """A command that has begun ends with an exit code or a signal; of one that was stopped before that there is no output."""
    evidence = status.evidence
    if evidence is None:
        return True
    return evidence.launch_failure is None and (evidence.exit_code is not None or evidence.signal is not None)


class _Run:
    """The task's way: wanted, launched, running, ended."""

    def __init__(self, request: RunRequest, scheduler: Scheduler, masters: tuple[str, ...]) -> None:
        self._request = request
        self._masters = masters
        self._scheduler = scheduler
        self._end: asyncio.Future[TaskStatus | None] = asyncio.get_running_loop().create_future()
        self._streams = OutputStreams(on_unwritable=self._fail)
        self._offer: Offer | None = None
        self._absence = Absence("")
        self._seen = Resources()
        self._kills: list[asyncio.Task[None]] = []
        self._has_master = False
        self._is_parted = False

    async def until_ended(self) -> TaskStatus | None:
        """The terminal status, once all output is copied. None: interrupted when there was no task to reach."""
        running = (asyncio.create_task(self._follow_events()), asyncio.create_task(self._watch_the_wait()))
        try:
            status = await self._end
            if status is None:
                self._streams.stop()
            else:
                await self._streams.drain(was_launched=_was_launched(status))
        finally:
            for task in (*running, *self._kills):
                task.cancel()
            await asyncio.gather(*running, *self._kills, return_exceptions=True)
        return status

    def interrupt(self) -> None:
        """Ctrl-C: kill by the task's policy; again: at once. Without a task yet there is nothing to kill."""
        if self._offer is None or self._is_parted:
            self._settle(None)
        elif self._absence.is_under_way:
            self._absence.give_up()
            self._settle(None)
        else:
            policy = (
                self._request.kill_policy if not self._kills else replace(self._request.kill_policy, grace_period_ms=0)
            )
            self._kills.append(asyncio.create_task(self._kill(self._offer.agent_id, policy)))

    async def _kill(self, agent_id: AgentId, policy: KillPolicy) -> None:
        try:
            await self._scheduler.kill(self._request.task_id, agent_id=agent_id, policy=policy)
        except Unavailable:
            words = "the master is out of reach, and kills the task once it knows that this run has gone"
            print(f"paddock run: given up; {words}", file=sys.stderr)
            self._settle(None)
        except PaddockError as error:
            print(f"paddock run: the task could not be killed: {error}", file=sys.stderr)

    def _settle(self, status: TaskStatus | None) -> None:
        if not self._end.done():
            self._end.set_result(status)

    def _fail(self, error: BaseException) -> None:
        if not self._end.done():
            self._end.set_exception(error)

    async def _follow_events(self) -> None:
        try:
            async for event in self._scheduler:
                match event:
                    case Offered():
                        await self._choose(event.offers)
                    case Updated() if event.status.task_id == self._request.task_id:
                        self._heard(event.status)
                        if event.status.state.is_terminal:
                            self._settle(event.status)
                            return
                    case Disconnected():
                        print(f"paddock run: {event.message}; trying again", file=sys.stderr)
                    case Subscribed():
                        # The master before this one may have taken the launch with it.
                        await self._reconcile()
                    case _:
                        pass
        except Unavailable as error:
            self._fail(error if self._has_master else no_master(str(error)))
        except PaddockError as error:
            await self._part(error)
        except Exception as error:  # noqa: BLE001 - raised where the end is waited for: unheard, it held the offers for ever
            self._fail(error)

    async def _part(self, error: PaddockError) -> None:
        """What ends the subscription for ever."""
        if not self._has_master or not is_parting(error):
            self._fail(error)
        elif self._offer is None:
            self._fail(unlaunched(error))
        else:
            self._is_parted = True
            try:
                self._settle(await end_of_task(self._masters, self._scheduler.framework_id, self._request.task_id))
            except PaddockError as failed:
                self._fail(failed)

    async def _choose(self, offers: Sequence[Offer]) -> None:
        for offer in offers:
            task = None if self._offer else self._task(offer)
            if task is None:
                self._seen = offer.resources
                with suppress(Unavailable):
                    # It is void with its subscription.
                    await self._scheduler.decline(offer, refuse_s=_NOT_WANTED_S if self._offer else _REFUSE_S)
                continue
            self._offer = offer
            self._absence = Absence(offer.hostname)
            self._tell_ports(task, offer)
            try:
                await self._scheduler.accept(offer, [task], refuse_s=_NOT_WANTED_S)
            except Unavailable as error:
                raise unanswered(error) from None
            await self._scheduler.suppress()

    def _tell_ports(self, task: TaskInfo, offer: Offer) -> None:
        """Of those that were not asked for by number."""
        docker = self._request.docker
        if docker is not None and task.container.docker is not None:
            for asked, mapping in zip(docker.published, task.container.docker.port_mappings, strict=True):
                if not asked.host_port:
                    inner = f"{mapping.container_port}/{mapping.protocol.value}"
                    print(
                        f"paddock run: port {mapping.host_port} of {offer.hostname} leads to {inner}", file=sys.stderr
                    )

    def _task(self, offer: Offer) -> TaskInfo | None:
        """None: the offer does not hold it."""
        request = self._request
        published = request.docker.published if request.docker else ()
        resources = take(offer.resources, dict(request.amounts_milli))
        ports = take_ports(offer.resources, [mapping.host_port for mapping in published])
        if resources is None or ports is None:
            return None
        container = request.docker.mapped(ports[1]) if request.docker else ContainerInfo()
        return TaskInfo(
            task_id=request.task_id,
            name=request.name,
            agent_id=offer.agent_id,
            resources=resources + ports[0],
            container=replace(container, linux=request.linux, rlimits=request.rlimits),
            command=request.command,
            limits=request.limits,
            kill_policy=request.kill_policy,
            max_completion_time_ms=request.timeout_ms,
            health_check=request.health_check,
            check=request.check,
            log_policy=request.log_policy,
            labels=request.labels,
        )

    async def _reconcile(self) -> None:
        if self._offer is not None:
            await self._scheduler.reconcile([(self._request.task_id, self._offer.agent_id)])

    def _heard(self, status: TaskStatus) -> None:
        is_told = self._absence.heard(status) or status.reason in {Reason.UNSPECIFIED, Reason.RECONCILIATION}
        is_well = status.reason == Reason.TASK_HEALTH_CHECK_STATUS_UPDATED and status.healthy
        if status.state is TaskState.RUNNING and not is_told and not is_well:
            # A limit was met and the task goes on: an OOM-killed child above all, which nothing else would tell. Or a check of
            # its health failed, or one that only informs found something else than before.
            print(f"paddock run: {status.message}", file=sys.stderr)
        offer = self._offer
        if offer is None or not status.container_id or self._streams.started:
            return
        try:
            address = agent_address(
                agent=offer.agent_id,
                hostname=offer.hostname,
                unix_address=offer.unix_address,
                tcp_address=offer.tcp_address,
            )
        except PaddockError as error:
            print(f"paddock run: the task runs, its output cannot be shown: {error}", file=sys.stderr)
            self._streams.started = True
            return
        self._streams.start(address, status.container_id)

    async def _watch_the_wait(self) -> None:
        """Say what is waited for when it takes long, and give up when that was asked."""
        request = self._request
        wanted = _wanted(request)
        timeout_s = request.offer_timeout_ms / 1000 or float("inf")
        await self._scheduler.connected()
        self._has_master = True
        await asyncio.sleep(min(_TELL_AFTER_S, timeout_s))
        if self._offer is None and timeout_s > _TELL_AFTER_S:
            seen = f"; the last offer had {format_resources(self._seen.unallocated())}" if self._seen else ""
            why = f"`paddock explain role '{request.role}'` says why"
            print(
                f"paddock run: waiting for an offer with {wanted} in role {request.role}{seen}; {why}", file=sys.stderr
            )
            await asyncio.sleep(timeout_s - _TELL_AFTER_S)
        if self._offer is None:
            words = f"no offer with {wanted} came for role {request.role} within {timeout_s:g} s"
            self._fail(TimedOut(f"{words}; `paddock agents` shows what is free"))


def _wanted(request: RunRequest) -> str:
    """What an offer must have, for people."""
    amounts = format_resources(Resources.scalars(dict(request.amounts_milli)))
    published = request.docker.published if request.docker else ()
    ports = ",".join(str(mapping.host_port or "any") for mapping in published)
    where = " of an agent that runs docker" if request.docker else ""
    return f"{amounts};ports:{ports}{where}" if ports else f"{amounts}{where}"


@contextmanager
def _interrupts(callback: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM go to the callback."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, callback)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
