"""A creation of which an earlier agent heard no answer: the name is taken, by ours, by another's, or by nothing yet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from agentd.docker import creating, creation
from agentd.docker.answers import EngineContainer, EngineContainerState
from agentd.docker.calls import Calls
from agentd.docker.creating import create_once
from agentd.docker.engine import DockerEngine
from agentd.docker.leftovers import Leftovers
from agentd.docker.parameters import Body
from isolators.contract import HostFacts
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.errors import AlreadyExists, NotFound
from paddock.model.ids import AgentId, ContainerId
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo

HOST = HostFacts(
    agent_id=AgentId("a"), cgroup_mode="v2", cgroup_roots=(), cpu_count=1, memory_bytes=1, swap_accounting=False
)
CONFIG = ContainerConfig(
    container_id=ContainerId("c"),
    agent_id=AgentId("a"),
    command=CommandInfo(),
    resources=Resources.scalars({}),
    user=UserIdentity(name="root", uid=0, gid=0, groups=(), home="/root"),
    sandbox="/s",
)
OURS = EngineContainer(
    engine_id="e1",
    name="paddock-a-c",
    image_id="i",
    labels=((creation.AGENT_LABEL, "a"), (creation.CONTAINER_LABEL, "c")),
    state=EngineContainerState.CREATED,
    pid=0,
    exit_code=0,
    oom_killed=False,
    error="",
    started_at="",
    finished_at="",
    cgroup_parent="/scope/paddock-a/c",
    writable_layer="",
    log_path="",
    mounts=(),
    addresses=(),
)


@dataclass(frozen=True, slots=True)
class TakenEngine(DockerEngine):
    """The name is taken. `shown`: what is seen under it, look by look; None: nothing. After the last, the name is free."""

    shown: list[EngineContainer | None] = field(default_factory=list)

    async def create(self, name: str, body: Body, *, platform: str = "") -> tuple[str, tuple[str, ...]]:
        if self.shown:
            raise AlreadyExists("container", name, "another name")
        return "e2", ()

    async def inspect(self, container: str) -> EngineContainer:
        found = self.shown.pop(0)
        if found is None:
            raise NotFound("container", container)
        return found


async def created(*shown: EngineContainer | None) -> str:
    engine = TakenEngine(cast("Calls", None), list(shown))
    engine_id, _ = await create_once(engine, Leftovers(engine, HOST), CONFIG, {})
    return engine_id


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(creating, "RETRY_S", 0)


async def test_what_an_earlier_try_has_made_is_taken() -> None:
    assert await created(OURS) == "e1"


async def test_a_name_under_which_nothing_is_seen_yet_is_waited_for() -> None:
    assert await created(None, None, OURS) == "e1"
    assert await created(None, None) == "e2", "the earlier try came to nothing"


async def test_a_foreign_container_keeps_its_name() -> None:
    with pytest.raises(AlreadyExists):
        await created(replace(OURS, labels=()))


async def test_a_name_that_nobody_shows_is_not_waited_for_for_ever() -> None:
    with pytest.raises(AlreadyExists):
        await created(*[None] * (creating.RETRIES_COUNT + 2))
