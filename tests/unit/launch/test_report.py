"""What a launch's list writes down by itself: filled in, read back as a message and as a note, or refused."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.launch import plan as plans
from paddock.launch import protocol, record, report
from paddock.launch.protocol import ProtocolError

GOLDEN = Path(__file__).parent / "golden"
STAT = b"%d (a )b( c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %d 20 21\n"
BOOT_ID = "4e9c4618-86a4-4083-96ec-5afd5d9abd31"


def golden_plan() -> plans.Plan:
    fields: dict[str, Any] = json.loads((GOLDEN / "plan-1.json").read_text())
    return plans.decode_plan(fields)


def filled(*, reached: int = 1, steps: tuple[int, int] = (7, 8)) -> bytes:
    content = bytearray(report.blank(golden_plan()))
    struct.pack_into("2i", content, report.REACHED, reached, 4711)
    struct.pack_into("2q", content, report.STARTED, 123_456_789, 0)
    for place, stat in ((report.SHIM_STAT, STAT % (99, 100_000)), (report.COMMAND_STAT, STAT % (4711, 100_007))):
        content[place : place + len(stat)] = stat
    struct.pack_into("2i", content, report.steps_at(0), *steps)
    return bytes(content)


def test_as_a_message() -> None:
    assert report.decode_message(filled()) == {
        "event": protocol.EVENT_STARTED,
        "container_id": "c1",
        "pid": 4711,
        "start_time_ticks": 100_007,
        "shim_pid": 99,
        "cgroup": golden_plan().cgroup.to_json(),
        "unapplied": [],
        "started_ns": 123_456_789_000_000_000,
    }
    assert report.was_reached(filled())
    assert report.times_of(filled()) == (100_000, 100_007)


def test_as_a_note() -> None:
    note = report.decode(filled() + b"\0" * 100)
    assert (note["boot_id"], note["shim_start_time_ticks"], note["state"]) == (BOOT_ID, 100_000, "running")
    assert (note["socket"], note["agent_id"]) == ("/run/paddock/c1.ear", "a1")


@pytest.mark.parametrize(("steps", "code"), [((-2, -9), 9), ((5, -95), 95), ((-2, 0), 2)])
def test_a_limit_that_this_host_has_not(steps: tuple[int, int], code: int) -> None:
    unapplied = report.decode_message(filled(steps=steps))["unapplied"]
    limit = {"controller": "memory", "file": "memory.memsw.limit_in_bytes", "value": "67108864"}
    assert unapplied == [{**limit, "errno": code}]


def test_a_result_that_looks_like_the_beginning() -> None:
    brace = struct.unpack("i", b'{"a"')[0]
    assert report.decode_message(filled(steps=(brace, brace)))["pid"] == 4711


def test_a_process_that_never_came_to_its_execve() -> None:
    assert report.decode_message(filled(reached=0))["event"] == protocol.EVENT_DIED


def test_as_a_record() -> None:
    content = bytearray(filled())
    content[:4] = report.RECORD_MARK
    counter = b"oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"
    struct.pack_into("2q", content, report.ENDED, 123_456_790, 5)
    struct.pack_into("2q", content, report.LOG_BYTES, 7, 8)
    struct.pack_into("i", content, report.WAIT_STATUS, 3 << 8)
    struct.pack_into("i", content, report.length_at(1, 0), len(counter))
    message = report.decode_message(bytes(content) + counter)
    fields = report.decode(bytes(content) + counter)
    assert message == {"event": protocol.EVENT_EXITED, "record": fields}
    found = record.decode_record(fields)
    assert (found.container_id, found.pid, found.shim_pid, found.wait_status) == ("c1", 4711, 99, 3 << 8)
    assert (found.boot_id, found.start_time_ticks) == (BOOT_ID, 100_007)
    assert (found.started_ns, found.ended_ns) == (123_456_789_000_000_000, 123_456_790_000_000_005)
    assert found.counters == {"memory/memory.oom_control": counter.decode()}
    assert (found.stdout_bytes, found.stderr_bytes, found.dropped_bytes) == (7, 8, 0)
    with pytest.raises(ProtocolError, match="its counters are cut"):
        report.decode(bytes(content) + counter[:-1])


def test_other_messages_are_json() -> None:
    assert report.decode_message(b'{"event":"exited"}') == {"event": "exited"}


@given(st.integers(0, 5000), st.binary(max_size=40))
def test_a_damaged_one_is_read_or_refused(at: int, damage: bytes) -> None:
    content = bytearray(filled())
    content[at : at + len(damage)] = damage
    try:
        assert isinstance(report.decode_message(bytes(content)), dict)
    except ProtocolError:
        return


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        assert isinstance(report.decode_message(report.MARK + content), dict)
    except ProtocolError:
        return
