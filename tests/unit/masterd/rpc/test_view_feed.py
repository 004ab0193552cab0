"""Changes found by comparing: each once, in order, deletions too; and what is said of versions that say nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from masterd.rpc.view_feed import ViewFeed
from paddock.model.errors import OutOfRange
from paddock.wire.v1.offers_pb2 import Offer


class Shelf:
    """What is there, and a feed of it."""

    def __init__(self, *, epoch: int = 1, kept_count: int = 100) -> None:
        self.hosts: dict[str, str] = {}
        self.now_s = 0.0
        self.shown_count = 0
        self.feed = ViewFeed(keys=lambda: list(self.hosts), show=self._show, epoch=epoch, kept_count=kept_count)

    def _show(self, keys: list[str]) -> Iterator[tuple[str, Offer]]:
        for key in keys:
            self.shown_count += 1
            yield key, Offer(offer_id=key, hostname=self.hosts[key])

    async def look(self) -> int:
        self.now_s += 1
        await self.feed.compare(now_s=self.now_s, age_limit_s=0.5)
        return self.feed.version

    def after(self, version: int) -> list[tuple[str, str | None]]:
        return [(each.key, each.shown and each.shown.hostname) for each in self.feed.after(version)]


async def test_what_changed_comes_once_and_what_did_not_not_at_all() -> None:
    shelf = Shelf()
    shelf.hosts = {"a": "1", "b": "1"}
    first = await shelf.look()
    assert shelf.after(0) == [("a", "1"), ("b", "1")]
    assert shelf.after(first) == []
    shelf.hosts = {"b": "2", "c": "1"}
    second = await shelf.look()
    assert shelf.after(first) == [("b", "2"), ("c", "1"), ("a", None)]
    assert shelf.after(0) == [("b", "2"), ("c", "1")]
    assert await shelf.look() == second


async def test_those_who_look_at_the_same_time_share_the_work() -> None:
    shelf = Shelf()
    shelf.hosts = {str(number): "1" for number in range(250)}
    await shelf.look()
    await shelf.feed.compare(now_s=shelf.now_s + 0.4, age_limit_s=0.5)
    assert shelf.shown_count == 250
    await shelf.feed.compare(now_s=shelf.now_s + 0.5, age_limit_s=0.5)
    assert shelf.shown_count == 500


async def test_versions_that_say_nothing_are_refused() -> None:
    old, shelf = Shelf(epoch=1), Shelf(epoch=2, kept_count=1)
    old.hosts = {"a": "1"}
    of_another_life = await old.look()
    first = await shelf.look()
    shelf.hosts = {"a": "1", "b": "1"}
    await shelf.look()
    for version in (of_another_life, 1, shelf.feed.version + 1, 2**64 - 1):
        with pytest.raises(OutOfRange, match="watch from version 0"):
            shelf.after(version)
    shelf.hosts = {}
    await shelf.look()
    with pytest.raises(OutOfRange):
        shelf.after(first)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from("12")), min_size=1, max_size=8), st.data())
async def test_whoever_follows_from_any_version_has_what_is_there(
    steps: list[dict[str, str]], drawn: st.DataObject
) -> None:
    shelf = Shelf()
    seen: list[tuple[int, dict[str, str]]] = []
    for step in steps:
        shelf.hosts = dict(step)
        seen.append((await shelf.look(), step))
    version, known = drawn.draw(st.sampled_from(seen))
    mine = dict(known)
    for key, host in shelf.after(version):
        if host is None:
            mine.pop(key, None)
        else:
            mine[key] = host
    assert mine == steps[-1]
