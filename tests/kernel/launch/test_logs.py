"""Logs: whatever the task does to its sandbox, and however full the disk is, costs the log alone."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock.launch.log_rotation import MARK
from tests.full_disk import full_disk, unmount
from tests.kernel.launch.running import BASE_PYTHON, Agent, Shim, wait_for

# The same code on both versions.
pytestmark = pytest.mark.no_cgroups


def test_much_output(shared: Agent) -> None:
    size = 20 << 20
    shim = shared.run(["sh", "-c", f"head -c {size} /dev/zero; echo end >&2"])
    assert shim.record()["logs"] == {"stdout_bytes": size, "stderr_bytes": 4, "dropped_bytes": 0}
    assert len(shim.stdout()) == size


def test_output_is_there_while_it_runs(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", "echo now; sleep 1000"])
    shim.started()
    wait_for(lambda: shim.stdout() == b"now\n", "no output")
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
    wait_for(lambda: subprocess.run(["umount", small_disk], check=False).returncode == 0, f"{small_disk} is still used")
    wait_for(lambda: not mounts_named(small_disk), f"{small_disk} lives on in {mounts_named(small_disk)}")
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
        unmount(path)


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


def test_a_record_whose_sync_fails_is_kept_until_it_can_be_written(shared: Agent) -> None:
    """Shim and cgroups stay, the shim answers, and nobody is told of the end before the record stands."""
    with full_disk("sync", shared.directory) as disk:
        (disk.path / "records").mkdir()
        shim = shared.launch(["sh", "-c", "while [ ! -e go ]; do sleep 0.01; done"], record=f"{disk.path}/records/c")
        shim.started()
        disk.fill()
        Path(shim.plan["sandbox"], "go").touch()
        wait_for(lambda: shim.ask("state")["state"] == "finished", "it does not end")
        assert shim.cgroups()
        assert not any(event["event"] == "exited" for event in shim.events)
        disk.free()
        record = shim.record()
        assert os.waitstatus_to_exitcode(record["wait_status"]) == 0
        assert [problem["operation"] for problem in record["problems"]] == ["write"]
        assert "No space left" in record["problems"][0]["message"]
        assert shim.wait_record_file()["wait_status"] == 0
        shim.wait_end_of_connection()


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


def files(shim: Shim, name: str) -> list[bytes]:
    """The log's files, the active one first."""
    sandbox = Path(shim.plan["sandbox"])
    numbered = [sandbox / name, *(sandbox / f"{name}.{number}" for number in range(1, 20))]
    return [path.read_bytes() for path in numbered if path.is_file() and not path.is_symlink()]


def numbered_lines(count: int) -> bytes:
    return b"".join(b"%09d\n" % number for number in range(count))


COUNT_UP = "import os; [os.write(1, b'%%09d\\n' %% n) for n in range(%d)]"


def rotating(shared: Agent, code: str, count: int = 3, **changes: Any) -> Shim:
    return shared.run(
        [BASE_PYTHON, "-I", "-S", "-c", code], log_limits={"file_bytes": 65536, "file_count": count}, **changes
    )


def test_a_full_log_is_rotated_and_the_newest_is_kept(shared: Agent) -> None:
    shim = rotating(shared, COUNT_UP % 30_000)
    assert shim.record()["logs"] == {"stdout_bytes": 300_000, "stderr_bytes": 0, "dropped_bytes": 0}
    assert shim.record()["problems"] == []
    kept = files(shim, "stdout")
    assert [len(content) for content in kept] == [300_000 % 65536, 65536, 65536]
    assert b"".join(reversed(kept)) == numbered_lines(30_000)[-(2 * 65536 + 300_000 % 65536) :]


def test_each_file_says_where_it_stands(shared: Agent) -> None:
    shim = rotating(shared, COUNT_UP % 30_000, count=9, user={"uid": 1234, "gid": 1235, "groups": []})
    sandbox = Path(shim.plan["sandbox"])
    marks = [os.getxattr(sandbox / name, MARK) for name in ("stdout", "stdout.1", "stdout.2", "stdout.3", "stdout.4")]
    assert marks == [b"262144", b"196608 262144", b"131072 196608", b"65536 131072", b"0 65536"]
    for name in ("stdout", "stdout.1"):
        found = (sandbox / name).stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 1235, 0o644)


def test_a_log_that_is_exactly_full_is_not_rotated(shared: Agent) -> None:
    shim = rotating(shared, "import os; os.write(1, b'x' * 65536)")
    assert files(shim, "stdout") == [b"x" * 65536]
    with pytest.raises(OSError, match="No data available"):
        os.getxattr(Path(shim.plan["sandbox"]) / "stdout", MARK)


def test_one_file_keeps_the_end(shared: Agent) -> None:
    shim = rotating(shared, COUNT_UP % 30_000, count=1)
    assert files(shim, "stdout") == [numbered_lines(30_000)[-(300_000 % 65536) :]]


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "removed", "moved"])
@pytest.mark.parametrize("name", ["stdout", "stdout.1", "stdout.2"])
def test_whatever_the_task_puts_in_the_way_of_a_rotation(shared: Agent, kind: str, name: str) -> None:
    target = shared.directory / f"rotation-{kind}-{name}"
    target.write_text("precious")
    code = f"""
import os
os.write(1, b"a" * 65536)
kind, name, target = {kind!r}, {name!r}, {str(target)!r}
if os.path.exists(name):
    os.rename(name, "elsewhere") if kind == "moved" else os.unlink(name)
if kind == "symlink":
    os.symlink(target, name)
elif kind == "fifo":
    os.mkfifo(name)
elif kind == "directory":
    os.mkdir(name)
    open(name + "/file", "w").close()
for n in range(20000):
    os.write(1, b"%09d\\n" % n)
os.write(2, b"fine")
"""
    shim = rotating(shared, code)
    record = shim.record()
    assert record["wait_status"] == 0, shim.stderr()
    assert target.read_text() == "precious"
    assert shim.stderr() == b"fine"
    logs = record["logs"]
    assert logs["stdout_bytes"] + logs["dropped_bytes"] == 265_536
    if logs["dropped_bytes"]:
        # Only a directory in the place of the oldest cannot be replaced; and that is said, once.
        assert kind == "directory"
        assert [problem["operation"] for problem in record["problems"]] == ["rotate"]
        assert "stdout" in record["problems"][0]["message"]
    else:
        assert shim.stdout() == numbered_lines(20_000)[-(200_000 % 65536) :]


def test_a_rotation_on_a_full_disk_goes_on_when_there_is_room(shared: Agent, small_disk: Path) -> None:
    filler = small_disk / "filler"
    code = f"""
import os
os.write(1, b"a" * 65536)
with open({str(filler)!r}, "wb", buffering=0) as file:
    try:
        while file.write(b"x" * 4096): pass
    except OSError: pass
os.write(1, b"b" * 100_000)
os.unlink({str(filler)!r})
os.write(1, b"c" * 1000)
"""
    shim = rotating(shared, code, sandbox=str(small_disk))
    record = shim.record()
    assert record["wait_status"] == 0, shim.stderr()
    logs = record["logs"]
    assert logs["stdout_bytes"] + logs["dropped_bytes"] == 166_536
    assert logs["dropped_bytes"] > 0
    assert shim.stdout().endswith(b"c" * 1000)


def test_a_short_life_keeps_to_the_limit_too(shared: Agent) -> None:
    """Its output may have been carried by its list, which does not rotate."""
    for _ in range(10):
        shim = shared.run(["head", "-c", "300000", "/dev/zero"], log_limits={"file_bytes": 65536, "file_count": 9})
        assert shim.record()["logs"] == {"stdout_bytes": 300_000, "stderr_bytes": 0, "dropped_bytes": 0}
        assert [len(content) for content in files(shim, "stdout")] == [300_000 % 65536, 65536, 65536, 65536, 65536]
