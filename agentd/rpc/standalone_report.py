"""What standalone containers use, told to the master: a change at once, of many quick ones the newest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentd.core.effects import SendStandalone

PAUSE_S = 0.05
"""Between two reports. A short life changes the sum twice, and a report costs both daemons about what its own call costs."""


class StandaloneReport:
    """One connection's. A report says all of it, so an older one that was not sent yet is worth nothing."""

    def __init__(self, send: Callable[[SendStandalone], None]) -> None:
        """The master has been told nothing but the registration."""
        self._send = send
        self._told: SendStandalone | None = None
        self._newest: SendStandalone | None = None
        self._next_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, message: SendStandalone) -> None:
        """At once, or at the end of the pause after the last one."""
        self._newest = message
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next_s:
            self._tell_newest()
        else:
            self._timer = loop.call_at(self._next_s, self._tell_newest)

    def stop(self) -> None:
        """What was not sent is lost: the next registration says it."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell_newest(self) -> None:
        self._timer = None
        if self._newest is not None and self._newest != self._told:
            self._told = self._newest
            self._next_s = asyncio.get_running_loop().time() + PAUSE_S
            self._send(self._newest)
