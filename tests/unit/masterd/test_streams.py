"""Bounded queues: a slow reader costs itself; a watcher that fell behind is told so."""

from __future__ import annotations

import asyncio

import pytest

from masterd.core.effects import TaskChanged
from masterd.core.views import TaskView
from masterd.streams import Streams
from masterd.task_feed import TaskFeed
from paddock.model.errors import OutOfRange, Unavailable
from paddock.model.ids import AgentId, ContainerId, FrameworkId
from paddock.model.task import ResourceLimits, TaskState
from tests.unit.masterd.core.world import task_info


async def test_messages_come_in_order_and_the_end_after_them() -> None:
    streams: Streams[int] = Streams()
    stream = streams.open(1)
    for number in range(3):
        streams.send(1, number)
    streams.close(1)
    streams.send(1, 99)
    assert [message async for message in stream.messages()] == [0, 1, 2]


async def test_a_waiting_reader_is_woken() -> None:
    streams: Streams[int] = Streams()
    messages = streams.open(1).messages()
    reader = asyncio.ensure_future(anext(messages))
    await asyncio.sleep(0)
    streams.send(1, 7)
    assert await reader == 7


async def test_a_slow_reader_is_cut_off_and_its_messages_are_dropped() -> None:
    streams: Streams[int] = Streams(limit_count=3)
    stream = streams.open(1)
    for number in range(5):
        streams.send(1, number)
    assert stream.is_closed
    with pytest.raises(Unavailable, match="3 messages behind"):
        [message async for message in stream.messages()]


async def test_the_first_end_counts() -> None:
    streams: Streams[int] = Streams()
    stream = streams.open(1)
    streams.close(1)
    streams.close_all(Unavailable("late"))
    assert [message async for message in stream.messages()] == []


async def test_what_is_over_hears_nothing() -> None:
    streams: Streams[int] = Streams()
    streams.open(1)
    streams.forget(1)
    streams.send(1, 1)
    streams.close(1, Unavailable("x"))
    streams.forget(1)


def change(version: int) -> TaskChanged:
    view = TaskView(
        task=task_info("t", "a"),
        framework_id=FrameworkId("f"),
        framework_name="",
        role="*",
        agent_id=AgentId("a"),
        hostname="",
        unix_address="",
        tcp_address="",
        container_id=ContainerId(""),
        state=TaskState.RUNNING,
        statuses=(),
        limits=ResourceLimits(),
    )
    return TaskChanged(version=version, task=view)


async def test_a_watcher_gets_what_came_after_its_version() -> None:
    feed = TaskFeed(kept_count=3)
    assert feed.after(0) == []
    for version in (1, 2, 3):
        feed.publish(change(version))
    assert [each.version for each in feed.after(1)] == [2, 3]
    assert feed.after(3) == []
    feed.publish(change(4))
    assert [each.version for each in feed.after(1)] == [2, 3, 4]
    with pytest.raises(OutOfRange, match="are not kept"):
        feed.after(0)


async def test_every_watcher_is_woken() -> None:
    feed = TaskFeed()
    watchers = [asyncio.ensure_future(feed.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    feed.publish(change(1))
    await asyncio.wait_for(asyncio.gather(*watchers), 60)
