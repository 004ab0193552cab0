"""How late the event loop is: what every call and every heartbeat waits."""

from __future__ import annotations

import asyncio

from paddock.metrics.histogram import Histogram

INTERVAL_S = 1.0


async def measure_lag(lag_s: Histogram, interval_s: float = INTERVAL_S) -> None:
    """Once a second, until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + interval_s
        await asyncio.sleep(interval_s)
        lag_s.observe(max(loop.time() - due_s, 0.0))
