"""The matrix: every row of the tables and every step × who is killed there. A cell is played, then judged by what is seen."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from paddock.model.task import Reason, TaskState, TaskStatus
from tests.faults.fetching import FETCH_STORIES
from tests.faults.framework import is_last
from tests.faults.holding import HOLDING_STORIES
from tests.faults.stage import WAIT_S, AgentPlace, NobodyCame, Stage, is_alive, send, state_of
from tests.faults.stopping import (
    AFTER,
    BEFORE,
    CHILD_METHODS,
    EVENTS,
    FUNCTIONS,
    LIST_METHODS,
    WAITING_FUNCTIONS,
    point_of,
)
from tests.faults.stories import DROPPED, NEVER_RAN, NOT_LAUNCHED, STORIES, Act, Story, Verdict

VICTIMS = ("agentd", "launcher", "shim", "masterd")
MOMENTS = (BEFORE, AFTER)
ATTEMPT_COUNT = 8
AFTER_THE_END_S = 0.5
"""Records are discarded a while after their end was told."""
WITHOUT_A_CELL = {
    "container STUCK FAILED": "what was begun is told as lost: only where another's hand has taken its cgroups away is it not",
    "container PREPARING ENDED": "nothing of a container exists, or is looked for, before it is prepared",
    "task STAGING KILLING": "a kill during the launch is told as KILLED, or once it runs",
}
"""Rows to which no real process leads, and why. To those of a pull lead Docker tasks (engine_cells)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """`victim` is killed while somebody stands at `point`, which `story` leads to."""

    story: Story
    point: str
    victim: str

    @property
    def name(self) -> str:
        return f"{self.story.name}, {self.point}, {self.victim} dies"

    @property
    def is_masters(self) -> bool:
        """Who comes to the point is the master."""
        return self.point.startswith("masterd")

    async def prepare(self, stage: Stage, agent: AgentPlace) -> None:
        """Until the story can begin."""
        await stage.settled(agent)

    async def hurt(self, stage: Stage, agent: AgentPlace, stopped: int) -> None:
        """While `stopped` stands at the point; and then it goes on."""
        await _kill(stage, agent, self.victim)
        stage.let_go(stopped)

    def is_true(self, verdict: Verdict, *, ran: bool) -> bool:
        """Whether it may be told how it ended in these words."""
        return _is_true(self, verdict, ran=ran)


def matrix() -> tuple[Cell, ...]:
    """All cells, in a fixed order."""
    return tuple(Cell(story=story, point=point, victim=victim) for story, point in _points() for victim in VICTIMS)


def _points() -> Iterator[tuple[Story, str]]:
    for story in (*STORIES, *FETCH_STORIES, *HOLDING_STORIES):
        targets = (*(f"container {row}" for row in story.rows), *(f"task {change}" for change in story.changes))
        for target, moment in itertools.product(targets, MOMENTS):
            yield story, point_of(target, moment)
        for point in step_points() if story.is_whole_life else ():
            yield story, point


def step_points() -> list[str]:
    """Every step of launch, run, exit and destroy, in all four processes."""
    functions = [target for targets in FUNCTIONS.values() for target in targets]
    events = [f"{daemon} event {event}" for daemon, names in EVENTS.items() for event in names]
    made = [point_of(target, moment) for target, moment in itertools.product((*functions, *events), MOMENTS)]
    return [*made, *(f"list {name}" for name in (*LIST_METHODS, *WAITING_FUNCTIONS, *CHILD_METHODS))]


async def play(stage: Stage, agent: AgentPlace, cell: Cell, task_id: str) -> None:
    """Raises AssertionError with what was seen when it is not as it must be.

    Some rows are taken when two messages cross: a story that has passed its point by is told again.
    """
    for attempt in range(ATTEMPT_COUNT):
        if await _play_once(stage, agent, cell, f"{task_id}-{attempt}"):
            return
    raise NobodyCame(f"nobody came to the point in {ATTEMPT_COUNT} lives")


async def _play_once(stage: Stage, agent: AgentPlace, cell: Cell, task_id: str) -> bool:
    """False when nobody came to the point."""
    act = Act(stage, agent, task_id, cell.story)
    place = f"{stage.directory}/m" if cell.is_masters else agent.directory
    await cell.prepare(stage, agent)
    stage.arm(cell.point, place)
    story = asyncio.create_task(_told(cell.story, act))
    stopping = asyncio.create_task(stage.stopped(place))
    waking = asyncio.create_task(asyncio.sleep(0))
    try:
        await asyncio.wait({story, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            await story
            await asyncio.wait({stopping}, timeout=AFTER_THE_END_S)
            if not stopping.done() and stage.withdraw(place):
                return False
        await cell.hurt(stage, agent, await stopping)
        waking = asyncio.create_task(_keep_awake(stage, place, cell))
        await stage.ensure(stage.masterd)
        await stage.ensure(agent.daemon)
        await story
    finally:
        stage.disarm(place)
        for task in (story, stopping, waking):
            task.cancel()
        await asyncio.gather(story, stopping, waking, return_exceptions=True)
    await _judge(stage, agent, cell, act)
    return True


async def _told(story: Story, act: Act) -> None:
    await story.play(act)


async def _keep_awake(stage: Stage, place: str, cell: Cell) -> None:
    """A stop in a plan's list is met again by who launches from the same plan anew, because nobody had begun it."""
    while cell.point.startswith("list "):
        for pid in stage.family(place):
            if state_of(pid) == "T":
                send(pid, signal.SIGCONT)
        await asyncio.sleep(0.02)


async def _kill(stage: Stage, agent: AgentPlace, victim: str) -> None:
    """Without a container the shim that dies is one that waits for an order; a pool that was just emptied is filled soon."""
    async with asyncio.timeout(WAIT_S):
        while not (pids := _victims(stage, agent, victim)):
            await asyncio.sleep(0.005)
        for pid in pids:
            send(pid, signal.SIGKILL)
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.001)


def _victims(stage: Stage, agent: AgentPlace, victim: str) -> list[int]:
    match victim:
        case "agentd":
            return [agent.daemon.pid]
        case "masterd":
            return [stage.masterd.pid]
        case "launcher":
            return agent.launcher_pids()
        case _:
            return list(agent.shims().values()) or agent.waiting_shims()


async def _judge(stage: Stage, agent: AgentPlace, cell: Cell, act: Act) -> None:
    left = await stage.clean(agent)
    heard = act.framework.statuses.get(act.task_id, [])
    sent = [line for line in agent.traffic() if line[0] == act.task_id]
    story = f"\nheard: {[(s.state.name, s.reason, s.source.name, s.message) for s in heard]}\nsent: {sent}"
    assert not left, f"left behind: {left}{story}"
    ran = read_counters(agent.counters(act.task_id))
    ends = {(s.state, int(s.reason), s.uuid) for s in heard if s.state.is_terminal and s.uuid}
    terminal = {uuid for _task, state, uuid, _reason in sent if TaskState[state].is_terminal and uuid != "-"}
    assert len(terminal) <= 1, f"several ends were told{story}"
    assert not follows_an_end([(TaskState[state], uuid) for _task, state, uuid, _reason in sent]), story
    assert not follows_an_end([(status.state, status.uuid.hex() or "-") for status in heard]), story
    if not ends:
        assert not terminal, f"the end did not arrive{story}"
        assert _is_honestly_lost(cell, heard, ran=ran), f"it was lost{story}"
        return
    assert len(ends) == 1, f"several ends were heard{story}"
    state, reason, _uuid = next(iter(ends))
    assert cell.is_true((state, reason), ran=ran), f"{state.name} {reason} is not true, ran: {ran}{story}"


def follows_an_end(told: list[tuple[TaskState, str]]) -> str:
    """What was told under another UUID after an end, in words; empty where nothing was. "-": no UUID, the master's word."""
    ends = [index for index, (state, uuid) in enumerate(told) if state.is_terminal and uuid != "-"]
    if not ends:
        return ""
    end = told[ends[0]][1]
    return ", ".join(f"{state.name} follows the end" for state, uuid in told[ends[0] :] if uuid not in {end, "-"})


def read_counters(paths: list[str]) -> bool:
    """Whether the command ran: once at most, in one process, without a gap."""
    assert len(paths) <= 1, f"it ran more than once: {paths}"
    for path in paths:
        with open(path, encoding="ascii") as file:
            pairs = [line.split() for line in file]
        assert len({pid for pid, _ in pairs}) <= 1, f"{path}: several processes count"
        numbers = [int(number) for _, number in pairs]
        assert numbers == list(range(1, len(numbers) + 1)), f"{path} is not monotone: {numbers}"
    return bool(paths)


def _is_honestly_lost(cell: Cell, heard: list[TaskStatus], *, ran: bool) -> bool:
    """A master that dies with a launch in its hands: it says so when it is asked, and the command never ran."""
    return cell.victim in {"masterd", "agentd"} and not ran and any(is_last(status) for status in heard)


def _is_true(cell: Cell, verdict: Verdict, *, ran: bool) -> bool:
    state, reason = verdict
    if verdict in cell.story.verdicts:
        return True
    if reason == Reason.SUPERVISOR_LOST:
        return cell.victim == "shim" and state in {TaskState.FAILED, TaskState.KILLED}
    if verdict == DROPPED:
        return cell.victim == "agentd" and not ran
    if verdict == NEVER_RAN:
        return not ran
    if verdict == NOT_LAUNCHED:
        return cell.victim in {"shim", "launcher"} and not ran
    return False
