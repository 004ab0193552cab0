"""Each test here runs once for each containerizer."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paddock.kernel import cgroup_files
from paddock.model.ids import AgentId
from testbed.our_processes import end_all
from tests.agentd_process import STOP_TIMEOUT_S, cgroup_points
from tests.contract.containerizer.subject import Subject, make


@pytest.fixture(params=["native", pytest.param("docker", marks=pytest.mark.no_cgroups)])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    with tempfile.TemporaryDirectory(prefix="paddock-contract-") as path:
        directory = Path(path)
        directory.chmod(0o711)
        # Never one that was: the kernel's log tells of cgroups by their names.
        made = Subject(directory, AgentId(f"contract{os.getpid()}x{time.monotonic_ns()}"))
        if request.param == "docker":
            made.engine = request.getfixturevalue("engine")
        made.containerizer, thread = make(made)
        await made.containerizer.start()
        await made.containerizer.recover(())
        yield made
        await made.containerizer.stop()
        thread.close()
        end_all(path, STOP_TIMEOUT_S)
        for point in cgroup_points():
            cgroup_files.remove(f"{point}/paddock-{made.agent_id}", STOP_TIMEOUT_S)
