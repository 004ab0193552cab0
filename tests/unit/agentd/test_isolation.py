"""What all isolators measured of one container, as one; a failing one costs only its own part."""

from pathlib import Path
from typing import ClassVar

from agentd.isolation import Isolation
from isolators.contract import Isolator, IsolatorSettings
from isolators.table import TABLE
from isolators.testing import sample_host
from paddock.model.ids import ContainerId
from paddock.model.statistics import ResourceStatistics

CONTAINER = ContainerId("c")


class ByUsage(Isolator):
    name: ClassVar[str] = "test/usage"

    def usage(self, container_id: ContainerId) -> ResourceStatistics:
        return ResourceStatistics(timestamp_ns=7, pids_count=1, disk_used_bytes=0)


class ByMeasure(Isolator):
    name: ClassVar[str] = "test/measure"

    def measure(self, container_id: ContainerId, found: ResourceStatistics) -> None:
        found.timestamp_ns = max(found.timestamp_ns, 5)
        found.pids_count = 2


class Failing(Isolator):
    name: ClassVar[str] = "test/failing"

    def usage(self, container_id: ContainerId) -> ResourceStatistics:
        raise OSError("it is broken")


class Silent(Isolator):
    name: ClassVar[str] = "test/silent"


def made(directory: Path, *kinds: type[Isolator]) -> list[Isolator]:
    return [kind(sample_host(directory, "v1"), IsolatorSettings()) for kind in kinds]


def test_the_last_in_the_table_wins_whichever_verb_it_has(tmp_path: Path) -> None:
    one, two = made(tmp_path, ByUsage, ByMeasure)
    assert Isolation([one, two]).usage(CONTAINER) == ResourceStatistics(timestamp_ns=7, pids_count=2, disk_used_bytes=0)
    assert Isolation([two, one]).usage(CONTAINER) == ResourceStatistics(timestamp_ns=7, pids_count=1, disk_used_bytes=0)


def test_one_that_fails_is_named_and_the_others_are_asked(tmp_path: Path) -> None:
    usage = Isolation(made(tmp_path, Failing, Silent, ByMeasure)).usage(CONTAINER)
    assert usage == ResourceStatistics(timestamp_ns=5, pids_count=2, missing=(("test/failing", "it is broken"),))


def test_either_verb_gives_the_other(tmp_path: Path) -> None:
    for isolator in made(tmp_path, ByUsage, ByMeasure, Silent):
        found = ResourceStatistics()
        isolator.measure(CONTAINER, found)
        assert isolator.usage(CONTAINER) == found


class Brief(Silent):
    """By its own word."""

    ends_briefly: ClassVar[bool] = True


class Heir(Brief):
    """Says nothing of itself."""


def test_an_end_is_brief_when_each_isolator_says_so_of_itself(tmp_path: Path) -> None:
    """The built-in ones do; a subclass of one of them, and whoever says nothing, may wait for anything."""
    host = sample_host(tmp_path, "v1")
    assert Isolation([kind(host, IsolatorSettings()) for kind in TABLE]).concludes_briefly
    assert Isolation(made(tmp_path, Brief)).concludes_briefly
    assert not Isolation(made(tmp_path, Brief, Heir)).concludes_briefly
    assert not Isolation(made(tmp_path, Brief, Silent)).concludes_briefly
