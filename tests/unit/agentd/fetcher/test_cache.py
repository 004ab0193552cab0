"""The cache keeps its bound, its order, and nobody's half-written file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agentd.fetcher.cache import FetchCache, Key

LIMIT_BYTES = 100


def keep(cache: FetchCache, key: Key, content: bytes) -> None:
    path = cache.new_path()
    fd = cache.begin(path)
    os.write(fd, content)
    cache.keep(key, fd, path)
    os.close(fd)


def read(cache: FetchCache, key: Key) -> bytes | None:
    fd = cache.open(key)
    if fd < 0:
        return None
    try:
        return os.pread(fd, 1000, 0)
    finally:
        os.close(fd)


@pytest.fixture
def cache(tmp_path: Path) -> FetchCache:
    made = FetchCache(str(tmp_path / "c"), LIMIT_BYTES)
    made.make()
    return made


def test_what_is_kept_is_found_by_the_same_user_only(cache: FetchCache) -> None:
    keep(cache, Key("http://example.com/x", 1), b"one")
    assert read(cache, Key("http://example.com/x", 1)) == b"one"
    assert read(cache, Key("http://example.com/x", 2)) is None


def test_the_least_recently_used_goes_first(cache: FetchCache, tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        keep(cache, Key(name, 0), b"x" * 30)
        os.utime(tmp_path / "c" / Key(name, 0).name, (number, number))
    assert read(cache, Key("a", 0)) is not None
    keep(cache, Key("d", 0), b"x" * 30)
    assert [name for name in "abcd" if read(cache, Key(name, 0))] == ["a", "c", "d"]


def test_what_is_larger_than_the_bound_is_used_and_not_kept(cache: FetchCache) -> None:
    keep(cache, Key("small", 0), b"x" * 90)
    keep(cache, Key("large", 0), b"x" * 101)
    assert read(cache, Key("large", 0)) is None
    assert read(cache, Key("small", 0)) is not None


def test_who_has_it_open_reads_on(cache: FetchCache) -> None:
    keep(cache, Key("a", 0), b"a" * 90)
    fd = cache.open(Key("a", 0))
    keep(cache, Key("b", 0), b"b" * 90)
    assert read(cache, Key("a", 0)) is None
    assert os.pread(fd, 1000, 0) == b"a" * 90
    os.close(fd)


def test_a_new_agent_keeps_what_was_complete_and_nothing_else(cache: FetchCache, tmp_path: Path) -> None:
    keep(cache, Key("a", 0), b"a" * 60)
    fd = cache.begin(cache.new_path())
    os.write(fd, b"half")
    os.close(fd)
    again = FetchCache(str(tmp_path / "c"), LIMIT_BYTES)
    again.make()
    assert os.listdir(tmp_path / "c") == [Key("a", 0).name]
    smaller = FetchCache(str(tmp_path / "c"), 10)
    smaller.make()
    assert os.listdir(tmp_path / "c") == []


class Uses(RuleBasedStateMachine):
    """Any use: the bound holds, and what is found is what was kept last under its key."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile  # noqa: PLC0415 - one directory for each run

        self.directory = tempfile.TemporaryDirectory()
        self.cache = FetchCache(self.directory.name, LIMIT_BYTES)
        self.cache.make()
        self.last: dict[Key, bytes] = {}

    @rule(name=st.sampled_from("abcd"), content=st.binary(max_size=120))
    def keep(self, name: str, content: bytes) -> None:
        if len(content) <= LIMIT_BYTES:
            self.last[Key(name, 0)] = content
        keep(self.cache, Key(name, 0), content)

    @rule(name=st.sampled_from("abcd"))
    def read(self, name: str) -> None:
        assert read(self.cache, Key(name, 0)) in {None, self.last.get(Key(name, 0))}

    @rule(name=st.sampled_from("abcd"))
    def drop(self, name: str) -> None:
        self.cache.drop(Key(name, 0))
        assert read(self.cache, Key(name, 0)) is None

    @invariant()
    def the_bound_holds(self) -> None:
        sizes = [entry.stat().st_size for entry in os.scandir(self.directory.name)]
        assert sum(sizes) <= LIMIT_BYTES

    def teardown(self) -> None:
        self.directory.cleanup()


TestUses = Uses.TestCase
TestUses.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
