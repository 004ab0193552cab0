"""An image and a plan, one beside the other: whichever comes first, one event is told, and of trouble the first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from agentd.containerizer.engine_preparations import EnginePreparations, Planned
from agentd.core.events import Event, LaunchProgressed, Prepared, PrepareRefused
from agentd.docker.images import Heard
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.docker import DockerInfo
from paddock.model.errors import ContainerizerError, NotFound
from paddock.model.ids import AgentId, ContainerId
from paddock.model.image import parse_image
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo, ContainerInfo, ContainerType, LaunchFailure

C1 = ContainerId("c1")
CONFIG = ContainerConfig(
    container_id=C1,
    agent_id=AgentId("a1"),
    command=CommandInfo(arguments=("/bin/true",)),
    resources=Resources(),
    user=UserIdentity(name="root", uid=0, gid=0, groups=(0,), home="/root"),
    container=ContainerInfo(type=ContainerType.DOCKER, docker=DockerInfo(image=parse_image("busybox"))),
    sandbox="/s",
)
PLANNED = Prepared(container_id=C1)
_REFUSAL = ContainerizerError(C1, "prepare", "no")
REFUSED = PrepareRefused(container_id=C1, failure=LaunchFailure(stage="prepare", message=str(_REFUSAL)), error=_REFUSAL)


class Both:
    """A preparation whose image comes when the test says so, as the plan does."""

    def __init__(self) -> None:
        self.said: list[Event] = []
        self.image: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_given_up = False
        self.preparations = EnginePreparations(bring=self._bring, post=self.said.append)
        self.preparations.begin(CONFIG, lambda _config: None)

    async def _bring(self, _docker: DockerInfo, heard: Heard) -> None:
        heard("it comes")
        try:
            await self.image
        except asyncio.CancelledError:
            self.is_given_up = True
            raise

    def plan(self, event: Planned = PLANNED) -> None:
        assert self.preparations.is_waiting_for(event)
        self.preparations.planned(event)

    async def words(self) -> list[Event]:
        """After everything that was to happen."""
        for _ in range(10):
            await asyncio.sleep(0)
        return [event for event in self.said if not isinstance(event, LaunchProgressed)]


@pytest.mark.parametrize("is_image_first", [True, False])
async def test_prepared_is_what_has_both(is_image_first: bool) -> None:
    both = Both()
    steps: list[Callable[[], None]] = [lambda: both.image.set_result(None), both.plan]
    for step in steps if is_image_first else reversed(steps):
        assert await both.words() == []
        step()
    assert await both.words() == [PLANNED]
    assert LaunchProgressed(container_id=C1, message="it comes") in both.said
    assert not both.preparations.is_waiting_for(PLANNED), "an event of that kind is somebody else's from now on"
    assert both.preparations.cancel() == ()


async def test_a_plan_that_is_refused_needs_no_image() -> None:
    both = Both()
    await both.words()
    both.plan(REFUSED)
    assert await both.words() == [REFUSED]
    assert both.is_given_up


@pytest.mark.parametrize("is_image_first", [True, False])
async def test_an_image_that_does_not_come_is_the_reason(is_image_first: bool) -> None:
    both = Both()
    steps: list[Callable[[], None]] = [lambda: both.image.set_exception(NotFound("image", "busybox")), both.plan]
    for step in steps if is_image_first else reversed(steps):
        step()
        await asyncio.sleep(0)
    (refused,) = await both.words()
    assert isinstance(refused, PrepareRefused)
    assert refused.failure.stage == "image"
    assert "busybox" in refused.failure.message


async def test_of_two_troubles_the_plans_is_told() -> None:
    both = Both()
    both.image.set_exception(NotFound("image", "busybox"))
    await both.words()
    both.plan(REFUSED)
    assert await both.words() == [REFUSED]


async def test_what_nobody_thought_of_is_a_refusal_too() -> None:
    both = Both()
    both.image.set_exception(ZeroDivisionError("odd"))
    both.plan()
    (refused,) = await both.words()
    assert isinstance(refused, PrepareRefused)
    assert "odd" in refused.failure.message


@pytest.mark.parametrize("has_begun", [True, False])
async def test_a_pull_that_is_given_up_is_no_failure(has_begun: bool) -> None:
    both = Both()
    if has_begun:
        await both.words()
    both.preparations.give_up(C1)
    assert await both.words() == []
    both.plan()
    assert await both.words() == [PLANNED]
    both.preparations.give_up(C1)
    both.preparations.give_up(ContainerId("nobody"))
