"""What an agent measures of itself. Each figure has one thread that changes it, and costs a fraction of a microsecond."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from agentd.core import events
from agentd.core.events import Event
from paddock.metrics.histogram import Histogram
from paddock.model.ids import ContainerId
from paddock.model.task import Reason, TaskState

Result = TypeVar("Result")

PREPARE, FETCH, LAUNCH, TOTAL = "prepare", "fetch", "launch", "total"
_OfContainer = events.Prepared | events.Fetched | events.Started
_ENDS: dict[type[Event], str] = {events.Prepared: PREPARE, events.Fetched: FETCH, events.Started: LAUNCH}
_NS_PER_S = 1e9
_UNDER_WAY_LIMIT_COUNT = 100_000
_MEASURED_OF_COUNT = 16
_REASONS: dict[int, Reason] = {int(reason): reason for reason in Reason}


class LaunchTimes:
    """How long launches take, and their stages: for the event loop's thread."""

    __slots__ = ("_begun", "stages")

    def __init__(self) -> None:
        self.stages = {stage: Histogram() for stage in (PREPARE, FETCH, LAUNCH, TOTAL)}
        self._begun: dict[ContainerId, tuple[int, int]] = {}

    def begin(self, container_id: ContainerId, now_ns: int) -> None:
        """Its next stage, perhaps its first."""
        first_ns, _ = self._begun.get(container_id, (now_ns, 0))
        if len(self._begun) < _UNDER_WAY_LIMIT_COUNT:
            self._begun[container_id] = (first_ns, now_ns)

    def end(self, stage: str, container_id: ContainerId, now_ns: int) -> None:
        """Of the stage; the last one ends it all. Nothing of a container that an earlier agent launched."""
        begun = self._begun.get(container_id)
        if begun is None:
            return
        self.stages[stage].observe((now_ns - begun[1]) / _NS_PER_S)
        if stage == LAUNCH:
            self.stages[TOTAL].observe((now_ns - begun[0]) / _NS_PER_S)
            del self._begun[container_id]

    def forget(self, container_id: ContainerId) -> None:
        """It came to nothing, or did so long ago."""
        self._begun.pop(container_id, None)


@dataclass(slots=True, kw_only=True)
class LoopMeters:
    """For the event loop's thread."""

    launches: LaunchTimes = field(default_factory=LaunchTimes)
    loop_lag_s: Histogram = field(default_factory=Histogram)
    events: dict[type[Event], int] = field(default_factory=dict)
    ended: dict[tuple[TaskState, Reason | None], int] = field(default_factory=dict)
    """Containers, by the state in which a task of them ends, and the reason. None: one that this version does not know."""
    link_changed_ns: int = 0
    """When the master was connected or lost last, wall clock; 0: never."""
    link_lost_count: int = 0

    def note(self, event: Event, now_ns: int, wall_ns: int) -> None:
        """Before it is handled."""
        kind = type(event)
        self.events[kind] = self.events.get(kind, 0) + 1
        # By the kind, not by isinstance with unions, which takes longer than all the rest.
        stage = _ENDS.get(kind)
        if stage is not None:
            self.launches.end(stage, cast("_OfContainer", event).container_id, now_ns)
        elif kind is events.MasterConnected or kind is events.MasterDisconnected:
            self.link_changed_ns = wall_ns
            self.link_lost_count += kind is events.MasterDisconnected

    def note_end(self, state: TaskState, reason: int) -> None:
        """A container has ended."""
        key = (state, _REASONS.get(reason))
        self.ended[key] = self.ended.get(key, 0) + 1


class IsolatorMeters:
    """How long isolators take, by what they were asked: for the isolation thread."""

    __slots__ = ("_usage_count", "errors", "times")

    def __init__(self) -> None:
        self.times: dict[tuple[str, str], Histogram] = {}
        self.errors: dict[tuple[str, str], int] = {}
        self._usage_count = 0

    def timed(self, isolator: str, operation: str, call: Callable[[], Result]) -> Result:
        """Its result, or what it raised, which is counted."""
        begun_ns = time.monotonic_ns()
        try:
            return call()
        except Exception:
            self.failed(isolator, operation)
            raise
        finally:
            self.took(isolator, operation, begun_ns)

    def took(self, isolator: str, operation: str, begun_ns: int) -> int:
        """It has just ended, whatever came of it. Says when: for the next isolator's beginning."""
        now_ns = time.monotonic_ns()
        key = (isolator, operation)
        found = self.times.get(key)
        if found is None:
            # A new dict: another thread may be going through this one.
            found = Histogram()
            self.times = {**self.times, key: found}
        found.observe((now_ns - begun_ns) / _NS_PER_S)
        return now_ns

    def failed(self, isolator: str, operation: str) -> None:
        """It raised."""
        key = (isolator, operation)
        self.errors[key] = self.errors.get(key, 0) + 1

    def wants_usage(self) -> bool:
        """Whether this container's statistics are to be timed: every sixteenth is. Of a thousand at once, timing each would
        be a part of the figure.
        """
        self._usage_count += 1
        return self._usage_count % _MEASURED_OF_COUNT == 0
