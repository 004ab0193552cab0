"""Exit records: format 1 is pinned by a golden file; preallocation, lock and durability of the file itself."""

import contextlib
import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.kernel.errors import KernelError
from paddock.launch import record as records
from paddock.launch import sweep
from paddock.launch.ending import Ending, Identity, build_record
from paddock.launch.kill_state import KillState
from paddock.launch.plan import CgroupPlace, KillPolicy
from paddock.launch.protocol import ProtocolError

GOLDEN = Path(__file__).parent / "golden" / "record-1.json"


def golden() -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(GOLDEN.read_text())
    return fields


def test_the_golden_record() -> None:
    record = records.decode_record(golden())
    assert record.container_id == "c1"
    assert record.wait_status == 9
    assert record.kill is not None
    assert (record.kill.signal, record.kill.escalated, record.kill.took_ms) == (15, True, 3004)
    assert record.victims is not None
    assert (record.victims[0].comm, record.victims[0].main) == ("python3", False)
    assert (record.stdout_bytes, record.stderr_bytes, record.dropped_bytes) == (5, 0, 7)
    assert record.problems[0].errno == 16
    assert record.launch_error is None
    assert record.max_completion_reached


def test_what_is_written_has_the_golden_fields() -> None:
    identity = Identity("a1", "c1", "boot")
    fields = build_record(identity, CgroupPlace("v1", {}), Ending(), ended_ns=1, wait_status=0)
    assert list(fields) == list(golden())
    assert records.decode_record(fields).kill is None


def test_a_launch_error() -> None:
    error = {"stage": "exec", "operation": "execve", "path": "/x", "value": "", "errno": 2, "message": "no"}
    record = records.decode_record({**golden(), "launch_error": error, "wait_status": None, "victims": None})
    assert record.launch_stage == "exec"
    assert record.launch_error is not None
    assert record.launch_error.errno == 2
    assert record.victims is None


values: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()) | st.just({})
)


@given(st.sampled_from(sorted(golden())), values)
def test_any_value_in_any_field_is_taken_or_refused(key: str, value: object) -> None:
    for decode in (records.decode_record, sweep.decode_remains):
        # Anything but a ProtocolError fails.
        with contextlib.suppress(ProtocolError):
            decode({**golden(), key: value})


def test_the_file_is_preallocated_locked_and_named_at_the_end(tmp_path: Path) -> None:
    path = str(tmp_path / "c1")
    file = records.create(path)
    temporary = Path(records.temporary_path(path))
    assert temporary.stat().st_blocks * 512 >= 16 * 1024
    assert temporary.stat().st_mode & 0o777 == 0o600
    with pytest.raises(KernelError) as locked:
        records.reopen(path)
    assert locked.value.errno == errno.EAGAIN
    with pytest.raises(FileExistsError):
        records.create(path)

    file.write_note({"format": 1, "state": "running"})
    assert records.read_json(str(temporary)) == {"format": 1, "state": "running"}
    assert records.read_json(path) is None
    file.finish({"format": 1, "a": "long" * 10_000})
    assert not temporary.exists()
    file.finish({"format": 1, "a": 2})
    assert records.read_json(path) == {"format": 1, "a": 2}
    assert records.is_held(path)
    file.close()
    assert not records.is_held(path)
    with pytest.raises(FileExistsError):
        records.create(path)


@pytest.mark.parametrize("size", [0, 100, records.PREALLOCATED_BYTES, 100_000])
def test_what_is_emptied_keeps_its_space_and_nothing_else(tmp_path: Path, size: int) -> None:
    path = tmp_path / "c1"
    path.write_bytes(b"x" * size)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    blocks = min(path.stat().st_blocks, records.PREALLOCATED_BYTES // 512)
    records.empty(str(path))
    assert path.read_bytes() == bytes(min(size, records.PREALLOCATED_BYTES))
    assert path.stat().st_blocks == blocks
    assert records.read_json(str(path)) is None


def test_a_record_whose_directory_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as refused:
        records.create(str(tmp_path / "none" / "c1"))
    assert refused.value.path == str(tmp_path / "none" / "c1.new")  # type: ignore[attr-defined]


def test_a_damaged_record(tmp_path: Path) -> None:
    path = tmp_path / "c1"
    path.write_bytes(b'{"format":1')
    with pytest.raises(ProtocolError):
        records.read_json(str(path))
    # Space that was taken, and never written to, says nothing.
    path.write_bytes(b"\0" * 100)
    assert records.read_json(str(path)) is None


def test_a_note_cut_short_and_no_plan_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c1"
    Path(records.temporary_path(str(path))).write_bytes(b'{"format":1')
    assert sweep.sweep(str(path)) is None
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_waits_until_a_record_is_durable(tmp_path: Path) -> None:
    """It has its name a moment before; the lock is let go of when it is."""
    path = str(tmp_path / "c1")
    file = records.create(path)
    file.finish(golden())
    with pytest.raises(KernelError, match="has not made it durable") as busy:
        sweep.sweep(path, timeout_s=0)
    assert busy.value.errno == errno.EAGAIN
    threading.Timer(0.05, file.close).start()
    found = sweep.sweep(path, timeout_s=60)
    assert found is not None
    assert found.wait_status == 9


def test_a_name_that_was_on_the_disk_before_its_record_when_the_power_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "c1"
    note = {**golden(), "state": "running", "final_reads": [], "oom_events": None, "socket": f"{tmp_path}/c1.ear"}
    path.write_text(json.dumps({**note, "boot_id": "another"}) + "\0" * 100)
    found = sweep.sweep(str(path))
    assert found is not None
    assert (found.container_id, found.supervisor_lost, found.wait_status) == ("c1", True, None)
    again = records.read_json(str(path))
    assert again is not None
    assert "state" not in again
    assert not Path(records.temporary_path(str(path))).exists()


def test_a_kill_may_only_be_hastened() -> None:
    state = KillState(KillPolicy(15, 60_000))
    state.shorten(KillPolicy(9, 120_000))
    assert state.grace_ms == 60_000
    state.shorten(KillPolicy(9, 0))
    assert state.grace_ms < 1000
    assert state.is_due()
    state.escalated = True
    assert not state.is_due()


def test_sweeping_never_touches_what_is_not_ours(tmp_path: Path) -> None:
    stranger = tmp_path / "sys" / "other" / "c1"
    stranger.mkdir(parents=True)
    fields = {**golden(), "cgroup": {"mode": "v1", "directories": {"memory": str(stranger)}}}
    with pytest.raises(ProtocolError):
        sweep.decode_remains(fields)
    with pytest.raises(KernelError):
        sweep.list_containers("a1", "v1", {"memory": str(stranger.parent)})
    assert stranger.exists()


def test_listing_containers(tmp_path: Path) -> None:
    parents = {}
    for controller in ("cpu", "memory"):
        parent = tmp_path / controller / "paddock-a1"
        (parent / "c1").mkdir(parents=True)
        (parent / "tasks").touch()
        parents[controller] = str(parent)
    os.mkdir(f"{parents['cpu']}/c2")
    parents["pids"] = str(tmp_path / "pids" / "paddock-a1")
    found = sweep.list_containers("a1", "v1", parents)
    assert set(found["c1"].directories) == {"cpu", "memory"}
    assert set(found["c2"].directories) == {"cpu"}
