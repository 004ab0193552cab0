"""A running container's new size: planned by the isolators, written by the shim, all of it or nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, MutableMapping

from agentd.containerizer.contract import Post
from agentd.containerizer.limit_watcher import LimitWatcher
from agentd.containerizer.plan_json import writes_json
from agentd.containerizer.shim_link import ShimLink
from agentd.containerizer.shim_words import as_refusal, unapplied_words, words_of_error
from agentd.core.events import Resized
from agentd.isolation import Isolation
from agentd.isolation_thread import IsolationThread
from paddock.model.container import ContainerConfig
from paddock.model.errors import ContainerizerError, Unavailable
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import CgroupWrite

_log = logging.getLogger(__name__)
_RETRY_FIRST_S = 0.05
_RETRY_LIMIT_S = 1.0


class Resizer:
    """For the event loop's thread."""

    def __init__(
        self,
        isolation: Isolation,
        thread: IsolationThread,
        post: Post,
        watcher: LimitWatcher,
        *,
        links: Mapping[ContainerId, ShimLink],
        configs: MutableMapping[ContainerId, ContainerConfig],
    ) -> None:
        """`links` and `configs` are the containerizer's own: a container that has ended is in neither."""
        self._isolation = isolation
        self._thread = thread
        self._post = post
        self._watcher = watcher
        self._links = links
        self._configs = configs
        self._under_way: dict[ContainerId, ContainerConfig] = {}

    async def resize(self, wanted: ContainerConfig) -> None:
        """Posts Resized. After a refusal isolators and kernel are at the earlier size."""
        container_id = wanted.container_id
        earlier = self._configs.get(container_id)
        if earlier is None:
            self._post(Resized(container_id=container_id, error=_ended(container_id)))
            return
        self._under_way[container_id] = wanted
        try:
            writes = await self._thread.run("update", lambda: self._isolation.update(wanted))
            unapplied = await self._write(container_id, writes)
        except Exception as error:  # noqa: BLE001 - whatever an isolator raises, the caller is answered
            refusal = as_refusal(container_id, error, "update")
            del self._under_way[container_id]
            await self._thread.run("update", lambda: self._isolation.put_back(earlier))
            _log.info("resize was refused", extra={"container_id": container_id, "error": str(refusal)})
            self._post(Resized(container_id=container_id, error=refusal))
            return
        del self._under_way[container_id]
        if container_id in self._configs:
            self._configs[container_id] = wanted
        self._post(Resized(container_id=container_id, unapplied=unapplied))
        self._watcher.ask_again(container_id)

    async def check(self, wanted: ContainerConfig) -> None:
        """Raises the isolators' refusal. They are asked and put back in one go on their thread, which runs one thing after the
        other; they go back to what was asked of them last, be it in force already or on its way.
        """
        container_id = wanted.container_id
        last = self._under_way.get(container_id) or self._configs.get(container_id)
        if last is None:
            raise _ended(container_id)
        try:
            await self._thread.run("update", lambda: self._isolation.check_update(wanted, last))
        except Exception as error:  # noqa: BLE001 - whatever an isolator raises, the caller is answered
            raise as_refusal(container_id, error, "update") from None

    async def _write(self, container_id: ContainerId, writes: tuple[CgroupWrite, ...]) -> tuple[str, ...]:
        """Asked again until the shim has answered: a connection that broke leaves open whether it was done."""
        pause_s = _RETRY_FIRST_S
        while writes:
            link = self._links.get(container_id)
            try:
                if link is not None:
                    return _unapplied(container_id, await link.ask("write", writes=writes_json(writes)))
            except Unavailable:
                pass  # its shim has died, or is connected anew
            if container_id not in self._configs:
                raise _ended(container_id)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _RETRY_LIMIT_S)
        return ()


def _ended(container_id: ContainerId) -> Unavailable:
    return Unavailable(f"container {container_id} has ended")


def _unapplied(container_id: ContainerId, answer: dict[str, object]) -> tuple[str, ...]:
    error = answer.get("error")
    if error is not None:
        words = f"the kernel refused: {words_of_error(error)}; every earlier limit is in force"
        raise ContainerizerError(container_id, "update", words)
    unapplied = answer.get("unapplied")
    return tuple(unapplied_words(each) for each in unapplied) if isinstance(unapplied, list) else ()
