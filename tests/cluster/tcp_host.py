"""A cluster of one host whose daemons serve TCP beside their unix sockets; there, callers count as root."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.one_host import DIRECTORY_PREFIX, OneHost
from tests.ports import free_port

DAEMONS = ("masterd", "agentd")


@contextmanager
def one_host_over_tcp() -> Iterator[tuple[OneHost, dict[str, str]]]:
    """And the TCP address of each daemon."""
    directory = tempfile.mkdtemp(prefix=DIRECTORY_PREFIX)
    os.chmod(directory, 0o711)
    tcp = {name: f"127.0.0.1:{free_port()}" for name in DAEMONS}
    master, agent = ([f"--listen=unix:{directory}/{name}.sock,{tcp[name]}", "--tcp-uid=0"] for name in DAEMONS)
    host = OneHost(directory, agent_arguments=agent, master_arguments=master)
    try:
        host.start()
        yield host, tcp
    finally:
        host.stop()
