"""A simulated framework: which tasks it wants, what it takes of an offer, what it has running."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from masterd.simulation.cluster import simulated_task
from masterd.simulation.scenario import Phase, SimulatedFramework
from paddock.model.ids import AgentId, FrameworkId, TaskId
from paddock.model.offer import Offer
from paddock.model.resources import Resources
from paddock.model.task import TaskInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A task that waits for its turn."""

    since_s: float
    resources: Resources
    runs_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A task that was launched."""

    agent_id: AgentId
    wanted: Wanted


@dataclass(slots=True, kw_only=True, eq=False)
class Behaviour:
    """One framework's state. `waiting` is in order of arrival."""

    spec: SimulatedFramework
    source: random.Random
    present: bool = False
    has_left: bool = False
    waiting: deque[Wanted] = field(default_factory=deque)
    launched: dict[TaskId, Launched] = field(default_factory=dict)
    task_count: int = 0

    @property
    def framework_id(self) -> FrameworkId:
        """It brings its own."""
        return FrameworkId(self.spec.name)

    def phase(self, now_s: float) -> Phase | None:
        """Which one it is in."""
        age_s = now_s - self.spec.arrives_s
        return next((phase for phase in reversed(self.spec.phases) if phase.from_s <= age_s), None)

    def want(self, now_s: float) -> None:
        """One more task."""
        phase = self.phase(now_s)
        if phase is not None:
            runs_s = phase.runs.draw(self.source)
            self.waiting.append(Wanted(since_s=now_s, resources=phase.task, runs_s=runs_s))

    def keep_wanted(self, now_s: float) -> bool:
        """As many as it wants to keep going, of the phase's kind; whether it wants some, and did not before."""
        phase = self.phase(now_s)
        if phase is None or phase.every is not None:
            return False
        was_idle = not self.waiting
        if self.waiting and self.waiting[0].resources is not phase.task:
            was_idle = True
            self.waiting.clear()
        while len(self.waiting) + len(self.launched) > phase.wanted and self.waiting:
            self.waiting.pop()
        while len(self.waiting) + len(self.launched) < phase.wanted:
            self.want(now_s)
        return was_idle and bool(self.waiting)

    def choose(self, offer: Offer) -> list[TaskInfo]:
        """As many waiting tasks as fit, in their order: nobody overtakes the one that does not fit."""
        left = offer.resources.unallocated()
        chosen: list[TaskInfo] = []
        while self.waiting and left.contains(self.waiting[0].resources):
            wanted = self.waiting.popleft()
            left -= wanted.resources
            chosen.append(self._launch(wanted, offer))
        return chosen

    def _launch(self, wanted: Wanted, offer: Offer) -> TaskInfo:
        self.task_count += 1
        task_id = TaskId(f"{self.spec.name}-{self.task_count}")
        self.launched[task_id] = Launched(agent_id=offer.agent_id, wanted=wanted)
        return simulated_task(task_id, offer.agent_id, wanted.resources.allocated_to(offer.role))
