"""Images for launches: asked of the registry where the engine has none, or when it is forced; each one once at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentd.docker.engine import DockerEngine
from agentd.docker.failures import PullFailed, PullProblem
from agentd.docker.pull_progress import PullProgress
from agentd.docker.pulls import Pulls
from agentd.docker_settings import read_credentials
from paddock.model.docker import DockerInfo
from paddock.model.errors import InvalidRequest, NotFound
from paddock.model.image import ImageReference

TELL_EVERY_S = 5.0
Heard = Callable[[str], None]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pull:
    """`hearers`: of those who wait for it; with the last of them it is given up."""

    task: asyncio.Task[None]
    hearers: list[Heard]


class Images:
    """For one event loop."""

    def __init__(self, engine: DockerEngine, pulls: Pulls, config_path: str | None) -> None:
        """`config_path`: the operator's file with credentials, read for each pull."""
        self._engine = engine
        self._pulls = pulls
        self._config_path = config_path
        self._under_way: dict[str, _Pull] = {}

    async def bring(self, docker: DockerInfo, heard: Heard) -> None:
        """The engine has it then. `heard`: how far a pull is, in words, now and then.

        Raises PullFailed, for the credentials' file too, EngineUnresponsive, EngineAbsent.
        """
        # What was there a moment ago is asked for too: an engine that hangs is found out before there is a shim.
        if not docker.force_pull:
            try:
                await self._engine.inspect_image(docker.image)
            except NotFound:
                pass
            else:
                return
        await self._shared(docker.image, heard)

    async def _shared(self, image: ImageReference, heard: Heard) -> None:
        name = image.canonical
        pull = self._under_way.get(name)
        if pull is None:
            hearers: list[Heard] = []
            task = asyncio.get_running_loop().create_task(self._pull(image, hearers))
            pull = self._under_way[name] = _Pull(task, hearers)
            task.add_done_callback(lambda ended: self._forget(name, ended))
        pull.hearers.append(heard)
        heard(f"image {name} is being pulled")
        try:
            await asyncio.shield(pull.task)
        finally:
            pull.hearers.remove(heard)
            if not pull.hearers:
                pull.task.cancel()
                self._forget(name, pull.task)

    def _forget(self, name: str, ended: asyncio.Task[None]) -> None:
        """Who wants it from now on begins a pull of its own, which stays when this one has come to its end."""
        pull = self._under_way.get(name)
        if pull is not None and pull.task is ended:
            del self._under_way[name]

    async def _pull(self, image: ImageReference, hearers: Sequence[Heard]) -> None:
        next_s = asyncio.get_running_loop().time() + TELL_EVERY_S
        credential = None
        try:
            if self._config_path is not None:
                credential = (await asyncio.to_thread(read_credentials, self._config_path)).of(image)
        except InvalidRequest as error:
            raise PullFailed(f"cannot pull image {image.canonical}: {error}", PullProblem.DENIED) from None

        def heard(progress: PullProgress) -> None:
            nonlocal next_s
            now_s = asyncio.get_running_loop().time()
            if now_s < next_s:
                return
            next_s = now_s + TELL_EVERY_S
            _log.info("image is being pulled", extra={"image": image.canonical, "progress": str(progress)})
            for each in hearers:
                each(f"image {image.canonical} is being pulled: {progress}")

        await self._pulls.pull(image, credential, heard)
