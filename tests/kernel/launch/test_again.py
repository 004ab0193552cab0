"""A shim whose container its list has ended waits for another order, and has nothing of the last one any more."""

import os
import signal
from pathlib import Path

import pytest

from paddock.kernel.mapping import ADDRESS, WAITING_ADDRESS
from tests.kernel.launch.running import Agent, Json, is_running, wait_for

pytestmark = pytest.mark.usefixtures("unhurried")
NO_NAMESPACES: Json = {"namespaces": [], "mounts": []}


def shim_of(own: Agent, argv: list[str], **changes: object) -> int:
    """The one that has carried it out; it waits again, or is gone."""
    record: Json = own.run(argv, **changes).record()
    wait_for(lambda: own.ping()["shims"] == 0, 10, "the launcher does not hear that it is free")
    return int(record["shim_pid"])


def descriptors_of(pid: int) -> dict[str, str]:
    return {path.name: os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}


def test_one_shim_after_another_container(own: Agent) -> None:
    pids = {shim_of(own, ["sh", "-c", f"echo {number}; exit {number}"]) for number in range(10)}
    assert len(pids) == 1
    assert [os.waitstatus_to_exitcode(shim.record()["wait_status"]) for shim in own.shims] == list(range(10))
    assert [shim.stdout() for shim in own.shims] == [b"%d\n" % number for number in range(10)]


def test_it_keeps_neither_memory_nor_descriptor_nor_namespace(own: Agent) -> None:
    pid = shim_of(own, ["sh", "-c", "echo out; sleep 0.01"], environment={"PATH": "/bin", "SECRET": "x"})
    for _ in range(3):
        shim_of(own, ["true"])
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert f"{ADDRESS:x}-" not in maps
    assert f"{WAITING_ADDRESS:x}-" in maps
    # The standard ones, /dev/null, and the socket at which it waits.
    found = descriptors_of(pid)
    assert sorted(found, key=int) == ["0", "1", "2", "3", "4"]
    assert found["3"] == "/dev/null"
    assert found["4"].startswith("socket:")
    for name in ("pid", "pid_for_children", "mnt", "ipc", "net", "user"):
        assert os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/{own.process.pid}/ns/{name}")
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_what_it_launches_next_may_have_no_namespaces(own: Agent) -> None:
    first = shim_of(own, ["true"])
    shim = own.launch(["sh", "-c", "readlink /proc/self/ns/pid"], **NO_NAMESPACES)
    assert shim.record()["shim_pid"] == first
    assert shim.stdout().decode().strip() == os.readlink("/proc/self/ns/pid")


@pytest.mark.parametrize(
    ("argv", "changes"),
    [
        (["sh", "-c", "sleep 1000 & exit 0"], {}),
        (["/no/such/command"], {}),
        (["true"], NO_NAMESPACES),
        (["true"], {"max_completion_ms": 60000}),
    ],
    ids=["left behind", "failed", "no namespaces", "a limit of time"],
)
def test_one_in_which_python_has_run_ends_with_its_container(
    own: Agent, argv: list[str], changes: dict[str, object]
) -> None:
    used = shim_of(own, ["true"])
    shim = own.launch(argv, **changes)
    shim.wait_end_of_connection()
    wait_for(lambda: not is_running(used), 10, "it stays")
    assert own.run(["true"]).record()["wait_status"] == 0


def test_one_that_dies_while_it_waits_again_costs_nothing(own: Agent) -> None:
    used = shim_of(own, ["true"])
    own.process.send_signal(signal.SIGSTOP)
    os.kill(used, signal.SIGKILL)
    wait_for(lambda: not is_running(used), 10, "it stays")
    own.process.send_signal(signal.SIGCONT)
    assert own.run(["true"]).record()["wait_status"] == 0
    assert "event=shim-lost" not in own.log()


def test_it_ends_with_its_launcher(own: Agent) -> None:
    used = shim_of(own, ["true"])
    own.kill_launcher()
    wait_for(lambda: not is_running(used), 10, "it stays")
    own.start()


def test_its_launcher_dies_while_it_has_a_container(own: Agent) -> None:
    used = shim_of(own, ["true"])
    shim = own.launch(["sh", "-c", "until [ -e go ]; do sleep 0.01; done; exit 3"])
    assert shim.started()["shim_pid"] == used
    own.kill_launcher()
    own.start()
    (Path(shim.plan["sandbox"]) / "go").touch()
    assert os.waitstatus_to_exitcode(shim.record()["wait_status"]) == 3
    wait_for(lambda: not is_running(used), 10, "it stays")


def test_those_that_are_too_many_end(own: Agent) -> None:
    shims = [own.launch(["sh", "-c", "until [ -e go ]; do sleep 0.01; done"]) for _ in range(40)]
    pids = {shim.started()["shim_pid"] for shim in shims}
    assert len(pids) == 40
    for shim in shims:
        (Path(shim.plan["sandbox"]) / "go").touch()
    for shim in shims:
        assert shim.record()["wait_status"] == 0
    # Twice the eight that wait by default.
    wait_for(lambda: sum(is_running(pid) for pid in pids) <= 16, 10, "they stay")
    assert own.run(["true"]).record()["wait_status"] == 0
