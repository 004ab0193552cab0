"""What an agent wrote down is read again, and nothing that others than root, or another agent, could have written counts."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.doctor.agents import AgentPlaces, read_places, write_places
from paddock.doctor.locks import parse_locks, read_locks


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    (path / "agent-id").write_text("a1\n")
    return path


def test_what_is_written_down_is_read_again(state_dir: Path) -> None:
    places = AgentPlaces(
        agent_id="a1",
        state_dir=str(state_dir),
        runtime_dir="/run/x",
        work_dir="/w",
        cgroup_roots=(("cpu", "/cg/cpu/paddock-a1"),),
        listen=("/run/a.sock",),
    )
    write_places(places)
    assert read_places(str(state_dir)) == places
    before = (state_dir / "places").stat().st_mtime_ns
    write_places(places)
    assert (state_dir / "places").stat().st_mtime_ns == before
    assert os.listdir(state_dir).count("places.new") == 0


def test_an_older_agent_has_written_nothing_down(state_dir: Path) -> None:
    found = read_places(str(state_dir))
    assert found == AgentPlaces(agent_id="a1", state_dir=str(state_dir), runtime_dir=f"{state_dir}/run")


def test_what_others_could_have_written_proves_nothing(state_dir: Path) -> None:
    state_dir.chmod(0o722)
    assert read_places(str(state_dir)) is None
    state_dir.chmod(0o700)
    os.chown(state_dir, 65534, 65534)
    assert read_places(str(state_dir)) is None


def test_another_agents_cgroups_are_not_taken_for_ours(state_dir: Path) -> None:
    roots = [["cpu", "/cg/cpu/paddock-a2"], ["cpu", "/cg/cpu"], ["memory", "/cg/memory/paddock-a1"], ["x"], 7]
    (state_dir / "places").write_text(json.dumps({"format": 1, "cgroup_roots": roots}))
    found = read_places(str(state_dir))
    assert found is not None
    assert found.cgroup_roots == (("memory", "/cg/memory/paddock-a1"),)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["format", "listen", "x"]), inner),
    max_leaves=8,
)


@pytest.mark.no_cgroups
@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=40, deadline=None)
def test_any_content_is_read_or_left_out(content: bytes) -> None:
    import tempfile  # noqa: PLC0415 - one directory for each example

    with tempfile.TemporaryDirectory() as path:
        Path(path, "agent-id").write_text("a1")
        Path(path, "places").write_bytes(content)
        found = read_places(path)
        assert found is not None
        assert found.agent_id == "a1"
        Path(path, "agent-id").write_bytes(content)
        other = read_places(path)
        assert other is None or "/" not in other.agent_id


def test_who_holds_a_lock_is_seen_without_trying_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as file:
        assert read_locks().holder(str(path)) == 0
        fcntl.flock(file, fcntl.LOCK_EX)
        assert read_locks().holder(str(path)) == os.getpid()
    assert read_locks().holder(str(path)) == 0
    assert read_locks().holder(str(tmp_path / "missing")) == 0


@pytest.mark.no_cgroups
@given(st.text(st.sampled_from("1: FLOCKADVISRYWTEPOX0af->\n"), max_size=80))
@settings(max_examples=50, deadline=None)
def test_any_list_of_locks_is_read(text: str) -> None:
    parse_locks(text)


def test_a_lock_is_known_by_device_and_inode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    found = path.stat()
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    line = "7: FLOCK  ADVISORY  WRITE {pid} {device}:{inode} 0 EOF\n"
    held = line.format(pid=77, device=device, inode=found.st_ino)
    assert parse_locks(held).holder(str(path)) == 77
    assert parse_locks(line.format(pid=0, device=device, inode=found.st_ino)).holder(str(path)) == -1
    assert parse_locks(line.format(pid=77, device=device, inode=found.st_ino + 1)).holder(str(path)) == 0
    assert parse_locks(held.replace("FLOCK ", "POSIX ")).holder(str(path)) == 0
    waits = held.replace("7:", "7: ->")
    assert parse_locks(waits).holder(str(path)) == 0
