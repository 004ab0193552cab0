"""The sealed plans of launches of which no shim has said a word yet: a launcher may die with them in its socket."""

from __future__ import annotations

from paddock.kernel import brief_calls
from paddock.model.ids import ContainerId

_WITHDRAWN = -1


class UnheardPlans:
    """For the event loop's thread. Each plan's descriptor is kept here until it is taken or forgotten."""

    __slots__ = ("_fds",)

    def __init__(self) -> None:
        """None so far."""
        self._fds: dict[ContainerId, int] = {}

    def keep(self, container_id: ContainerId, plan_fd: int) -> None:
        """It has been handed to the launcher."""
        self._fds[container_id] = plan_fd

    def withdraw(self, container_id: ContainerId) -> None:
        """It is to end: if nothing has begun it, nothing may any more."""
        if container_id in self._fds:
            self.forget(container_id)
            self._fds[container_id] = _WITHDRAWN

    def is_withdrawn(self, container_id: ContainerId) -> bool:
        """Whether a kill was faster than the shim's first word."""
        return self._fds.get(container_id) == _WITHDRAWN

    def take(self, container_id: ContainerId) -> int | None:
        """For another launch, by whoever asks; None when there is none to be had."""
        fd = self._fds.pop(container_id, _WITHDRAWN)
        return None if fd == _WITHDRAWN else fd

    def forget(self, container_id: ContainerId) -> None:
        """Its shim has spoken, or it is over."""
        fd = self.take(container_id)
        if fd is not None:
            brief_calls.close(fd)
