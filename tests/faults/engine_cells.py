"""The matrix of an engine's faults: every row of a Docker task's life × what happens just then to engine, agent or master."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from paddock.model.task import Reason, TaskState
from tests.faults.cells import MOMENTS, VICTIMS, Cell
from tests.faults.engine_stage import EngineScene, EngineStage
from tests.faults.engine_stories import DockerStory, docker_stories
from tests.faults.engine_watch import AGENT, STAND_IN, STARTING
from tests.faults.stage import WAIT_S, AgentPlace, Stage
from tests.faults.stopping import point_of
from tests.faults.stories import ESCALATED, EXITED, FINISHED, KILLED, NEVER_RAN, NOT_LAUNCHED, Verdict

BEATS_COUNT = 4
"""So many answers of the agent to the master are waited for before a fault ends: one that waits for the engine gives none."""
SILENCE_LIMIT_S = 5.0
LONG_S = 5.5
"""Longer than a call's deadline."""
NO_ENGINE = (TaskState.FAILED, int(Reason.ENGINE_UNRESPONSIVE))
NO_PULL = (TaskState.FAILED, int(Reason.IMAGE_PULL_FAILED))
SIGNALED = (TaskState.FAILED, int(Reason.COMMAND_SIGNALED))
_NOT_BEGUN = frozenset({NO_ENGINE, NO_PULL, NOT_LAUNCHED})
_ENDED = frozenset({SIGNALED, KILLED, ESCALATED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What becomes of the engine. `ends`: the engine's restart without live-restore ends containers that run. `ends_starting`:
    told to end with live-restore, it leaves them alone where any runs; one that it is about to start runs for nobody yet, and
    is ended as without (bare dockerd 20.10 does so).
    """

    name: str
    begin: Callable[[EngineScene], object]
    end: Callable[[EngineScene], object] = lambda _scene: None
    live_restore: bool = False
    ends: bool = False
    ends_starting: bool = False
    lasts_s: float = 0


FAULTS = (
    Fault(name="dockerd killed", begin=lambda s: s.engine.kill(), end=lambda s: s.engine.start(), ends=True),
    Fault(
        name="dockerd killed with live-restore",
        begin=lambda s: s.engine.kill(),
        end=lambda s: s.engine.start(),
        live_restore=True,
    ),
    Fault(name="dockerd stopped", begin=lambda s: s.engine.pause(), end=lambda s: s.engine.resume(), lasts_s=LONG_S),
    Fault(name="dockerd stopped for a moment", begin=lambda s: s.engine.pause(), end=lambda s: s.engine.resume()),
    Fault(name="dockerd restarted", begin=lambda s: s.engine.restart(), ends=True),
    Fault(
        name="dockerd restarted with live-restore",
        begin=lambda s: s.engine.restart(),
        live_restore=True,
        ends_starting=True,
    ),
    Fault(name="registry hung", begin=lambda s: s.registry.pause(), end=lambda s: s.registry.resume()),
    Fault(name="nobody answers", begin=lambda s: s.silence(), end=lambda s: s.end_silence(), lasts_s=LONG_S),
    Fault(name="disk full", begin=lambda s: s.engine.fill_disk(), end=lambda s: s.engine.empty_disk()),
    Fault(name="image removed", begin=lambda s: s.remove_box()),
)
NOBODY = Fault(name="", begin=lambda _scene: None)


@dataclass(slots=True)
class Silences:
    """The longest time without an answer of the agent, while an engine was hurt."""

    longest_s: float = field(default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCell(Cell):
    """`victim` empty: it is the engine that is hurt."""

    story: DockerStory
    fault: Fault
    silences: Silences = field(default_factory=Silences, compare=False)

    @property
    def name(self) -> str:
        return f"{self.story.name}, {self.point}, {self.fault.name or f'{self.victim} dies'}"

    async def prepare(self, stage: Stage, agent: AgentPlace) -> None:
        """Engine and image are as it wants them."""
        assert isinstance(stage, EngineStage)
        await stage.ready(agent, live_restore=self.fault.live_restore, has_box=not self.story.is_pulled)

    async def hurt(self, stage: Stage, agent: AgentPlace, stopped: int) -> None:
        """And the agent's link to its master is well meanwhile."""
        if self.victim:
            await Cell.hurt(self, stage, agent, stopped)
            return
        assert isinstance(stage, EngineStage)
        await asyncio.to_thread(self.fault.begin, stage.scene)
        stage.let_go(stopped)
        begun_s = time.monotonic()
        try:
            await stage.ensure(agent.daemon)
            await self._beats(stage, begun_s)
        finally:
            await asyncio.to_thread(self.fault.end, stage.scene)

    async def _beats(self, stage: EngineStage, begun_s: float) -> None:
        """Some stories have the agent itself killed meanwhile: that is no silence of an engine's."""
        deadline_s = begun_s + WAIT_S
        looked_s, stall_s = time.monotonic(), 0.0
        while (
            len(beats := stage.answers_since(begun_s)) < BEATS_COUNT or time.monotonic() < begun_s + self.fault.lasts_s
        ):
            assert time.monotonic() < deadline_s, (
                f"{len(beats)} answers came to the master while it was {self.fault.name}"
            )
            await asyncio.sleep(0.05)
            looked_s, stall_s = time.monotonic(), max(stall_s, time.monotonic() - looked_s)
        silence_s = max(later - earlier for earlier, later in itertools.pairwise(beats))
        self.silences.longest_s = max(self.silences.longest_s, silence_s)
        # What has kept us has kept the agent: a machine that stands still says nothing of it.
        assert silence_s < SILENCE_LIMIT_S + stall_s, (
            f"the agent was silent for {silence_s:.1f} s while it was {self.fault.name}"
        )

    @property
    def _may_end(self) -> bool:
        """Whether the engine itself may end the container."""
        return self.fault.ends or (self.fault.ends_starting and self.point in STARTING)

    def is_true(self, verdict: Verdict, *, ran: bool) -> bool:
        """What an engine that was hurt makes of it, and nothing worse."""
        if self.victim or verdict in self.story.verdicts:
            return Cell.is_true(self, verdict, ran=ran)
        if verdict in _NOT_BEGUN or verdict == NEVER_RAN:
            return not ran
        if self._may_end and verdict in _ENDED:
            return True
        if self._may_end and verdict == EXITED and not ran:
            # Until it becomes the command, runc stands there: a Go program, which SIGTERM makes exit with 2.
            return True
        # The story goes its own way where a fault has taken another's turn.
        return verdict in {KILLED, FINISHED, EXITED} and verdict in self.story.verdicts


def engine_matrix(registry: str = "127.0.0.1:5000") -> tuple[EngineCell, ...]:
    """All cells, in a fixed order."""
    silences = Silences()
    hurts = [(fault, "") for fault in FAULTS] + [(NOBODY, victim) for victim in VICTIMS]
    return tuple(
        EngineCell(story=story, point=point, victim=victim, fault=fault, silences=silences)
        for story, point in _points(registry)
        for fault, victim in hurts
    )


def _points(registry: str) -> Iterator[tuple[DockerStory, str]]:
    for story in docker_stories(registry):
        targets = [*(f"container {row}" for row in story.rows), *(f"task {change}" for change in story.changes)]
        if story.is_whole_life:
            targets += [*AGENT, *STAND_IN]
        for target, moment in itertools.product(targets, MOMENTS):
            yield story, point_of(target, moment)
