"""A TCP port of the loopback that nobody has, and that nobody gets who asks for any."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST = 20_000
"""Below are what daemons of a host listen on; tasks are given some from 31000 on."""
_END = 31_000
_found: set[int] = set()


def free_port() -> int:
    """Another one each time. The kernel gives no such number to a connection, nor to who binds port 0: it stays free."""
    kernels = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    # Hypothesis sows Python's own dice.
    dice = random.SystemRandom()
    while True:
        # (A host whose kernel takes from further below has none that are safe from it.)
        port = dice.randrange(_LOWEST, min(_END, kernels) if kernels > _LOWEST else _END)
        if port in _found:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _found.add(port)
        return port
