"""The end of a short container: by its list where nothing of note has happened, else by Python, and told alike."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paddock.launch import record as records
from paddock.launch import report, sweep
from tests.full_disk import power_cut
from tests.kernel.launch.running import Agent, Json, Shim, read_record


def ended_by_its_list(running: Agent, argv: list[str]) -> tuple[Shim, Json]:
    shim = running.launch(argv)
    record = shim.record()
    shim.wait_end_of_connection()
    assert Path(shim.plan["record"]).read_bytes().startswith(report.RECORD_MARK)
    return shim, record


@pytest.mark.parametrize(
    ("script", "stdout"),
    [("exit 0", b""), ("echo out; echo err >&2", b"out\n"), ("head -c 60000 /dev/zero", b"\0" * 60000)],
)
@pytest.mark.usefixtures("unhurried")
def test_an_ordinary_end_is_the_lists(shared: Agent, script: str, stdout: bytes) -> None:
    shim, record = ended_by_its_list(shared, ["sh", "-c", script])
    assert os.waitstatus_to_exitcode(record["wait_status"]) == 0
    assert shim.stdout() == stdout
    assert record["logs"]["stdout_bytes"] == len(stdout)
    assert set(record["counters"]) == {f"{read['controller']}/{read['file']}" for read in shim.plan["final_reads"]}
    assert all(text.endswith("\n") for text in record["counters"].values())
    assert record["started_ns"] < record["ended_ns"] <= time.time_ns()
    assert (record["victims"], record["problems"], record["kill"]) == ([], [], None)
    assert record["container_id"] == shim.plan["container_id"]
    assert read_record(shim.plan) == record
    assert not Path(records.temporary_path(shim.plan["record"])).exists()


def own_cgroup(controller: str) -> Callable[[Json], str]:
    """Made by the task below its own."""
    return lambda directories: f"mkdir {directories.get(controller) or directories['']}/own; exit 3"


@pytest.mark.parametrize(
    ("script_for", "stdout_bytes"),
    [
        (lambda _: "sleep 1000 & exit 3", 0),
        (lambda _: "exec >&- 2>&-; sleep 0.01; exit 3", 0),
        (lambda _: "head -c 3000000 /dev/zero; exit 3", 3_000_000),
        (own_cgroup("cpu"), 0),
        (own_cgroup("pids"), 0),
    ],
    ids=["left behind", "closed its output", "much output", "a cgroup in the first", "a cgroup in another"],
)
def test_what_is_of_note_is_told_alike(shared: Agent, script_for: Callable[[Json], str], stdout_bytes: int) -> None:
    """Several times: how far the list comes depends on who is faster."""
    for _attempt in range(5):
        plan = shared.plan(["sh"])
        plan["argv"] = ["sh", "-c", script_for(plan["cgroup"]["directories"])]
        shim = shared.launch_plan(plan)
        record = shim.record()
        assert shim.cgroups() == []
        shim.wait_end_of_connection()
        assert os.waitstatus_to_exitcode(record["wait_status"]) == 3
        assert record["logs"] == {"stdout_bytes": stdout_bytes, "stderr_bytes": 0, "dropped_bytes": 0}
        assert set(record["counters"]) == {f"{read['controller']}/{read['file']}" for read in plan["final_reads"]}
        assert record["problems"] == []
        assert read_record(plan) == record


@pytest.mark.parametrize("script", ["exit 0", "sleep 1000 & exit 0"], ids=["its list", "Python"])
@pytest.mark.usefixtures("unhurried")
def test_whoever_hears_of_the_end_finds_no_cgroup_any_more(shared: Agent, script: str) -> None:
    """agentd looks no more. Here one listens without ever sleeping, which is sooner than the shim can make good."""
    for _attempt in range(20):
        shim = shared.launch(["sh", "-c", script])
        shim.control.setblocking(False)
        while not any(event["event"] == "exited" for event in shim.events):
            with contextlib.suppress(BlockingIOError):
                content = shim.control.recv(300_000)
                assert content, shim.events
                shim.events.append(report.decode_message(content))
        assert shim.cgroups() == []
        shim.wait_end_of_connection()


@pytest.mark.usefixtures("unhurried")
def test_a_record_without_its_name_is_kept(own: Agent) -> None:
    """The shim died between the record and its name: what it wrote is the truth."""
    shim, record = ended_by_its_list(own, ["sh", "-c", "echo out"])
    path = shim.plan["record"]
    os.rename(path, records.temporary_path(path))
    for directory in shim.plan["cgroup"]["directories"].values():
        os.makedirs(directory, exist_ok=True)
    found = sweep.sweep(path)
    assert found is not None
    assert (found.wait_status, found.supervisor_lost, found.ended_ns) == (0, False, record["ended_ns"])
    assert shim.cgroups() == []
    assert read_record(shim.plan) == record


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize(("syncs_name", "is_spare"), [(True, True), (True, False), (False, True)])
def test_whoever_sees_the_connections_end_finds_the_record_after_a_power_cut(
    shared: Agent, tmp_path: Path, journal: bool, syncs_name: bool, is_spare: bool
) -> None:
    """Its content and its name: by the one sync of a file system that syncs both, and by the two of any other."""
    with power_cut(tmp_path, journal=journal) as (disk, cut):
        spare, path = disk / "spare-1", disk / "c1.json"
        if is_spare:
            spare.write_bytes(bytes(records.PREALLOCATED_BYTES))
            sync(spare)
        sync(disk)
        changes = {"spare_record": str(spare) if is_spare else None, "syncs_name": syncs_name}
        shim = shared.run(["true"], record=str(path), **changes)
        shim.wait_end_of_connection()
        (disk / "unsynced").write_text("lost")
        later = cut()
        assert records.read_json(str(later / path.name)) == shim.record()
        assert {each.name for each in later.iterdir()} == {path.name, "lost+found"}


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
