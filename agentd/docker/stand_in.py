"""Stands in, under a shim, for a container that the engine runs: starts it, carries its output, passes signals on, ends as it
ends.

`python -I -S -c "…; from agentd.docker.stand_in import main; main()" ORDER…`, one per container, in none of its cgroups. Its
output is the container's, so that the shim writes, rotates and counts it as any other; its exit status is the container's, so
that the shim's record tells of it. It needs neither agent nor launcher, and outlives a restart of the engine. What only it
can see is in its note: who the container's process is, and the last values of counters that vanish with the engine's cgroup.

It is to be there before the engine has created the container: until the start is asked for it imports next to nothing, and the
rest while the engine starts it.
"""

from __future__ import annotations

import os
import sys

from agentd.docker import plain_http
from agentd.docker.arrivals import Arrivals
from agentd.docker.stand_in_order import Order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agentd.docker.engine_life import EngineLife

START_TIMEOUT_S = 60.0
_RETRY_S = 0.2


class StandIn:
    """`run` once."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._arrivals = Arrivals()

    def run(self) -> int:
        """The wait status to end with."""
        engine_id = self._wait_for_go()
        if not engine_id:
            return self._arrivals.signals[0]
        asked = self._ask_to_start(engine_id)
        return _life()(self._order, engine_id, self._arrivals).run(asked)

    def _wait_for_go(self) -> str:
        """The engine's id; empty when the container is to end before it is there."""
        wake_fd = self._make_wake()
        while True:
            try:
                with open(self._order.go, "rb") as file:
                    return file.read().decode().strip()
            except FileNotFoundError:
                pass
            ready = self._arrivals.turn([] if wake_fd < 0 else [wake_fd], _RETRY_S)
            if wake_fd in ready:
                os.read(wake_fd, 16)
            elif not ready:
                # Whoever waits for long has the time; and Paddock may be upgraded under it.
                _life()
            if self._arrivals.signals:
                return ""

    def _make_wake(self) -> int:
        """Before the first look for the file: whoever writes that later finds this. -1: it is looked for now and then."""
        try:
            os.mkfifo(self._order.wake, 0o600)
        except OSError:
            # Perhaps that of an earlier try.
            pass
        try:
            return os.open(self._order.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return -1

    def _ask_to_start(self, engine_id: str) -> plain_http.Exchange | OSError:
        path = f"/v{self._order.api}/containers/{engine_id}/start"
        try:
            return plain_http.begin(self._order.socket, "POST", path, START_TIMEOUT_S)
        except OSError as error:
            return error


def _life() -> type[EngineLife]:
    from agentd.docker.engine_life import EngineLife  # noqa: PLC0415 - only now

    return EngineLife


def main() -> None:
    """Its life."""
    order = Order(sys.argv[1:])
    try:
        status = StandIn(order).run()
    except BrokenPipeError:
        # The shim is gone, and its sweep ends the container. The agent may have cleaned up before this was made.
        try:
            os.unlink(order.wake)
        except OSError:
            pass
        os._exit(1)
    from agentd.docker import ended_process  # noqa: PLC0415

    ended_process.end_as(status)
