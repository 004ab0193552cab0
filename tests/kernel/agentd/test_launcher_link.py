"""The agent's hold on its launcher: one that starts slowly is waited for, not doubled, and reaped when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.containerizer import launcher_link
from agentd.containerizer.launcher_link import LauncherLink
from agentd.containerizer.launcher_process import LauncherCommand
from paddock.model.errors import ConfigError
from testbed.our_processes import end_all
from tests.agentd_process import STOP_TIMEOUT_S, TIME_SCALE
from tests.children import children_of

ROOT = Path(__file__).resolve().parents[3]

# The same code on both versions of cgroups.
pytestmark = pytest.mark.no_cgroups


@pytest.fixture
def link(tmp_path: Path) -> Iterator[LauncherLink]:
    command = LauncherCommand(
        socket_path=f"{tmp_path}/launcher.sock",
        agent_id="link-test",
        cgroup_roots=(),
        log_path=f"{tmp_path}/launcher.log",
        use_systemd=False,
    )
    made = LauncherLink(command)
    before = children_of(os.getpid())  # a session's engine among them
    try:
        yield made
    finally:
        end_all(str(tmp_path), STOP_TIMEOUT_S)
        for pid in children_of(os.getpid()) - before:
            os.waitpid(pid, 0)


async def test_a_slow_start_is_waited_for_and_its_launcher_reaped(
    link: LauncherLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children_of(os.getpid())
    with monkeypatch.context() as impatient:
        impatient.setattr(launcher_link, "START_TIMEOUT_S", 0.0)
        with pytest.raises(ConfigError, match="did not listen within 0 s"):
            link.ensure()
    (first,) = children_of(os.getpid()) - before
    await link.start()
    try:
        assert children_of(os.getpid()) - before == {first}, "it was on its way: another one is not started"
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(20 * TIME_SCALE):
            while first in children_of(os.getpid()) or link._connection is None:
                await asyncio.sleep(0.01)
        assert len(children_of(os.getpid()) - before) == 1
    finally:
        link.close()


STANDS_STILL = """
import os, signal
from paddock.launch import launcher, warming

def rehearse(*given, whole=warming.rehearse):
    os.kill(os.getpid(), signal.SIGSTOP)
    whole(*given)

warming.rehearse = rehearse
launcher.main()
"""


@pytest.fixture
def anothers(link: LauncherLink) -> Iterator[int]:
    """A launcher that an agent has started which is no more; it stands still with the lock, before it listens."""
    command = link._command
    words = ["--socket", command.socket_path, "--agent-id", command.agent_id]
    started = subprocess.Popen(
        [sys.executable, "-c", STANDS_STILL, *words], cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        os.waitid(os.P_PID, started.pid, os.WSTOPPED)
        yield started.pid
    finally:
        started.kill()
        started.wait()


async def find_the_other(link: LauncherLink) -> asyncio.Task[None]:
    """It waits for it: it has started one of its own, which has found the lock taken."""
    finding = asyncio.create_task(link.start())
    log = Path(link._command.log_path)
    async with asyncio.timeout(20 * TIME_SCALE):
        while not log.exists() or "a launcher runs on this socket" not in log.read_text(encoding="utf-8"):
            await asyncio.sleep(0.01)
    assert not finding.done()
    return finding


async def test_one_that_a_dead_agent_has_started_is_waited_for(link: LauncherLink, anothers: int) -> None:
    before = children_of(os.getpid())
    finding = await find_the_other(link)
    os.kill(anothers, signal.SIGCONT)
    async with asyncio.timeout(20 * TIME_SCALE):
        await finding
    assert children_of(os.getpid()) == before, "its own is ended and reaped"
    link.close()


async def test_one_that_a_dead_agent_has_started_and_that_dies_before_it_serves_is_replaced(
    link: LauncherLink, anothers: int
) -> None:
    finding = await find_the_other(link)
    os.kill(anothers, signal.SIGKILL)
    async with asyncio.timeout(20 * TIME_SCALE):
        await finding
    link.close()


def test_a_launcher_that_ends_is_noticed_at_once(link: LauncherLink, tmp_path: Path) -> None:
    (tmp_path / "launcher.sock.lock").mkdir()
    begin_s = time.monotonic()
    with pytest.raises(ConfigError, match="ended with status"):
        link.ensure()
    assert time.monotonic() - begin_s < launcher_link.START_TIMEOUT_S * TIME_SCALE
