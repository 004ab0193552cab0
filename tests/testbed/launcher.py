"""The launcher of an agent's host: by its own word, because its shims bear its name and may be older."""

from __future__ import annotations

import re

from testbed.three_hosts import Testbed

LOG = "/var/lib/paddock/agentd/launcher.log"


def launcher_pid(testbed: Testbed, host: str) -> str:
    """Of the one that announced itself last, as numbers are on that host."""
    return str(re.findall(r"event=ready.*?pid=(\d+)", testbed.exec(host, "cat", LOG).stdout)[-1])


def kill_launcher(testbed: Testbed, host: str) -> None:
    """As the kernel does it when memory is short."""
    testbed.exec(host, "kill", "-KILL", launcher_pid(testbed, host))
