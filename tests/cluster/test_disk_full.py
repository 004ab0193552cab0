"""What people see of a daemon whose disk is full."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.one_host import OneHost
from tests.cluster.conftest import Command
from tests.full_disk import FullDisk, full_disk

PATIENCE_S = 60


@contextmanager
def cluster_on_small_disk(daemon: str) -> Iterator[tuple[Command, FullDisk]]:
    """`daemon`: agent or master, whose state is on that disk."""
    host = OneHost.make()
    with full_disk("write", Path(host.directory)) as disk:
        argument = (f"--state-dir={disk.path}/{daemon}",)
        host = OneHost(
            host.directory,
            agent_arguments=argument if daemon == "agent" else (),
            master_arguments=argument if daemon == "master" else (),
        )
        os.symlink(disk.path / daemon, f"{host.directory}/{daemon}")
        try:
            host.start()
            yield Command(host=host), disk
        finally:
            disk.free()
            host.stop()
    shutil.rmtree(host.directory, ignore_errors=True)


def wait_until(holds: Callable[[], bool], words: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, words
        time.sleep(0.05)


@pytest.fixture(scope="module")
def agents_disk() -> Iterator[tuple[Command, FullDisk]]:
    with cluster_on_small_disk("agent") as made:
        yield made


def test_an_agents_full_disk_is_shown_and_named_where_a_launch_is_refused(
    agents_disk: tuple[Command, FullDisk],
) -> None:
    paddock, disk = agents_disk
    large = [f"--env=LARGE{number}={'x' * 100_000}" for number in range(9)]
    disk.fill()
    # What finds it out was admitted, and waits.
    first = paddock.start("run", *large, "--name=first", "--", "/bin/sh", "-c", "echo done")
    wait_until(lambda: b"takes no new work" in paddock("agents").stderr, "the problem is not shown")
    shown = paddock("agents", "-o", "wide")
    assert b"No space left on device; make room, or repair the file system" in shown.stdout
    refused = paddock("run", "--", "/bin/true")
    assert refused.returncode == 125, refused.stderr
    assert b"the agent takes no new work: " in refused.stderr
    assert b"No space left on device" in refused.stderr
    disk.free()
    out, err = first.communicate(timeout=PATIENCE_S)
    assert (first.returncode, out) == (0, b"done\n"), err
    wait_until(lambda: not paddock("agents").stderr, "the problem does not go")
    assert paddock.text("run", "--", "/bin/echo", "again") == "again\n"


@pytest.fixture(scope="module")
def masters_disk() -> Iterator[tuple[Command, FullDisk]]:
    with cluster_on_small_disk("master") as made:
        yield made


def test_a_masters_full_disk_refuses_what_is_new_and_keeps_what_there_is(
    masters_disk: tuple[Command, FullDisk],
) -> None:
    paddock, disk = masters_disk
    sleeper = paddock.start("run", "--name=sleeper", "--", "/bin/sh", "-c", "echo up; exec sleep 1000")
    task = paddock.task("sleeper", "running")
    disk.fill()
    # Subscriptions are made durable: some few may still find room in what the registry has.
    refused: list[bytes] = []

    def is_refused() -> bool:
        try:
            done = paddock("run", "--offer-timeout=1s", "--", "/bin/true", timeout_s=4)
        except subprocess.TimeoutExpired:
            return False  # the one that finds it out was admitted, and waits
        refused.append(done.stderr)
        return b"masterd cannot make anything durable" in done.stderr

    wait_until(is_refused, f"nobody was refused: {refused}")
    assert b"disk is full; make room" in refused[-1]
    # What only asks is answered, and a kill goes through.
    assert task in paddock.text("ps", "-o", "name")
    assert paddock.text("logs", task) == "up\n"
    before = paddock("describe", task).stdout.decode()
    pid = int(re.search(r"pid (\d+) on the host", before)[1])  # type: ignore[index]
    killing = paddock.start("kill", task)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the task was not killed")
    disk.free()
    sleeper.communicate(timeout=PATIENCE_S)
    killing.communicate(timeout=PATIENCE_S)
    assert paddock.task("sleeper", "killed") == task
    wait_until(lambda: paddock("run", "--", "/bin/true").returncode == 0, "it does not recover")
