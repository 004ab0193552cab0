"""A plan's file: format 4 is pinned by a golden file, and no bytes break its reader."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.kernel.descriptors import make_sealed_memfd
from paddock.launch import plan as plans
from paddock.launch import protocol
from paddock.launch.plan_file import PlanFile, seal
from paddock.launch.protocol import ProtocolError

GOLDEN = Path(__file__).parent / "golden"


def golden() -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((GOLDEN / "plan-1.json").read_text())
    return fields


def opened(content: bytes) -> PlanFile:
    fd = make_sealed_memfd("plan", content)
    try:
        return PlanFile(fd)
    except BaseException:
        os.close(fd)
        raise


def assert_golden(file: PlanFile) -> None:
    summary = file.read_summary()
    assert (summary.agent_id, summary.container_id, summary.program) == ("a1", "c1", "sh")
    assert (summary.record, summary.socket) == ("/var/lib/paddock/records/c1", "/run/paddock/c1.ear")
    assert summary.cgroup.mode == "v1"
    assert [read.key for read in summary.final_reads] == ["memory/memory.oom_control"]
    assert (summary.kill.signal, summary.kill.grace_ms, summary.max_completion_ms) == (15, 3000, 60000)
    assert [write[1] for write in summary.optional] == ["memory.memsw.limit_in_bytes"]
    assert [name for name, _step in summary.opened_logs] == ["stdout", "stderr"]
    assert file.read_plan().command.argv == ("sh", "-c", "true")
    file.close()
    file.close()


def test_what_is_sealed_is_read() -> None:
    assert_golden(opened(seal(golden())))


def test_the_golden_file_of_format_5_is_read() -> None:
    """A launcher of an older build may be asked by a newer agent, and the other way round."""
    assert_golden(opened((GOLDEN / "plan-5.sealed").read_bytes()))


def test_a_list_is_restored() -> None:
    file = opened(seal(golden()))
    before = bytes(file.memory)
    file.memory[file.outcome_at] ^= 0xFF
    file.restore()
    assert bytes(file.memory) == before
    file.close()


def test_a_wrong_plan_is_not_sealed() -> None:
    with pytest.raises(ProtocolError, match="argv: must not be empty"):
        seal({**golden(), "argv": []})
    with pytest.raises(ProtocolError, match="at most 8388608"):
        seal({**golden(), "argv": ["x" * 100_000] * 100})


def test_a_path_of_too_many_directories_is_refused() -> None:
    environment = {"PATH": ":".join(f"/d{number}" for number in range(5000))}
    with pytest.raises(ProtocolError, match="more than 4095 steps"):
        seal({**golden(), "environment": environment})


def test_a_plan_that_could_still_be_changed() -> None:
    fd = os.memfd_create("plan")
    os.write(fd, seal(golden()))
    with pytest.raises(OSError, match="F_GET_SEALS"):
        PlanFile(fd)
    os.close(fd)


@given(st.integers(0, 63), st.binary(min_size=1, max_size=8))
def test_a_damaged_header_is_read_or_refused(at: int, damage: bytes) -> None:
    content = bytearray(seal(golden()))
    content[at : at + len(damage)] = damage
    try:
        file = opened(bytes(content))
    except ProtocolError:
        return
    size = struct.unpack_from("8Q", content)[3]
    assert max(file.outcome_at, file.report_at, file.first * 64) < size
    file.close()


@given(st.binary(max_size=300))
def test_any_bytes_are_a_plan_or_refused(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        opened(content)


@given(st.dictionaries(st.sampled_from(["kill", "cgroup", "namespaces", "allocated"]), st.none() | st.integers()))
def test_a_wrong_summary_is_refused(changes: dict[str, object]) -> None:
    content = seal(golden())
    head = list(struct.unpack_from("8Q", content))
    summary = protocol.decode(content[head[3] : head[3] + head[4]])
    encoded = protocol.encode({**summary, **changes})
    head[4] = len(encoded)
    rebuilt = struct.pack("8Q", *head) + content[64 : head[3]] + encoded + content[-head[5] :]
    try:
        file = opened(rebuilt)
        file.read_summary()
        file.close()
    except ProtocolError:
        assert changes


def test_the_golden_plan_is_of_this_build() -> None:
    assert plans.decode_plan(golden()).launcher.shares_memory
