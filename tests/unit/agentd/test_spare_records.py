"""Spare records: emptied before they are spares, found again by the next agent, and no more than are useful."""

import os
from pathlib import Path

import pytest

from agentd.containerizer import spare_records
from agentd.containerizer.spare_records import MAX_COUNT, SpareRecords


@pytest.mark.parametrize("steady", [True, False])
def test_a_record_becomes_an_empty_spare(tmp_path: Path, steady: bool) -> None:
    """It keeps its space only where the file system writes into it again."""
    spares = SpareRecords(str(tmp_path))
    spares.are_steady = steady
    assert spares.take("c9") is None
    record = tmp_path / "c1.json"
    record.write_text("{}")
    spares.give(str(record))
    assert not record.exists()
    taken = spares.take("c9")
    assert taken == str(tmp_path / "spare-c1")
    assert Path(taken).read_bytes() == (b"\0\0" if steady else b"")
    assert spares.take("c9") is None


def test_a_record_that_is_not_there_is_no_spare(tmp_path: Path) -> None:
    spares = SpareRecords(str(tmp_path))
    spares.give(str(tmp_path / "c1.json"))
    assert spares.take("c9") is None
    assert list(tmp_path.iterdir()) == []


def test_the_next_agent_finds_them_and_nothing_else(tmp_path: Path) -> None:
    for name in ("spare-c1", "c2.json", "c3.json.new", "spare-c4.json", "spare-c5.json.new"):
        (tmp_path / name).write_text("content")
    spares = SpareRecords(str(tmp_path))
    spares.find()
    assert spares.take("c9") == str(tmp_path / "spare-c1")
    assert not (tmp_path / "spare-c1").read_bytes().strip(b"\0")
    assert spares.take("c9") is None
    assert (tmp_path / "spare-c4.json").read_text() == "content"


def test_which_file_system_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spares = SpareRecords(str(tmp_path))
    for fs_type, steady in (("ext4", True), ("btrfs", False), ("", False), ("xfs", True), ("tmpfs", False)):
        monkeypatch.setattr(spare_records, "fs_type_of", lambda _path, name=fs_type: name)
        spares.find()
        assert spares.are_steady is steady, fs_type


def test_no_more_than_are_useful_are_kept(tmp_path: Path) -> None:
    spares = SpareRecords(str(tmp_path))
    for number in range(MAX_COUNT + 5):
        record = tmp_path / f"c{number}.json"
        record.touch()
        spares.give(str(record))
    assert len(list(tmp_path.iterdir())) == MAX_COUNT
    (tmp_path / "spare-another").touch()
    spares.find()
    assert len(list(tmp_path.iterdir())) == MAX_COUNT


def test_an_agent_that_dies_while_it_gives_one_leaves_a_spare_and_no_empty_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "c1.json"
    record.write_text("{}")

    def die(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "truncate", die)
        patched.setattr(os, "pwrite", die)
        with pytest.raises(KeyboardInterrupt):
            SpareRecords(str(tmp_path)).give(str(record))
    assert [path.name for path in tmp_path.iterdir()] == ["spare-c1"]
    later = SpareRecords(str(tmp_path))
    later.find()
    assert later.take("c9") == str(tmp_path / "spare-c1")
    assert not (tmp_path / "spare-c1").read_bytes().strip(b"\0")


def test_a_spare_that_its_taker_has_not_used_is_one_again(tmp_path: Path) -> None:
    """Its launch came to nothing before; one that it has used is its record, and given as such."""
    spares = SpareRecords(str(tmp_path))
    for name in ("spare-c1", "spare-c2"):
        (tmp_path / name).touch()
    spares.find()
    first, second = spares.take("c3"), spares.take("c4")
    assert first is not None
    assert second is not None
    Path(first).rename(tmp_path / "c3.json")
    for taker in ("c3", "c4", "c5"):
        spares.take_back(taker)
    assert (spares.take("c6"), spares.take("c7")) == (second, None)
    spares.take_back("c4")
    assert spares.take("c8") is None


def test_no_more_than_are_useful_are_taken_back(tmp_path: Path) -> None:
    spares = SpareRecords(str(tmp_path))
    (tmp_path / "spare-first").touch()
    spares.find()
    assert spares.take("c1") is not None
    for number in range(MAX_COUNT):
        (tmp_path / f"d{number}.json").touch()
        spares.give(str(tmp_path / f"d{number}.json"))
    spares.take_back("c1")
    assert not (tmp_path / "spare-first").exists()
    assert len(list(tmp_path.iterdir())) == MAX_COUNT
