"""The lives of a Docker task: those that native ones have too, and those that lead through a pull."""

from __future__ import annotations

import asyncio
import glob
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from paddock.model.docker import DockerInfo, DockerNetwork
from paddock.model.image import parse_image
from paddock.model.task import ContainerInfo, ContainerType, Reason, TaskState
from paddock.wire.v1 import containers_pb2
from tests.children import children_of
from tests.faults import fetching, stories
from tests.faults.engine_stage import EngineScene, EngineStage
from tests.faults.holding import GONE, starts_anew
from tests.faults.stage import WAIT_S, is_alive
from tests.faults.stopping import FINISHING, LAUNCH, PREPARATION
from tests.faults.stories import (
    COUNT,
    DROPPED,
    ESCALATED,
    EXITED,
    FINISHED,
    KILLED,
    NEVER_RAN,
    NOT_LAUNCHED,
    STUBBORN,
    Act,
    Story,
)

SANDBOX = "/mnt/paddock/sandbox"
UNKNOWN_IMAGE = (TaskState.FAILED, int(Reason.IMAGE_NOT_FOUND))


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerStory(Story):
    """`is_pulled`: the engine does not have the image when it begins."""

    is_pulled: bool = False


def scene_of(act: Act) -> EngineScene:
    """Where it is played."""
    assert isinstance(act.stage, EngineStage)
    return act.stage.scene


def _told(
    play: Callable[[Act], Awaitable[None]], image: str = "", *, has_init: bool = True
) -> Callable[[Act], Awaitable[None]]:
    """Of a task whose container the engine runs. Its init, where there is one, hides that there is no such program."""

    async def played(act: Act) -> None:
        reference = parse_image(image or scene_of(act).box)
        docker = DockerInfo(image=reference, network=DockerNetwork.NONE, init=has_init)
        act.container = ContainerInfo(type=ContainerType.DOCKER, docker=docker)
        act.command = replace(act.command, working_directory=SANDBOX)
        await play(act)

    return played


@contextmanager
def _hung_registry(act: Act) -> Iterator[None]:
    scene_of(act).registry.pause()
    try:
        yield
    finally:
        scene_of(act).registry.resume()


def _is_told_to_start(act: Act) -> bool:
    """Or will never be."""
    return act.is_over or bool(glob.glob(f"{act.agent.directory}/state/docker/*.go"))


def _has_ended(act: Act) -> bool:
    """Its stand-in has said so, and has gone: a shim whose stand-in is still there takes a kill for the reason of its end."""
    shims = act.agent.shims().values()
    if any(is_alive(child) for shim in shims for child in children_of(shim)):
        return act.is_over
    for path in glob.glob(f"{act.agent.directory}/state/docker/*.note"):
        with suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            if '"counters"' in file.read():
                return True
    return act.is_over


async def _is_killed_in_its_pull(act: Act) -> None:
    with _hung_registry(act):
        await act.launch()
        await act.reach(TaskState.STARTING)
        await act.killed()


async def _is_dropped_in_its_pull(act: Act) -> None:
    with _hung_registry(act):
        await act.launch()
        await act.reach(TaskState.STARTING)
        await act.stage.crash(act.agent.daemon)
        await act.stage.ensure(act.agent.daemon)
        await act.ended()


async def _loses_its_image(act: Act) -> None:
    """Between its pull and the container's creation."""
    scene = scene_of(act)
    with act.held(PREPARATION):
        await act.launch()
        await _until_the_engine(act, scene.has_box)
        await _until_the_engine(act, scene.remove_box)
    await act.counts()
    await act.end()


async def _until_the_engine(act: Act, does: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not act.is_over and not await asyncio.to_thread(does):
            await asyncio.sleep(0.05)


async def _is_launched_while_held(act: Act) -> None:
    """Created by the engine, and not with the launcher yet."""
    await act.launch()
    await act.until(containers_pb2.CONTAINER_LAUNCHING)
    await act.when(lambda: _is_told_to_start(act))


async def _ends_while_the_agent_is_away(act: Act) -> None:
    with act.held(LAUNCH):
        await _is_launched_while_held(act)
        await act.stage.crash(act.agent.daemon)
    asking = asyncio.create_task(act.ask_to_end())
    try:
        await act.when(lambda: act.is_over or act.agent.has_record())
        await act.stage.ensure(act.agent.daemon)
        await act.ended()
    finally:
        asking.cancel()


async def _reboots_in_its_launch(act: Act) -> None:
    with act.held(LAUNCH):
        await _is_launched_while_held(act)
        await starts_anew(act)


async def _ends_before_the_kill(act: Act) -> None:
    with act.held(FINISHING):
        await act.launch()
        await act.counts()
        await act.ask_to_end_once()
        await act.when(lambda: _has_ended(act))
        await act.kill()
        await act.reach(TaskState.KILLING)
    await act.ended()


def docker_stories(registry: str) -> tuple[DockerStory, ...]:
    """`registry`: where the image is, and another is not."""
    return (
        DockerStory(
            name="docker, pulled and killed",
            play=_told(stories.is_killed),
            verdicts=frozenset({KILLED}),
            rows=(
                "PREPARING PREPARED",
                "LAUNCHING STARTED",
                "RUNNING STOP",
                "DESTROYING ENDED",
                "DESTROYING RELEASED",
            ),
            changes=("STAGING STARTING", "STARTING RUNNING", "RUNNING KILLING", "KILLING KILLED"),
            is_whole_life=True,
            is_pulled=True,
        ),
        DockerStory(
            name="docker, finished",
            play=_told(stories.finishes),
            verdicts=frozenset({FINISHED}),
            rows=("RUNNING ENDED",),
            changes=("STAGING RUNNING", "RUNNING FINISHED"),
        ),
        DockerStory(
            name="docker, failed",
            play=_told(stories.finishes),
            line=f"{COUNT}; exit 3",
            verdicts=frozenset({EXITED}),
            changes=("RUNNING FAILED",),
        ),
        DockerStory(
            name="docker, cannot start",
            play=_told(stories.cannot_start, has_init=False),
            arguments=("/no/such/program",),
            verdicts=frozenset({NOT_LAUNCHED}),
            rows=("LAUNCHING FAILED",),
            changes=("STAGING FAILED",),
        ),
        DockerStory(
            name="docker, of an image that nobody has",
            play=_told(stories.cannot_start, f"{registry}/none-such:1"),
            verdicts=frozenset({UNKNOWN_IMAGE}),
            rows=("PREPARING REFUSED",),
            changes=("STARTING FAILED",),
        ),
        DockerStory(
            name="docker, fetched",
            play=_told(fetching.fetches),
            verdicts=frozenset({FINISHED}),
            rows=("PREPARING PREPARED_TO_FETCH", "FETCHING FETCHED"),
        ),
        DockerStory(
            name="docker, killed twice",
            play=_told(stories.is_killed_twice),
            line=STUBBORN,
            verdicts=frozenset({ESCALATED}),
            rows=("DESTROYING STOP",),
        ),
        DockerStory(
            name="docker, killed in its pull",
            play=_told(_is_killed_in_its_pull),
            verdicts=frozenset({NEVER_RAN, KILLED}),
            rows=("PREPARING STOP", "DESTROYING PREPARED"),
            changes=("STARTING KILLED",),
            is_pulled=True,
        ),
        DockerStory(
            name="docker, killed in launch",
            play=_told(stories.is_killed_in_launch),
            verdicts=frozenset({KILLED}),
            rows=("LAUNCHING STOP",),
        ),
        DockerStory(
            name="docker, dropped in its pull",
            play=_told(_is_dropped_in_its_pull),
            verdicts=frozenset({DROPPED}),
            changes=("STARTING DROPPED",),
            is_pulled=True,
        ),
        DockerStory(
            name="docker, brought again",
            play=_told(_loses_its_image),
            verdicts=frozenset({FINISHED}),
            changes=("STARTING STARTING",),
            is_pulled=True,
        ),
        DockerStory(
            name="docker, ended while the agent was away",
            play=_told(_ends_while_the_agent_is_away),
            verdicts=frozenset({FINISHED}),
            rows=("LAUNCHING ENDED",),
            changes=("STARTING FINISHED",),
            is_pulled=True,
        ),
        DockerStory(
            name="docker, rebooted in its launch",
            play=_told(_reboots_in_its_launch),
            verdicts=frozenset({GONE}),
            changes=("STARTING GONE",),
            is_pulled=True,
        ),
        DockerStory(
            name="docker, ended before the kill",
            play=_told(_ends_before_the_kill),
            verdicts=frozenset({FINISHED}),
            changes=("KILLING FINISHED",),
        ),
    )
