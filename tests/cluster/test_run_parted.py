"""`paddock run` and a master that is out of reach for longer than it keeps the run's framework, which is not at all."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.rpc.clients.agent import connect_agent
from testbed.one_host import OneHost
from tests.cluster.conftest import Command

pytestmark = pytest.mark.timeout(180)

PATIENCE_S = 60
UNTIL_TOLD = 'echo one; until [ -e "$0" ]; do sleep 0.1; done; exit 7'


@pytest.fixture(scope="module")
def cluster() -> Iterator[OneHost]:
    """Its silence is noticed after about four seconds: a busy machine is silent for two by itself."""
    host = OneHost.make(master_arguments=["--heartbeat-interval=1200ms"])
    try:
        host.start()
        yield host
    finally:
        host.stop()


def begun(paddock: Command, *words: str) -> subprocess.Popen[bytes]:
    process = paddock.start("run", *words)
    assert process.stdout is not None
    assert process.stdout.readline() == b"one\n"
    return process


def part(paddock: Command, process: subprocess.Popen[bytes]) -> None:
    """Until it is noticed."""
    paddock.host.masterd.send(signal.SIGSTOP)
    assert process.stderr is not None
    while b"silent for" not in (line := process.stderr.readline()):
        assert line, "it ended without a word"


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Its code, and what it said since."""
    _, words = process.communicate(timeout=PATIENCE_S)
    return process.returncode, words.decode()


async def end_of(agent_address: str, container_id: str) -> None:
    async with connect_agent(agent_address) as agent:
        await agent.wait_container(container_id, timeout_s=PATIENCE_S)


@pytest.fixture(autouse=True)
def reachable(paddock: Command) -> Iterator[None]:
    """Again, whatever a test did."""
    yield
    paddock.host.masterd.resume()
    paddock.until_registered()


def test_its_task_is_killed_and_that_is_its_end(paddock: Command) -> None:
    process = begun(paddock, "--", "/bin/sh", "-c", "echo one; exec sleep 1000")
    part(paddock, process)
    paddock.host.masterd.resume()
    code, words = ended(process)
    assert code == 128 + signal.SIGTERM, words
    # A machine that stands still has it told once more that the master is silent.
    told = [line for line in words.splitlines() if "silent for" not in line]
    assert "the master has ended this run, which was out of reach" in told[0], words
    assert "because the framework has ended" in told[-1], words


def test_a_task_that_ended_meanwhile_keeps_its_own_end(paddock: Command, tmp_path: Path) -> None:
    process = begun(paddock, "--name=meanwhile", "--", "/bin/sh", "-c", UNTIL_TOLD, f"{tmp_path}/go")
    (task,) = json.loads(paddock.text("ps", "-o", "json"))
    part(paddock, process)
    (tmp_path / "go").touch()
    paddock.host.run(end_of(paddock.host.agent_address, task["container_id"]))
    paddock.host.masterd.resume()
    code, words = ended(process)
    assert code == 7, words


def test_ctrl_c_gives_it_up_and_the_master_kills_the_task_when_it_is_back(paddock: Command) -> None:
    process = begun(paddock, "--name=given-up", "--", "/bin/sh", "-c", "echo one; exec sleep 1000")
    part(paddock, process)
    process.send_signal(signal.SIGINT)
    code, words = ended(process)
    assert (code, "given up; the master is out of reach" in words) == (130, True), words
    paddock.host.masterd.resume()
    paddock.task("given-up", "killed")


def test_without_a_task_nothing_is_lost(paddock: Command) -> None:
    process = paddock.start("run", "--cpus=5000", "--", "/bin/true")
    assert process.stderr is not None
    waiting = process.stderr.readline()
    assert b"waiting for an offer" in waiting
    assert b"; `paddock explain role '*'` says why" in waiting
    part(paddock, process)
    paddock.host.masterd.resume()
    code, words = ended(process)
    assert (code, "before anything was launched" in words) == (6, True), words


def test_a_framework_that_an_operator_tears_down_ends_its_run_with_the_tasks_end(paddock: Command) -> None:
    process = begun(paddock, "--", "/bin/sh", "-c", "echo one; exec sleep 1000")
    (framework,) = json.loads(paddock.text("frameworks", "-o", "json"))
    assert paddock("teardown", framework["info"]["framework_id"]).returncode == 0
    code, words = ended(process)
    assert (code, "torn down" in words) == (128 + signal.SIGTERM, True), words
