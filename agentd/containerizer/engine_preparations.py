"""A container's image, which may take minutes to come, and the isolators' plan for it, one beside the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from agentd.containerizer.contract import Post
from agentd.containerizer.engine_creations import docker_of
from agentd.core.events import LaunchProgressed, Prepared, PrepareRefused
from agentd.docker.images import Heard
from agentd.docker.launch_failures import launch_failure_of
from paddock.model.container import ContainerConfig
from paddock.model.docker import DockerInfo
from paddock.model.errors import ContainerizerError, PaddockError
from paddock.model.ids import ContainerId

Planned = Prepared | PrepareRefused


@dataclass(slots=True, kw_only=True)
class EnginePreparations:
    """For the event loop's thread. `bring`: the image. `post` hears one event of each: when both are there, or why one of them
    is not.
    """

    bring: Callable[[DockerInfo, Heard], Coroutine[None, None, None]]
    post: Post
    _pulling: dict[ContainerId, asyncio.Task[None]] = field(default_factory=dict)
    _planning: dict[ContainerId, asyncio.Future[Planned]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def begin(self, config: ContainerConfig, plan: Callable[[ContainerConfig], None]) -> None:
        """`plan`: its answer comes to `planned`."""
        container_id = config.container_id
        loop = asyncio.get_running_loop()
        pulling = loop.create_task(self.bring(docker_of(config), self.hearer(container_id)))
        self._pulling[container_id] = pulling
        planning: asyncio.Future[Planned] = loop.create_future()
        self._planning[container_id] = planning
        task = loop.create_task(self._settle(container_id, pulling, planning))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        plan(config)

    def hearer(self, container_id: ContainerId) -> Heard:
        """Of how far its image is."""
        return lambda words: self.post(LaunchProgressed(container_id=container_id, message=words))

    def is_waiting_for(self, event: Planned) -> bool:
        """Whether it is about a container that began here."""
        return event.container_id in self._planning

    def planned(self, event: Planned) -> None:
        """Of one that is waited for. A plan that is refused needs no image."""
        self._planning.pop(event.container_id).set_result(event)
        if isinstance(event, PrepareRefused):
            self.give_up(event.container_id)

    def give_up(self, container_id: ContainerId) -> None:
        """Its pull, if it has one."""
        pulling = self._pulling.get(container_id)
        if pulling is not None:
            pulling.cancel()

    def cancel(self) -> tuple[asyncio.Task[None], ...]:
        """All that is under way, which ends then."""
        found = (*self._tasks, *self._pulling.values())
        for task in found:
            task.cancel()
        return found

    async def _settle(
        self, container_id: ContainerId, pulling: asyncio.Task[None], planning: asyncio.Future[Planned]
    ) -> None:
        await asyncio.wait([pulling])
        del self._pulling[container_id]
        event = await planning
        # One that was given up is no failure: it is to end, and the machine knows why.
        error = None if pulling.cancelled() else pulling.exception()
        if error is not None and isinstance(event, Prepared):
            known = error if isinstance(error, PaddockError) else ContainerizerError(container_id, "image", repr(error))
            event = PrepareRefused(container_id=container_id, failure=launch_failure_of(known), error=known)
        self.post(event)
