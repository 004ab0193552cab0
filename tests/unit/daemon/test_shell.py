"""Durable before visible, in order, whatever the disk does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from paddock.daemon import threads
from paddock.daemon.shell import Shell
from paddock.daemon.threads import DurableWriter
from paddock.model.errors import CheckpointBlocked, CheckpointError, InvalidTransition


class Disk:
    """Groups as they were written; holds the writer up on request."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()
        self.is_asked = threading.Event()
        self.broken = False
        self.blocked = False

    def write(self, records: Sequence[str]) -> None:
        self.is_asked.set()
        assert self.open.wait(60)
        if self.broken:
            raise CheckpointError("/state/log", 7, "no space left; make room")
        if self.blocked:
            raise CheckpointBlocked("/state/log", 7, "no space left; make room")
        self.groups.append(list(records))


class Daemon:
    """Its core: an event is a text of effects; capitals are records, `!` has no row."""

    def __init__(self, disk: Disk) -> None:
        self.seen: list[str] = []
        self.refused: list[str] = []
        self.disk = disk
        self.shell: Shell[str, str, str] = Shell(
            handle=self._handle,
            record_of=lambda effect: effect if effect.isupper() else None,
            perform=self._perform,
            write=disk.write,
            refused=lambda event, _: self.refused.append(event),
            may_overtake=lambda effect, waiting: effect == "k" and "l" not in waiting,
        )

    def _handle(self, event: str) -> Sequence[str]:
        if event == "!":
            raise InvalidTransition("thing", "here", "there")
        return list(event)

    def _perform(self, effect: str) -> None:
        written = [record for group in self.disk.groups for record in group]
        self.seen.append(f"{effect} after {''.join(written)}" if written else effect)


async def seen(daemon: Daemon, *effects: str) -> None:
    """These, and none besides a moment later."""
    async with asyncio.timeout(60):
        while len(daemon.seen) < len(effects):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert daemon.seen == [*effects]


async def test_effects_wait_for_the_records_before_them_and_stay_in_order() -> None:
    disk = Disk()
    daemon = Daemon(disk)
    disk.open.clear()
    running = asyncio.create_task(daemon.shell.run())
    for event in ("ab", "cAd", "e", "Bf"):
        daemon.shell.submit(event)
    await seen(daemon, "a", "b", "c")
    disk.open.set()
    daemon.shell.stop()
    await asyncio.wait_for(running, 60)
    assert [word[0] for word in daemon.seen] == list("abcdef")
    assert all("A" in word for word in daemon.seen[3:])
    assert daemon.seen[5] == "f after AB"


async def test_records_that_come_during_a_sync_share_the_next_one() -> None:
    disk = Disk()
    daemon = Daemon(disk)
    disk.open.clear()
    running = asyncio.create_task(daemon.shell.run())
    daemon.shell.submit("A")
    assert await asyncio.to_thread(disk.is_asked.wait, 60)
    for event in ("B", "C", "D"):
        daemon.shell.submit(event)
    await asyncio.sleep(0.05)
    disk.open.set()
    daemon.shell.stop()
    await asyncio.wait_for(running, 60)
    assert disk.groups == [["A"], ["B", "C", "D"]]


async def test_a_failed_write_ends_the_daemon_and_nothing_later_becomes_visible() -> None:
    disk = Disk()
    disk.broken = True
    daemon = Daemon(disk)
    daemon.shell.submit("aBc")
    with pytest.raises(CheckpointError, match="make room"):
        await asyncio.wait_for(daemon.shell.run(), 60)
    assert daemon.seen == ["a"]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "RETRY_S", 0.01)


async def problem_of(daemon: Daemon, *, there: bool) -> None:
    async with asyncio.timeout(60):
        while bool(daemon.shell.problem) is not there:
            await daemon.shell.problem_changed.wait()
            daemon.shell.problem_changed.clear()


@pytest.mark.usefixtures("soon")
async def test_a_blocked_write_is_tried_again_and_everything_waits_in_its_order() -> None:
    disk = Disk()
    disk.blocked = True
    daemon = Daemon(disk)
    running = asyncio.create_task(daemon.shell.run())
    daemon.shell.submit("aBc")
    await problem_of(daemon, there=True)
    assert "make room" in daemon.shell.problem
    daemon.shell.submit("DeF")
    daemon.shell.submit("g")
    await asyncio.sleep(0.05)
    assert daemon.seen == ["a"]
    disk.blocked = False
    await problem_of(daemon, there=False)
    daemon.shell.stop()
    await asyncio.wait_for(running, 60)
    assert [word[0] for word in daemon.seen] == list("aceg")
    # The group that was refused comes first, as it was.
    assert disk.groups[0] == ["B"]
    assert [record for group in disk.groups for record in group] == ["B", "D", "F"]


@pytest.mark.usefixtures("soon")
async def test_what_may_overtake_does_so_while_it_is_blocked_and_only_then() -> None:
    disk = Disk()
    disk.open.clear()
    disk.blocked = True
    daemon = Daemon(disk)
    running = asyncio.create_task(daemon.shell.run())
    for event in ("A", "k", "b"):
        daemon.shell.submit(event)
    await asyncio.sleep(0.05)
    assert daemon.seen == []
    disk.open.set()
    await problem_of(daemon, there=True)
    daemon.shell.submit("k")
    daemon.shell.submit("l")
    daemon.shell.submit("k")
    await seen(daemon, "k", "k")
    disk.blocked = False
    daemon.shell.stop()
    await asyncio.wait_for(running, 60)


@pytest.mark.usefixtures("soon")
async def test_what_became_durable_just_before_is_performed_before_the_problem_is_known() -> None:
    attempts = [threading.Event() for _ in range(3)]

    class FullAfterOne(Disk):
        def write(self, records: Sequence[str]) -> None:
            next(event for event in attempts if not event.is_set() or event is attempts[-1]).set()
            self.blocked = bool(self.groups)
            super().write(records)

    class Held(Daemon):
        problems: tuple[str, ...] = ()

        def _handle(self, event: str) -> Sequence[str]:
            if event == "hold":
                # With the third attempt the loop has got the words about the first two, and has heard neither.
                self.disk.open.set()
                assert attempts[2].wait(60)
                return ()
            return super()._handle(event)

        def _perform(self, effect: str) -> None:
            self.problems = (*self.problems, self.shell.problem)

    daemon = Held(FullAfterOne())
    daemon.disk.open.clear()
    running = asyncio.create_task(daemon.shell.run())
    daemon.shell.submit("Aa")
    await asyncio.to_thread(attempts[0].wait, 60)
    for event in ("Bk", "hold"):
        daemon.shell.submit(event)
    await problem_of(daemon, there=True)
    daemon.shell.stop()
    await asyncio.wait_for(running, 60)
    assert daemon.problems[0] == ""
    assert "make room" in daemon.problems[1]


@pytest.mark.usefixtures("soon")
async def test_a_daemon_that_is_blocked_can_be_stopped() -> None:
    disk = Disk()
    disk.blocked = True
    daemon = Daemon(disk)
    running = asyncio.create_task(daemon.shell.run())
    daemon.shell.submit("aBc")
    await problem_of(daemon, there=True)
    daemon.shell.stop()
    await asyncio.wait_for(running, 60)
    assert daemon.seen == ["a"]
    assert disk.groups == []


async def test_an_event_without_a_row_is_refused_and_the_loop_goes_on() -> None:
    daemon = Daemon(Disk())
    for event in ("a", "!", "b"):
        daemon.shell.submit(event)
    daemon.shell.stop()
    await asyncio.wait_for(daemon.shell.run(), 60)
    assert daemon.seen == ["a", "b"]
    assert daemon.refused == ["!"]


async def test_a_defect_of_the_core_ends_the_daemon() -> None:
    class Defect(Daemon):
        def _handle(self, event: str) -> Sequence[str]:
            raise ZeroDivisionError

    daemon = Defect(Disk())
    daemon.shell.submit("a")
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(daemon.shell.run(), 60)


async def test_events_come_from_other_threads_too() -> None:
    daemon = Daemon(Disk())
    running = asyncio.create_task(daemon.shell.run())
    await asyncio.to_thread(daemon.shell.submit_from_thread, "a")
    await asyncio.sleep(0.05)
    daemon.shell.stop()
    await asyncio.wait_for(running, 60)
    assert daemon.seen == ["a"]


async def test_a_burst_does_not_keep_the_loop_from_others() -> None:
    daemon = Daemon(Disk())
    for _ in range(1000):
        daemon.shell.submit("a")
    running = asyncio.create_task(daemon.shell.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < len(daemon.seen) < 1000
    daemon.shell.stop()
    await asyncio.wait_for(running, 60)
    assert len(daemon.seen) == 1000


async def test_the_writer_writes_what_is_committed_before_it_closes() -> None:
    disk, failures = Disk(), list[Exception]()
    durable: list[int] = []
    writer: DurableWriter[str] = DurableWriter(
        disk.write, on_durable=durable.append, on_failure=failures.append, on_blocked=failures.append
    )
    numbers = [writer.commit(record) for record in ("A", "B", "C")]
    await writer.close()
    await asyncio.sleep(0)
    assert (numbers, failures) == ([1, 2, 3], [])
    assert durable[-1] == 3
    assert [record for group in disk.groups for record in group] == ["A", "B", "C"]
