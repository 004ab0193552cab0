"""Whose an effect is, and what the log tells of a container's life."""

from __future__ import annotations

import logging

from agentd.core import effects
from agentd.core.effects import Effect
from paddock.model.container import Container, ContainerState
from paddock.model.ids import ContainerId

_log = logging.getLogger(__name__)


def tell(container: Container) -> None:
    """The two moments of its life that an operator looks for."""
    ids = {"task_id": container.config.task_id, "framework_id": container.config.framework_id}
    shown = {"container_id": container.config.container_id, **{name: value for name, value in ids.items() if value}}
    if container.state is ContainerState.RUNNING:
        _log.info("container runs", extra={**shown, "pid": container.pid})
    elif container.termination is not None:
        _log.info("container has ended", extra={**shown, "end": container.termination.state.name.lower()})


def whose(effect: effects.ContainerEffect) -> ContainerId:
    """The container that it is done with."""
    if isinstance(effect, effects.Resize | effects.Conclude | effects.CheckHealth | effects.MakeCheck):
        return effect.config.container_id
    return effect.container_id


def container_of(effect: Effect) -> ContainerId | None:
    """For whom something would be begun or ended; None: for nobody."""
    match effect:
        case effects.Launch() | effects.CancelFetch() | effects.Kill():
            return effect.container_id
        case effects.Fetch():
            return effect.config.container_id
        case _:
            return None
