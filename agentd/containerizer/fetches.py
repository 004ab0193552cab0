"""The fetches that run now: one for each container that waits for its URIs; the end of each is told once."""

from __future__ import annotations

import asyncio

from agentd.containerizer.contract import Post
from agentd.core.events import Fetched
from agentd.fetcher.fetcher import Fetcher
from paddock.model.container import ContainerConfig
from paddock.model.ids import ContainerId
from paddock.model.task import LaunchFailure


class Fetches:
    """For the event loop's thread."""

    def __init__(self, fetcher: Fetcher, post: Post) -> None:
        """Touches nothing before `start`."""
        self._fetcher = fetcher
        self._post = post
        self._running: dict[ContainerId, asyncio.Task[None]] = {}
        self._is_closing = False

    async def start(self) -> None:
        """Raises OSError."""
        await self._fetcher.start()

    def begin(self, config: ContainerConfig) -> None:
        """Posts Fetched at its end."""
        container_id = config.container_id
        task = asyncio.get_running_loop().create_task(self._fetcher.fetch(config))
        self._running[container_id] = task
        # A task that is cancelled before its first step runs nothing of its own.
        task.add_done_callback(lambda done: self._ended(container_id, done))

    def cancel(self, container_id: ContainerId) -> None:
        """Its program is killed. Unknown ids are no error."""
        task = self._running.get(container_id)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """All are ended, and nothing is told: the next agent says that this one went away."""
        self._is_closing = True
        tasks = tuple(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, container_id: ContainerId, done: asyncio.Task[None]) -> None:
        self._running.pop(container_id, None)
        if self._is_closing:
            return
        failure = None
        if done.cancelled():
            failure = LaunchFailure(stage="fetch", message="it was cancelled")
        elif (error := done.exception()) is not None:
            failure = LaunchFailure(stage="fetch", message=str(error) or type(error).__name__)
        self._post(Fetched(container_id=container_id, failure=failure))
