"""The one-host cluster's own promise: whatever went wrong, nothing is left."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
from pathlib import Path

import pytest

from paddock.model.errors import Unavailable
from testbed.one_host import OneHost
from testbed.our_processes import pids_naming
from tests.cluster.conftest import Command

pytestmark = pytest.mark.timeout(180)


def of_ours(agent_id: str) -> list[str]:
    return glob.glob(f"/sys/fs/cgroup/**/paddock-{agent_id}", recursive=True)


def test_a_start_that_fails_tells_why_and_leaves_nothing() -> None:
    host = OneHost.make(agent_arguments=["--isolation=filesystem/posix,no/such"])
    with pytest.raises(Unavailable, match=r"(?s)agentd ended with code \d+.*no/such"):
        host.start()
    assert list(pids_naming(host.directory))
    host.stop()
    assert list(pids_naming(host.directory)) == []
    assert not os.path.exists(host.directory)


@pytest.mark.parametrize("kill_first", [(), ("agentd",), ("masterd", "agentd")], ids=["all well", "no agent", "nobody"])
def test_stopping_ends_tasks_too_whoever_is_dead(kill_first: tuple[str, ...]) -> None:
    host = OneHost.make()
    host.start()
    paddock = Command(host=host)
    running = paddock.start("run", "--name=stays", "--", "/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    try:
        paddock.task("stays", "running")
        assert of_ours(host.agent_id)
        for name in kill_first:
            daemon = host.agentd if name == "agentd" else host.masterd
            os.kill(daemon.pid, 9)
        # As `make run KEEP=1` says it: by another process than the one that started it.
        command = [sys.executable, "-m", "testbed.one_host", "stop", host.directory]
        stopped = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert stopped.returncode == 0, stopped.stderr
    finally:
        running.kill()
        running.communicate()
        host.agentd.stop()
        host.masterd.stop()
    try:
        assert list(pids_naming(host.directory)) == []
        assert of_ours(host.agent_id) == []
        assert not Path(host.directory).exists()
    finally:
        host.stop()
