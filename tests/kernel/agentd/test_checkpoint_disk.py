"""The agent's log on a file system that turns read-only, and on one that is full: what was durable is there, whole."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from agentd.checkpoint import CheckpointLog
from paddock.model.errors import CheckpointError
from tests.full_disk import KINDS, failing_disk, full_disk

pytestmark = pytest.mark.no_cgroups


def test_a_log_on_a_file_system_that_turned_read_only() -> None:
    with tempfile.TemporaryDirectory() as directory, failing_disk(Path(directory)) as disk:
        path = str(disk.path / "log")
        log, _ = CheckpointLog.open(path)
        log.append(b"one")
        disk.fail()
        with pytest.raises(CheckpointError, match="Read-only file system; make room, or repair"):
            log.append(b"two")
        for _ in range(3):
            with pytest.raises(CheckpointError, match="Read-only file system"):
                log.replace([b"one", b"two"])
        log.close()
        disk.repair()
        log, frames = CheckpointLog.open(path)
        assert frames == [b"one"]
        log.replace([b"one", b"two"])
        log.append(b"three")
        log.close()
        log, frames = CheckpointLog.open(path)
        assert frames == [b"one", b"two", b"three"]
        log.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_on_a_full_disk_is_cut_nowhere_and_made_anew_when_there_is_room(kind: str) -> None:
    large = [bytes([number]) * 400_000 for number in range(1, 4)]
    with tempfile.TemporaryDirectory() as directory, full_disk(kind, Path(directory)) as disk:
        path = str(disk.path / "log")
        log, _ = CheckpointLog.open(path)
        log.append(b"one")
        disk.fill()
        with pytest.raises(CheckpointError, match="No space left on device"):
            log.append(large[0])
        for _ in range(3):
            with pytest.raises(CheckpointError, match="No space left on device"):
                log.replace([b"one", *large])
        assert not Path(f"{path}.new").exists()
        # An agent that is killed now and comes back reads this.
        again, frames = CheckpointLog.open(path)
        assert frames[0] == b"one"
        assert frames[1:] in ([], [large[0]])
        assert (again.failure is not None) == (frames[1:] != [])
        again.close()
        disk.free()
        log.replace([b"one", *large])
        log.append(b"two")
        log.close()
        log, frames = CheckpointLog.open(path)
        assert frames == [b"one", *large, b"two"]
        assert log.failure is None
        log.close()
