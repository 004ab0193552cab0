"""Another size for a container that the engine runs: in our own cgroup first, then in the engine's beneath."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, MutableMapping
from dataclasses import dataclass, field, replace

from agentd.containerizer.contract import Post
from agentd.containerizer.native import NativeContainerizer
from agentd.core.events import Resized
from agentd.docker import creation
from agentd.docker.engine import DockerEngine
from agentd.docker.failures import ContainerNotRunning, EngineAbsent, EngineUnresponsive, not_resized
from agentd.docker.notes import Notes
from agentd.docker.parameters import Body
from paddock.model.container import ContainerConfig
from paddock.model.errors import NotFound, PaddockError
from paddock.model.ids import ContainerId

_LOOK_AGAIN_S = 1.0
_SETTLED_S = 5.0
"""So long after an answer an engine is taken to have done all that it had read before it."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class EngineSizes:
    """For the event loop's thread. `configs`: of the containers that there are. `post` hears one Resized of each size."""

    engine: DockerEngine
    notes: Notes
    native: NativeContainerizer
    configs: MutableMapping[ContainerId, ContainerConfig]
    post: Post
    track: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]
    _tried: dict[ContainerId, ContainerConfig] = field(default_factory=dict)
    """In our cgroup, while the engine has not taken it."""
    _refused: dict[ContainerId, PaddockError] = field(default_factory=dict)
    """Why the engine has not taken it, while ours is put back."""
    _doubted: dict[ContainerId, asyncio.Task[None] | None] = field(default_factory=dict)
    """What the engine was told, and has not answered: it does what it has read when it goes on, which nobody hears then.
    `notes` has each of them for the next agent.
    """

    def recover(self) -> None:
        """What an earlier agent was not answered."""
        for container_id in self.configs:
            if self.notes.is_doubted(container_id):
                self._doubted[container_id] = self.track(self._tell_again(container_id))

    def resize(self, wanted: ContainerConfig) -> None:
        """See the contract."""
        container_id = wanted.container_id
        if (telling := self._doubted.get(container_id)) is not None:
            telling.cancel()
        self._tried[container_id] = wanted
        self.track(self._begin(wanted))

    def hear(self, event: Resized) -> None:
        """Of ours."""
        container_id = event.container_id
        if (wanted := self._tried.pop(container_id, None)) is not None:
            self.track(self._written(wanted, event))
        elif (error := self._refused.pop(container_id, None)) is not None:
            self._settle(replace(event, error=not_resized(error, event.error)))
        else:
            self.post(event)

    def forget(self, container_id: ContainerId) -> None:
        """Idempotent."""
        telling = self._doubted.get(container_id)
        if telling is not None:
            telling.cancel()
        known: Mapping[ContainerId, object]
        for known in (self._tried, self._refused, self._doubted):
            known.pop(container_id, None)

    async def _begin(self, wanted: ContainerConfig) -> None:
        container_id = wanted.container_id
        earlier = self.configs.get(container_id)
        try:
            if earlier is not None and await self._has_quota_beneath(earlier):
                await self._tell(container_id, creation.NO_QUOTA)
        except PaddockError as error:
            self._tried.pop(container_id, None)
            self._settle(Resized(container_id=container_id, error=not_resized(error)))
            return
        self.native.resize(wanted)

    async def _has_quota_beneath(self, config: ContainerConfig) -> bool:
        """v1's kernel refuses a quota that is below one of a cgroup further down."""
        plan = await self.native.plan(config.container_id, config)
        return any(write.file == creation.V1_QUOTA for write in plan.writes)

    async def _written(self, wanted: ContainerConfig, event: Resized) -> None:
        container_id = event.container_id
        earlier = self.configs.get(container_id)
        try:
            if event.error is None and earlier is not None:
                await self._limit(wanted)
                if container_id in self.configs:
                    self.configs[container_id] = wanted
            elif earlier is not None and await self._has_quota_beneath(earlier):
                await self._limit(earlier)
        except PaddockError as error:
            if event.error is None and earlier is not None:
                # Told when ours is as it was.
                self._refused[container_id] = error
                self.native.resize(earlier)
                return
        self._settle(event)

    async def _limit(self, config: ContainerConfig) -> None:
        container_id = config.container_id
        if container_id in self._doubted:
            # One that answers this goes on: what it has read earlier it begins before what it is told now.
            found = await self.engine.inspect(self._engine_id(container_id))
            if not found.state.has_process:
                raise ContainerNotRunning(f"container {container_id} does not run, as the engine has it")
        plan = await self.native.plan(container_id, config)
        await self._tell(container_id, creation.new_limits(plan.writes, config.limits))

    async def _tell(self, container_id: ContainerId, limits: Body) -> None:
        if container_id not in self.configs:
            return  # it has ended
        # First: an agent that dies meanwhile does not hear the answer.
        self.notes.doubt(container_id)
        try:
            await self.engine.update(self._engine_id(container_id), limits)
        except PaddockError as error:
            if isinstance(error, EngineUnresponsive) and error.was_asked and container_id in self.configs:
                self._doubted.setdefault(container_id, None)
            self._answered(container_id)
            raise
        self._answered(container_id)

    def _answered(self, container_id: ContainerId) -> None:
        if container_id not in self._doubted:
            self.notes.trust(container_id)

    def _engine_id(self, container_id: ContainerId) -> str:
        note = self.notes.read(container_id)
        return note.engine_id if note else ""

    def _settle(self, event: Resized) -> None:
        self.post(event)
        if event.container_id in self._doubted:
            self._doubted[event.container_id] = self.track(self._tell_again(event.container_id))

    async def _tell_again(self, container_id: ContainerId) -> None:
        """What holds, until the engine has taken it twice: what it had read before may come after the first time."""
        has_taken = False
        while (config := self.configs.get(container_id)) is not None:
            try:
                await self._limit(config)
            except (EngineUnresponsive, EngineAbsent):
                has_taken = False
                await asyncio.sleep(_LOOK_AGAIN_S)
                await self.engine.calls.until_reachable()
            except (NotFound, ContainerNotRunning):
                return  # it has ended
            except PaddockError as error:
                _log.warning(
                    "the engine may hold another size", extra={"container_id": container_id, "error": str(error)}
                )
                return
            else:
                if has_taken:
                    self._doubted.pop(container_id, None)
                    self.notes.trust(container_id)
                    return
                has_taken = True
                await asyncio.sleep(_SETTLED_S)
