"""Random launches, kills, crashes and silences on two agents and a master; at the end everything is accounted for."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from paddock.model.ids import AgentId, TaskId
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, Reason, TaskInfo, TaskState, TaskStatus
from testbed.daemon_process import DaemonProcess
from tests.faults.cells import follows_an_end, read_counters
from tests.faults.framework import is_last
from tests.faults.stage import WAIT_S, Stage, send

ALIVE_LIMIT_COUNT = 12
LONGEST_SILENCE_S = 3.0
STEP = "n=$((n+1)); echo $$ $n >> counter; sleep 0.05"


@dataclass(slots=True, kw_only=True)
class Wish:
    """One task, and how it ends when nobody hurts it."""

    task_id: TaskId
    exit_code: int
    was_killed: bool = False


def judge(
    wish: Wish, heard: Sequence[TaskStatus], sent: Sequence[tuple[TaskState, str]], *, ran: bool
) -> tuple[str, str]:
    """Under what it counts, and what is wrong with what a task was told; nothing: empty. `sent`: by agents, in order."""
    last = [status for status in heard if is_last(status)]
    ends = {status.uuid.hex() for status in last if status.uuid} | {uuid for state, uuid in sent if state.is_terminal}
    if len(ends - {"-"}) > 1:
        return "duplicated", "has several ends"
    for told in (sent, [(status.state, status.uuid.hex() or "-") for status in heard]):
        if later := follows_an_end(list(told)):
            return "duplicated", later
    end = next((status for status in last if status.uuid), last[0])
    if _is_true(wish, end.state, int(end.reason), ran=ran, has_uuid=bool(end.uuid)):
        return f"told {end.state.name}", ""
    return "lost" if ran and not end.uuid else "untrue", "is not told the truth"


def _is_true(wish: Wish, state: TaskState, reason: int, *, ran: bool, has_uuid: bool) -> bool:
    if not has_uuid or state is TaskState.DROPPED or reason == Reason.TASK_KILLED_DURING_LAUNCH:
        return not ran
    if state is TaskState.FINISHED:
        return wish.exit_code == 0 and ran
    if state is TaskState.KILLED:
        return wish.was_killed
    if reason == Reason.COMMAND_EXITED:
        return wish.exit_code == 3 and ran
    return state is TaskState.FAILED and reason in {Reason.SUPERVISOR_LOST, Reason.CONTAINER_LAUNCH_FAILED}


class Soak:
    """`run`, then `account`. What happens, and when, is the seed's."""

    def __init__(self, stage: Stage, seed: str) -> None:
        self._stage = stage
        self._random = Random(seed)
        self._wishes: list[Wish] = []
        self.counts: Counter[str] = Counter()

    async def run(self, duration_s: float) -> None:
        until_s = time.monotonic() + duration_s
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work(until_s))
            group.create_task(self._hurt(until_s))

    async def _work(self, until_s: float) -> None:
        while time.monotonic() < until_s:
            alive = [wish for wish in self._wishes if not self._is_over(wish)]
            if len(alive) < ALIVE_LIMIT_COUNT:
                await self._launch()
            await asyncio.sleep(self._random.uniform(0, 0.2))
            if alive and self._random.random() < 0.3:
                await self._kill(self._random.choice(alive))

    async def _launch(self) -> None:
        lasting = self._random.choice(("-lt 3", "-lt 20", "-lt 100", "-ge 0"))
        stubborn = "trap '' TERM; " if self._random.random() < 0.2 else ""
        wish = Wish(task_id=TaskId(f"soak-{len(self._wishes):027}"), exit_code=self._random.choice((0, 0, 3)))
        line = f"{stubborn}n=0; while [ $n {lasting} ]; do {STEP}; done; exit {wish.exit_code}"
        self._wishes.append(wish)
        task = TaskInfo(
            task_id=wish.task_id,
            name=wish.task_id,
            agent_id=AgentId(""),
            resources=parse_resources("cpus:0.1;mem:32"),
            command=CommandInfo(shell=True, value=line, user="root"),
        )
        await self._stage.framework.launch(task, WAIT_S)
        self.counts["launches"] += 1

    async def _kill(self, wish: Wish) -> None:
        wish.was_killed = True
        self.counts["kills"] += 1
        await self._stage.framework.kill(wish.task_id, self._random.choice((0, 100, 2000)))

    async def _hurt(self, until_s: float) -> None:
        while time.monotonic() < until_s:
            await asyncio.sleep(self._random.uniform(0.2, 2.0))
            agent = self._random.choice(self._stage.agents)
            daemon = self._random.choice((self._stage.masterd, agent.daemon))
            match self._random.choice(("crash", "crash", "silence", "launcher", "shim")):
                case "crash":
                    await self._crash(daemon)
                case "silence":
                    await self._silence(daemon)
                case "launcher":
                    self._end_one("launchers", agent.launcher_pids())
                case _:
                    self._end_one("shims", sorted(agent.shims().values()))

    async def _crash(self, daemon: DaemonProcess) -> None:
        self.counts["masterd crashes" if daemon is self._stage.masterd else "agentd crashes"] += 1
        await self._stage.crash(daemon)
        await asyncio.sleep(self._random.uniform(0, 1.0))
        await self._stage.ensure(daemon)

    async def _silence(self, daemon: DaemonProcess) -> None:
        """For its partners that is a partition: connections stand, and nobody answers."""
        self.counts["silences"] += 1
        send(daemon.pid, signal.SIGSTOP)
        await asyncio.sleep(self._random.uniform(0.1, LONGEST_SILENCE_S))
        send(daemon.pid, signal.SIGCONT)

    def _end_one(self, what: str, pids: list[int]) -> None:
        if pids:
            self.counts[f"{what} killed"] += 1
            send(self._random.choice(pids), signal.SIGKILL)

    def _is_over(self, wish: Wish) -> bool:
        return any(is_last(status) for status in self._stage.framework.statuses.get(wish.task_id, ()))

    # --- the account ---

    async def account(self) -> list[str]:
        """All that is wrong, in words."""
        for wish in self._wishes:
            if not self._is_over(wish):
                wish.was_killed = True
                await self._stage.framework.kill(wish.task_id, 100)
        problems = []
        traffic = [line for agent in self._stage.agents for line in agent.traffic()]
        for wish in self._wishes:
            problems += await self._problems_of(wish, traffic)
        for agent in self._stage.agents:
            left = await self._stage.clean(agent)
            self.counts["left behind"] += len(left)
            problems += left
        return problems

    async def _problems_of(self, wish: Wish, traffic: list[tuple[str, str, str, str]]) -> list[str]:
        try:
            await self._until_over(wish)
        except TimeoutError:
            self.counts["lost"] += 1
            return [f"{wish.task_id} is lost: {self._story_of(wish, traffic)}"]
        heard = self._stage.framework.statuses[wish.task_id]
        sent = [(TaskState[line[1]], line[2]) for line in traffic if line[0] == wish.task_id]
        try:
            ran = read_counters([path for agent in self._stage.agents for path in agent.counters(wish.task_id)])
        except AssertionError as error:
            self.counts["duplicated"] += 1
            return [f"{wish.task_id}: {error}"]
        kind, what = judge(wish, heard, sent, ran=ran)
        self.counts[kind] += 1
        return [f"{wish.task_id} (ran: {ran}, {wish}) {what}: {self._story_of(wish, traffic)}"] if what else []

    async def _until_over(self, wish: Wish) -> None:
        """A kill that a dying master had taken is nobody's promise: it is said again."""
        async with asyncio.timeout(WAIT_S):
            while not self._is_over(wish):
                try:
                    await self._stage.framework.reach(wish.task_id, lambda _: False, WAIT_S / 10)
                except TimeoutError:
                    await self._stage.framework.kill(wish.task_id, 100)

    def _story_of(self, wish: Wish, traffic: list[tuple[str, str, str, str]]) -> str:
        statuses = self._stage.framework.statuses.get(wish.task_id, [])
        heard = [
            (each.state.name, each.reason, each.source.name, each.uuid.hex()[:6], each.message) for each in statuses
        ]
        return f"heard {heard}, sent {[line[1:] for line in traffic if line[0] == wish.task_id]}"
