"""masterd's loop: calls and connections become events, effects become messages; timers tick; cycles are merged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from masterd.core.effects import (
    AgentMessage,
    CloseAgentStream,
    CloseFrameworkStream,
    Effect,
    ForgetAgent,
    FrameworkMessage,
    NoteHeartbeat,
    Save,
    SaveAgent,
    SaveAgentGone,
    SaveAgentResources,
    SaveDeactivated,
    SaveDrain,
    SaveFramework,
    SaveMaintenance,
    SaveQuotas,
    SaveWeights,
    TaskChanged,
    TellKill,
    TellLaunch,
    TellPing,
    ToAgent,
    ToFramework,
)
from masterd.core.events import (
    Accept,
    AgentActivated,
    AgentMarkedGone,
    AgentRegistered,
    CancelDrain,
    CycleDue,
    DrainAgent,
    Event,
    MaintenanceUpdated,
    OperatorTeardown,
    QuotasChanged,
    QuotasUpdated,
    ResourcesChanged,
    Subscribe,
    Teardown,
    Tick,
    WeightsChanged,
)
from masterd.core.machine import Machine
from masterd.metrics.meters import Meters
from masterd.streams import Streams
from masterd.task_feed import TaskFeed
from paddock.daemon.clock import Clock
from paddock.daemon.lag import measure_lag
from paddock.daemon.shell import Shell
from paddock.model.errors import PaddockError, Unavailable
from paddock.model.resource_text import format_resources

TICK_S = 0.25
"""How late a ping, heartbeat or deadline may be."""

_NS_PER_S = 1e9
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """An event on its way in, and whoever waits for its outcome."""

    event: Event
    answer: asyncio.Future[None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The effect that tells the caller: everything before it was done, durably where it had to be."""

    answer: asyncio.Future[None]
    promises: bool = False
    """That it lasts. While nothing can be made durable this one is refused, and the others are given: none of them waits."""
    ends_with_refusal: bool = False
    """What was asked is over when it is refused: it was a connection."""


_REFUSED_WHILE_BLOCKED = (
    AgentRegistered
    | Subscribe
    | Accept
    | Teardown
    | WeightsChanged
    | QuotasChanged
    | QuotasUpdated
    | ResourcesChanged
    | AgentActivated
    | MaintenanceUpdated
    | OperatorTeardown
    | AgentMarkedGone
    | DrainAgent
    | CancelDrain
)
"""What must be durable, or promises something. Kills, statuses, liveness and everything that is only asked go on."""


class MasterShell:
    """Owns the machine, the streams and the timers. `run` until `stop`."""

    def __init__(
        self, machine: Machine, *, write: Callable[[Sequence[Save]], None], clock: Clock, allocation_interval_s: float
    ) -> None:
        """`write` makes records durable; it is called on the writer thread."""
        self._machine = machine
        self._clock = clock
        self._allocation_interval_s = allocation_interval_s
        self._numbers = count(1)
        self._cycle_is_queued = False
        self._is_stopping = False
        self.agents: Streams[AgentMessage] = Streams()
        self.frameworks: Streams[FrameworkMessage] = Streams()
        self.feed = TaskFeed()
        self.meters = Meters()
        self._write = write
        self._shell: Shell[Posted, Effect | Answer, Save] = Shell(
            handle=self._handle,
            record_of=_record_of,
            perform=self._perform,
            write=self._write_timed,
            refused=self._refuse,
            may_overtake=_may_overtake,
        )

    @property
    def problem(self) -> str:
        """Why nothing can be made durable; empty: it can."""
        return self._shell.problem

    @property
    def problem_changed(self) -> asyncio.Event:
        """Set at each change; whoever waits for it clears it."""
        return self._shell.problem_changed

    @property
    def machine(self) -> Machine:
        """For reading its state, between events: on the loop's thread that is always."""
        return self._machine

    def wall_ns(self) -> int:
        """What the next event will be told about the time, or a little earlier."""
        return self._clock.wall_ns()

    def now_ns(self) -> int:
        """The same, by the clock that never goes back."""
        return self._clock.monotonic_ns()

    def new_stream_number(self) -> int:
        """Never the same twice."""
        return next(self._numbers)

    def post(self, event: Event) -> None:
        """Nobody waits for it. Dropped once masterd stops: that connections end then is not their other side's doing."""
        if self._is_stopping:
            return
        self._shell.submit(Posted(event=event))

    async def call(self, event: Event) -> None:
        """Returns when the event was handled and what had to be durable is. Raises the core's PaddockError, or Unavailable when
        what must be durable cannot be: then it was not begun, or it is kept and done later, and the error says which. Of what
        begins a connection nothing is kept, when the caller ends it.
        """
        if self._is_stopping:
            raise Unavailable("masterd is stopping; call again when it is back")
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shell.submit(Posted(event=event, answer=answer))
        await answer

    def stop(self) -> None:
        """No new calls; what is queued is handled, connections are told, `run` returns."""
        self._is_stopping = True
        error = Unavailable("masterd is stopping; connect again when it is back")
        self.agents.close_all(error)
        self.frameworks.close_all(error)
        self._shell.stop()

    async def run(self) -> None:
        """Raises what made the registry unwritable: nothing may be promised then."""
        timers = (
            asyncio.create_task(measure_lag(self.meters.loop_lag_s)),
            asyncio.create_task(self._repeat(self._allocation_interval_s, lambda: CycleDue(batch=True))),
            asyncio.create_task(self._repeat(TICK_S, lambda: Tick(takes_nobody=bool(self.problem)))),
        )
        try:
            await self._shell.run()
        finally:
            for timer in timers:
                timer.cancel()
            await asyncio.gather(*timers, return_exceptions=True)

    async def _repeat(self, interval_s: float, event: Callable[[], Event]) -> None:
        while True:
            await asyncio.sleep(interval_s)
            self.post(event())

    def _write_timed(self, records: Sequence[Save]) -> None:
        """On the writer thread."""
        begun_ns = self._clock.monotonic_ns()
        self._write(records)
        self.meters.registry_s.observe((self._clock.monotonic_ns() - begun_ns) / _NS_PER_S)
        self.meters.records_written_count += len(records)

    def _refuse(self, posted: Posted, error: PaddockError) -> None:
        kind = type(posted.event)
        self.meters.refused_events[kind] = self.meters.refused_events.get(kind, 0) + 1
        if posted.answer is not None and not posted.answer.done():
            posted.answer.set_exception(error)

    def _handle(self, posted: Posted) -> Sequence[Effect | Answer]:
        if posted.answer is not None and posted.answer.cancelled():
            # The caller is gone before anything was done: better nothing is.
            return ()
        event = posted.event
        if self.problem and isinstance(event, _REFUSED_WHILE_BLOCKED):
            raise self._blocked()
        if isinstance(event, CycleDue) and not event.batch:
            self._cycle_is_queued = False
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        effects: list[Effect | Answer] = list(self._machine.handle(event, now_ns=now_ns, wall_ns=wall_ns))
        events, kind = self.meters.events, type(event)
        events[kind] = events.get(kind, 0) + 1
        if kind is CycleDue:
            self.meters.cycle_s.observe((self._clock.monotonic_ns() - now_ns) / _NS_PER_S)
        if self._machine.wants_run and not self._cycle_is_queued:
            # Behind everything that is queued already: a burst of events makes one run.
            self._cycle_is_queued = True
            self.post(CycleDue(batch=False))
        if posted.answer is not None:
            effects.append(
                Answer(
                    answer=posted.answer,
                    promises=isinstance(event, _REFUSED_WHILE_BLOCKED),
                    ends_with_refusal=isinstance(event, Subscribe | AgentRegistered),
                )
            )
        return effects

    def _blocked(self, and_now: str = "") -> Unavailable:
        return Unavailable(f"masterd cannot make anything durable: {self.problem}{and_now}")

    def _perform(self, effect: Effect | Answer) -> None:
        match effect:
            case Answer(answer=answer) if answer.done():
                pass
            case Answer(answer=answer, ends_with_refusal=True) if self.problem:
                answer.set_exception(self._blocked())
            case Answer(answer=answer, promises=True) if self.problem:
                answer.set_exception(
                    self._blocked("; what was asked is kept, and done when that is over unless masterd ends first")
                )
            case Answer(answer=answer):
                answer.set_result(None)
            case ToAgent(stream=stream, message=to_agent):
                self.agents.send(stream, to_agent)
            case ToFramework(stream=stream, message=to_framework):
                self.frameworks.send(stream, to_framework)
            case CloseAgentStream(stream=stream, error=error):
                self.agents.close(stream, error)
            case CloseFrameworkStream(stream=stream):
                self.frameworks.close(stream)
            case TaskChanged():
                self.feed.publish(effect)
            case _:
                raise AssertionError("records are written, not performed")


def _record_of(effect: Effect | Answer) -> Save | None:
    """What is worth a record is worth a line for the operator."""
    match effect:
        case SaveAgent(unreachable_ns=unreachable_ns):
            phrase = "agent is admitted" if unreachable_ns is None else "agent is out of reach"
            _log.info(phrase, extra={"agent_id": effect.agent_id, "agent_hostname": effect.hostname})
            return effect
        case ForgetAgent(agent_id=agent_id):
            _log.info("agent is forgotten: it was out of reach, or gone, for too long", extra={"agent_id": agent_id})
            return effect
        case SaveFramework(framework=info, failover_deadline_ns=deadline_ns, completed=completed):
            phrase = (
                "framework has ended"
                if completed
                else "framework is disconnected"
                if deadline_ns
                else "framework is subscribed"
            )
            _log.info(phrase, extra={"framework_id": info.framework_id, "framework_name": info.name, "user": info.user})
            return effect
        case SaveWeights(weights_milli=weights):
            _log.info("weights are changed", extra={"weights_milli": dict(weights)})
            return effect
        case SaveQuotas(quotas=quotas):
            _log.info("quotas are changed", extra={"roles": [role for role, _ in quotas]})
            return effect
        case SaveAgentResources(agent_id=agent_id, resources=resources, lost=lost):
            extra = {"agent_id": agent_id, "agent_resources": format_resources(resources)}
            if lost:
                phrase = "reservations are lost: the agent was configured with less"
                _log.warning(phrase, extra={**extra, "lost": format_resources(lost)})
            else:
                _log.info("reservations of the agent are changed", extra=extra)
            return effect
        case SaveDeactivated(agent_id=agent_id, deactivated=deactivated):
            phrase = "agent is taken out of use" if deactivated else "agent is in use again"
            _log.info(phrase, extra={"agent_id": agent_id})
            return effect
        case SaveMaintenance(windows=windows):
            _log.info("maintenance is planned anew", extra={"hosts": [hostname for hostname, _ in windows]})
            return effect
        case SaveDrain(agent_id=agent_id, drain=drain):
            phrase = (
                "agent is to be used again"
                if drain is None
                else "agent is drained"
                if drain.is_done
                else "agent drains"
            )
            _log.info(phrase, extra={"agent_id": agent_id, "asked_by": drain.asked_by if drain else ""})
            return effect
        case SaveAgentGone(agent_id=agent_id):
            _log.info("agent is gone for ever", extra={"agent_id": agent_id})
            return effect
        case _:
            return None


def _may_overtake(effect: Effect | Answer, waiting: Iterable[Effect | Answer]) -> bool:
    """Answers, liveness, and kills, unless the launch of the same task waits: behind others' a kill that is answered would be
    lost with a master that ends.
    """
    match effect:
        case Answer() | ToAgent(message=TellPing()) | ToFramework(message=NoteHeartbeat()):
            return True
        case ToAgent(stream=stream, message=TellKill() as kill):
            return not any(
                isinstance(other, ToAgent) and other.stream == stream and _launches(other.message, kill)
                for other in waiting
            )
        case _:
            return False


def _launches(message: AgentMessage, kill: TellKill) -> bool:
    return (
        isinstance(message, TellLaunch)
        and message.framework.framework_id == kill.framework_id
        and any(task.task_id == kill.task_id for task in message.tasks)
    )
