"""What is left of ended containers goes, whatever becomes of one of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from agentd.containerizer.discards import Discards
from agentd.containerizer.places import Places
from paddock.model.ids import ContainerId

STUCK, OTHER, LATER = (ContainerId(name) for name in ("stuck", "other", "later"))
PATIENCE_S = 30


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Of the stuck one's socket there is a directory: nobody unlinks that."""
    made = Places.at(f"{tmp_path}/records", f"{tmp_path}/run")
    made.make()
    Path(made.ear(STUCK)).mkdir()
    for container_id in (OTHER, LATER):
        Path(made.ear(container_id)).touch()
    return made


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_one_that_does_not_go_keeps_no_other_one(places: Places, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    tasks: list[asyncio.Task[None]] = []
    discards = Discards(places, lambda work: tasks.append(asyncio.get_running_loop().create_task(work)))
    discards.add(STUCK)
    discards.add(OTHER)
    await until(lambda: not Path(places.ear(OTHER)).exists())
    (told,) = caplog.records
    assert vars(told)["container_id"] == STUCK
    assert places.ear(STUCK) in vars(told)["error"]
    await until(tasks[-1].done)
    discards.add(LATER)
    await until(lambda: not Path(places.ear(LATER)).exists())
    await until(tasks[-1].done)
    assert [task.exception() for task in tasks] == [None, None]


async def test_nor_when_the_agent_ends(places: Places) -> None:
    tasks: list[asyncio.Task[None]] = []
    discards = Discards(places, lambda work: tasks.append(asyncio.get_running_loop().create_task(work)))
    for container_id in (STUCK, OTHER):
        discards.add(container_id)
    await discards.finish()
    assert not Path(places.ear(OTHER)).exists()
    tasks[0].cancel()
