"""`paddock drain` on a real cluster: tasks end with the reason, the state outlives the master, and is undone."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from testbed.one_host import OneHost
from tests.cluster.conftest import Background, Command

pytestmark = pytest.mark.timeout(180)

HOST = socket.gethostname()
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


@pytest.fixture(scope="module")
def cluster() -> Iterator[OneHost]:
    host = OneHost.make()
    try:
        host.start()
        yield host
    finally:
        host.stop()


def running(paddock: Command, name: str, line: str) -> Background:
    process = paddock.start("run", f"--name={name}", "--cpus=0.1", "--mem=32MiB", "--", "/bin/sh", "-c", line)
    return Background(process=process, task_id=paddock.task(name, "running"))


def wait_for_state(paddock: Command, state: str) -> None:
    deadline_s = time.monotonic() + 60
    while state not in paddock.text("agents").split():
        assert time.monotonic() < deadline_s, paddock.text("agents")
        time.sleep(0.05)


def test_from_a_drain_to_its_cancellation(paddock: Command, cluster: OneHost) -> None:
    task = running(paddock, "stubborn", STUBBORN)
    try:
        assert task.process.stdout is not None
        assert task.process.stdout.readline() == b"ready\n"
        assert paddock.text("drain", HOST, "--max-grace=200ms") == ""
        out, words = task.process.communicate(timeout=60)
    finally:
        task.end()
    assert (task.process.returncode, out) == (137, b"")
    assert b"who drains the agent" in words
    (status,) = [
        each
        for each in json.loads(paddock.text("inspect", task.task_id))["task"]["statuses"]
        if each["state"] == "TASK_KILLED"
    ]
    assert status["reason"] == "REASON_AGENT_DRAINING"
    assert re.search(
        r"root \(uid 0\), who drains the agent.*SIGTERM.*within its grace period.*200 ms", status["message"]
    )
    assert "who drains the agent" in paddock.text("describe", task.task_id)
    wait_for_state(paddock, "drained")
    cluster.masterd.send(signal.SIGKILL)
    cluster.masterd.stop()
    cluster.masterd.start()
    wait_for_state(paddock, "drained")
    assert json.loads(paddock.text("agents", "-o", "json"))[0]["drain"]["state"] == "DRAINED"
    refused = paddock("run", "--offer-timeout=1s", "--", "/bin/true")
    assert refused.returncode != 0, refused.stderr
    assert paddock.text("drain", cluster.agent_id[:6], "--cancel") == ""
    wait_for_state(paddock, "active")
    assert paddock("run", "--", "/bin/true").returncode == 0


def test_what_cannot_be_drained_is_said(paddock: Command) -> None:
    for words, said in (
        (("nowhere",), "nowhere"),
        ((HOST, "--cancel"), "not drained"),
        ((HOST, "--cancel", "--gone"), "--cancel"),
        ((HOST, "--max-grace=soon"), "--max-grace"),
        (("",), "AGENT"),
    ):
        done = paddock("drain", *words)
        assert done.returncode != 0
        assert said in done.stderr.decode(), done.stderr
        assert b"Traceback" not in done.stderr


def test_another_user_may_not_drain(paddock: Command) -> None:
    done = paddock("drain", HOST, user=65534, group=0)
    assert (done.returncode, done.stdout) == (5, b"")
    assert b"nobody (uid 65534) may not drain agents" in done.stderr
    assert json.loads(paddock.text("agents", "-o", "json"))[0].get("drain") is None


def test_an_operators_kill_is_told_as_the_operators(paddock: Command) -> None:
    task = running(paddock, "victim", "exec sleep 1000")
    try:
        paddock.text("kill", task.task_id)
        _, words = task.process.communicate(timeout=60)
    finally:
        task.end()
    assert b"on request of the operator root (uid 0)" in words
    assert "on request of the operator root (uid 0)" in paddock.text("describe", task.task_id)
