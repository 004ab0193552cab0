"""What can be done with a task while it runs, with the `paddock` command: another size, a look at it."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import time
from collections.abc import Iterator

import pytest

from paddock.rpc.channel import open_channel
from paddock.wire.v1 import container_service_pb2 as pb
from paddock.wire.v1 import containers_pb2, tasks_pb2
from paddock.wire.v1.container_service_pb2_grpc import ContainerServiceStub
from paddock.wire.v1.resources_pb2 import Resource
from testbed.one_host import OneHost
from tests.cluster.conftest import Background, Command

pytestmark = pytest.mark.timeout(180)

NOBODY = 65534


def in_force(paddock: Command, task_id: str) -> dict[str, str]:
    rows = json.loads(paddock.text("explain", task_id, "-o", "json"))["limits"]
    return {row["path"].rpartition("/")[2]: row["in_force"] for row in rows}


def test_a_tasks_limits_go_up_and_down(paddock: Command, sleeper: Background) -> None:
    said = paddock.text("update", sleeper.task_id[:-2], "--pids=77", "--mem-limit=96MiB", "--cpus-limit=1")
    assert "pids.max" in said
    after = in_force(paddock, sleeper.task_id)
    assert after["pids.max"] == "77"
    assert after.get("memory.limit_in_bytes", after.get("memory.max")) == str(96 * 2**20)
    assert after.get("cpu.cfs_quota_us") == "100000" or after["cpu.max"] == "100000 100000"
    paddock.text("update", sleeper.task_id, "--pids=50", "--mem-limit=48MiB", "--cpus-limit=none")
    after = in_force(paddock, sleeper.task_id)
    assert after["pids.max"] == "50"
    assert after.get("memory.limit_in_bytes", after.get("memory.max")) == str(48 * 2**20)


def used(paddock: Command) -> dict[str, str]:
    """By the master's accounts."""
    (agent,) = json.loads(paddock.text("agents", "-o", "json"))
    return {each["name"]: each["scalar_milli"] for each in agent["used"]}


def test_what_a_task_holds_changes_in_its_masters_accounts_and_in_the_kernel(
    paddock: Command, sleeper: Background
) -> None:
    before, used_before = in_force(paddock, sleeper.task_id), used(paddock)
    said = paddock.text("update", sleeper.task_id, "--cpus=0.7", "--mem=96MiB", "--disk=64MiB")
    assert str(96 * 2**20) in said
    after = in_force(paddock, sleeper.task_id)
    assert after.get("memory.limit_in_bytes", after.get("memory.max")) == str(96 * 2**20)
    assert used(paddock) == {"cpus": "700", "mem": "96000", "disk": "64000"}
    described = paddock.text("describe", sleeper.task_id)
    assert "cpus:0.7" in described
    assert "REASON_TASK_RESIZED" in described or "task_resized" in described.lower()
    # What is only tried says the same, and changes nothing.
    tried = paddock("update", sleeper.task_id, "--dry-run", "--cpus=0.9", "--pids=60")
    assert (tried.returncode, tried.stdout) == (0, b"")
    assert b"nothing was changed" in tried.stderr
    for words in (("--cpus=100000",), ("--mem-limit=32MiB",)):
        tried, done = (
            paddock("update", sleeper.task_id, "--dry-run", *words),
            paddock("update", sleeper.task_id, *words),
        )
        assert (tried.returncode, tried.stderr) == (done.returncode, done.stderr)
        assert tried.returncode != 0
    assert (in_force(paddock, sleeper.task_id), used(paddock)["cpus"]) == (after, "700")
    # More than there is, and what is no amount of a running task.
    done = paddock("update", sleeper.task_id, "--cpus=100000")
    assert done.returncode != 0
    assert b"more was asked for" in done.stderr
    assert in_force(paddock, sleeper.task_id) == after
    # Below what the limits say comes back whole.
    paddock.text("update", sleeper.task_id, *(f"--{name}={int(milli) / 1000}" for name, milli in used_before.items()))
    assert {name: value for name, value in in_force(paddock, sleeper.task_id).items() if name in before} == before
    done = paddock("update", sleeper.task_id, "--mem-limit=32MiB")
    assert done.returncode == 2
    assert b"not below" in done.stderr or b"not be" in done.stderr or b"below" in done.stderr
    # What was asked for in the beginning limits nothing any more, once it has been raised: not even a moment later.
    together = ("--mem=80MiB", "--mem-limit=80MiB")
    paddock.text("update", sleeper.task_id, "--mem-limit=64MiB")
    done = paddock("update", sleeper.task_id, "--mem=80MiB")
    assert (done.returncode, b"raise the limit first" in done.stderr) == (2, True)
    tried = paddock("update", sleeper.task_id, "--dry-run", *together)
    assert (tried.returncode, b"nothing was changed" in tried.stderr) == (0, True), tried.stderr
    paddock.text("update", sleeper.task_id, *together)
    paddock.text("update", sleeper.task_id, "--mem-limit=96MiB")
    assert used(paddock)["mem"] == "80000"


@pytest.fixture
def standalone(cluster: OneHost) -> Iterator[str]:
    """A container that an operator launched."""
    name = f"standing-{secrets.token_hex(4)}"

    async def call(launched: bool) -> str:
        async with open_channel(cluster.agent_address) as channel:
            stub = ContainerServiceStub(channel)
            container_id = containers_pb2.ContainerId(value=name)
            if not launched:
                await stub.KillContainer(pb.KillContainerRequest(container_id=container_id))
                await stub.WaitContainer(pb.WaitContainerRequest(container_id=container_id), timeout=30)
                return ""
            await stub.LaunchContainer(
                pb.LaunchContainerRequest(
                    container_id=container_id,
                    command=tasks_pb2.CommandInfo(arguments=["/bin/sleep", "1000"]),
                    resources=[Resource(name="cpus", scalar_milli=100), Resource(name="mem", scalar_milli=64_000)],
                    wait_until=pb.WAIT_UNTIL_RUNNING,
                    health_check=tasks_pb2.CheckInfo(command="true", delay_ms=0, interval_ms=100),
                )
            )
            return container_id.value

    yield asyncio.run(call(launched=True))
    asyncio.run(call(launched=False))


def agents(paddock: Command) -> list[dict[str, dict[str, str]]]:
    found: list[dict[str, dict[str, str]]] = json.loads(paddock.text("agents", "-o", "json"))
    return found


def test_an_operators_container_is_described_with_its_health(paddock: Command, standalone: str) -> None:
    agent_id = agents(paddock)[0]["info"]["agent_id"]
    deadline_s = time.monotonic() + 60
    while "Health:       healthy; command 'true'" not in (
        told := paddock.text("describe", standalone, f"--agent={agent_id}")
    ):
        assert time.monotonic() < deadline_s, told
    assert f"Container:    {standalone}, running" in told
    assert "Health check: command 'true': exit code 0" in told


def test_an_operators_container_grows_and_the_master_counts_it(paddock: Command, standalone: str) -> None:
    agent_id = agents(paddock)[0]["info"]["agent_id"]
    paddock.text("update", standalone, f"--agent={agent_id}", "--cpus=0.3", "--mem=96MiB")
    wanted = {"cpus": "300", "mem": "96000"}
    held: dict[str, str] = {}
    deadline_s = time.monotonic() + 60
    while held != wanted and time.monotonic() < deadline_s:
        (agent,) = json.loads(paddock.text("agents", "-o", "json"))
        held = {each["name"]: each.get("scalar_milli") for each in agent.get("standalone", [])}
    assert held == wanted
    done = paddock("update", standalone, f"--agent={agent_id}", "--cpus=100000")
    assert done.returncode == 4, done.stderr
    assert b"is free here" in done.stderr
    done = paddock("update", standalone, "--agent=nobody", "--cpus=1")
    assert done.returncode == 3


def test_a_drain_leaves_an_operators_container_alone_and_says_so(paddock: Command, standalone: str) -> None:
    agent_id = agents(paddock)[0]["info"]["agent_id"]
    try:
        for words in (("--dry-run",), ()):
            done = paddock("drain", agent_id, *words)
            assert (done.returncode, done.stdout) == (0, b"")
            assert (
                b"operators' own containers there go on, with cpus:0.1;mem:64; end them by `paddock kill" in done.stderr
            )
        deadline_s = time.monotonic() + 60
        while "drained" not in paddock.text("agents").split():
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        assert "running" in paddock.text("describe", standalone, "--agent", agent_id).lower()
    finally:
        paddock.text("drain", agent_id, "--cancel")


def test_a_health_check_is_told_and_a_task_that_stays_ill_is_killed(paddock: Command) -> None:
    quick = ("--health-delay=0", "--health-interval=200ms", "--health-grace=0")
    script = "trap 'exit 0' TERM; touch ok begun; while [ ! -e done ]; do sleep 0.05; done; rm ok; while :; do sleep 0.05; done"
    process = paddock.start(
        "run",
        "--name=ill",
        "--health-cmd=until test -e begun; do sleep 0.05; done; test -e ok || { echo it is gone; exit 5; }",
        *quick,
        "--check-cmd=test ! -e done || exit 6",
        "--check-delay=0",
        "--check-interval=100ms",
        "--",
        "/bin/sh",
        "-c",
        script,
    )
    background = Background(process=process, task_id=paddock.task("ill", "running"))
    try:
        deadline_s = time.monotonic() + 60
        while "Health:       healthy; command" not in (told := paddock.text("describe", background.task_id)):
            assert time.monotonic() < deadline_s, told
        while "Check:        exit code 0; command" not in (told := paddock.text("explain", background.task_id)):
            assert time.monotonic() < deadline_s, told
        paddock.text("exec", background.task_id, "--", "/usr/bin/touch", "done")
        _, words = process.communicate(timeout=60)
        assert b"unhealthy: command" in words
        assert b"check: command" in words
        assert b"failed 3 times in a row, the last time: command" in words
        assert b"exit code 5" in words
        told = paddock.text("describe", background.task_id)
        assert "health_check_failed" in told
        assert "it is gone" in told
        assert paddock("wait", background.task_id).returncode == process.returncode
    finally:
        background.end()


def test_explain_tells_the_whole_story_while_it_runs_and_after(paddock: Command, sleeper: Background) -> None:
    paddock.text("update", sleeper.task_id, "--pids=33", "--mem-limit=64MiB")
    # What was asked for and what is in force stay apart, whoever begins anew.
    for daemon in (paddock.host.masterd, paddock.host.agentd):
        daemon.send(signal.SIGKILL)
        daemon.stop()
        daemon.start()
    paddock.until_registered()
    told = paddock.text("explain", sleeper.task_id)
    for word in (
        "Asked:        cpus:0.2;mem:48;disk:64; limits: pids 50",
        "Changed:      limits now: memory 64 MiB, pids 33",
        "principal uid:0, role *",
        "Stopped by:   SIGTERM",
        "pids.max",
        "limit 33, 0 refused",
        "peak",
        "Ended:        not yet",
    ):
        assert word in told, told
    assert b"raise the limit first" in paddock("update", sleeper.task_id, "--mem=80MiB").stderr
    paddock.text("update", sleeper.task_id, "--mem=64MiB")
    sleeper.end()
    done = paddock("explain", sleeper.task_id)
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode()
    for word in ("killed kill_requested", "CPU:", "limit 64 MiB", "limits now: memory 64 MiB", "Stop:", "principal"):
        assert word in told, told


def test_top_shows_what_tasks_and_agents_use_and_roles_have(paddock: Command, sleeper: Background) -> None:
    burning = paddock.start("run", "--name=burning", "--cpus-limit=0.2", "--", "/bin/sh", "-c", "while :; do :; done")
    background = Background(process=burning, task_id=paddock.task("burning", "running"))
    try:
        deadline_s = time.monotonic() + 60
        while True:  # a busy machine may give it less than its quota for a while
            found = {each["task_id"]: each for each in json.loads(paddock.text("top", "--once", "-o", "json"))}
            busy, idle = found[background.task_id], found[sleeper.task_id]
            if busy["throttled_permille"] > 0 and idle["cpus_milli"] < busy["cpus_milli"]:
                break
            assert time.monotonic() < deadline_s, found
        assert idle["throttled_permille"] == 0
        assert (idle["pids_limit_count"], idle["memory_limit_bytes"]) == (50, 48 * 2**20)
        lines = paddock.text("top", "--once").splitlines()
        assert lines[0].split()[:2] == ["TASK", "HOST"]
        assert {background.task_id, sleeper.task_id} <= {line.split()[0] for line in lines[1:]}
        (agent,) = json.loads(paddock.text("top", "agents", "--once", "-o", "json"))
        assert agent["container_count"] >= 2
        assert agent["cpus_held_milli"] >= 300
        assert "AGENT" in paddock.text("top", "agents", "--once")
        (role,) = [
            each for each in json.loads(paddock.text("top", "roles", "--once", "-o", "json")) if each["role"] == "*"
        ]
        assert (role["task_count"], role["framework_count"], role["weight_milli"]) == (2, 2, 1000)
        assert (role["allocated_milli"]["cpus"], role["share"] > 0) == (300, True)
    finally:
        background.end()


def test_top_goes_on_until_it_is_stopped(paddock: Command, sleeper: Background) -> None:
    looked_at = (("tasks", "task_id", sleeper.task_id), ("roles", "task_count", 1))
    processes = [paddock.start("top", what, "--interval=100ms", "-o", "json") for what, _, _ in looked_at]
    try:
        for process, (_, field, wanted) in zip(processes, looked_at, strict=True):
            assert process.stdout is not None
            for _ in range(3):
                assert wanted in [each[field] for each in json.loads(process.stdout.readline())]
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT)
        said = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [130, 130]
    assert b"Traceback" not in b"".join(said)


def test_another_user_of_the_group_changes_and_measures_its_own_only(paddock: Command, sleeper: Background) -> None:
    before = in_force(paddock, sleeper.task_id)
    done = paddock("update", sleeper.task_id, "--pids=1", user=NOBODY, group=0)
    assert (done.returncode, done.stdout) == (5, b""), done.stderr
    assert in_force(paddock, sleeper.task_id) == before
    done = paddock("top", "--once", "-o", "json", user=NOBODY, group=0)
    assert (done.returncode, done.stderr) == (0, b"")
    (row,) = [each for each in json.loads(done.stdout) if each["task_id"] == sleeper.task_id]
    assert (row["pids_count"], row["cpus_milli"]) == (None, None)
    done = paddock("explain", sleeper.task_id, user=NOBODY, group=0)
    assert done.returncode == 5
    assert done.stdout.startswith(b"Task:")  # what the master tells anybody
    assert b"Traceback" not in done.stderr
