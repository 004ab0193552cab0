"""What the engine still has of ours: removed at a container's end, or when the engine is back; and nothing that is not ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agentd.docker import creation, engine_cgroups
from agentd.docker.answers import EngineContainer
from agentd.docker.engine import DockerEngine
from isolators.contract import HostFacts
from paddock.model.errors import NotFound, PaddockError
from paddock.model.ids import ContainerId

_log = logging.getLogger(__name__)
_RETRY_S = 5.0
_LATE_LOOKS_COUNT = 3
"""After the end of one whose start is in doubt: what an engine had begun when it was killed comes to be without it."""


class Leftovers:
    """For the event loop's thread. Whatever is not known is swept when the engine first answers, and whenever it comes back."""

    def __init__(self, engine: DockerEngine, host: HostFacts) -> None:
        """Does nothing yet."""
        self._engine = engine
        self._host = host
        self._owed: set[ContainerId] = set()
        self._late: dict[ContainerId, int] = {}
        """Whose cgroups are looked for so many times more; the next time then, by the event loop's clock."""
        self._look_at_s = 0.0
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

    async def remove(self, container_id: ContainerId, engine_id: str = "", *, has_ended: bool = False) -> None:
        """Now, or when the engine answers again; and the directories that it has made for it. `engine_id`: what this agent has
        been given for it. `has_ended`: its stand-in has seen its end, so nothing of it comes any more.
        """
        try:
            await self._remove(container_id, engine_id, has_ended=has_ended)
        except PaddockError as error:
            _log.warning("a container stays in the engine", extra={"container_id": container_id, "error": str(error)})
            self._owed.add(container_id)
        if not has_ended:
            self._look_later(container_id)
        if self._owed or self._late:
            self._wake.set()

    async def _remove(self, container_id: ContainerId, engine_id: str = "", *, has_ended: bool = False) -> None:
        if not engine_id:
            found = await self.find(container_id)
            engine_id = "" if found is None else found.engine_id
        # What has ended has left its cgroups before the engine removes it; what runs, or is being started, not before that.
        emptying = asyncio.create_task(asyncio.to_thread(engine_cgroups.remove_empty, self._host, container_id))
        try:
            if engine_id:
                await self._engine.remove(engine_id)
        finally:
            is_empty = await emptying
        if not is_empty or not has_ended:
            await asyncio.to_thread(engine_cgroups.clear, self._host, container_id, is_known=True)

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
                    self._look_later(container_id)
            except PaddockError as error:
                _log.debug("the engine keeps what is ours", extra={"error": str(error)})
                self._is_swept = False
                await asyncio.sleep(_RETRY_S)
                await self._engine.calls.until_reachable()
                continue
            try:
                # Not wait_for: in Python 3.11 it loses a cancellation that comes together with what it waits for.
                async with asyncio.timeout_at(self._look_at_s if self._late else None):
                    await self._wake.wait()
            except TimeoutError:
                await self._look_late(is_known)
            self._wake.clear()

    def _look_later(self, container_id: ContainerId) -> None:
        if not self._late:
            self._look_at_s = asyncio.get_running_loop().time() + _RETRY_S
        self._late[container_id] = _LATE_LOOKS_COUNT

    async def _look_late(self, is_known: Callable[[ContainerId], bool]) -> None:
        for container_id, looks_left in tuple(self._late.items()):
            await asyncio.to_thread(engine_cgroups.clear, self._host, container_id, is_known=is_known(container_id))
            self._late[container_id] = looks_left - 1
            if looks_left == 1:
                del self._late[container_id]
        self._look_at_s = asyncio.get_running_loop().time() + _RETRY_S

    async def _sweep_unknown(self, is_known: Callable[[ContainerId], bool]) -> None:
        for listed in await self._engine.list_containers({creation.AGENT_LABEL: self._host.agent_id}):
            container_id = ContainerId(dict(listed.labels).get(creation.CONTAINER_LABEL, ""))
            if not is_known(container_id) and await self.find(container_id) is not None:
                _log.info("an orphan is removed from the engine", extra={"container_id": container_id})
                await self._remove(container_id)
                self._look_later(container_id)
        # Also what an engine has made of a container that it has no knowledge of any more.
        for container_id in await asyncio.to_thread(engine_cgroups.strangers, self._host):
            if not is_known(container_id):
                self._look_later(container_id)
        await self._look_late(is_known)
