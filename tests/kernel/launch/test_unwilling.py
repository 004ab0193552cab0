"""A kill wins over what keeps processes from hearing it: a tracer, a freezer, a sleep that signals do not end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock.kernel.mounts import read_hierarchy
from tests.kernel.launch.running import BASE_PYTHON, Agent, Machine, Shim, agent, is_running, wait_for
from tests.kernel.launch.tracing import attach, detach

PID_NAMESPACES = pytest.mark.parametrize("namespaces", [["pid", "mnt", "ipc"], []])
CLONE, CLONE_VFORK = {"x86_64": 56}.get(os.uname().machine, 220), 0x4000


def launched(shared: Agent, argv: list[str], namespaces: list[str]) -> Shim:
    mounts: dict[str, Any] = {} if namespaces else {"mounts": []}
    return shared.launch(argv, namespaces=namespaces, **mounts)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@PID_NAMESPACES
def test_a_traced_command_is_ended_though_its_tracer_never_asks_for_its_end(
    shared: Agent, namespaces: list[str]
) -> None:
    """As under a debugger at its prompt: the zombie is the debugger's, and nothing else may wait for it."""
    shim = launched(shared, ["sh", "-c", "sleep 1000 & wait"], namespaces)
    pid: int = shim.started()["pid"]
    attach(pid)
    try:
        assert state_of(pid) == "t"
        shim.ask("kill", grace_ms=0)
        record = shim.record()
        assert state_of(pid) == "Z"
    finally:
        detach(pid)
    assert os.WTERMSIG(record["wait_status"]) == signal.SIGKILL
    assert record["problems"] == []
    assert shim.cgroups() == []
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the launcher has not reaped it")


def test_a_traced_process_that_was_executed_inside_is_told_as_ended(shared: Agent) -> None:
    shim = shared.launch(["sleep", "1000"])
    shim.started()
    null_fd = os.open("/dev/null", os.O_RDWR)
    plan = {key: shim.plan[key] for key in ("environment", "user", "capabilities", "umask")}
    pid = shim.ask("exec", fds=[null_fd] * 3, plan={**plan, "argv": ["sleep", "1000"]})["pid"]
    os.close(null_fd)
    attach(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        assert shim.wait_event("exec_exited")["wait_status"] == signal.SIGKILL
    finally:
        detach(pid)
    shim.ask("kill", grace_ms=0)
    shim.record()


@PID_NAMESPACES
def test_one_that_its_tracer_holds_on_its_way_out_is_waited_for(shared: Agent, namespaces: list[str]) -> None:
    """No signal gets it past there; meanwhile its shim answers."""
    shim = launched(shared, ["sleep", "1000"], namespaces)
    pid: int = shim.started()["pid"]
    attach(pid, stops_at_exit=True)
    try:
        shim.ask("kill", grace_ms=0)
        wait_for(lambda: bool(shim.ask("state")["kill"]["escalated"]), "it is not killed")
        time.sleep(0.3)
        wait_for(lambda: state_of(pid) == "t", "its tracer does not hold it")
        assert shim.ask("state")["ok"]
    finally:
        detach(pid)
    assert os.WTERMSIG(shim.record()["wait_status"]) == signal.SIGKILL
    assert shim.cgroups() == []


@PID_NAMESPACES
def test_a_tracer_inside_dies_with_what_it_traces(shared: Agent, namespaces: list[str]) -> None:
    code = """
import ctypes, os, signal, time
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
child = os.fork()
if child == 0:
    ctypes.CDLL(None).ptrace(0, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
os.waitpid(child, 0)
print("ready", flush=True)
time.sleep(1000)
"""
    shim = launched(shared, [BASE_PYTHON, "-I", "-S", "-c", code], namespaces)
    shim.started()
    wait_for(lambda: shim.stdout() == b"ready\n", "it does not trace")
    pids = [int(pid) for pid in (shim.directory("pids") / "cgroup.procs").read_text().split()]
    wait_for(lambda: sorted(map(state_of, pids)) == ["S", "t"], "it does not sleep")
    shim.ask("kill", grace_ms=50)
    assert os.WTERMSIG(shim.record()["wait_status"]) == signal.SIGKILL
    assert not any(is_running(pid) for pid in pids)
    assert shim.cgroups() == []


@PID_NAMESPACES
def test_a_parent_that_sleeps_until_its_child_executes_dies(shared: Agent, namespaces: list[str]) -> None:
    """vfork: in D state, where its handler of SIGTERM cannot run."""
    code = f"""
import ctypes, signal, time
signal.signal(signal.SIGTERM, lambda *_: None)
if ctypes.CDLL(None).syscall({CLONE}, {CLONE_VFORK} | 17, 0, 0, 0, 0) == 0:
    print("ready", flush=True)
    time.sleep(1000)
"""
    shim = launched(shared, [BASE_PYTHON, "-I", "-S", "-c", code], namespaces)
    pid: int = shim.started()["pid"]
    wait_for(lambda: shim.stdout() == b"ready\n", "it has no child")
    wait_for(lambda: state_of(pid) == "D", "it does not sleep")
    shim.ask("kill", grace_ms=100)
    record = shim.record()
    assert os.WTERMSIG(record["wait_status"]) == signal.SIGKILL
    assert record["kill"]["escalated"]
    assert shim.cgroups() == []


@PID_NAMESPACES
def test_what_forks_twice_for_ever_and_is_always_another_process_is_ended(shared: Agent, namespaces: list[str]) -> None:
    """Each ends as soon as it has a child, which leads a session of its own: who is listed has gone when he is killed."""
    code = """
import os, signal, time
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
for _ in range(8):
    if os.fork() == 0:
        while True:
            try:
                if os.fork():
                    os._exit(0)
                os.setsid()
            except OSError:
                pass
print("ready", flush=True)
time.sleep(1000)
"""
    mounts: dict[str, Any] = {} if namespaces else {"mounts": []}
    shim = shared.launch(
        [BASE_PYTHON, "-I", "-S", "-c", code], limits={"pids": 50}, namespaces=namespaces, nice=10, **mounts
    )
    pid: int = shim.started()["pid"]
    wait_for(lambda: shim.stdout() == b"ready\n", "it does not fork")
    procs = shim.directory("pids") / "cgroup.procs"
    first = set(procs.read_text().split())
    wait_for(lambda: set(procs.read_text().split()) & first <= {str(pid)}, "they stay who they were")
    shim.ask("kill", grace_ms=0)
    record = shim.record()
    assert os.WTERMSIG(record["wait_status"]) == signal.SIGKILL
    assert record["problems"] == []
    assert shim.cgroups() == []


@pytest.fixture
def unified() -> Iterator[Agent]:
    """Its containers are in cgroup v2 alone, which hosts of v1 have too; there without controllers."""
    with agent(machine=UnifiedMachine()) as running:
        yield running


class UnifiedMachine(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.is_v2 = True
        assert read_hierarchy().unified


@pytest.mark.parametrize("grace_ms", [0, 600_000])
@PID_NAMESPACES
def test_a_frozen_container_is_thawed_to_hear_its_signal_or_dies_frozen(
    unified: Agent, namespaces: list[str], grace_ms: int
) -> None:
    mounts: dict[str, Any] = {} if namespaces else {"mounts": []}
    shim = unified.launch(
        ["sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"],
        namespaces=namespaces,
        writes=[],
        final_reads=[],
        oom_events=None,
        **mounts,
    )
    shim.started()
    wait_for(lambda: shim.stdout() == b"ready\n", "it does not run")
    directory = shim.directory("")
    (directory / "cgroup.freeze").write_text("1")
    wait_for(lambda: "frozen 1" in (directory / "cgroup.events").read_text(), "it does not freeze")
    shim.ask("kill", grace_ms=grace_ms)
    status = shim.record()["wait_status"]
    assert status == (9 << 8 if grace_ms else signal.SIGKILL)
    assert shim.cgroups() == []
