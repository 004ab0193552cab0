"""Ends that shims have told while they still make their records durable: nobody else is told of them before."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agentd.containerizer.contract import Post
from agentd.core.events import Concluded, Ended, Held, LaunchFailed
from paddock.model.ids import ContainerId

LATE_S = 10.0
_LATE = "its record is not on the disk yet: a disk that hangs, or fails, does that"


@dataclass(slots=True, kw_only=True)
class _Told:
    """`concluded`: what is to be said once its record is durable."""

    end: Ended | LaunchFailed
    since_s: float
    concluded: Concluded | None = None


class ToldEnds:
    """For the event loop's thread. What takes longer than LATE_S is said, as Held."""

    def __init__(self, post: Post) -> None:
        """Does nothing yet."""
        self._post = post
        self._told: dict[ContainerId, _Told] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, container_id: object) -> bool:
        return container_id in self._told

    def tell(self, end: Ended | LaunchFailed) -> None:
        """Its shim has said so, and closes when its record is durable."""
        loop = asyncio.get_running_loop()
        self._told[end.container_id] = _Told(end=end, since_s=loop.time())
        if self._timer is None:
            self._timer = loop.call_later(LATE_S, self._say_who_is_late)
        self._post(end)

    def tell_again(self, container_id: ContainerId) -> None:
        """To who wants its end."""
        self._post(self._told[container_id].end)

    def conclude(self, event: Concluded) -> None:
        """Once it is durable; of several the first, which has seen it all."""
        told = self._told.get(event.container_id)
        if told is None:
            self._post(event)
        elif told.concluded is None:
            told.concluded = event

    def confirm(self, container_id: ContainerId) -> bool:
        """Its shim has closed. False: it had told nothing."""
        told = self._told.pop(container_id, None)
        if told is not None and told.concluded is not None:
            self._post(told.concluded)
        return told is not None

    def close(self) -> None:
        """Nobody is told any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _say_who_is_late(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LATE_S, self._say_who_is_late) if self._told else None
        late = [each for each, told in self._told.items() if loop.time() - told.since_s >= LATE_S]
        for container_id in late:
            self._post(Held(container_id=container_id, what=_LATE))
