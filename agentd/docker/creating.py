"""Has the engine create a container once, whatever became of an earlier try that nobody was told of."""

from __future__ import annotations

import asyncio
import logging

from agentd.docker import creation
from agentd.docker.engine import DockerEngine
from agentd.docker.leftovers import Leftovers
from agentd.docker.parameters import Body
from paddock.model.container import ContainerConfig
from paddock.model.errors import AlreadyExists

RETRY_S = 0.2
RETRIES_COUNT = 50
_log = logging.getLogger(__name__)


async def create_once(
    engine: DockerEngine, leftovers: Leftovers, config: ContainerConfig, order: Body
) -> tuple[str, tuple[str, ...]]:
    """The engine's id for it, and its warnings. Raises AlreadyExists for a name that is somebody else's, and
    all that `create` raises.
    """
    container_id = config.container_id
    name = creation.name_of(config.agent_id, container_id)
    for retries_left in range(RETRIES_COUNT, -1, -1):
        try:
            engine_id, warnings = await engine.create(name, order)
        except AlreadyExists:
            found = await leftovers.named(container_id)
            if found is None and retries_left:
                # An engine takes the name before there is anything to be seen under it.
                await asyncio.sleep(RETRY_S)
                continue
            if found is None or not leftovers.is_ours(found, container_id):
                raise
            return found.engine_id, ()
        for words in warnings:
            _log.warning("the engine warns", extra={"container_id": container_id, "words": words})
        return engine_id, warnings
    raise AssertionError("the last try returns or raises")
