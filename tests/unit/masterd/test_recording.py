"""Recordings of the core's events: written as they happen, bounded, and replayed to the same effects in any process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from masterd.allocator.interface import AllocatorSettings
from masterd.allocator.quota import Quota
from masterd.beginning import Beginning
from masterd.core import machine as core_machine
from masterd.core.effects import SaveAgent
from masterd.core.events import AgentMarkedGone, CycleDue, Tick
from masterd.core.recovery import Remembered
from masterd.core.state import Settings
from masterd.recording import FORMAT, RecordedMachine, Recorder, read
from masterd.replay import replay, tell
from masterd.simulation.scenario import parse_scenario
from masterd.simulation.world import World
from paddock.model.agent import MasterInfo
from paddock.model.errors import ConfigError, InvalidRequest, NotFound
from paddock.model.ids import AgentId, MasterId
from tests.masterd_process import MasterdProcess

GOLDEN = Path(__file__).parent / "recordings" / "format-1.jsonl"
SCENARIO = """
name: eventful
duration_s: 100
allocation_interval_s: 2
agents: [{name: n, count: 3, resources: "cpus:4;mem:4096;ports:[1-9]"}]
frameworks:
  - {name: a, role: a/x, phases: [{task: "cpus:1;mem:512", runs_s: {exponential: 9}, wanted: 9}]}
  - {name: b, role: b, arrives_s: 20, leaves_s: 95, phases: [{task: "cpus:2;mem:9", runs_s: 3, every_s: {exponential: 2}}]}
failures: [{at_s: 5, agent: n-1, for_s: 10}, {at_s: 15, agent: n-2, for_s: 80}, {at_s: 30, framework: a, for_s: 9}]
"""


def beginning(allocator: str = "drf") -> Beginning:
    old = SaveAgent(agent_id=AgentId("old"), hostname="old", unix_address="", tcp_address="", unreachable_ns=1)
    return Beginning(
        format=FORMAT,
        version="test",
        allocator=allocator,
        allocator_settings=AllocatorSettings(),
        settings=Settings(),
        master=MasterInfo(master_id=MasterId("m"), epoch=3),
        remembered=Remembered(
            agents=(old,),
            weights_milli=(("a", 2_000),),
            quotas=(("b", Quota(guarantees_milli={"cpus": 1_000, "mem": 64_000})),),
            gone_agent_ids=(AgentId("gone"),),
        ),
        seed=5,
        now_ns=0,
        wall_ns=0,
    )


def recorded(path: Path, *, allocator: str = "drf", limit_bytes: int = 2**30, scenario: str = SCENARIO) -> World:
    """What a real master's core goes through in the scenario, and a call that it refuses."""
    start = beginning(allocator)
    recorder = Recorder(str(path), limit_bytes, start)
    world = World(parse_scenario(scenario))
    world.state = start.state()
    machine = world._machine = RecordedMachine(world.state, recorder)
    world.run()
    with pytest.raises(NotFound):
        machine.handle(AgentMarkedGone(agent_id=AgentId("nobody")), now_ns=10**12, wall_ns=10**12)
    recorder.close()
    return world


@pytest.mark.parametrize("allocator", ["drf", "random"])
def test_it_happens_again_in_another_process(tmp_path: Path, allocator: str) -> None:
    world = recorded(tmp_path / "events", allocator=allocator)
    found = replay(str(tmp_path / "events"))
    assert found.difference is None
    assert found.event_count > 500
    assert found.machine.state.offers.keys() == world.state.offers.keys()
    assert found.machine.state.offer_count == world.state.offer_count > 50
    # Sets come in another order there.
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "paddock.cli", "replay", str(tmp_path / "events")],
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{found.event_count} events happened again, with the same effects" in done.stdout


def test_only_its_owner_reads_it_and_the_one_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text("before")
    recorded(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "events.1").read_text() == "before"


def test_another_outcome_is_found_and_told(tmp_path: Path) -> None:
    path = tmp_path / "events"
    recorded(path)
    lines = path.read_bytes().splitlines(keepends=True)
    number = next(at for at, line in enumerate(lines) if b'"AgentRegistered"' in line)
    changed = lines[number].replace(b"4000000", b"3000000").replace(b"4000", b"3000", 1)
    assert changed != lines[number]
    path.write_bytes(b"".join([*lines[:number], changed, *lines[number + 1 :]]))
    code, words = tell(str(path))
    assert code == 1
    assert "differs: " in words
    assert "recorded: " in words
    assert replay(str(path), until=number - 1).difference is None


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events"
    recorded(path)
    whole = replay(str(path)).event_count
    path.write_bytes(path.read_bytes()[:-5])
    found = replay(str(path))
    assert (found.difference, found.event_count) == (None, whole - 1)


def test_it_ends_when_it_is_full_and_the_master_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "events"
    world = recorded(path, limit_bytes=20_000)
    assert 15_000 < path.stat().st_size <= 20_000
    assert world.state.offer_count > 50
    assert replay(str(path)).difference is None


def test_a_disk_that_is_full_ends_the_recording_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(str(tmp_path / "events"), 2**30, beginning())
    recorder.close()
    recorder._fd = os.open("/dev/full", os.O_WRONLY)
    machine = RecordedMachine(beginning().state(), recorder)
    for now_ns in (1, 2):
        machine.handle(CycleDue(batch=True), now_ns=now_ns, wall_ns=now_ns)
    assert [record.message for record in caplog.records] == ["the recording of events ends"]


def test_a_core_that_breaks_leaves_what_broke_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(turn: object) -> None:
        raise KeyError("lost")

    path = tmp_path / "events"
    recorder = Recorder(str(path), 2**30, beginning())
    machine = RecordedMachine(beginning().state(), recorder)
    monkeypatch.setattr(core_machine, "_pass_time", breaks)
    with pytest.raises(KeyError):
        machine.handle(Tick(), now_ns=1, wall_ns=1)
    assert replay(str(path)).difference is None
    monkeypatch.undo()
    found = replay(str(path)).difference
    assert found is not None
    assert (found.number, found.recorded, found.replayed) == (1, "KeyError: 'lost'", "")


def test_the_first_format_stays_readable() -> None:
    start, events = read(str(GOLDEN))
    assert (start.format, start.allocator, start.remembered, start.seed) == (1, "drf", beginning().remembered, 5)
    kinds = {type(happened.event).__name__ for happened in events}
    assert {"AgentRegistered", "Subscribe", "Accept", "Decline", "StatusReported", "Acknowledge", "CycleDue"} <= kinds


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: [b""], "line 1: not JSON"),
        (
            lambda lines: [lines[0].replace(b'"format":1', b'"format":2'), *lines[1:]],
            "has format 2, this version reads 1",
        ),
        (lambda lines: [lines[0].replace(b'"seed":5', b'"seed":"x"'), *lines[1:]], "line 1"),
        (lambda lines: [lines[0].replace(b'"drf"', b'"none"'), *lines[1:]], "no allocator 'none'"),
        (lambda lines: [lines[0], b"[1]\n"], "line 2: not"),
        (lambda lines: [lines[0], b'[1,1,{"is":"Unheard"},""]\n'], "line 2: 'Unheard' is none of"),
    ],
)
def test_what_is_no_recording_is_named(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], words: str
) -> None:
    (tmp_path / "events").write_bytes(b"".join(change(GOLDEN.read_bytes().splitlines(keepends=True))))
    with pytest.raises((InvalidRequest, ConfigError), match=words):
        replay(str(tmp_path / "events"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_recording_is_refused_or_differs(tmp_path: Path, data: st.DataObject) -> None:
    lines = GOLDEN.read_bytes().splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    begin = data.draw(st.integers(0, len(lines[at]) - 1))
    lines[at] = lines[at][:begin] + data.draw(st.binary(max_size=4)) + lines[at][begin + data.draw(st.integers(0, 9)) :]
    (tmp_path / "damaged").write_bytes(b"".join(lines))
    try:
        replay(str(tmp_path / "damaged"))
    except (InvalidRequest, ConfigError) as error:
        assert re.search("RECORDING|allocator", str(error))  # noqa: PT017


def test_a_real_masterd_records_each_run(tmp_path: Path) -> None:
    path = tmp_path / "events"
    masterd = MasterdProcess(tmp_path, f"--record-events={path}", "--allocation-interval=50ms")
    for _ in range(2):
        masterd.start()
        try:
            deadline_s = time.monotonic() + 30
            while path.read_bytes().count(b"\n") < 12 and time.monotonic() < deadline_s:
                time.sleep(0.05)
        finally:
            assert masterd.stop() == 0
    for each in (path, Path(f"{path}.1")):
        found = replay(str(each))
        assert found.difference is None
        assert found.event_count >= 10
    first, second = (json.loads(each.read_bytes().splitlines()[0]) for each in (Path(f"{path}.1"), path))
    assert (first["master"]["epoch"], second["master"]["epoch"]) == (1, 2)


def test_a_file_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    masterd = MasterdProcess(tmp_path, f"--record-events={tmp_path}/missing/events")
    with pytest.raises(AssertionError, match="record_events: .*missing/events cannot be written"):
        masterd.start()
