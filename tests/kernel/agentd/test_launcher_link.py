"""The agent's hold on its launcher: one that starts slowly is waited for, not doubled, and reaped when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
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


def test_a_launcher_that_ends_is_noticed_at_once(link: LauncherLink, tmp_path: Path) -> None:
    (tmp_path / "launcher.sock.lock").mkdir()
    begin_s = time.monotonic()
    with pytest.raises(ConfigError, match="ended with status"):
        link.ensure()
    assert time.monotonic() - begin_s < launcher_link.START_TIMEOUT_S * TIME_SCALE
