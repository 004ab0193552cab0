"""Whom the kernel has killed for memory on this host, by its log, of which each part is read once: some thousand messages take
6 ms of processor time, and a container that ends before its stand-in could look at it has its end looked up here.
"""

from __future__ import annotations

import os
import threading
from collections import deque

from paddock.kernel import kmsg
from paddock.kernel.kmsg import OomKill

KEPT_COUNT = 4096
"""Kills. The kernel itself keeps fewer messages."""


class OomLog:
    """For any thread."""

    def __init__(self) -> None:
        """Nothing is read before it is asked."""
        self._lock = threading.Lock()
        self._fd = -1
        self._kills: deque[OomKill] = deque(maxlen=KEPT_COUNT)

    def kills_in(self, memcg_path: str) -> tuple[OomKill, ...]:
        """In this memory cgroup and below it, in the log's order. Raises KernelError where it may not be read."""
        with self._lock:
            if self._fd < 0:
                self._fd = kmsg.open_log()
            found = (kmsg.parse_oom_kill(message) for message in kmsg.read_on(self._fd))
            self._kills.extend(kill for kill in found if kill is not None)
            return tuple(kill for kill in self._kills if kmsg.is_within(kill, memcg_path))

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
                self._kills.clear()
