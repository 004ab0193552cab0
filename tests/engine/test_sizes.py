"""Another size for a Docker task whose engine hangs just then: who asked is told in time, and it is so afterwards."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.engine import images
from testbed.engine.engine import PATIENCE_S, Engine
from tests.cluster.conftest import Command

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]

MIB = 1 << 20
NOT_TOLD = "it was not told again, or had not read it"


def in_force(paddock: Command, task: str, file: str) -> str:
    rows = json.loads(paddock.text("explain", task, "-o", "json"))["limits"]
    (found,) = [str(row["in_force"]) for row in rows if row["path"].endswith(f"/{file}")]
    return found


@pytest.mark.parametrize(
    "asked", [("--mem=32MiB",), ("--mem-limit=96MiB",), ("--cpus-limit=0.5",)], ids=["smaller", "larger", "quota"]
)
def test_a_size_that_a_hung_engine_has_not_taken_is_refused_in_time_and_not_taken_later(
    paddock: Command, hurt_engine: Engine, asked: tuple[str, ...]
) -> None:
    name = f"sized{asked[0].partition('=')[0]}-{asked[0].rpartition('=')[2]}"
    limits = ("--mem=48MiB", "--cpus-limit=0.25")
    words = ("run", f"--name={name}", f"--docker={images.BUSYBOX}", "--network=none", *limits, "--", "sleep", "1000")
    running = paddock.start(*words)
    task = paddock.task(name, "running")
    with images.client(hurt_engine) as api:
        (listed,) = api.containers(filters={"label": f"paddock.task-id={task}"})
        engine_id, doubt = listed["Id"], doubt_of(paddock, listed)
        earlier = api.inspect_container(engine_id)["HostConfig"]
        begun_s = time.time()
        hurt_engine.pause()
        done = paddock("update", task, *asked)
        took_s = time.time() - begun_s
        said = done.stderr.decode()
        assert done.returncode != 0
        assert "Docker engine at" in said, said
        assert "did not answer within 12 s; see whether `docker version` answers" in said, said
        assert "every earlier limit is in force; should the engine still apply" in said, said
        assert took_s < 30, said
        assert in_force(paddock, task, "memory.limit_in_bytes") == str(48 * MIB)
        assert in_force(paddock, task, "cpu.cfs_quota_us") == "25000"
        hurt_engine.resume()
        # It does what it has read; and then what it is told again.
        until(lambda: len(updates(hurt_engine, engine_id, since_s=begun_s)) >= 2, NOT_TOLD)
        until(lambda: not doubt.exists(), "it is still in doubt")
        found = api.inspect_container(engine_id)["HostConfig"]
    assert {key: found[key] for key in ("Memory", "MemorySwap", "CpuQuota")} == {
        "Memory": earlier["Memory"],
        "MemorySwap": earlier["MemorySwap"],
        "CpuQuota": earlier["CpuQuota"],
    }
    assert paddock("update", task, "--pids=44").returncode == 0, "it is asked as ever"
    paddock.text("kill", task)
    running.communicate(timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("is_refused", "end"),
    [(True, signal.SIGKILL), (False, signal.SIGTERM)],
    ids=["killed after the refusal", "ended before the answer"],
)
def test_a_size_that_a_hung_engine_has_not_answered_is_taken_back_by_the_next_agent(
    paddock: Command, hurt_engine: Engine, is_refused: bool, end: signal.Signals
) -> None:
    name = f"orphaned-{end.name.lower()}"
    what = ("--network=none", "--mem=48MiB", "--", "sleep", "1000")
    running = paddock.start("run", f"--name={name}", f"--docker={images.BUSYBOX}", *what)
    task = paddock.task(name, "running")
    with images.client(hurt_engine) as api:
        (listed,) = api.containers(filters={"label": f"paddock.task-id={task}"})
        limit = memory_limit(api.inspect_container(listed["Id"])["State"]["Pid"])
    doubt = doubt_of(paddock, listed)
    begun_s = time.time()
    hurt_engine.pause()
    asking = paddock.start("update", task, "--mem=32MiB")
    until(doubt.exists, "the engine was not asked")
    if is_refused:
        asking.wait(PATIENCE_S)
    paddock.host.agentd.send(end)
    paddock.host.agentd.stop()
    paddock.host.agentd.start()
    paddock.until_registered()
    _, said = asking.communicate(timeout=PATIENCE_S)
    assert asking.returncode != 0, said
    assert b"every earlier limit is in force" in said, said
    assert limit.read_text() == f"{48 * MIB}\n"
    hurt_engine.resume()
    until(lambda: len(updates(hurt_engine, listed["Id"], since_s=begun_s)) >= 2, NOT_TOLD)
    until(lambda: not doubt.exists(), "it is still in doubt")
    assert limit.read_text() == f"{48 * MIB}\n"
    assert in_force(paddock, task, "memory.limit_in_bytes") == str(48 * MIB)
    paddock.text("kill", task)
    running.communicate(timeout=PATIENCE_S)
    until(lambda: not any(doubt.parent.iterdir()), "something of it stays")


def doubt_of(paddock: Command, listed: dict[str, Any]) -> Path:
    """The agent's file of it."""
    return Path(paddock.host.directory, "agent/docker", f"{listed['Labels']['paddock.container-id']}.doubt")


def memory_limit(pid: int) -> Path:
    """The engine's own, of this process."""
    cgroups = dict(line.split(":")[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    return Path(f"/sys/fs/cgroup/memory{cgroups['memory']}/memory.limit_in_bytes")


def until(happened: Callable[[], bool], words: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline_s, words
        time.sleep(0.1)


def updates(engine: Engine, engine_id: str, *, since_s: float) -> list[object]:
    with images.client(engine) as api:
        filters = {"container": engine_id, "event": "update"}
        return list(api.events(since=int(since_s), until=int(time.time()) + 1, filters=filters))
