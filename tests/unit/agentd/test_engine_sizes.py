"""A size that the engine has not answered: whatever it does with it later, and whoever asks by then, what holds is in force."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from agentd.containerizer import engine_sizes
from agentd.containerizer.engine_sizes import EngineSizes
from agentd.containerizer.native import NativeContainerizer
from agentd.core.events import Event, Resized
from agentd.docker.answers import EngineContainer, EngineContainerState, container_from
from agentd.docker.engine import DockerEngine
from agentd.docker.failures import Call, EngineUnresponsive, unresponsive
from agentd.docker.notes import Notes
from agentd.docker.parameters import Body
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.ids import AgentId, ContainerId
from paddock.model.launch_plan import CgroupWrite, LaunchPlan
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo

C1 = ContainerId("c1")
EARLIER = ContainerConfig(
    container_id=C1,
    agent_id=AgentId("a1"),
    command=CommandInfo(arguments=("/bin/true",)),
    resources=parse_resources("mem:48"),
    user=UserIdentity(name="root", uid=0, gid=0, groups=(0,), home="/root"),
    sandbox="/s",
)
A = replace(EARLIER, resources=parse_resources("mem:32"))
B = replace(EARLIER, resources=parse_resources("mem:64"))
PATIENCE_S = 40


def memory(config: ContainerConfig) -> int:
    return (config.resources.scalar_milli("mem") or 0) // 1000 << 20


@dataclass(slots=True)
class Engine:
    """Its order is the worst there is: what it had not answered it does right after what it answers first."""

    in_force: int = memory(EARLIER)
    hangs: bool = False
    state: str = "running"
    told: list[str] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def calls(self) -> Engine:
        return self

    async def until_reachable(self) -> None:
        while self.hangs:
            await asyncio.sleep(0)

    async def inspect(self, _container: str) -> EngineContainer:
        self.told.append("inspect")
        self._check()
        return container_from({"Id": "ab", "State": {"Status": self.state}})

    async def update(self, _container: str, limits: Body) -> None:
        size = cast("int", limits["Memory"])
        self.told.append(f"{size >> 20}")
        if self.hangs:
            self.unread.append(size)
        self._check()
        await self.answering.wait()
        self.in_force = self.unread[-1] if self.unread else size
        self.unread.clear()

    def _check(self) -> None:
        if self.hangs:
            call = Call(verb="ask", kind="container", name="ab", socket="/s")
            raise unresponsive(call, "did not answer")


class Agent:
    """One of some: it dies, and what it has left in `directory` the next one finds."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.said: asyncio.Queue[Event] = asyncio.Queue()
        self.configs = {C1: EARLIER}
        self.notes = Notes(str(directory))
        self._works: set[asyncio.Task[None]] = set()
        self.sizes = EngineSizes(
            engine=cast("DockerEngine", engine),
            notes=self.notes,
            native=cast("NativeContainerizer", self),
            configs=self.configs,
            post=self.said.put_nowait,
            track=self._track,
        )

    async def plan(self, _container_id: ContainerId, config: ContainerConfig) -> LaunchPlan:
        write = CgroupWrite(controller="memory", file="memory.limit_in_bytes", value=str(memory(config)))
        return LaunchPlan(writes=(write,))

    def resize(self, config: ContainerConfig) -> None:
        """The native containerizer's part."""
        self.sizes.hear(Resized(container_id=config.container_id))

    async def resized(self, wanted: ContainerConfig) -> Exception | None:
        """What is answered, in that moment."""
        self.sizes.resize(wanted)
        async with asyncio.timeout(PATIENCE_S):
            said = await self.said.get()
        assert isinstance(said, Resized)
        return said.error

    async def die(self) -> None:
        works = tuple(self._works)
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    def _track(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)
        return task

    @property
    def is_at_rest(self) -> bool:
        return not self._works


async def until(happened: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen"
        await asyncio.sleep(0.001)


@pytest.fixture
async def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(engine_sizes, "_LOOK_AGAIN_S", 0.001)
    monkeypatch.setattr(engine_sizes, "_SETTLED_S", 0.001, raising=False)
    made = Engine()
    made.answering.set()
    return made


@pytest.fixture
async def agent(engine: Engine, tmp_path: Path) -> AsyncIterator[Agent]:
    made = Agent(engine, tmp_path)
    yield made
    await made.die()


async def test_a_size_that_is_answered_leaves_nothing(agent: Agent, engine: Engine, tmp_path: Path) -> None:
    assert await agent.resized(B) is None
    assert (agent.configs, engine.in_force, engine.told) == ({C1: B}, memory(B), ["64"])
    assert not list(tmp_path.iterdir())


async def test_what_the_engine_did_not_answer_is_taken_back_when_it_goes_on(
    agent: Agent, engine: Engine, tmp_path: Path
) -> None:
    engine.hangs = True
    assert isinstance(await agent.resized(A), EngineUnresponsive)
    assert agent.notes.is_doubted(C1)
    engine.hangs = False
    await until(lambda: agent.is_at_rest)
    assert (agent.configs, engine.in_force) == ({C1: EARLIER}, memory(EARLIER))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"\xff{["])
async def test_an_agent_that_dies_leaves_it_to_the_next(
    agent: Agent, engine: Engine, tmp_path: Path, content: bytes
) -> None:
    engine.hangs = True
    assert isinstance(await agent.resized(A), EngineUnresponsive)
    await agent.die()
    (doubt,) = tmp_path.iterdir()
    doubt.write_bytes(content)
    following = Agent(engine, tmp_path)
    following.sizes.recover()
    engine.hangs = False
    await until(lambda: following.is_at_rest)
    assert engine.in_force == memory(EARLIER)
    assert not list(tmp_path.iterdir())


async def test_an_agent_that_dies_before_the_answer_leaves_it_too(agent: Agent, engine: Engine, tmp_path: Path) -> None:
    engine.answering.clear()
    agent.sizes.resize(A)
    await until(lambda: engine.told == ["32"])
    await agent.die()
    engine.answering.set()
    engine.unread.append(memory(A))
    following = Agent(engine, tmp_path)
    following.sizes.recover()
    await until(lambda: following.is_at_rest)
    assert engine.in_force == memory(EARLIER)
    assert not list(tmp_path.iterdir())


async def test_without_a_file_it_is_refused_and_taken_back_all_the_same(engine: Engine, tmp_path: Path) -> None:
    agent = Agent(engine, tmp_path / "none-such")
    engine.hangs = True
    assert isinstance(await agent.resized(A), EngineUnresponsive)
    engine.hangs = False
    await until(lambda: agent.is_at_rest)
    assert engine.in_force == memory(EARLIER)


async def test_a_size_that_is_asked_for_meanwhile_holds_against_the_earlier_one(
    agent: Agent, engine: Engine, tmp_path: Path
) -> None:
    engine.hangs = True
    assert isinstance(await agent.resized(A), EngineUnresponsive)
    assert isinstance(await agent.resized(A), EngineUnresponsive), "it still hangs"
    # What tells it again is cut off by who asks now: so it comes in the moment in which the engine goes on.
    engine.hangs = False
    engine.told.clear()
    assert await agent.resized(B) is None
    assert engine.told[:2] == ["inspect", "64"], "it was seen to go on before"
    assert agent.notes.is_doubted(C1)
    await until(lambda: agent.is_at_rest)
    assert (agent.configs, engine.in_force) == ({C1: B}, memory(B))
    assert not list(tmp_path.iterdir())


async def test_one_that_has_ended_is_told_nothing(agent: Agent, engine: Engine) -> None:
    engine.hangs = True
    assert isinstance(await agent.resized(A), EngineUnresponsive)
    engine.hangs = False
    engine.state = EngineContainerState.EXITED.value
    engine.told.clear()
    await until(lambda: agent.is_at_rest)
    assert set(engine.told) == {"inspect"}


async def test_one_that_ends_before_the_engine_has_answered_does_not_come_back(agent: Agent, engine: Engine) -> None:
    engine.answering.clear()
    agent.sizes.resize(B)
    await until(lambda: engine.told == ["64"])
    del agent.configs[C1]
    agent.sizes.forget(C1)
    engine.answering.set()
    await until(lambda: agent.is_at_rest)
    assert agent.configs == {}
    assert not agent.notes.is_doubted(C1)
