"""Plans: format 1 is pinned by a golden file, every wrong field is named, and no input breaks the parser."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.kernel import capabilities
from paddock.launch import plan as plans
from paddock.launch import protocol
from paddock.launch.protocol import ProtocolError

GOLDEN = Path(__file__).parent / "golden"


def golden() -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((GOLDEN / "plan-1.json").read_text())
    return fields


def decode(fields: dict[str, Any]) -> plans.Plan:
    return plans.decode_plan(fields)


def test_the_golden_plan() -> None:
    plan = plans.decode_plan(golden())
    assert (plan.agent_id, plan.container_id) == ("a1", "c1")
    assert plan.cgroup.mode == "v1"
    assert plan.cgroup.directories["cpu"] == plan.cgroup.directories["cpuacct"]
    assert [(w.controller, w.file, w.value, w.optional) for w in plan.writes] == [
        ("memory", "memory.limit_in_bytes", "67108864", False),
        ("memory", "memory.memsw.limit_in_bytes", "67108864", True),
        ("pids", "pids.max", "100", False),
    ]
    assert [read.key for read in plan.final_reads] == ["memory/memory.oom_control"]
    assert plan.oom_events is not None
    assert plan.namespaces == ("pid", "mnt", "ipc")
    assert (plan.mounts[0].fs_type, plan.mounts[0].flags) == ("proc", ("nosuid", "nodev", "noexec"))
    command = plan.command
    assert command.argv == ("sh", "-c", "true")
    assert (command.uid, command.gid, command.groups) == (1000, 1000, (1000, 27))
    assert command.capabilities is not None
    assert capabilities.names_of(command.capabilities.bounding) == ("CAP_CHOWN", "CAP_KILL")
    assert capabilities.names_of(command.capabilities.effective) == ("CAP_KILL",)
    assert [(r.resource, r.soft, r.hard) for r in command.rlimits] == [
        ("RLMT_NOFILE", 1024, 4096),
        ("RLMT_CORE", None, None),
    ]
    assert (plan.kill.signal, plan.kill.grace_ms, plan.max_completion_ms) == (15, 3000, 60000)


def test_what_may_be_left_out() -> None:
    needed = ("format", "agent_id", "container_id", "record", "socket", "cgroup", "launcher", "sandbox", "argv", "user")
    plan = decode({key: value for key, value in golden().items() if key in needed})
    assert plan.command.working_directory == plan.sandbox
    assert plan.command.no_new_privileges
    assert plan.command.capabilities is None
    assert plan.writes == ()
    assert not plan.barrier


WRONG: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("format",), 2, "format"),
    (("agent_id",), "a/b", "agent_id"),
    (("agent_id",), "..", "agent_id"),
    (("container_id",), "x" * 300, "container_id"),
    (("container_id",), "a\0b", "container_id"),
    (("container_id",), 5, "container_id"),
    (("record",), "relative", "record"),
    (("record",), "/a/../b", "record"),
    (("cgroup", "mode"), "v3", "cgroup.mode"),
    (("cgroup", "directories", "pids"), "/sys/fs/cgroup/pids/else", "cgroup.directories['pids']"),
    (("cgroup", "directories", "pids"), "/sys/fs/cgroup/pids/paddock-a2/c1", "cgroup.directories['pids']"),
    (("cgroup", "directories", ""), "/sys/fs/cgroup/paddock-a1/c1", "cgroup.directories['']"),
    (("writes", 2, "file"), "../x", "writes[2].file"),
    (("writes", 0, "controller"), "io", "writes[0].controller"),
    (("writes", 0, "value"), 7, "writes[0].value"),
    (("writes", 0, "optional"), 1, "writes[0].optional"),
    (("final_reads", 0, "file"), "", "final_reads[0].file"),
    (("oom_events",), [], "oom_events"),
    (("namespaces", 1), "user", "namespaces[1]"),
    (("namespaces",), [], "mounts"),
    (("mounts", 0, "flags", 0), "magic", "mounts[0].flags[0]"),
    (("mounts", 0, "target"), "proc", "mounts[0].target"),
    (("sandbox",), "", "sandbox"),
    (("stdout",), "a/b", "stdout"),
    (("stderr",), "stdout", "stderr"),
    (("argv",), [], "argv"),
    (("argv", 1), None, "argv[1]"),
    (("argv", 2), "a\0b", "argv[2]"),
    (("argv", 0), "", "argv[0]"),
    (("argv", 1), "\ud800", "argv[1]"),
    (("environment",), {"A=B": "c"}, "environment"),
    (("environment",), {"": "c"}, "environment"),
    (("environment", "EMPTY"), 5, "environment['EMPTY']"),
    (("user",), "root", "user"),
    (("user", "uid"), -1, "user.uid"),
    (("user", "uid"), 1.5, "user.uid"),
    (("user", "uid"), True, "user.uid"),
    (("user", "gid"), 1 << 32, "user.gid"),
    (("user", "groups", 0), "x", "user.groups[0]"),
    (("capabilities", "bounding", 0), "CAP_NONE", "capabilities.bounding[0]"),
    (("rlimits", 0, "resource"), "NOFILE", "rlimits[0].resource"),
    (("rlimits", 0, "soft"), -1, "rlimits[0].soft"),
    (("umask",), 0o1000, "umask"),
    (("nice",), 20, "nice"),
    (("oom_score_adj",), 1001, "oom_score_adj"),
    (("kill", "signal"), 65, "kill.signal"),
    (("kill", "grace_ms"), -1, "kill.grace_ms"),
    (("max_completion_ms",), "1", "max_completion_ms"),
    (("barrier",), None, "barrier"),
    (("stand_in",), 1, "stand_in"),
    (("stand_in",), True, "stand_in"),
    (("no_new_privs",), "yes", "no_new_privs"),
]


@pytest.mark.parametrize(("place", "value", "named"), WRONG, ids=[f"{w[2]}-{n}" for n, w in enumerate(WRONG)])
def test_every_wrong_field_is_named(place: tuple[str | int, ...], value: object, named: str) -> None:
    fields = golden()
    target: Any = fields
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    with pytest.raises(ProtocolError) as refused:
        decode(fields)
    assert refused.value.field == named


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(sorted(golden())), json_values)
def test_any_value_in_any_field_is_taken_or_refused(key: str, value: object) -> None:
    # Anything but a ProtocolError fails.
    with contextlib.suppress(ProtocolError):
        decode({**golden(), key: value})


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_messages_round_trip(message: dict[str, Any]) -> None:
    try:
        encoded = protocol.encode(message)
    except ValueError:
        # NaN and infinity are not JSON.
        return
    assert protocol.decode(encoded) == message


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(content: bytes) -> None:
    try:
        assert isinstance(protocol.decode(content), dict)
    except ProtocolError:
        return


@pytest.mark.parametrize("content", [b"", b"[]", b"{} x", b'{"a":', b"\xff", b"[" * 100_000, b"nul", b'{"a":1e999999}'])
def test_messages_that_are_none(content: bytes) -> None:
    if content == b'{"a":1e999999}':
        assert protocol.decode(content) == {"a": float("inf")}
        return
    with pytest.raises(ProtocolError):
        protocol.decode(content)


def test_a_message_that_is_too_long() -> None:
    with pytest.raises(ProtocolError, match="at most"):
        protocol.decode(b" " * (protocol.MAX_MESSAGE_BYTES + 1))


@given(st.binary(max_size=200))
def test_exec_and_operations_take_any_fields(content: bytes) -> None:
    place = plans.decode_plan(golden()).cgroup
    for parse in (
        lambda value: plans.decode_writes(value, place),
        lambda value: plans.decode_reads(value, "reads", place),
        lambda value: plans.decode_kill(value, "kill", plans.KillPolicy(15, 1)),
    ):
        with pytest.raises(ProtocolError):
            parse(content)
