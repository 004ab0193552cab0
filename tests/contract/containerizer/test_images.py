"""What a Docker container's life owes to its image: somebody may remove it at any time, and its registry may hang."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agentd.core import events
from paddock.launch.container import STAND_IN_PATIENCE_NS
from paddock.model.container import ContainerConfig
from paddock.model.docker import DockerInfo, DockerNetwork
from paddock.model.image import parse_image
from paddock.model.task import ContainerInfo, ContainerType
from testbed.engine import images
from tests.contract.containerizer.subject import Subject
from tests.engine.registry import running_registry

SOON_S = STAND_IN_PATIENCE_NS / 1e9
# On a registry that takes its connection and says nothing the engine gives up after 15 s, on one that hangs later never.
BEFORE_THE_ENGINE_S = 14
NOBODYS = "127.0.0.1:5009"

only_docker = pytest.mark.parametrize("subject", ["docker"], indirect=True)


async def prepared(subject: Subject, registry: str) -> ContainerConfig:
    """And whoever prunes images has removed its own since."""
    assert subject.engine is not None
    name = f"{registry}/pruned"
    docker = DockerInfo(image=parse_image(f"{name}:1"), network=DockerNetwork.NONE)
    container = ContainerInfo(type=ContainerType.DOCKER, docker=docker)
    config = replace(subject.config("/bin/sleep", "1000"), container=container)
    with images.client(subject.engine) as api:
        api.tag(images.BUSYBOX, name, "1")
        subject.containerizer.prepare(config)
        await subject.hear(events.Prepared)
        api.remove_image(f"{name}:1")
    return config


@only_docker
async def test_a_kill_does_not_wait_for_an_image_that_is_brought_again(subject: Subject) -> None:
    assert subject.engine is not None
    with running_registry(subject.engine) as registry:
        config = await prepared(subject, registry.address)
        registry.pause()
        try:
            subject.containerizer.launch(config.container_id)
            progressed = await subject.hear(events.LaunchProgressed)
            assert isinstance(progressed, events.LaunchProgressed)
            assert progressed.message == f"image {registry.address}/pruned:1 is being pulled"
            async with asyncio.timeout(BEFORE_THE_ENGINE_S):
                subject.containerizer.kill(config.container_id, 15, 0)
                await subject.conclude(config, await subject.ended())
        finally:
            registry.resume()


@only_docker
async def test_an_image_that_cannot_be_brought_again_is_told_at_once(subject: Subject) -> None:
    """Its stand-in is up by then and waits, and nobody waits for that."""
    config = await prepared(subject, NOBODYS)
    async with asyncio.timeout(SOON_S):
        subject.containerizer.launch(config.container_id)
        failed = await subject.hear(events.LaunchFailed)
    assert isinstance(failed, events.LaunchFailed)
    assert failed.failure.stage == "pull"
    assert "connection refused" in failed.failure.message
    await subject.conclude(config, events.Ended(container_id=config.container_id, record=None))
