"""Telling systemd: ready, stopping, what we do, and that the event loop still turns. Without systemd: nothing happens."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time

_log = logging.getLogger(__name__)
_US_PER_S = 1_000_000
_NS_PER_US = 1_000


class Readiness:
    """Speaks to $NOTIFY_SOCKET, read once here so that no child inherits it."""

    def __init__(self) -> None:
        """Takes the variables out of the environment."""
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        interval_us = os.environ.pop("WATCHDOG_USEC", "")
        meant_for = os.environ.pop("WATCHDOG_PID", "")
        for_us = meant_for in {"", str(os.getpid())}
        self._watchdog_s = int(interval_us) / _US_PER_S if interval_us.isdigit() and for_us else 0.0

    def ready(self, status: str) -> None:
        """Everything answers now. `status` is what `systemctl status` shows."""
        self._say(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """For `systemctl status`; one line."""
        self._say(f"STATUS={status}")

    def reloading(self) -> None:
        """Until the next `ready`."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // _NS_PER_US}")

    def stopping(self) -> None:
        """We were asked to end and are at it."""
        self._say("STOPPING=1")

    async def keep_watchdog(self) -> None:
        """Pings at half the interval, for ever; returns at once when systemd wants none. It runs on the loop on purpose:
        a loop that hangs does not ping.
        """
        if not self._watchdog_s:
            return
        while True:
            self._say("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / 2)

    def _say(self, words: str) -> None:
        if not self._address:
            return
        # A leading @ means Linux' abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.setblocking(False)
                notify.sendto(words.encode(), address)
        except OSError as error:
            _log.warning("systemd could not be told", extra={"socket": self._address, "error": str(error)})
