"""The registry on a disk that is really full, or whose syncs fail: nothing half is in it, and the same group goes in later."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from masterd.core.effects import SaveAgentGone, SaveWeights
from masterd.registry import Registry
from paddock.model.errors import CheckpointBlocked
from paddock.model.ids import AgentId
from tests.full_disk import KINDS, FullDisk, failing_disk, full_disk

pytestmark = pytest.mark.no_cgroups

# More than SQLite finds in what it has already.
GROUP = [SaveAgentGone(agent_id=AgentId(f"a{number}-{'x' * 200}")) for number in range(5_000)]
FIRST = SaveWeights(weights_milli=(("kept", 2000),))
LAST = SaveWeights(weights_milli=(("kept", 2000), ("later", 3000)))


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest) -> Iterator[FullDisk]:
    with tempfile.TemporaryDirectory() as directory, full_disk(request.param, Path(directory)) as made:
        yield made


def test_a_group_is_in_it_as_a_whole_or_not_at_all(disk: FullDisk) -> None:
    state_dir = str(disk.path / "state")
    registry = Registry.open(state_dir)
    registry.begin_epoch()
    registry.write([FIRST])
    disk.fill()
    for _ in range(3):
        with pytest.raises(CheckpointBlocked, match=r"registry.sqlite.* it cannot be written: .*; make room"):
            registry.write([*GROUP, LAST])
        found = registry.load()
        assert found.weights_milli == FIRST.weights_milli
        assert found.gone_agent_ids == ()
    disk.free()
    registry.write([*GROUP, LAST])
    registry.close()
    again = Registry.open(state_dir)
    assert again.begin_epoch().epoch == 2
    found = again.load()
    assert dict(found.weights_milli) == dict(LAST.weights_milli)
    assert len(found.gone_agent_ids) == len(GROUP)
    again.close()


def test_a_registry_on_a_file_system_that_turned_read_only() -> None:
    with tempfile.TemporaryDirectory() as directory, failing_disk(Path(directory)) as disk:
        state_dir = str(disk.path / "state")
        registry = Registry.open(state_dir)
        registry.begin_epoch()
        registry.write([FIRST])
        disk.fail()
        for _ in range(3):
            with pytest.raises(CheckpointBlocked, match="it cannot be written: "):
                registry.write([LAST])
        registry.close()
        disk.repair()
        again = Registry.open(state_dir)
        assert again.begin_epoch().epoch == 2
        assert again.load().weights_milli == FIRST.weights_milli
        again.write([LAST])
        again.close()
