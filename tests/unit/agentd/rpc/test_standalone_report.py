"""What the master hears of standalone containers: the newest soon after a change, nothing of a short life, nothing twice."""

import asyncio

from agentd.core.effects import SendStandalone
from agentd.rpc.standalone_report import StandaloneReport
from paddock.model.resources import Resources


def used(cpus_milli: int) -> SendStandalone:
    return SendStandalone(resources=Resources.scalars({"cpus": cpus_milli}))


class Master:
    """What it was told."""

    def __init__(self) -> None:
        self.told: list[SendStandalone] = []
        self._heard = asyncio.Event()

    def hear(self, message: SendStandalone) -> None:
        self.told.append(message)
        self._heard.set()

    async def hears(self, message: SendStandalone) -> None:
        while message not in self.told:
            self._heard.clear()
            await self._heard.wait()


async def test_of_quick_changes_the_newest_is_told() -> None:
    master = Master()
    report = StandaloneReport(master.hear)
    for cpus_milli in (1, 2, 3, 4):
        report.tell(used(cpus_milli))
    await master.hears(used(4))
    assert master.told == [used(4)]


async def test_a_life_that_is_over_before_it_is_told_is_no_report_and_the_next_change_is() -> None:
    master = Master()
    report = StandaloneReport(master.hear)
    report.tell(used(1))
    await master.hears(used(1))
    report.tell(used(2))
    report.tell(used(1))
    # Whenever the delay ends, before this or after it: what follows is told, and nothing in between.
    report.tell(used(3))
    await master.hears(used(3))
    assert master.told == [used(1), used(3)]
    report.tell(used(3))
    report.tell(used(0))
    await master.hears(used(0))
    assert master.told == [used(1), used(3), used(0)]


async def test_a_change_back_is_told_to_nobody() -> None:
    master = Master()
    report = StandaloneReport(master.hear)
    report.tell(used(1))
    await master.hears(used(1))
    report.tell(used(2))
    report.tell(used(1))
    beside = StandaloneReport(master.hear)
    beside.tell(used(5))
    await master.hears(used(5))
    assert master.told == [used(1), used(5)]


async def test_nothing_is_told_after_the_end() -> None:
    master = Master()
    report = StandaloneReport(master.hear)
    report.tell(used(1))
    report.stop()
    beside = StandaloneReport(master.hear)
    beside.tell(used(6))
    await master.hears(used(6))
    assert master.told == [used(6)]
