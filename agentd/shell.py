"""The agent's loop: one queue of events in, the machine, effects out in order, and nothing visible before it is durable.

It differs from the loop that paddock.daemon offers in what a launch's latency needs: an event is handled in the turn of the
event loop in which it comes, preparation does not wait for the log, and entries that something else durable repeats
wait for company instead of costing a sync of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import assert_never

from agentd.change_feed import ChangeFeed
from agentd.checkpoint_writer import CheckpointWriter
from agentd.containerizer.contract import Containerizer
from agentd.core import effects, events, recovery
from agentd.core.effects import Effect, TaskView
from agentd.core.events import Event
from agentd.core.machine import Machine
from agentd.metrics.meters import LoopMeters
from agentd.whose import container_of, tell, whose
from agentd.wiring import Checks, MasterLink, NoMaster, Volumes
from paddock.daemon.clock import Clock
from paddock.daemon.logging import log_ids
from paddock.model.container import Container
from paddock.model.errors import InvalidTransition, PaddockError
from paddock.model.ids import ContainerId

_log = logging.getLogger(__name__)

RELAXED_DELAY_S = 0.2
"""How long an entry for which nothing waits may wait for company: the sync is what costs."""

RETRY_S = 1.0
"""Between two attempts to write a log that could not be written."""

COMPACT_ABOVE_BYTES = 8 * 2**20
_NS_PER_S = 1e9
_FORGOTTEN_SLACK_COUNT = 64


class Shell:
    """For the event loop's thread only."""

    def __init__(self, machine: Machine, writer: CheckpointWriter, clock: Clock) -> None:
        """`connect` comes before the first event."""
        self.state = machine.state
        self.views = {container_id: entry.view() for container_id, entry in machine.state.containers.items()}
        """The containers as they may be shown: nothing in here is not durable yet."""
        self.task_views = {key: task.view() for key, task in machine.state.tasks.items()}
        self.meters = LoopMeters()
        self.version = machine.state.version
        """Of the newest change in the views."""
        self.containers: ChangeFeed[Container] = ChangeFeed(first_version=machine.state.version)
        self.tasks: ChangeFeed[TaskView] = ChangeFeed(first_version=machine.state.version)
        self._machine = machine
        self._writer = writer
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._events: deque[Event] = deque()
        self._handling = False
        self._waiting: deque[tuple[int, Effect]] = deque()
        self._required_number = 0
        self._durable_number = 0
        self._discards: deque[tuple[int, ContainerId]] = deque()
        self._callers: dict[int, asyncio.Future[None]] = {}
        self._last_request_id = 0
        self._ends: dict[ContainerId, list[tuple[Callable[[Container], bool], asyncio.Future[Container]]]] = {}
        self._wake: asyncio.TimerHandle | None = None
        self._wake_at_ns = 0
        self._flush: asyncio.TimerHandle | None = None
        self.problem = ""
        """Why nothing can be made durable."""
        self.problem_changed = asyncio.Event()
        self._retry: asyncio.TimerHandle | None = None
        self._compacting_number = 0
        self._compact_above_bytes = COMPACT_ABOVE_BYTES
        self._containerizer: Containerizer
        self._checks: Checks
        self._volumes: Volumes
        self._master: MasterLink = NoMaster()

    def connect(self, containerizer: Containerizer, master: MasterLink, checks: Checks, volumes: Volumes) -> None:
        """Explicit wiring: all need `post` first."""
        self._volumes = volumes
        self._containerizer = containerizer
        self._checks = checks
        self._master = master

    def post(self, event: Event) -> None:
        """Handled at once, or after the events before it when one is being handled."""
        self._events.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._events:
                self._handle(self._events.popleft())
        finally:
            self._handling = False

    async def ask(self, make: Callable[[int], Event]) -> None:
        """Post an event under a request's number; returns when it is answered. Raises the answer's error."""
        self._last_request_id += 1
        request_id = self._last_request_id
        answer: asyncio.Future[None] = self._loop.create_future()
        self._callers[request_id] = answer
        try:
            self.post(make(request_id))
            await answer
        finally:
            self._callers.pop(request_id, None)

    async def wait_for(self, container_id: ContainerId, satisfied: Callable[[Container], bool]) -> Container:
        """The container's view now, or the first later one, that satisfies."""
        view = self.views.get(container_id)
        if view is not None and satisfied(view):
            return view
        future: asyncio.Future[Container] = self._loop.create_future()
        waiters = self._ends.setdefault(container_id, [])
        waiter = (satisfied, future)
        waiters.append(waiter)
        try:
            return await future
        finally:
            waiters.remove(waiter)
            if not waiters:
                self._ends.pop(container_id, None)

    def durable_up_to(self, number: int) -> None:
        """The log has every entry up to this number."""
        self._durable_number = number
        self._release()
        if self.problem:
            self._log_freed()
        if 0 < self._compacting_number <= number:
            self._compacting_number = 0
            self._compact_above_bytes = max(COMPACT_ABOVE_BYTES, 4 * self._writer.size_bytes)
        while self._discards and self._discards[0][0] <= number:
            self._containerizer.discard(self._discards.popleft()[1])

    def log_blocked(self, problem: str) -> None:
        """The log cannot be written: what waits for it waits, and it is made anew from what is known, as soon as that works.

        A full disk must not keep the task that fills it alive: kills and the watch over limits wait for nothing.
        """
        if not self.problem:
            _log.error("the log cannot be written; no new work is taken", extra={"error": problem})
        self.problem = problem
        self.problem_changed.set()
        self._compacting_number = 0
        unwritten = self._let_go_of_unwritten()
        waiting, self._waiting = self._waiting, deque()
        for number, effect in waiting:
            if self._may_overtake(effect):
                self._perform(effect)
            else:
                self._waiting.append((number, effect))
        self._retry = self._loop.call_later(RETRY_S, self._write_anew)
        self.post(events.LogBlocked(problem=problem, unwritten=unwritten))

    def _let_go_of_unwritten(self) -> tuple[ContainerId, ...]:
        """Containers of which nothing is durable: they were never shown. What waits to be done for them is not done."""
        known = (entry.config.container_id for entry in self.state.live())
        unwritten = tuple(container_id for container_id in known if container_id not in self.views)
        gone = frozenset(unwritten)
        self._waiting = deque(each for each in self._waiting if container_of(each[1]) not in gone)
        return unwritten

    def _write_anew(self) -> None:
        self._writer.replace(recovery.snapshot(self.state))

    def _log_freed(self) -> None:
        self.problem = ""
        self.problem_changed.set()
        _log.info("the log can be written again; new work is taken")
        self.post(events.LogBlocked(problem=""))

    def _may_overtake(self, effect: Effect) -> bool:
        if not self.problem or not isinstance(effect, effects.Kill | effects.Watch):
            return False
        launch = effects.Launch(container_id=effect.container_id)
        return all(waiting != launch for _, waiting in self._waiting)

    def close(self) -> None:
        """No more timers. Whoever still waits is told by gRPC that the server went away."""
        for timer in (self._wake, self._flush, self._retry):
            if timer is not None:
                timer.cancel()

    def _handle(self, event: Event) -> None:
        _log.debug("event", extra={"event": event})
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        self.meters.note(event, now_ns, wall_ns)
        try:
            wanted = self._machine.handle(event, now_ns=now_ns, wall_ns=wall_ns)
        except InvalidTransition as error:
            # A lie from outside, or a defect; either way the state is as it was, and the agent serves the others.
            _log.exception("event was refused", extra={"event": event, "error": str(error)})
            return
        required_before = self._required_number
        for effect in wanted:
            self._take(effect)
        if self._required_number > required_before:
            self._writer.flush()
        # Only between turns does the state say exactly what was appended.
        self._compact_when_due()

    def _take(self, effect: Effect) -> None:
        match effect:
            case effects.Checkpoint():
                number = self._writer.append(effect.entry)
                if not effect.relaxed:
                    self._required_number = number
                elif self._flush is None:
                    self._flush = self._loop.call_later(RELAXED_DELAY_S, self._flush_relaxed)
            case effects.Prepare():
                # First the disk, which takes its time without the interpreter; then what would keep that from it.
                self._writer.flush()
                self._begin_stage(effect.config.container_id)
                self._containerizer.prepare(effect.config)
            case effects.ArrangeVolumes():
                self._volumes.arrange(effect)
            case effects.Discard():
                self._discards.append((self._writer.last_number, effect.container_id))
            case effects.Answer(at_once=True) | effects.SendLaunchRefused(at_once=True) | effects.SendProblem():
                self._perform(effect)
            case _ if self._may_overtake(effect):
                self._perform(effect)
            case _ if self._waiting or self._required_number > self._durable_number:
                self._waiting.append((self._required_number, effect))
            case _:
                self._perform(effect)

    def _flush_relaxed(self) -> None:
        self._flush = None
        self._writer.flush()

    def _release(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._durable_number:
            self._perform(self._waiting.popleft()[1])

    def _perform(self, effect: Effect) -> None:
        _log.debug("effect", extra={"effect": effect})
        match effect:
            case effects.Fetch():
                self._begin_stage(effect.config.container_id)
                with self._ids_of(effect.config.container_id):
                    self._containerizer.fetch(effect.config)
            case effects.CancelFetch():
                self._containerizer.cancel_fetch(effect.container_id)
            case (
                effects.Launch()
                | effects.Look()
                | effects.Kill()
                | effects.FindHolders()
                | effects.Resize()
                | effects.Watch()
                | effects.CheckHealth()
                | effects.CancelHealthCheck()
                | effects.MakeCheck()
                | effects.CancelCheck()
                | effects.Conclude()
            ):
                with self._ids_of(whose(effect)):
                    self._perform_on_container(effect)
            case effects.Publish():
                self._publish(effect)
            case effects.PublishTask():
                self._publish_task(effect)
            case effects.RemoveVolume():
                self._volumes.remove(effect)
            case (
                effects.SendStatus()
                | effects.SendStandalone()
                | effects.SendLaunchRefused()
                | effects.SendProblem()
                | effects.SendVolumesRemoved()
                | effects.SendVolumesFound()
                | effects.SendTaskResized()
            ):
                self._master.send(effect)
            case effects.Answer():
                self._answer(effect.request_id, effect.error)
            case effects.WakeAt():
                self._wake_at(effect.at_ns)
            case effects.Checkpoint() | effects.Prepare() | effects.ArrangeVolumes() | effects.Discard():
                raise AssertionError("taken before")
            case _:
                assert_never(effect)

    def _perform_on_container(self, effect: effects.ContainerEffect) -> None:
        match effect:
            case effects.Launch():
                self._begin_stage(effect.container_id)
                self._containerizer.launch(effect.container_id)
            case effects.Look():
                self._containerizer.look(effect.container_id)
            case effects.Kill():
                self._containerizer.kill(effect.container_id, effect.signal, effect.grace_ms)
            case effects.FindHolders():
                self._containerizer.find_holders(effect.container_id)
            case effects.Resize():
                self._containerizer.resize(effect.config)
            case effects.Watch():
                self._containerizer.watch(effect.container_id)
            case effects.CheckHealth() | effects.CancelHealthCheck() | effects.MakeCheck() | effects.CancelCheck():
                self._checks.perform(effect)
            case effects.Conclude():
                self.meters.launches.forget(effect.config.container_id)
                self._containerizer.conclude(effect.config, effect.record, launched=effect.launched)
            case _:
                assert_never(effect)

    def _begin_stage(self, container_id: ContainerId) -> None:
        self.meters.launches.begin(container_id, self._clock.monotonic_ns())

    def _ids_of(self, container_id: ContainerId) -> log_ids:
        """Every line that is written of what begins here can be asked for by container, task and framework."""
        entry = self.state.containers.get(container_id)
        if entry is None:
            return log_ids(container_id=container_id)
        config = entry.config
        return log_ids(container_id=container_id, task_id=config.task_id, framework_id=config.framework_id)

    def _publish_task(self, effect: effects.PublishTask) -> None:
        self.version = effect.version
        key = (effect.task.framework_id, effect.task.task.task_id)
        self.task_views[key] = effect.task
        if key not in self.state.tasks:
            del self.task_views[key]
        self.tasks.publish(effect.version, effect.task)

    def _publish(self, effect: effects.Publish) -> None:
        container_id = effect.container.config.container_id
        self.version = effect.version
        before, termination = self.views.get(container_id), effect.container.termination
        if termination is not None and (before is None or before.termination is None):
            self.meters.note_end(termination.state, termination.reason)
        self.views[container_id] = effect.container
        if len(self.views) > len(self.state.containers) + _FORGOTTEN_SLACK_COUNT:
            self.views = {key: view for key, view in self.views.items() if key in self.state.containers}
        self.containers.publish(effect.version, effect.container)
        for satisfied, future in self._ends.get(container_id, ()):
            if not future.done() and satisfied(effect.container):
                future.set_result(effect.container)
        if before is None or before.state is not effect.container.state:
            # Whoever waits for it is told first.
            self._loop.call_soon(tell, effect.container)

    def _answer(self, request_id: int, error: PaddockError | None) -> None:
        caller = self._callers.get(request_id)
        if caller is None or caller.done():
            return  # the caller went away; what was asked is done all the same
        if error is None:
            caller.set_result(None)
        else:
            caller.set_exception(error)

    def _wake_at(self, at_ns: int) -> None:
        if self._wake is not None and self._wake_at_ns <= at_ns:
            return
        if self._wake is not None:
            self._wake.cancel()
        self._wake_at_ns = at_ns
        delay_s = max(0, at_ns - self._clock.monotonic_ns()) / _NS_PER_S
        self._wake = self._loop.call_later(delay_s, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self.post(events.TimePassed())

    def _compact_when_due(self) -> None:
        """When the log is four times what a snapshot took last, and worth the while."""
        if self._compacting_number == 0 and not self.problem and self._writer.size_bytes > self._compact_above_bytes:
            self._compacting_number = self._writer.last_number
            self._writer.replace(recovery.snapshot(self.state))
