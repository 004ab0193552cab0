"""The lives that lead through the rows of the tables and the steps of launcher and shim: a cell breaks one of them."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from paddock.model.errors import PaddockError
from paddock.model.ids import AgentId, TaskId
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, ContainerInfo, Reason, TaskInfo, TaskState
from paddock.model.uri import CommandUri
from paddock.wire.v1 import containers_pb2
from tests.faults.framework import is_last
from tests.faults.stage import WAIT_S, AgentPlace, Stage, processes_in, remove, write_whole
from tests.faults.stopping import FINISHING, LAUNCH, PREPARATION
from tests.kernel.agentd.calling import calling

COUNT = "n=0; while [ ! -e go ]; do n=$((n+1)); echo $$ $n >> counter; sleep 0.02; done"
"""Who is launched twice, or goes on under another shell, is seen in the file."""

STUBBORN = f"trap '' TERM; {COUNT}"
EAT = f"{os.path.realpath(sys.executable)} -I -S -c 'bytearray(200 << 20)'"
"""More than a task of these has: the kernel kills it, and its shell goes on."""

REFUSED = ("nothing",)
TOO_LONG = (("PATH", ":".join(["/nowhere"] * 4000)),)
"""Looking for a program in so many places is more than a launch's list can hold: refused by name."""

STATES = (
    containers_pb2.CONTAINER_PREPARING,
    containers_pb2.CONTAINER_FETCHING,
    containers_pb2.CONTAINER_LAUNCHING,
    containers_pb2.CONTAINER_RUNNING,
    containers_pb2.CONTAINER_DESTROYING,
    containers_pb2.CONTAINER_STUCK,
    containers_pb2.CONTAINER_TERMINATED,
)
LONG_MS = 600_000
_ASK_EVERY_COUNT = 50
Verdict = tuple[TaskState, int]

KILLED = (TaskState.KILLED, int(Reason.KILL_REQUESTED))
ESCALATED = (TaskState.KILLED, int(Reason.KILL_GRACE_EXPIRED))
NEVER_RAN = (TaskState.KILLED, int(Reason.TASK_KILLED_DURING_LAUNCH))
FINISHED = (TaskState.FINISHED, int(Reason.UNSPECIFIED))
EXITED = (TaskState.FAILED, int(Reason.COMMAND_EXITED))
NOT_LAUNCHED = (TaskState.FAILED, int(Reason.CONTAINER_LAUNCH_FAILED))
DROPPED = (TaskState.DROPPED, int(Reason.AGENT_RESTARTED))


class Act:
    """One task on one stage, and what a story does with it."""

    def __init__(self, stage: Stage, agent: AgentPlace, task_id: str, story: Story) -> None:
        self.stage = stage
        self.agent = agent
        self.framework = stage.plain_framework if story.is_plain else stage.framework
        self.task_id = TaskId(task_id)
        self.command = story.command
        self.container = ContainerInfo()

    def wants(self, uri: str) -> None:
        """In its sandbox before its command begins."""
        self.command = replace(self.command, uris=(CommandUri(value=uri, output_file="wanted"),))

    async def launch(self) -> None:
        task = TaskInfo(
            task_id=self.task_id,
            name=self.task_id,
            agent_id=AgentId(self.agent.agent_id),
            resources=parse_resources("cpus:0.1;mem:64"),
            command=self.command,
            container=self.container,
        )
        await self.framework.launch(task, WAIT_S)

    async def reach(self, *states: TaskState) -> None:
        await self.framework.reach(self.task_id, lambda status: status.state in states, WAIT_S)

    @property
    def is_over(self) -> bool:
        return any(is_last(status) for status in self.framework.statuses.get(self.task_id, ()))

    async def counts(self) -> None:
        """Its command runs, or never will."""
        await self.reach(TaskState.RUNNING)

    async def kill(self, grace_ms: int = LONG_MS) -> None:
        await self.framework.kill(self.task_id, grace_ms)

    async def end(self) -> None:
        """By itself: the command looks for this file, and so it does in each of its containers."""
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self.ask_to_end())
            await self.ended()
            asking.cancel()

    async def ask_to_end(self) -> None:
        while True:
            self._let_go()
            await asyncio.sleep(0.05)

    async def ask_to_end_once(self) -> None:
        """Its file is there when this returns, or it has no container any more."""
        await self.when(lambda: self._let_go() or not self.agent.shims())

    def _let_go(self) -> bool:
        counters = self.agent.counters(self.task_id)
        for counter in counters:
            write_whole(f"{counter.removesuffix('counter')}go", "")
        return bool(counters)

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Nobody gets past that point meanwhile."""
        path = f"{self.agent.directory}/{name}"
        write_whole(path, "")
        try:
            yield
        finally:
            remove(path)

    async def when(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not is_so():
                await asyncio.sleep(0.02)

    async def until(self, least: containers_pb2.ContainerState.ValueType) -> None:
        """The agent shows its container in this state, or a later one; or it has ended otherwise."""
        async with asyncio.timeout(WAIT_S):
            for look in itertools.count(1):
                if await self._is_at(least):
                    return
                if look % _ASK_EVERY_COUNT == 0:
                    await self.framework.ask(self.task_id)
                await asyncio.sleep(0.02)

    async def _is_at(self, least: containers_pb2.ContainerState.ValueType) -> bool:
        if self.is_over:
            return True
        try:
            async with calling(self.agent.address) as agent, asyncio.timeout(2):
                containers = await agent.list(include_terminated=True)
        except (PaddockError, TimeoutError):
            return False
        reached = STATES[STATES.index(least) :]
        return any(each.state in reached for each in containers if f"/tasks/{self.task_id}/" in each.sandbox)

    async def kill_container(self) -> None:
        """As an operator does: a task is forgotten when its end is acknowledged, its container is not yet."""
        heard = self.framework.statuses.get(self.task_id, ())
        container_id = next((status.container_id for status in heard if status.container_id), None)
        while container_id is not None:
            with suppress(PaddockError, TimeoutError):
                async with calling(self.agent.address) as agent, asyncio.timeout(2):
                    await agent.kill(
                        containers_pb2.Container(container_id=containers_pb2.ContainerId(value=container_id))
                    )
                return
            await asyncio.sleep(0.05)

    async def reach_memory(self, state: TaskState) -> None:
        await self.framework.reach(
            self.task_id,
            lambda status: status.state is state and status.evidence is not None and status.evidence.memory is not None,
            WAIT_S,
        )

    async def ended(self) -> None:
        await self.framework.reach(self.task_id, lambda _: False, WAIT_S)

    async def killed(self, grace_ms: int = LONG_MS) -> None:
        """Said again while nothing is heard: a kill that a dying master had taken is nobody's promise."""
        while True:
            await self.kill(grace_ms)
            try:
                async with asyncio.timeout(WAIT_S / 8):
                    await self.ended()
            except TimeoutError:
                continue
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """`verdicts`: how it ends when nobody dies. `rows` (container) and `changes` (task): what it leads through.

    `is_whole_life`: all the steps besides. `is_plain`: its framework does not know the state KILLING.
    """

    name: str
    play: Callable[[Act], Awaitable[None]]
    verdicts: frozenset[Verdict]
    line: str = COUNT
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    rows: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    is_whole_life: bool = False
    is_plain: bool = False

    @property
    def command(self) -> CommandInfo:
        if self.arguments:
            return CommandInfo(arguments=self.arguments, environment=self.environment, user="root")
        return CommandInfo(shell=True, value=self.line, user="root")


async def is_killed(act: Act) -> None:
    await act.launch()
    await act.counts()
    await act.killed()


async def finishes(act: Act) -> None:
    await act.launch()
    await act.counts()
    await act.end()


async def cannot_start(act: Act) -> None:
    await act.launch()
    await act.ended()


async def is_killed_twice(act: Act) -> None:
    await act.launch()
    await act.counts()
    await act.kill()
    await act.reach(TaskState.KILLING)
    await act.killed(grace_ms=50)


async def _is_killed_in_preparation(act: Act) -> None:
    with act.held(PREPARATION):
        await act.launch()
        await act.kill()
        await act.until(containers_pb2.CONTAINER_DESTROYING)
    await act.killed()


async def is_killed_in_launch(act: Act) -> None:
    with act.held(LAUNCH):
        await act.launch()
        await act.until(containers_pb2.CONTAINER_LAUNCHING)
        await act.kill()
        # An agent that was killed meanwhile needs the launcher to come back.
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S / 20):
                await act.until(containers_pb2.CONTAINER_DESTROYING)
    await act.killed()


async def _ends_before_the_kill(act: Act) -> None:
    with act.held(FINISHING):
        await act.launch()
        await act.counts()
        await act.ask_to_end_once()
        # A command that has ended has no directory any more.
        await act.when(lambda: not processes_in(f"{act.agent.directory}/work/"))
        await act.kill()
        await act.reach(TaskState.KILLING)
    await act.ended()


async def _ends_while_the_agent_is_away(act: Act) -> None:
    with act.held(LAUNCH):
        await act.launch()
        await act.until(containers_pb2.CONTAINER_LAUNCHING)
        await act.stage.crash(act.agent.daemon)
    asking = asyncio.create_task(act.ask_to_end())
    try:
        await act.when(act.agent.has_record)
        await act.stage.ensure(act.agent.daemon)
        await act.ended()
    finally:
        asking.cancel()


async def _is_dropped(act: Act) -> None:
    with act.held(PREPARATION):
        await act.launch()
        await act.until(containers_pb2.CONTAINER_PREPARING)
        await act.stage.crash(act.agent.daemon)
    await act.stage.ensure(act.agent.daemon)
    await act.ended()


async def _is_killed_too_late(act: Act) -> None:
    await finishes(act)
    await act.kill_container()


async def _loses_a_child(act: Act) -> None:
    await act.launch()
    await act.reach_memory(TaskState.RUNNING)
    await act.end()


async def _loses_a_child_while_it_is_killed(act: Act) -> None:
    await act.launch()
    await act.counts()
    await act.kill()
    await act.reach(TaskState.KILLING)
    await act.reach_memory(TaskState.KILLING)
    await act.killed(grace_ms=50)


STORIES = (
    Story(
        name="killed",
        play=is_killed,
        verdicts=frozenset({KILLED}),
        rows=(
            "PREPARING PREPARED",
            "LAUNCHING STARTED",
            "RUNNING STOP",
            "DESTROYING ENDED",
            "DESTROYING RELEASED",
        ),
        changes=("STAGING RUNNING", "RUNNING KILLING", "KILLING KILLED"),
        is_whole_life=True,
    ),
    Story(
        name="killed, plainly",
        play=is_killed,
        verdicts=frozenset({KILLED}),
        changes=("RUNNING KILLED",),
        is_plain=True,
    ),
    Story(
        name="finished",
        play=finishes,
        verdicts=frozenset({FINISHED}),
        rows=("RUNNING ENDED",),
        changes=("RUNNING FINISHED",),
    ),
    Story(
        name="failed",
        play=finishes,
        line=f"{COUNT}; exit 3",
        verdicts=frozenset({EXITED}),
        changes=("RUNNING FAILED",),
    ),
    Story(
        name="cannot start",
        play=cannot_start,
        arguments=("/no/such/program",),
        verdicts=frozenset({NOT_LAUNCHED}),
        rows=("LAUNCHING FAILED",),
        changes=("STAGING FAILED",),
    ),
    Story(
        name="killed twice",
        play=is_killed_twice,
        line=STUBBORN,
        verdicts=frozenset({ESCALATED}),
        rows=("DESTROYING STOP",),
    ),
    Story(
        name="killed in preparation",
        play=_is_killed_in_preparation,
        verdicts=frozenset({NEVER_RAN}),
        rows=("PREPARING STOP", "DESTROYING PREPARED"),
        changes=("STAGING KILLED",),
    ),
    Story(
        name="refused",
        play=cannot_start,
        arguments=REFUSED,
        environment=TOO_LONG,
        verdicts=frozenset({NOT_LAUNCHED}),
        rows=("PREPARING REFUSED",),
    ),
    Story(
        name="killed in a preparation that is refused",
        play=_is_killed_in_preparation,
        arguments=REFUSED,
        environment=TOO_LONG,
        verdicts=frozenset({NOT_LAUNCHED}),
        rows=("DESTROYING REFUSED",),
    ),
    Story(
        name="killed in launch",
        play=is_killed_in_launch,
        verdicts=frozenset({KILLED}),
        rows=("LAUNCHING STOP", "DESTROYING STARTED"),
    ),
    Story(
        name="killed in a launch that fails",
        play=is_killed_in_launch,
        arguments=("/no/such/program",),
        verdicts=frozenset({NOT_LAUNCHED}),
        rows=("DESTROYING FAILED",),
    ),
    Story(
        name="ended before the kill",
        play=_ends_before_the_kill,
        verdicts=frozenset({FINISHED}),
        changes=("KILLING FINISHED",),
    ),
    Story(
        name="failed before the kill",
        play=_ends_before_the_kill,
        line=f"{COUNT}; exit 3",
        verdicts=frozenset({EXITED}),
        changes=("KILLING FAILED",),
    ),
    Story(
        name="ended while the agent was away",
        play=_ends_while_the_agent_is_away,
        verdicts=frozenset({FINISHED}),
        rows=("LAUNCHING ENDED",),
        changes=("STAGING FINISHED",),
    ),
    Story(
        name="dropped",
        play=_is_dropped,
        verdicts=frozenset({DROPPED}),
        changes=("STAGING DROPPED",),
    ),
    Story(
        name="killed too late",
        play=_is_killed_too_late,
        verdicts=frozenset({FINISHED}),
        rows=("TERMINATED STOP",),
    ),
    Story(
        name="lost a child",
        play=_loses_a_child,
        line=f"{EAT}; {COUNT}",
        verdicts=frozenset({FINISHED}),
        changes=("RUNNING RUNNING",),
    ),
    Story(
        name="lost a child while it was killed",
        play=_loses_a_child_while_it_is_killed,
        line=f'trap "{EAT}" TERM; {COUNT}',
        verdicts=frozenset({ESCALATED}),
        changes=("KILLING KILLING",),
    ),
)
