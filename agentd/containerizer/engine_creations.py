"""From a prepared container to one that the engine has created and its stand-in may start, while that comes up by itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agentd.containerizer.native import NativeContainerizer
from agentd.docker import creation
from agentd.docker.creating import create_once
from agentd.docker.engine import DockerEngine
from agentd.docker.images import Heard, Images
from agentd.docker.launch_failures import launch_failure_of
from agentd.docker.leftovers import Leftovers
from agentd.docker.notes import Notes
from isolators.contract import HostFacts
from paddock.kernel.mounts import Hierarchy
from paddock.model.container import ContainerConfig
from paddock.model.docker import DockerInfo
from paddock.model.errors import InvalidRequest, NotFound, PaddockError
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import LaunchPlan
from paddock.model.task import LaunchFailure


@dataclass(slots=True, kw_only=True)
class EngineCreations:
    """For the event loop's thread. `sandbox_at`: where a container sees its sandbox."""

    engine: DockerEngine
    images: Images
    notes: Notes
    leftovers: Leftovers
    host: HostFacts
    hierarchy: Hierarchy
    sandbox_at: str
    _under_way: dict[ContainerId, asyncio.Task[None]] = field(default_factory=dict)
    _bringing: set[ContainerId] = field(default_factory=set)
    """Of those under way the ones that wait for their image once more."""
    _engine_ids: dict[ContainerId, str] = field(default_factory=dict)
    _failures: dict[ContainerId, LaunchFailure] = field(default_factory=dict)

    def begin(self, config: ContainerConfig, native: NativeContainerizer, heard: Heard) -> None:
        """Its stand-in is told when the engine has it; when it cannot have it, the stand-in ends."""
        work = self._create(config, native, heard)
        self._under_way[config.container_id] = asyncio.get_running_loop().create_task(work)

    def has_begun(self, container_id: ContainerId) -> bool:
        """Here, and not by an earlier agent."""
        return container_id in self._under_way

    def engine_id(self, container_id: ContainerId) -> str:
        """Empty: this agent has had nothing created for it."""
        return self._engine_ids.get(container_id, "")

    def warnings(self, container_id: ContainerId) -> tuple[str, ...]:
        """What engine or kernel do not have, and have left out."""
        return tuple(f"the engine warns: {words}" for words in self.notes.warnings(container_id))

    def take_failure(self, container_id: ContainerId) -> LaunchFailure | None:
        """Why the engine has not created it."""
        return self._failures.pop(container_id, None)

    async def settle(self, container_id: ContainerId) -> None:
        """For one that has ended: whatever comes of it is known then. A creation is waited for, which may leave something; an
        image, which may take minutes, is not.
        """
        under_way = self._under_way.pop(container_id, None)
        if under_way is None:
            return
        if container_id in self._bringing:
            under_way.cancel()
        await asyncio.wait([under_way])

    def forget(self, container_id: ContainerId) -> None:
        """Idempotent."""
        self._engine_ids.pop(container_id, None)
        self._failures.pop(container_id, None)

    def cancel(self) -> tuple[asyncio.Task[None], ...]:
        """All of them, which end then."""
        found = tuple(self._under_way.values())
        for task in found:
            task.cancel()
        return found

    async def _create(self, config: ContainerConfig, native: NativeContainerizer, heard: Heard) -> None:
        container_id = config.container_id
        try:
            plan = await native.plan(container_id, config)
            engine_id, warnings = await self._created(config, plan, heard)
            self._engine_ids[container_id] = engine_id
            if warnings:
                self.notes.warn(container_id, warnings)
            self.notes.go(container_id, engine_id)
        except (PaddockError, OSError) as error:
            if container_id not in self._under_way:
                return  # it has ended meanwhile, and its note says how
            failure = self._failures[container_id] = launch_failure_of(error)
            self.notes.give_up(container_id, failure.stage, failure.message)
            native.kill(container_id, 9, 0)

    async def _created(self, config: ContainerConfig, plan: LaunchPlan, heard: Heard) -> tuple[str, tuple[str, ...]]:
        directory = self.host.place(config.container_id).directory("memory") or ""
        place = creation.Place(cgroup_parent=self.hierarchy.kernel_path(directory), sandbox_at=self.sandbox_at)
        docker = docker_of(config)
        order = creation.body(config, docker, plan, place)
        try:
            return await create_once(self.engine, self.leftovers, config, order)
        except NotFound:
            if config.container_id not in self._under_way:
                raise
            # Somebody has removed the image meanwhile; or it is the network that is not there, and that is said again.
            self._bringing.add(config.container_id)
            try:
                await self.images.bring(docker, heard)
            finally:
                self._bringing.discard(config.container_id)
            return await create_once(self.engine, self.leftovers, config, order)


def docker_of(config: ContainerConfig) -> DockerInfo:
    """Of a container of this type."""
    docker = config.container.docker
    if docker is None:
        raise InvalidRequest("container.docker", docker, "name an image")
    return docker
