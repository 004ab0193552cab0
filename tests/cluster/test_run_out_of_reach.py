"""`paddock run` when its agent falls silent: the task may go on, so it is waited for."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.one_host import OneHost
from tests.cluster.conftest import Command

pytestmark = pytest.mark.timeout(180)

SCRIPT = 'echo one; until [ -e "$0" ]; do sleep 0.1; done; echo two; exit 7'


@pytest.fixture(scope="module")
def cluster() -> Iterator[OneHost]:
    """A master that soon calls a silent agent unreachable."""
    host = OneHost.make(master_arguments=["--agent-ping-timeout=1s", "--max-agent-ping-timeouts=2"])
    try:
        host.start()
        yield host
    finally:
        host.stop()


class Run:
    """Under way, with its agent stopped; its words are read as they come."""

    def __init__(self, paddock: Command, *words: str) -> None:
        self.process = paddock.start("run", *words)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"one\n"
        paddock.host.agentd.send(signal.SIGSTOP)
        self.said = self.until(b"out of reach since")

    def until(self, words: bytes) -> bytes:
        """The line with them."""
        assert self.process.stderr is not None
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        try:
            said = b""
            for line in self.process.stderr:
                said += line
                if words in line:
                    return line
            raise AssertionError(f"{words!r} was never said, but {said!r}")
        finally:
            watchdog.cancel()


def test_it_goes_on_when_its_agent_is_back(paddock: Command, tmp_path: Path) -> None:
    run = Run(paddock, "--", "/bin/sh", "-c", SCRIPT, f"{tmp_path}/go")
    assert re.match(rb"paddock run: agent \S+ is out of reach since \d\d:\d\d:\d\d; the task may go on there", run.said)
    paddock.host.agentd.resume()
    run.until(b"is back, and the task has gone on")
    (tmp_path / "go").touch()
    rest, words = run.process.communicate(timeout=60)
    assert (rest, run.process.returncode) == (b"two\n", 7), words


def test_ctrl_c_gives_it_up_and_its_task_ends_when_its_agent_is_back(paddock: Command, tmp_path: Path) -> None:
    run = Run(paddock, "--name=given-up", "--", "/bin/sh", "-c", SCRIPT, f"{tmp_path}/go")
    run.process.send_signal(signal.SIGINT)
    _, words = run.process.communicate(timeout=60)
    assert run.process.returncode == 130
    assert b"given up; the task is killed when agent" in words
    assert runs(f"{tmp_path}/go")
    paddock.host.agentd.resume()
    deadline_s = time.monotonic() + 60
    while runs(f"{tmp_path}/go"):
        assert time.monotonic() < deadline_s, paddock.text("ps", "-a", "-o", "wide")
        time.sleep(0.05)


def test_an_agent_that_an_operator_gives_up_ends_it(paddock: Command, tmp_path: Path) -> None:
    """The last one: this agent never comes back."""
    run = Run(paddock, "--", "/bin/sh", "-c", SCRIPT, f"{tmp_path}/go")
    assert paddock("gone", paddock.host.agent_id).returncode == 0
    _, words = run.process.communicate(timeout=60)
    assert run.process.returncode == 125
    assert b"is gone" in words


def runs(word: str) -> bool:
    """Whether a process has it in its command."""
    return subprocess.run(["pgrep", "-f", word], check=False, stdout=subprocess.DEVNULL).returncode == 0
