"""SIGHUP to a real agentd: what needs no restart is in force, what does is named, and tasks notice nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agentd_process import AgentdProcess, running_agentd
from tests.kernel.agentd.calling import RUNNING, calling, shell
from tests.kernel.agentd.test_gc import until

pytestmark = pytest.mark.no_cgroups


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agentd.toml"
    path.write_text('log_level = "info"\n', encoding="utf-8")
    return path


@pytest.fixture
def reloaded_agentd(file: Path) -> Iterator[AgentdProcess]:
    with running_agentd(f"--config={file}") as agentd:
        yield agentd


async def test_old_sandboxes_go_and_lines_come_without_a_restart(reloaded_agentd: AgentdProcess, file: Path) -> None:
    agentd = reloaded_agentd
    async with calling(agentd.address) as agent:
        running = await agent.launch(shell("exec sleep 1000"), until=RUNNING)
        ended = await agent.launch(shell("true"))
        await agent.wait(ended)
        assert os.path.exists(ended.sandbox), "a week is the default"
        file.write_text('log_level = "debug"\ngc_delay = "0s"\nattributes = "rack:r2"\n', encoding="utf-8")
        os.kill(agentd.pid, signal.SIGHUP)
        await until(lambda: not os.path.exists(ended.sandbox), "it stays")
        await until(lambda: "changed=gc_delay,log_level needs_restart=attributes" in agentd.log, agentd.log)
        file.write_text("log_level = 7\nno_such_setting = 1\n", encoding="utf-8")
        os.kill(agentd.pid, signal.SIGHUP)
        await until(lambda: "configuration is refused; nothing changed" in agentd.log, agentd.log)
        assert "no_such_setting" in agentd.log
        assert (await agent.get(running)).pid == running.pid
        await agent.kill(running, grace_ms=0)
        await agent.wait(running)

    def tells(*words: str) -> bool:
        words = (*words, f"container_id={running.container_id.value}")
        return any(all(word in line for word in words) for line in agentd.log.splitlines())

    # Whoever waits for it is told before the log is.
    await until(lambda: tells('message="container has ended"', "end=killed"), agentd.log)
    assert tells("container runs")
    assert "level=debug" in agentd.log
