"""Logs: whatever the task does to its sandbox, and however full the disk is, costs the log alone."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.launch.running import BASE_PYTHON, Agent, wait_for


def test_much_output(shared: Agent) -> None:
    size = 20 << 20
    shim = shared.run(["sh", "-c", f"head -c {size} /dev/zero; echo end >&2"])
    assert shim.record()["logs"] == {"stdout_bytes": size, "stderr_bytes": 4, "dropped_bytes": 0}
    assert len(shim.stdout()) == size


def test_output_is_there_while_it_runs(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", "echo now; sleep 1000"])
    shim.started()
    wait_for(lambda: shim.stdout() == b"now\n", 5, "no output")
    assert shim.ask("state")["logs"]["stdout_bytes"] == 4
    shim.ask("kill", grace_ms=0)
    shim.record()


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_a_log_replaced_before_the_launch(shared: Agent, kind: str) -> None:
    plan = shared.plan(["sh", "-c", "head -c 1000000 /dev/zero; echo fine >&2; exit 3"])
    target = shared.directory / f"target-{kind}"
    target.write_text("precious")
    log = Path(plan["sandbox"]) / "stdout"
    if kind == "symlink":
        log.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(log)
    else:
        log.mkdir()
    shim = shared.launch_plan(plan)
    record = shim.record()
    assert os.waitstatus_to_exitcode(record["wait_status"]) == 3
    assert record["logs"] == {"stdout_bytes": 0, "stderr_bytes": 5, "dropped_bytes": 1_000_000}
    assert record["problems"][0]["path"] == "stdout"
    assert target.read_text() == "precious"
    assert shim.stderr() == b"fine\n"


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_a_log_replaced_by_the_running_task(shared: Agent, kind: str) -> None:
    target = shared.directory / f"other-{kind}"
    target.write_text("precious")
    make = {"symlink": f"ln -s {target} stdout", "fifo": "mkfifo stdout", "directory": "mkdir stdout"}[kind]
    shim = shared.run(["sh", "-c", f"rm stdout; {make}; echo more; echo fine >&2; exit 3"])
    record = shim.record()
    assert os.waitstatus_to_exitcode(record["wait_status"]) == 3
    assert record["problems"] == []
    assert target.read_text() == "precious"
    assert shim.stderr() == b"fine\n"


def test_the_container_sees_a_disk_mounted_after_its_init_was_made(shared: Agent, small_disk: Path) -> None:
    (small_disk / "marker").touch()
    shim = shared.run(["test", "-e", f"{small_disk}/marker"])
    assert shim.record()["wait_status"] == 0
    # And no waiting init keeps it once it is unmounted: the fixture's umount would not show that, this does.
    subprocess.run(["umount", small_disk], check=True)
    wait_for(lambda: not mounts_named(small_disk), 5, f"{small_disk} lives on in {mounts_named(small_disk)}")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "paddock-test", small_disk], check=True)


def mounts_named(path: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if f" {path} " in process.read_text():
                found.append(str(process))
        except OSError:
            continue
    return found


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017


@pytest.fixture
def small_disk(shared: Agent) -> Iterator[Path]:
    path = shared.directory / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "paddock-test", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)
        path.rmdir()


def test_a_full_disk_costs_the_bytes_that_do_not_fit(shared: Agent, small_disk: Path) -> None:
    shim = shared.run(["sh", "-c", "head -c 8000000 /dev/zero; exit 3"], sandbox=str(small_disk))
    record = shim.record()
    assert os.waitstatus_to_exitcode(record["wait_status"]) == 3
    logs = record["logs"]
    assert logs["stdout_bytes"] + logs["dropped_bytes"] == 8_000_000
    assert 0 < logs["stdout_bytes"] <= 1 << 20
    assert logs["dropped_bytes"] > 6_000_000


def test_the_record_survives_a_disk_that_filled_up(shared: Agent, small_disk: Path) -> None:
    shim = shared.launch(["sh", "-c", "sleep 1000"], record=str(small_disk / "record"))
    shim.started()
    filler = small_disk / "filler"
    fill(filler)
    shim.ask("kill", grace_ms=0)
    record = shim.record()
    assert record["problems"] == []
    assert record["counters"]
    assert (small_disk / "record").exists()


def test_the_log_goes_on_when_there_is_room_again(shared: Agent, small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 900_000)
    code = f"""
import os, sys, time
os.write(1, b"a" * 4_000_000)
os.unlink({str(filler)!r})
os.write(1, b"b" * 1000)
"""
    shim = shared.run([BASE_PYTHON, "-I", "-S", "-c", code], sandbox=str(small_disk))
    record = shim.record()
    assert record["wait_status"] == 0, shim.stderr()
    assert record["logs"]["dropped_bytes"] > 0
    assert record["logs"]["stdout_bytes"] + record["logs"]["dropped_bytes"] == 4_001_000
    assert shim.stdout().endswith(b"b" * 1000)
