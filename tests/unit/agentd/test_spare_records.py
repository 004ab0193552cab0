"""Spare records: emptied before they are spares, found again by the next agent, and no more than are useful."""

import os
from pathlib import Path

import pytest

from agentd.containerizer.spare_records import MAX_COUNT, SpareRecords


def test_a_record_becomes_an_empty_spare(tmp_path: Path) -> None:
    spares = SpareRecords(str(tmp_path))
    assert spares.take() is None
    record = tmp_path / "c1.json"
    record.write_text("{}")
    spares.give(str(record))
    assert not record.exists()
    taken = spares.take()
    assert taken == str(tmp_path / "spare-c1")
    assert Path(taken).read_bytes() == b""
    assert spares.take() is None


def test_a_record_that_is_not_there_is_no_spare(tmp_path: Path) -> None:
    spares = SpareRecords(str(tmp_path))
    spares.give(str(tmp_path / "c1.json"))
    assert spares.take() is None
    assert list(tmp_path.iterdir()) == []


def test_the_next_agent_finds_them_and_nothing_else(tmp_path: Path) -> None:
    for name in ("spare-c1", "c2.json", "c3.json.new", "spare-c4.json", "spare-c5.json.new"):
        (tmp_path / name).write_text("content")
    spares = SpareRecords(str(tmp_path))
    spares.find()
    assert spares.take() == str(tmp_path / "spare-c1")
    assert (tmp_path / "spare-c1").read_bytes() == b""
    assert spares.take() is None
    assert (tmp_path / "spare-c4.json").read_text() == "content"


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

    def die(_path: str, _length: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "truncate", die)
        with pytest.raises(KeyboardInterrupt):
            SpareRecords(str(tmp_path)).give(str(record))
    assert [path.name for path in tmp_path.iterdir()] == ["spare-c1"]
    later = SpareRecords(str(tmp_path))
    later.find()
    assert later.take() == str(tmp_path / "spare-c1")
    assert (tmp_path / "spare-c1").read_bytes() == b""
