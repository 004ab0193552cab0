"""What outlives a build: each layout of today has its bytes in golden/, which the next build must read too.

They were written by real shims: a command that runs, one that waits at the barrier, one that was killed, and one that ended
by itself. Who gives a layout a new number keeps the old bytes and adds new ones: these tests ask for both.
"""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.kernel.descriptors import make_sealed_memfd
from paddock.launch import plan_file, protocol, record, report, sweep
from paddock.launch.ending import Identity
from paddock.launch.plan import CgroupPlace
from paddock.launch.protocol import FormatError

GOLDEN = Path(__file__).parent / "golden"
BOOT_ID = "4e9c4618-86a4-4083-96ec-5afd5d9abd31"
NO_KILL = "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"
WRITTEN = ("running-1.note", "waiting-1.note", "killed-1.record", "exited-1.record")


def read(name: str) -> dict[str, object]:
    fields = record.read_json(str(GOLDEN / name))
    assert fields is not None
    return fields


def read_numbers(current: int) -> set[int]:
    return {number for number in (current, current - 1) if number > 0}


def test_each_number_that_is_to_be_read_has_its_bytes() -> None:
    for number in read_numbers(report.FORMAT):
        assert {"running", "exited"} <= {path.stem.partition("-")[0] for path in GOLDEN.glob(f"*-{number}.*")}
    for number in read_numbers(protocol.FORMAT):
        assert {f"waiting-{number}.note", f"killed-{number}.record", f"plan-{number}.json"} <= set(os.listdir(GOLDEN))
    # A launcher of another number is replaced, so one is enough: an agent seals for its own launcher.
    assert (GOLDEN / f"plan-{plan_file.FORMAT}.sealed").exists()


def test_the_plans_number_covers_the_reports() -> None:
    """A report's places are in the list that the agent writes, and a shim reads it by its own: both change together."""
    assert (plan_file.FORMAT, report.FORMAT, report.FIXED.format) == (5, 1, "4s2i36s2q2q2q4i512s512s")


def test_a_word_and_a_note_of_a_command_that_runs() -> None:
    message = report.decode_message((GOLDEN / "running-1.note").read_bytes())
    assert (message["event"], message["container_id"], message["unapplied"]) == ("started", "c1", [])
    assert (message["pid"], message["start_time_ticks"], message["shim_pid"]) == (10661, 5037847, 10655)
    assert message["started_ns"] == 1_795_685_958_838_884_878
    remains = sweep.decode_remains(read("running-1.note"))
    identity = remains.identity
    assert (identity.agent_id, identity.container_id, identity.boot_id) == ("golden", "c1", BOOT_ID)
    assert (identity.shim_pid, identity.shim_start_time_ticks) == (10655, 5037844)
    assert remains.place.directories["memory"] == "/sys/fs/cgroup/memory/paddock-golden/c1"
    assert [each.key for each in remains.final_reads] == ["memory/memory.oom_control", "pids/pids.events"]
    assert not remains.is_finished
    assert remains.socket.endswith("/c1.ear")


def test_a_note_of_a_command_that_waits() -> None:
    remains = sweep.decode_remains(read("waiting-1.note"))
    identity = remains.identity
    assert (identity.container_id, identity.shim_pid, identity.shim_start_time_ticks) == ("c3", 10663, 5037848)
    assert (identity.pid, identity.start_time_ticks) == (10696, 5037860)
    assert remains.oom_events is not None


def test_a_record_of_a_command_that_was_killed() -> None:
    found = record.decode_record(read("killed-1.record"))
    assert (found.wait_status, found.supervisor_lost, found.victims) == (15, False, ())
    assert found.kill is not None
    assert (found.kill.signal, found.kill.grace_ms, found.kill.escalated, found.kill.took_ms) == (15, 2000, False, 13)


def test_a_word_and_a_record_of_a_command_that_ended_by_itself() -> None:
    message = report.decode_message((GOLDEN / "exited-1.record").read_bytes())
    assert message == {"event": "exited", "record": read("exited-1.record")}
    found = record.decode_record(read("exited-1.record"))
    assert (found.container_id, found.boot_id, found.wait_status, found.kill) == ("c2", BOOT_ID, 3 << 8, None)
    assert (found.pid, found.start_time_ticks, found.shim_pid) == (10681, 5037856, 10659)
    assert (found.started_ns, found.ended_ns) == (1_795_685_958_926_980_696, 1_795_685_958_933_202_296)
    assert (found.stdout_bytes, found.stderr_bytes, found.dropped_bytes) == (6, 3, 0)
    assert found.counters == {"memory/memory.oom_control": NO_KILL, "pids/pids.events": "max 0\n"}


def of_another_build(name: str, number: int) -> bytes:
    content = (GOLDEN / name).read_bytes()
    if report.is_one(content):
        return bytes((number,)) + content[1:]
    return content.replace(b'"format":1,', b'"format":%d,' % number, 1)


@pytest.mark.parametrize("name", WRITTEN)
def test_another_builds_is_named_and_left_as_it_is(name: str, tmp_path: Path) -> None:
    path = str(tmp_path / "c1.json")
    where = Path(record.temporary_path(path) if name.endswith(".note") else path)
    content = of_another_build(name, 2)
    where.write_bytes(content)
    # Its cgroup is there no more; even so nobody may say of it what he has not read.
    planned = sweep.Remains(Identity("golden", "c1", BOOT_ID), CgroupPlace("v1", {"cpu": str(tmp_path / "none")}))
    for known in (None, planned):
        with pytest.raises(FormatError) as refused:
            sweep.sweep(path, known)
        assert str(refused.value) == f"{where}: format: is 2, and this build reads 1: start the build that wrote it"
    assert where.read_bytes() == content
    assert os.listdir(tmp_path) == [where.name]


def test_a_note_that_is_torn_is_not_another_builds(tmp_path: Path) -> None:
    path = str(tmp_path / "c1.json")
    shutil.copyfile(GOLDEN / "running-1.note", record.temporary_path(path))
    os.truncate(record.temporary_path(path), 900)
    assert sweep.sweep(path) is None
    assert not os.listdir(tmp_path)


@given(st.sampled_from(WRITTEN), st.integers(2, 255))
def test_a_word_of_another_build(name: str, number: int) -> None:
    content = of_another_build(name, number)
    if report.is_one(content):
        with pytest.raises(FormatError, match=f"is {number}, and this build reads 1"):
            report.decode_message(content)
    else:
        with pytest.raises(FormatError, match=f"is {number}, and this build reads 1"):
            protocol.check_format(protocol.decode(content))


@given(st.integers(0, 255).filter(lambda number: number != plan_file.FORMAT))
def test_a_sealed_plan_of_another_build(number: int) -> None:
    content = bytearray((GOLDEN / f"plan-{plan_file.FORMAT}.sealed").read_bytes())
    assert content[8] == plan_file.FORMAT
    content[8] = number
    fd = make_sealed_memfd("plan", bytes(content))
    try:
        with pytest.raises(FormatError, match=f"is {number}, and this build reads {plan_file.FORMAT}"):
            plan_file.read_header(fd)
    finally:
        os.close(fd)
