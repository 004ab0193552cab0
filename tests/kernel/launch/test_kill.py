"""Asked to end: grace, escalation, shortening, and that nothing of the container stays."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.launch.running import BASE_PYTHON, Agent, Shim, is_running, wait_for

STUBBORN = "trap '' TERM; echo ready; while true; do sleep 1; done"


def wait_ready(shim: Shim) -> None:
    wait_for(lambda: bool(shim.stdout()), "not ready")


def test_term_is_enough(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", "trap 'exit 9' TERM; echo ready; sleep 1000 & wait"])
    wait_ready(shim)
    answer = shim.ask("kill", signal=15, grace_ms=60_000)
    assert answer["ok"]
    record = shim.record()
    assert os.waitstatus_to_exitcode(record["wait_status"]) == 9
    assert record["kill"]["signal"] == 15
    assert not record["kill"]["escalated"]
    assert record["kill"]["took_ms"] < 60_000


def test_a_stopped_command_hears_its_signal(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", "echo ready; kill -STOP $$; sleep 1000"])
    wait_ready(shim)
    shim.ask("kill", grace_ms=60_000)
    assert os.WTERMSIG(shim.record()["wait_status"]) == signal.SIGTERM


def test_ignored_term_is_escalated_after_the_grace(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", STUBBORN])
    wait_ready(shim)
    began_s = time.monotonic()
    # Both are there before its grace is over, however slow this machine is.
    asked = shim.tell("kill", grace_ms=300), shim.tell("state")
    assert [shim.answer(each) for each in asked][1]["kill"]["signal"] == 15
    record = shim.record()
    assert time.monotonic() - began_s >= 0.3
    assert os.WTERMSIG(record["wait_status"]) == signal.SIGKILL
    assert record["kill"]["escalated"]
    assert record["kill"]["grace_ms"] == 300
    assert record["kill"]["took_ms"] >= 300


def test_a_later_kill_may_shorten(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", STUBBORN])
    wait_ready(shim)
    shim.ask("kill", grace_ms=600_000)
    shim.ask("kill", grace_ms=10)
    record = shim.record()
    assert record["kill"]["escalated"]
    assert record["kill"]["grace_ms"] < 600_000


def test_a_later_kill_may_not_lengthen(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", STUBBORN])
    wait_ready(shim)
    asked = shim.tell("kill", grace_ms=200), shim.tell("kill", grace_ms=600_000)
    assert [shim.answer(each)["ok"] for each in asked] == [True, True]
    assert shim.record()["kill"]["grace_ms"] == 200


@pytest.mark.parametrize("namespaces", [["pid", "mnt", "ipc"], []])
def test_orphans_and_new_sessions_die_with_the_command(shared: Agent, namespaces: list[str]) -> None:
    code = """
import os, signal, sys, time
pids = []
for ignored in range(4):
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (1, 2, 15):
                signal.signal(number, signal.SIG_IGN)
            os.write(write, b"%d" % os.getpid())
            time.sleep(1000)
        os._exit(0)
    os.wait()
    pids.append(os.read(read, 32).decode())
print(*pids, flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)
"""
    mounts: dict[str, Any] = {} if namespaces else {"mounts": []}
    shim = shared.launch([BASE_PYTHON, "-I", "-S", "-c", code], namespaces=namespaces, **mounts)
    inside = Path(f"{shim.directory('pids')}/cgroup.procs")
    shim.started()
    wait_ready(shim)
    pids = {int(pid) for pid in inside.read_text().split()}
    assert len(pids) >= 5
    (Path(shim.plan["sandbox"]) / "go").touch()
    assert shim.record()["wait_status"] == 0, shim.stderr()
    assert not any(is_running(pid) for pid in pids)
    assert shim.cgroups() == []


@pytest.mark.parametrize("namespaces", [["pid", "mnt", "ipc"], []])
def test_a_fork_bomb_is_held_and_ended(shared: Agent, namespaces: list[str]) -> None:
    bomb = """
import os, signal
for number in (1, 2, 3, 15):
    signal.signal(number, signal.SIG_IGN)
print("ready", flush=True)
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
    mounts: dict[str, Any] = {} if namespaces else {"mounts": []}
    shim = shared.launch(
        [BASE_PYTHON, "-I", "-S", "-c", bomb], limits={"pids": 50}, namespaces=namespaces, nice=10, **mounts
    )
    wait_ready(shim)
    events = shim.directory("pids") / "pids.events"
    wait_for(lambda: events.read_text() != "max 0\n", "no fork is refused")
    shim.ask("kill", grace_ms=0)
    record = shim.record()
    refused = int(record["counters"]["pids/pids.events"].split()[1])
    assert refused > 0
    assert record["kill"]["escalated"]
    assert shim.cgroups() == []


def test_max_completion_time(shared: Agent) -> None:
    shim = shared.launch(["sleep", "1000"], max_completion_ms=150)
    record = shim.record()
    assert record["max_completion_reached"]
    assert os.WTERMSIG(record["wait_status"]) == signal.SIGTERM
    assert not shared.run(["true"], max_completion_ms=600_000).record()["max_completion_reached"]


def test_subgroups_that_the_task_made_are_removed(shared: Agent) -> None:
    shim = shared.launch(["sleep", "1000"])
    shim.started()
    below = shim.directory("memory") / "mine" / "deeper"
    below.mkdir(parents=True)
    shim.ask("kill", grace_ms=0)
    assert shim.record()["problems"] == []
    assert shim.cgroups() == []


@pytest.mark.v1_only
def test_a_frozen_container_can_be_ended(own: Agent) -> None:
    freezer = f"{own.machine.hierarchy.controllers['freezer']}/paddock-{own.agent_id}"
    plan = own.plan(["sleep", "1000"])
    plan["cgroup"]["directories"]["freezer"] = f"{freezer}/{plan['container_id']}"
    shim = own.launch_plan(plan)
    shim.started()
    Path(f"{freezer}/{plan['container_id']}/freezer.state").write_text("FROZEN")
    shim.ask("kill", grace_ms=0)
    assert os.WTERMSIG(shim.record()["wait_status"]) == signal.SIGKILL
    Path(freezer).rmdir()
