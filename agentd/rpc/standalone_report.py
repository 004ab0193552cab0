"""What standalone containers use, told to the master: a change at once, of many quick ones the newest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentd.core.effects import SendStandalone

PAUSE_S = 0.02
"""Between two reports. A short life changes the sum twice, and a report costs both daemons about what its own call costs."""


class StandaloneReport:
    """One connection's. A report says all of it, so an older one that was not sent yet is worth nothing."""

    def __init__(self, send: Callable[[SendStandalone], None]) -> None:
        """The master has been told nothing but the registration."""
        self._send = send
        self._newest: SendStandalone | None = None
        self._told: SendStandalone | None = None
        self._pause: asyncio.TimerHandle | None = None

    def tell(self, message: SendStandalone) -> None:
        """At once, or at the end of the pause after the last one."""
        self._newest = message
        if self._pause is None:
            self._tell_newest()

    def stop(self) -> None:
        """What was not sent is lost: the next registration says it."""
        if self._pause is not None:
            self._pause.cancel()

    def _tell_newest(self) -> None:
        self._pause = None
        if self._newest is None:
            return
        if self._newest != self._told:
            self._told = self._newest
            self._send(self._newest)
            self._pause = asyncio.get_running_loop().call_later(PAUSE_S, self._tell_newest)
        self._newest = None
