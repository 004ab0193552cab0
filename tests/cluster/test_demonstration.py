"""The demonstration: every row as expected, and every row red when its isolator or mechanism is switched off."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from examples.demonstration.__main__ import ROWS
from examples.demonstration.row import Row, Seen, carry_out
from examples.demonstration.session import Session, Wish, open_session
from isolators.table import DEFAULT_ISOLATION
from paddock.rpc.clients.agent import connect_agent
from testbed.one_host import DIRECTORY_PREFIX, OneHost

ROW = {row.number: row for row in ROWS}


def demonstrate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.demonstration", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


@pytest.mark.timeout(120)
def test_all_rows_are_as_expected_and_nothing_is_left() -> None:
    done = demonstrate()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 of 8 rows are as expected." in done.stdout
    assert done.stderr == ""
    (directory,) = set(re.findall(rf"/\S*{DIRECTORY_PREFIX}\w+", done.stdout.splitlines()[0]))
    assert not os.path.exists(directory)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("words", [[], ["--keep"]])
def test_nothing_is_left_when_nobody_reads_any_more(words: list[str]) -> None:
    command = [sys.executable, "-m", "examples.demonstration", "--only=1", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        running.stdout.close()
        assert running.wait(timeout=60) != 0
    (directory,) = re.findall(rf"/\S*{DIRECTORY_PREFIX}\w+", first)
    assert not os.path.exists(directory)


@pytest.mark.timeout(90)
def test_kept_it_says_what_to_try_and_stop_removes_it() -> None:
    done = demonstrate("--keep", "--only=1")
    assert done.returncode == 0, done.stdout + done.stderr
    words = done.stdout.partition("The cluster is up. Try:")[2]
    commands = [line.strip() for line in words.splitlines() if line.startswith("  ")]
    stop = commands.pop()
    directory = stop.split()[-1]
    try:
        script = "set -e\n" + "\n".join(commands)
        tried = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, check=False, timeout=60)
        assert tried.returncode == 0, tried.stderr
        assert "hello from sh-" in tried.stdout
        assert "memory" in tried.stdout
        assert os.path.isdir(directory)
    finally:
        stopped = subprocess.run(stop.split(), capture_output=True, text=True, check=False, timeout=60)
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (0, "", "")
    assert not os.path.exists(directory)


def test_rows_are_numbered_as_in_the_table() -> None:
    assert [row.number for row in ROWS] == [1, 2, 3, 4, 5, 6, 7, 8]


# --- red ---

Disturbance = Callable[[OneHost, Session], Awaitable[None]]


def seen_of(row: Row, *agent_arguments: str, disturbance: Disturbance | None = None, limit_s: float = 30) -> Seen:
    host = OneHost.make(agent_arguments=agent_arguments)
    try:
        host.start()
        return host.run(_seen(row, host, disturbance, limit_s))
    finally:
        host.stop()


async def _seen(row: Row, host: OneHost, disturbance: Disturbance | None, limit_s: float) -> Seen:
    async with open_session(host.master_address) as session:
        disturbing = None
        if disturbance is not None:
            disturbing = asyncio.ensure_future(disturbance(host, session))
        try:
            return await carry_out(row, session, limit_s=limit_s, end_limit_s=1)
        finally:
            host.agentd.resume()
            if disturbing is not None:
                disturbing.cancel()
                await asyncio.gather(disturbing, return_exceptions=True)


def without(*names: str) -> str:
    kept = [name for name in DEFAULT_ISOLATION.split(",") if name not in names]
    assert len(kept) == len(DEFAULT_ISOLATION.split(",")) - len(names)
    return f"--isolation={','.join(kept)}"


@pytest.mark.parametrize(
    ("number", "argument", "said"),
    [
        (2, without("cgroups/cpu"), "measures no CPU time"),
        (3, without("cgroups/mem"), "NOT: TASK_FAILED"),
        (4, without("cgroups/mem"), "NOT: the OOM kill"),
        (5, "--enforce-container-disk-quota=false", "NOT: TASK_FAILED"),
        (5, "--container-disk-watch-interval=4s", "NOT: interval of 1 s"),
        (6, without("cgroups/pids"), "NOT: held at the limit"),
        (7, without("namespaces/pid"), "NOT: a PID namespace of its own"),
    ],
)
@pytest.mark.timeout(90)
def test_a_row_is_red_without_its_isolator(number: int, argument: str, said: str) -> None:
    seen = seen_of(ROW[number], argument)
    assert not seen.as_expected, seen.text
    assert said in seen.text


async def stop_the_agent(host: OneHost, session: Session) -> None:
    await session.any_running()
    host.agentd.send(signal.SIGSTOP)


def test_row_1_is_red_when_nobody_carries_the_output() -> None:
    seen = seen_of(ROW[1], disturbance=stop_the_agent, limit_s=5)
    assert not seen.as_expected
    assert seen.text == "nothing conclusive within 5 s"


async def stop_the_shim(host: OneHost, session: Session) -> None:
    await session.any_running()
    async with connect_agent(host.agent_address) as agent:
        (container,) = await agent.list_containers()
    os.kill(container.shim_pid, signal.SIGSTOP)
    try:
        await asyncio.Event().wait()
    finally:
        os.kill(container.shim_pid, signal.SIGCONT)


async def follow_what_cannot_start(session: Session) -> Seen:
    task = await session.launch(Wish(name="absent", arguments=("/no/such/program",), cpus_milli=100, mem_mib=32))
    return Seen(text=repr(await task.read_all("result")), as_expected=True)


def test_a_row_whose_launch_fails_says_why() -> None:
    seen = seen_of(replace(ROW[1], act=follow_what_cannot_start))
    assert not seen.as_expected
    assert "has no result: " in seen.text
    assert "/no/such/program" in seen.text
    assert "ENOENT" in seen.text


def test_row_8_is_red_when_nobody_counts_the_grace_period() -> None:
    seen = seen_of(ROW[8], disturbance=stop_the_shim, limit_s=6)
    assert not seen.as_expected
    assert seen.text == "nothing conclusive within 6 s"
