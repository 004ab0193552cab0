"""Launcher, shim and agent die: what goes on, what ends, and what is written down."""

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from paddock.kernel.errors import KernelError
from paddock.launch import plan as plans
from paddock.launch import record as records
from paddock.launch import sweep
from tests.children import children_of
from tests.kernel.launch.running import PATIENCE_S, Agent, Json, Machine, agent, is_running, read_record, wait_for


def test_nobody_takes_a_rehearsal_for_an_orphan_and_one_that_was_cut_off_leaves_nothing(own: Agent) -> None:
    """An agent that starts looks for orphans while a launcher that was started anew rehearses."""
    own.kill_launcher()
    roots = own.machine.roots(own.agent_id)
    left = [Path(root) / ".rehearsal-1-0" for root in dict.fromkeys(roots.values())]
    left.append(own.directory / ".rehearsal-1")
    for path in left:
        path.mkdir()
    (left[-1] / "stdout").touch()
    seen: set[str] = set()
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            seen.update(sweep.list_containers(own.agent_id, "v2" if own.machine.is_v2 else "v1", roots))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        own.start()
    finally:
        is_over.set()
        looking.join()
    assert seen == set()
    assert not any(path.exists() for path in left)
    assert "rehearsal" not in own.log()


class NoCgroups(Machine):
    """A directory that is no cgroup: every launch fails at its first limit."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory

    def roots(self, agent_id: str) -> dict[str, str]:
        return {"cpu": f"{self.directory}/paddock-{agent_id}"}


@pytest.mark.no_cgroups
def test_a_rehearsal_that_comes_to_nothing_costs_speed_only(tmp_path: Path) -> None:
    with agent(machine=NoCgroups(tmp_path)) as running:
        assert running.is_ready()
        assert "event=rehearsal-failed" in running.log()


def remains_of(running: Agent, plan: Json) -> sweep.Remains:
    planned = plans.decode_plan(running.with_facts(plan))
    return sweep.remains_of_plan(planned, Path("/proc/sys/kernel/random/boot_id").read_text().strip())


def test_the_container_outlives_its_launcher(own: Agent) -> None:
    shim = own.launch(["sh", "-c", "while ! test -e go; do sleep 0.01; done; echo done; exit 42"])
    shim.started()
    own.kill_launcher()
    assert shim.ask("state")["state"] == "running"
    assert shim.connect_ear().ask("state")["state"] == "running"
    own.start()
    assert own.run(["true"]).record()["wait_status"] == 0
    (Path(shim.plan["sandbox"]) / "go").touch()
    record = shim.record()
    assert os.waitstatus_to_exitcode(record["wait_status"]) == 42
    assert not record["supervisor_lost"]
    assert shim.stdout() == b"done\n"
    assert shim.cgroups() == []


def test_the_waiting_inits_end_with_their_launcher(own: Agent) -> None:
    def waiting_processes() -> list[int]:
        return [pid for pid in children_of(own.process.pid) if is_running(pid)]

    # Eight inits, eight shims that wait, and the template.
    wait_for(lambda: len(waiting_processes()) == 17, "the nursery does not fill")
    waiting = waiting_processes()
    own.kill_launcher()
    wait_for(lambda: not any(is_running(pid) for pid in waiting), "waiting processes stay")
    own.start()


@pytest.mark.parametrize("namespaces", [["pid", "mnt", "ipc"], []])
def test_a_shim_that_dies_takes_its_container_along(own: Agent, namespaces: list[str]) -> None:
    mounts: dict[str, Any] = {} if namespaces else {"mounts": []}
    script = "setsid sleep 1000 & (sleep 1000 &) ; echo ready; sleep 1000"
    shim = own.launch(["sh", "-c", script], namespaces=namespaces, **mounts)
    started = shim.started()
    wait_for(lambda: shim.stdout() == b"ready\n", "not ready")
    inside = shim.directory("pids") / "cgroup.procs"
    wait_for(lambda: len(inside.read_text().split()) >= 4, "not all run")
    pids = [int(pid) for pid in inside.read_text().split()]
    os.kill(started["shim_pid"], signal.SIGKILL)
    wait_for(lambda: not any(is_running(pid) for pid in pids), "something lives on")
    record = shim.wait_record_file()
    assert record["supervisor_lost"]
    assert record["wait_status"] is None
    assert record["pid"] == started["pid"]
    assert record["started_ns"] == started["started_ns"]
    assert "pids/pids.events" in record["counters"]
    wait_for(lambda: not shim.cgroups(), "cgroups stay")
    shim.wait_end_of_connection()
    assert [event["event"] for event in shim.events] == ["started"]


def test_a_shim_that_dies_at_the_barrier(own: Agent) -> None:
    shim = own.launch(["sh", "-c", "echo ran"], barrier=True)
    created = shim.wait_event("created")
    os.kill(created["shim_pid"], signal.SIGKILL)
    assert shim.wait_record_file()["supervisor_lost"]
    assert shim.stdout() == b""
    assert not is_running(created["pid"])


@pytest.mark.parametrize("namespaces", [["pid", "mnt", "ipc"], []])
def test_when_both_die_the_agents_sweep_ends_it(own: Agent, namespaces: list[str]) -> None:
    mounts: dict[str, Any] = {} if namespaces else {"mounts": []}
    shim = own.launch(["sleep", "1000"], namespaces=namespaces, **mounts)
    started = shim.started()
    with pytest.raises(KernelError) as alive:
        sweep.sweep(shim.plan["record"], timeout_s=0.05)
    assert alive.value.errno == 11
    own.kill_launcher()
    os.kill(started["shim_pid"], signal.SIGKILL)
    wait_for(lambda: not is_running(started["shim_pid"]), "the shim stays")

    found = sweep.list_containers(own.agent_id, shim.plan["cgroup"]["mode"], own.machine.roots(own.agent_id))
    assert list(found) == [shim.plan["container_id"]]
    assert found[shim.plan["container_id"]].directories == shim.plan["cgroup"]["directories"]

    record = sweep.sweep(shim.plan["record"])
    assert record is not None
    assert record.supervisor_lost
    assert record.wait_status is None
    assert record.pid == started["pid"]
    assert not is_running(started["pid"])
    assert shim.cgroups() == []
    again = sweep.sweep(shim.plan["record"])
    assert again is not None
    assert again.ended_ns == record.ended_ns
    own.start()


def test_a_sweep_without_anything_to_sweep(own: Agent) -> None:
    assert sweep.sweep(str(own.directory / "records" / "nobody")) is None
    shim = own.run(["true"])
    found = sweep.sweep(shim.plan["record"], remains_of(own, shim.plan))
    assert found is not None
    assert not found.supervisor_lost


def test_a_sweep_that_comes_late_leaves_nothing(own: Agent) -> None:
    """The agent was faster, and has dealt with the record: the launcher's must not write another one."""
    shim = own.run(["true"])
    record = Path(shim.plan["record"])
    record.unlink()
    assert sweep.sweep(str(record), remains_of(own, shim.plan)) is None
    assert not record.exists()
    assert not Path(records.temporary_path(str(record))).exists()


def test_a_record_that_comes_between_two_looks(own: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Launcher and agent sweep at the same moment: what the slower one looks for is renamed under its eyes."""
    shim = own.run(["true"])
    path = shim.plan["record"]
    temporary = records.temporary_path(path)
    os.rename(path, temporary)
    real = os.path.exists

    def finish_then_look(looked_at: str) -> bool:
        if looked_at == temporary and real(temporary):
            os.rename(temporary, path)
        return real(looked_at)

    monkeypatch.setattr(os.path, "exists", finish_then_look)
    found = sweep.sweep(path)
    assert found is not None
    assert found.container_id == shim.plan["container_id"]


def test_a_record_of_another_boot(own: Agent) -> None:
    shim = own.launch(["true"])
    shim.record()
    path = str(own.directory / "records" / "older")
    note = {
        **read_record(shim.plan),
        "state": "running",
        "boot_id": "another",
        "shim_pid": 1,
        "final_reads": [],
        "oom_events": None,
        "socket": shim.plan["socket"],
    }
    Path(path + ".new").write_text(json.dumps(note) + "\0" * 100)
    record = sweep.sweep(path)
    assert record is not None
    assert record.supervisor_lost


def test_cgroups_of_which_nothing_else_is_known(own: Agent) -> None:
    place = plans.CgroupPlace(**own.machine.place(own.agent_id, "unknown"))
    for directory in place.directories.values():
        Path(directory).mkdir(exist_ok=True)
    sweep.remove_cgroups(place)
    assert not any(Path(directory).exists() for directory in place.directories.values())
    sweep.remove_cgroups(place)


@pytest.mark.v1_only
def test_cgroups_of_which_nothing_else_is_known_and_some_were_never_made(own: Agent) -> None:
    """Where they may be is more than a container uses: not each has one in the freezer."""
    directories = own.machine.place(own.agent_id, "unknown")["directories"]
    for path in directories.values():
        Path(path).mkdir(parents=True)
    freezer = f"{own.machine.hierarchy.controllers['freezer']}/paddock-{own.agent_id}/unknown"
    sweep.remove_cgroups(plans.CgroupPlace("v1", {**directories, "freezer": freezer}))
    assert not any(Path(path).exists() for path in directories.values())


def test_the_record_is_locked_while_the_shim_lives(own: Agent) -> None:
    shim = own.launch(["sleep", "1000"])
    shim.started()
    with pytest.raises(KernelError):
        records.reopen(shim.plan["record"])
    shim.ask("kill", grace_ms=0)
    shim.record()


def test_term_ends_the_launcher_and_not_its_containers(own: Agent) -> None:
    shim = own.launch(["sleep", "1000"])
    shim.started()
    own.process.terminate()
    assert own.process.wait(PATIENCE_S) == 0
    assert not Path(own.socket).exists()
    assert shim.ask("state")["state"] == "running"
    os.kill(shim.started()["shim_pid"], signal.SIGTERM)
    assert shim.ask("state")["state"] == "running"
    own.start()
    shim.ask("kill", grace_ms=0)
    shim.record()
