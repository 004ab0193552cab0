"""What an engine makes late, when the end was told and all was cleaned up: it is found, and goes. What is known stays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.docker import creation, leftovers
from agentd.docker.leftovers import Leftovers
from isolators.contract import HostFacts
from isolators.host import read_host_facts
from paddock.kernel import cgroup_files
from paddock.kernel.mounts import read_hierarchy
from paddock.model.ids import AgentId, ContainerId
from testbed.engine import images
from testbed.engine.engine import Engine
from tests.engine.asking import asking, until

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]

ENDED, KNOWN = ContainerId("ended"), ContainerId("known")
ENGINE_ID = "0123456789abcdef" * 4


@pytest.fixture
def host() -> HostFacts:
    return read_host_facts(AgentId(f"late-{os.getpid()}"))


@pytest.fixture
def agents(host: HostFacts) -> Iterator[list[Path]]:
    """The agent's directory in each hierarchy, as soon as anything is in it."""
    found = [Path(point) / f"paddock-{host.agent_id}" for point in read_hierarchy().roots]
    yield found
    for agent in found:
        cgroup_files.remove(str(agent))


def make(agents: list[Path], container_id: ContainerId) -> list[Path]:
    """As an engine makes them for a container."""
    made = [agent / container_id for agent in agents]
    for directory in made:
        (directory / ENGINE_ID).mkdir(parents=True)
    return made


async def test_of_one_whose_end_nobody_has_seen_what_comes_late_is_looked_for(
    engine: Engine, host: HostFacts, agents: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_RETRY_S", 0.3)
    async with asking(engine.socket) as asker:
        kept = Leftovers(asker.engine, host)
        first = make(agents, ENDED)
        kept.begin({KNOWN}.__contains__)
        await until(lambda: not any(directory.exists() for directory in first))
        await kept.remove(ENDED)
        known, late = make(agents, KNOWN), make(agents, ENDED)
        await until(lambda: not any(directory.exists() for directory in late))
        assert all((directory / ENGINE_ID).exists() for directory in known)
        kept.end()


async def test_of_an_orphan_that_runs_nothing_stays(engine: Engine, host: HostFacts, agents: list[Path]) -> None:
    """The directories above its own the engine has made too, and would leave."""
    with images.client(engine) as api:
        parent = read_hierarchy().kernel_path(f"{agents[0]}/{ENDED}")
        created = api.create_container(
            images.BUSYBOX,
            ["sleep", "1000"],
            name=creation.name_of(host.agent_id, ENDED),
            labels={creation.AGENT_LABEL: host.agent_id, creation.CONTAINER_LABEL: ENDED},
            host_config=api.create_host_config(network_mode="none", cgroup_parent=parent),
        )
        api.start(created)
        assert all((agent / ENDED).exists() for agent in agents)
        async with asking(engine.socket) as asker:
            kept = Leftovers(asker.engine, host)
            kept.begin({KNOWN}.__contains__)
            await until(lambda: not any((agent / ENDED).exists() for agent in agents))
            kept.end()
        assert api.containers(all=True, filters={"id": created["Id"]}) == []


async def test_when_the_engine_is_back_what_it_does_not_know_of_goes_too(
    engine: Engine, host: HostFacts, agents: list[Path]
) -> None:
    async with asking(engine.socket) as asker:
        kept = Leftovers(asker.engine, host)
        kept.begin({KNOWN}.__contains__)
        await asyncio.sleep(0)
        known, unknown = make(agents, KNOWN), make(agents, ENDED)
        kept.look_again()
        await until(lambda: not any(directory.exists() for directory in unknown))
        assert all((directory / ENGINE_ID).exists() for directory in known)
        kept.end()
