"""What standalone containers use, told to the master: the newest, soon after a change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentd.core.effects import SendStandalone

DELAY_S = 0.05
"""From a change to its report. A short life changes the sum and changes it back: that is no report, which would cost both
daemons about what its own call costs. What is offered too much meanwhile is refused here.
"""


class StandaloneReport:
    """One connection's. A report says all of it, so an older one that was not sent yet is worth nothing."""

    def __init__(self, send: Callable[[SendStandalone], None]) -> None:
        """The master has been told nothing but the registration."""
        self._send = send
        self._told: SendStandalone | None = None
        self._newest: SendStandalone | None = None
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, message: SendStandalone) -> None:
        """With what else changes until the delay is over."""
        self._newest = message
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY_S, self._tell_newest)

    def stop(self) -> None:
        """What was not sent is lost: the next registration says it."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell_newest(self) -> None:
        self._timer = None
        if self._newest is not None and self._newest != self._told:
            self._told = self._newest
            self._send(self._newest)
