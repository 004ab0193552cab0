"""What a dead shim leaves in the agent's directories is found, and goes."""

from pathlib import Path

import pytest

from agentd.containerizer.places import Places
from isolators.contract import HostFacts
from paddock.launch import record
from paddock.launch.ear import unready_path
from paddock.launch.record import temporary_path
from paddock.model.errors import ContainerizerError
from paddock.model.ids import AgentId, ContainerId

HOST = HostFacts(
    agent_id=AgentId("a"), cgroup_mode="v1", cgroup_roots=(), cpu_count=1, memory_bytes=2**30, swap_accounting=True
)
GONE = ContainerId("0123456789abcdef0123456789abcdef")


def test_all_that_a_shim_may_leave_is_known_by_its_container_and_goes(tmp_path: Path) -> None:
    places = Places.at(f"{tmp_path}/records", f"{tmp_path}/run")
    places.make()
    ear = places.ear(GONE)
    Path(f"{tmp_path}/run/launcher.sock").touch()
    for left in (places.record(GONE), temporary_path(places.record(GONE)), ear, unready_path(ear)):
        Path(left).touch()
        assert places.unknown(set(), HOST) == (GONE,), left
        places.discard((GONE,))
        assert places.unknown(set(), HOST) == ()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["launcher.sock"]
    assert all(path.name.startswith("spare-") for path in (tmp_path / "records").iterdir())


def test_a_record_in_which_nothing_is_goes(tmp_path: Path) -> None:
    """An agent of an earlier version left it when it died."""
    places = Places.at(f"{tmp_path}/records", f"{tmp_path}/run")
    places.make()
    for content in (b"", bytes(4096)):
        Path(places.record(GONE)).write_bytes(content)
        assert places.unknown(set(), HOST) == (GONE,)
        assert places.sweep(GONE, HOST) is None
        places.discard((GONE,))
        assert places.unknown(set(), HOST) == ()


def test_a_forbidden_launch_finds_its_place_taken_for_the_agents_whole_life(tmp_path: Path) -> None:
    places = Places.at(f"{tmp_path}/records", f"{tmp_path}/run")
    places.make()
    places.forbid(GONE)
    places.discard((GONE,))
    with pytest.raises(OSError, match="exists"):
        record.create(places.record(GONE))
    with pytest.raises(ContainerizerError, match="its launch is under way: File exists"):
        places.forbid(GONE)
    later = Places.at(f"{tmp_path}/records", f"{tmp_path}/run")
    assert later.unknown(set(), HOST) == (GONE,)
    assert later.sweep(GONE, HOST) is None
    later.discard((GONE,))
    assert later.unknown(set(), HOST) == ()


def test_the_spare_of_a_launch_that_came_to_nothing_is_the_next_ones(tmp_path: Path) -> None:
    places = Places.at(f"{tmp_path}/records", f"{tmp_path}/run")
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "spare-c1").touch()
    places.make()
    taken = places.of(GONE, HOST).spare_record
    assert taken == f"{tmp_path}/records/spare-c1"
    later = ContainerId("1123456789abcdef0123456789abcdef")
    assert places.of(later, HOST).spare_record is None
    places.discard((GONE,))
    assert places.of(later, HOST).spare_record == taken
