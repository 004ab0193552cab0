"""A containerizer under test, native or Docker's: its words, and configurations for it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from agentd.config import Settings
from agentd.containerizer.assembly import assemble, fetcher
from agentd.containerizer.contract import Containerizer
from agentd.containerizer.launcher_link import LauncherLink
from agentd.containerizer.launcher_process import LauncherCommand
from agentd.core import events
from agentd.docker import creation
from agentd.fetcher.cache import FetchCache
from agentd.isolation import Isolation
from agentd.isolation_thread import IsolationThread
from agentd.outside.programs import Programs
from agentd.sandbox import sandbox_path
from isolators import table
from isolators.host import read_host_facts
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.docker import DockerInfo, DockerNetwork
from paddock.model.ids import AgentId, ContainerId, FrameworkId, TaskId
from paddock.model.image import parse_image
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo, ContainerInfo, ContainerType
from testbed.engine import images
from testbed.engine.engine import Engine
from tests.agentd_process import TIME_SCALE, cgroup_points

ROOT = UserIdentity(name="root", uid=0, gid=0, groups=(0,), home="/root")
TIMEOUT_S = 40.0 * TIME_SCALE


class Subject:
    """A containerizer, its words, and configurations for it."""

    def __init__(self, directory: Path, agent_id: AgentId) -> None:
        self.directory = directory
        self.agent_id = agent_id
        self.said: asyncio.Queue[events.Event] = asyncio.Queue()
        self.containerizer: Containerizer
        self.engine: Engine | None = None
        self.count = 0

    def config(self, *words: str) -> ContainerConfig:
        self.count += 1
        container_id = ContainerId(f"c{self.count}")
        return ContainerConfig(
            container_id=container_id,
            agent_id=self.agent_id,
            command=CommandInfo(arguments=words),
            resources=Resources.scalars({"cpus": 100, "mem": 64_000}),
            user=ROOT,
            container=self.container,
            sandbox=sandbox_path(f"{self.directory}/w", self.agent_id, FrameworkId(""), TaskId(""), container_id),
        )

    @property
    def container(self) -> ContainerInfo:
        if self.engine is None:
            return ContainerInfo()
        image = parse_image(images.BUSYBOX, "image")
        docker = DockerInfo(image=image, network=DockerNetwork.NONE, init=False)
        return ContainerInfo(type=ContainerType.DOCKER, docker=docker)

    async def hear(self, *kinds: type) -> events.Event:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                event = await self.said.get()
                if isinstance(event, kinds):
                    return event

    async def started(self, *words: str) -> tuple[ContainerConfig, events.Started]:
        config = self.config(*words)
        self.containerizer.prepare(config)
        await self.hear(events.Prepared)
        self.containerizer.launch(config.container_id)
        event = await self.hear(events.Started)
        assert isinstance(event, events.Started)
        return config, event

    async def ended(self) -> events.Ended:
        event = await self.hear(events.Ended)
        assert isinstance(event, events.Ended)
        return event

    async def conclude(self, config: ContainerConfig, ended: events.Ended) -> None:
        self.containerizer.conclude(config, ended.record, launched=True)
        await self.hear(events.Concluded)
        self.assert_gone(config)

    def assert_gone(self, config: ContainerConfig) -> None:
        """From the kernel, and from the engine."""
        assert not self.cgroups(config)
        assert not self.engines_part(config)

    def engines_part(self, config: ContainerConfig) -> list[str]:
        """What the engine has of it, by name."""
        if self.engine is None:
            return []
        with images.client(self.engine) as api:
            labels = {"label": f"{creation.CONTAINER_LABEL}={config.container_id}"}
            found = api.containers(all=True, filters=labels)
        return [each["Names"][0] for each in found if each["Labels"][creation.AGENT_LABEL] == self.agent_id]

    def cgroups(self, config: ContainerConfig) -> list[str]:
        name = f"paddock-{self.agent_id}/{config.container_id}"
        return [f"{point}/{name}" for point in cgroup_points() if os.path.isdir(f"{point}/{name}")]


def make(subject: Subject, types: tuple[ContainerType, ...] = ()) -> tuple[Containerizer, IsolationThread]:
    directory = subject.directory
    host = read_host_facts(subject.agent_id)
    thread = IsolationThread(asyncio.get_running_loop())
    settings = replace(
        Settings(),
        state_dir=str(directory),
        containerizers=(ContainerType.NATIVE,),
        container_disk_watch_interval_s=0.2,
        fetcher_timeout_s=TIMEOUT_S,
        fetcher_stall_timeout_s=TIMEOUT_S,
    )
    if subject.engine is not None:
        settings = replace(settings, docker_socket=str(subject.engine.socket))
        types = types or (ContainerType.DOCKER, ContainerType.NATIVE)
    settings = replace(settings, containerizers=types or settings.containerizers)
    launcher = LauncherLink(
        LauncherCommand(
            socket_path=f"{directory}/run/launcher.sock",
            agent_id=subject.agent_id,
            cgroup_roots=tuple(dict.fromkeys(root for _, root in host.cgroup_roots)),
            log_path=f"{directory}/launcher.log",
            use_systemd=False,
        )
    )
    os.makedirs(settings.sockets_dir, exist_ok=True)
    post = subject.said.put_nowait
    isolation = Isolation(table.create(settings.isolation, host, settings.for_isolators))
    fetching = fetcher(settings, Programs(host), FetchCache(f"{directory}/fetched", 2**30))
    made = assemble(settings, host, isolation=isolation, thread=thread, launcher=launcher, fetcher=fetching, post=post)
    return made, thread
