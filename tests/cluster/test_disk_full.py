"""What people see of a daemon whose disk is full."""

from __future__ import annotations

import os
import re
import shutil
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


def test_an_agents_full_disk_is_shown_and_its_launch_refused_and_it_is_not_offered_until_there_is_room(
    agents_disk: tuple[Command, FullDisk],
) -> None:
    paddock, disk = agents_disk
    large = [f"--env=LARGE{number}={'x' * 100_000}" for number in range(9)]
    disk.fill()
    refused = paddock("run", "--name=large", *large, "--", "/bin/true")
    assert refused.returncode == 125, refused.stderr
    assert "dropped [master] agent_problem" in paddock.text("describe", paddock.task("large", "dropped"))
    assert b"the agent takes no new work: " in refused.stderr
    assert b"No space left on device" in refused.stderr
    wait_until(lambda: b"takes no new work" in paddock("agents").stderr, "the problem is not shown")
    shown = paddock("agents", "-o", "wide")
    assert b"No space left on device; make room, or repair the file system" in shown.stdout
    waiting = paddock.start("run", "--", "/bin/echo", "done")
    wait_until(
        lambda: b"agent_problem" in paddock("explain", "role", "*").stdout, "it is offered, or nobody says why not"
    )
    assert waiting.poll() is None
    disk.free()
    out, err = waiting.communicate(timeout=PATIENCE_S)
    assert (waiting.returncode, out) == (0, b"done\n"), err
    assert not paddock("agents").stderr


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
    finders = [paddock.start("run", "--", "/bin/true")]

    def is_found_out() -> bool:
        if finders[-1].poll() is not None:  # there was room for it in what the registry has
            finders.append(paddock.start("run", "--", "/bin/true"))
        return "nothing can be made durable" in paddock.host.masterd.log_tail()

    wait_until(is_found_out, "the full disk was not noticed")
    # Neither the one that finds it out waits for room, nor a later one.
    finders.append(paddock.start("run", "--", "/bin/true"))
    for finder in finders[-2:]:
        _, words = finder.communicate(timeout=PATIENCE_S)
        assert finder.returncode == 6, words
        assert b"masterd cannot make anything durable: " in words
        assert b"disk is full; make room" in words
    # What only asks is answered, and a kill goes through.
    assert task in paddock.text("ps", "-o", "name")
    assert paddock.text("logs", task) == "up\n"
    for verb in (("status",), ("explain", "role", "*"), ("explain", task)):
        said = paddock(*verb)
        assert said.returncode == 0, said.stderr
        assert b"the master promises nothing new: " in said.stdout + said.stderr, verb
    before = paddock("describe", task).stdout.decode()
    pid = int(re.search(r"pid (\d+) on the host", before)[1])  # type: ignore[index]
    killed = paddock("kill", task)
    assert killed.returncode == 0, killed.stderr
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the task was not killed")
    disk.free()
    sleeper.communicate(timeout=PATIENCE_S)
    assert paddock.task("sleeper", "killed") == task
    wait_until(lambda: paddock("run", "--", "/bin/true").returncode == 0, "it does not recover")
    assert b"promises nothing new" not in paddock("explain", "role", "*").stderr
