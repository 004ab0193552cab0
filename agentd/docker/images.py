"""Images for launches: asked of the registry where the engine has none, or when it is forced; each one once at a time."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from agentd.docker.engine import DockerEngine
from agentd.docker.pull_progress import PullProgress
from agentd.docker.pulls import Pulls
from agentd.docker_settings import read_credentials
from paddock.model.docker import DockerInfo
from paddock.model.errors import NotFound
from paddock.model.image import ImageReference

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pull:
    """`wanted_count`: who waits for it; with the last of them it is given up."""

    task: asyncio.Task[None]
    wanted_count: int = 0


class Images:
    """For one event loop."""

    def __init__(self, engine: DockerEngine, pulls: Pulls, config_path: str | None) -> None:
        """`config_path`: the operator's file with credentials, read for each pull."""
        self._engine = engine
        self._pulls = pulls
        self._config_path = config_path
        self._under_way: dict[str, _Pull] = {}

    async def bring(self, docker: DockerInfo) -> None:
        """The engine has it then. Raises PullFailed, EngineUnresponsive, EngineAbsent; InvalidRequest for the credentials."""
        if not docker.force_pull:
            try:
                await self._engine.inspect_image(docker.image)
            except NotFound:
                pass
            else:
                return
        await self._shared(docker.image)

    async def _shared(self, image: ImageReference) -> None:
        name = image.canonical
        pull = self._under_way.get(name)
        if pull is None:
            task = asyncio.get_running_loop().create_task(self._pull(image))
            pull = self._under_way[name] = _Pull(task)
            task.add_done_callback(lambda _: self._under_way.pop(name, None))
        pull.wanted_count += 1
        try:
            await asyncio.shield(pull.task)
        finally:
            pull.wanted_count -= 1
            if not pull.wanted_count:
                pull.task.cancel()

    async def _pull(self, image: ImageReference) -> None:
        credential = None
        if self._config_path is not None:
            credential = (await asyncio.to_thread(read_credentials, self._config_path)).of(image)

        def heard(progress: PullProgress) -> None:
            _log.info("image is being pulled", extra={"image": image.canonical, "progress": str(progress)})

        await self._pulls.pull(image, credential, heard)
