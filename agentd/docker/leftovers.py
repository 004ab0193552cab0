"""What the engine still has of ours: removed at a container's end, or when the engine is back; and nothing that is not ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agentd.docker import creation, empty_cgroups
from agentd.docker.answers import EngineContainer
from agentd.docker.engine import DockerEngine
from isolators.contract import HostFacts
from paddock.model.errors import NotFound, PaddockError
from paddock.model.ids import ContainerId

_log = logging.getLogger(__name__)
_RETRY_S = 5.0


class Leftovers:
    """For the event loop's thread. Whatever is not known is swept when the engine first answers, and whenever it comes back."""

    def __init__(self, engine: DockerEngine, host: HostFacts) -> None:
        """Does nothing yet."""
        self._engine = engine
        self._host = host
        self._owed: set[ContainerId] = set()
        self._sweep: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._is_swept = False

    def is_ours(self, found: EngineContainer, container_id: ContainerId) -> bool:
        """By name, labels and cgroup, all of them: anybody may give a container a label."""
        labels = dict(found.labels)
        return (
            found.name == creation.name_of(self._host.agent_id, container_id)
            and labels.get(creation.AGENT_LABEL) == self._host.agent_id
            and labels.get(creation.CONTAINER_LABEL) == container_id
            and found.cgroup_parent.endswith(f"/paddock-{self._host.agent_id}/{container_id}")
        )

    def begin(self, is_known: Callable[[ContainerId], bool]) -> None:
        """Remove what is ours and not known by then, and from then on what is owed."""
        self._sweep = asyncio.get_running_loop().create_task(self._run(is_known))

    def look_again(self) -> None:
        """The engine was away, and what was asked of it then may have come to something."""
        self._is_swept = False
        self._wake.set()

    def end(self) -> None:
        """What is owed is found again by the next agent."""
        if self._sweep is not None:
            self._sweep.cancel()

    async def remove(self, container_id: ContainerId, engine_id: str = "") -> None:
        """Now, or when the engine answers again; and the directories that it has made for it. `engine_id`: what this agent has
        been given for it.
        """
        try:
            await self._remove(container_id, engine_id)
        except PaddockError as error:
            _log.warning("a container stays in the engine", extra={"container_id": container_id, "error": str(error)})
            self._owed.add(container_id)
            self._wake.set()

    async def _remove(self, container_id: ContainerId, engine_id: str = "") -> None:
        if not engine_id:
            found = await self.find(container_id)
            engine_id = "" if found is None else found.engine_id
        # What has ended has left its cgroups before the engine removes it; what runs, not before that.
        emptying = asyncio.create_task(asyncio.to_thread(empty_cgroups.remove, self._host, container_id))
        try:
            if engine_id:
                await self._engine.remove(engine_id)
        finally:
            is_empty = await emptying
        if not is_empty:
            await asyncio.to_thread(empty_cgroups.remove, self._host, container_id)

    async def find(self, container_id: ContainerId) -> EngineContainer | None:
        """What the engine has under its name, if that is ours."""
        found = await self.named(container_id)
        return found if found is not None and self.is_ours(found, container_id) else None

    async def named(self, container_id: ContainerId) -> EngineContainer | None:
        """Whosever it is."""
        try:
            return await self._engine.inspect(creation.name_of(self._host.agent_id, container_id))
        except NotFound:
            return None

    async def _run(self, is_known: Callable[[ContainerId], bool]) -> None:
        while True:
            try:
                if not self._is_swept:
                    self._is_swept = True
                    await self._sweep_unknown(is_known)
                for container_id in tuple(self._owed):
                    await self._remove(container_id)
                    self._owed.discard(container_id)
            except PaddockError as error:
                _log.debug("the engine keeps what is ours", extra={"error": str(error)})
                self._is_swept = False
                await asyncio.sleep(_RETRY_S)
                await self._engine.calls.until_reachable()
                continue
            await self._wake.wait()
            self._wake.clear()

    async def _sweep_unknown(self, is_known: Callable[[ContainerId], bool]) -> None:
        for listed in await self._engine.list_containers({creation.AGENT_LABEL: self._host.agent_id}):
            container_id = ContainerId(dict(listed.labels).get(creation.CONTAINER_LABEL, ""))
            if not is_known(container_id) and await self.find(container_id) is not None:
                _log.info("an orphan is removed from the engine", extra={"container_id": container_id})
                await self._remove(container_id)
