"""A disk on which every sync hangs: what is not durable is not told, and nothing else waits for it."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

import pytest

from agentd.containerizer import told_ends
from agentd.core import events
from paddock.kernel import cgroup_files
from paddock.launch import ending_list, waiting_list
from paddock.model.ids import AgentId
from testbed.our_processes import end_all
from tests.agentd_process import STOP_TIMEOUT_S, cgroup_points
from tests.contract.containerizer.subject import Subject, make
from tests.full_disk import hanging_disk


async def test_an_end_is_concluded_when_its_record_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the container's own list, on however slow a machine; its cgroups go, and the agent does its part, meanwhile. Whoever
    wants its end hears it again, and that it takes so long is said.
    """
    monkeypatch.setattr(waiting_list, "EAR_AFTER_NS", 600 * 10**9)
    monkeypatch.setattr(ending_list, "MOMENT_NS", 600 * 10**9)
    monkeypatch.setattr(told_ends, "LATE_S", 0.2)
    with tempfile.TemporaryDirectory(prefix="paddock-slow-disk-") as name, hanging_disk(Path(name)) as disk:
        subject = Subject(disk.path, AgentId(f"slow{os.getpid()}x{time.monotonic_ns()}"))
        subject.containerizer, thread = make(subject)
        await subject.containerizer.start()
        try:
            config, _ = await subject.started("/bin/sh", "-c", "until [ -e $PADDOCK_SANDBOX/go ]; do :; done")
            disk.hang()
            (Path(config.sandbox) / "go").touch()
            ended = await subject.ended()
            assert ended.record is not None
            assert ended.record.wait_status == 0
            assert subject.cgroups(config) == []
            subject.containerizer.conclude(config, ended.record, launched=True)
            subject.containerizer.kill(config.container_id, 15, 0)
            assert await subject.ended() == ended
            held = await subject.hear(events.Held, events.Concluded)
            assert isinstance(held, events.Held)
            assert "not on the disk yet" in held.what
            # As the core does with what is held.
            subject.containerizer.conclude(config, ended.record, launched=True)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await subject.hear(events.Concluded)
            disk.go_on()
            await subject.hear(events.Concluded)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await subject.hear(events.Concluded, events.Held)
        finally:
            disk.go_on()
            await subject.containerizer.stop()
            thread.close()
            end_all(str(disk.path), STOP_TIMEOUT_S)
            for point in cgroup_points():
                cgroup_files.remove(f"{point}/paddock-{subject.agent_id}", STOP_TIMEOUT_S)
