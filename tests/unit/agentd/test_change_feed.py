"""What watchers read."""

import asyncio

import pytest

from agentd.change_feed import ChangeFeed
from paddock.model.errors import InvalidRequest, OutOfRange
from paddock.rpc.pages import page_of


async def test_changes_after_a_version_in_order() -> None:
    feed: ChangeFeed[str] = ChangeFeed(first_version=10)
    feed.publish(11, "a")
    feed.publish(13, "b")
    assert feed.since(10) == [(11, "a"), (13, "b")]
    assert feed.since(11) == feed.since(12) == [(13, "b")]
    assert feed.since(13) == []


async def test_what_is_no_longer_kept_is_said() -> None:
    feed: ChangeFeed[int] = ChangeFeed(first_version=0, kept_count=3)
    for version in range(1, 6):
        feed.publish(version, version)
    assert [version for version, _ in feed.since(2)] == [3, 4, 5]
    with pytest.raises(OutOfRange, match="version 0"):
        feed.since(1)


async def test_who_waits_is_woken_and_who_went_away_is_forgotten() -> None:
    feed: ChangeFeed[int] = ChangeFeed(first_version=0)
    waiting = [asyncio.create_task(feed.changed()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    feed.publish(1, 1)
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 60)
    assert not feed._waiting


def test_pages_go_on_after_what_was_sent_last() -> None:
    names = ["d", "b", "a", "c"]
    page, token = page_of(names, key=str, size=3, token="", limit_count=10)
    assert (page, token) == (["a", "b", "c"], "c")
    names.remove("c")
    assert page_of(names, key=str, size=3, token=token, limit_count=10) == (["d"], "")
    assert page_of(names, key=str, size=0, token="", limit_count=2)[0] == ["a", "b"]
    with pytest.raises(InvalidRequest):
        page_of(names, key=str, size=-1, token="", limit_count=2)
