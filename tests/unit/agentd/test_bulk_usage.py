"""Statistics of many: each has its own, in order, whatever could be read beforehand."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from agentd.bulk_usage import AT_ONCE_COUNT, BulkUsage
from agentd.isolation import Isolation
from isolators.contract import CgroupPlace, Isolator, IsolatorSettings
from isolators.counters import CounterFiles, DescriptorBudget, integer
from isolators.testing import sample_host
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import CgroupRead
from paddock.model.statistics import ResourceStatistics

COUNT = 3 * AT_ONCE_COUNT + 5
UNREAD = ContainerId("c7")
READS = (CgroupRead(controller="pids", file="pids.current"), CgroupRead(controller="pids", file="pids.max"))


class Counting(Isolator):
    """A directory is a cgroup. `asked` counts the containers whose files it has read itself."""

    name: ClassVar[str] = "test/counting"
    directory: Path
    budget: DescriptorBudget

    def begin(self, count: int) -> None:
        self.files = {}
        for number in range(count):
            directory = self.directory / str(number)
            directory.mkdir()
            (directory / "pids.current").write_text(f"{number}\n")
            (directory / "pids.max").write_text("max\n" + "#" * (5000 if number == 9 else 0))
            place = CgroupPlace(mode="v1", directories=(("pids", str(directory)),))
            self.files[ContainerId(f"c{number}")] = CounterFiles(place, READS, self.budget)

    def sources(self, container_id: ContainerId) -> CounterFiles | None:
        return None if container_id == UNREAD else self.files[container_id]

    def measure(self, container_id: ContainerId, found: ResourceStatistics) -> None:
        counters, problem = self.files[container_id].read()
        found.pids_count = integer(counters.get("pids/pids.current"))
        if problem:
            found.missing += ((self.name, problem),)


@pytest.fixture(params=[10_000, 50])
def counting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Counting]:
    made = Counting(sample_host(tmp_path, "v1"), IsolatorSettings())
    made.directory, made.budget = tmp_path, DescriptorBudget(request.param)
    made.begin(COUNT)
    yield made
    for files in made.files.values():
        files.close()


def measured(bulk: BulkUsage, ids: list[ContainerId]) -> list[int | None]:
    return [each.pids_count for turn in bulk.turns(ids) for each in turn()]


def test_each_has_its_own_and_as_it_is_now(counting: Counting) -> None:
    bulk, ids = BulkUsage(Isolation([counting])), list(counting.files)
    expected = list(range(COUNT))
    assert [measured(bulk, ids) for _ in range(2)] == [expected, expected]
    for number in range(COUNT):
        (counting.directory / str(number) / "pids.current").write_text(f"{number + 1000}\n")
    assert measured(bulk, ids) == [number + 1000 for number in range(COUNT)]
    assert measured(bulk, ids[5:8]) == [1005, 1006, 1007]
    assert measured(bulk, []) == []
    bulk.close()


def test_what_is_closed_between_two_turns_is_opened_again(counting: Counting) -> None:
    bulk, ids = BulkUsage(Isolation([counting])), list(counting.files)
    measured(bulk, ids)
    found: list[int | None] = []
    for turn in bulk.turns(ids):
        found += [each.pids_count for each in turn()]
        for files in counting.files.values():
            files.close()
    assert found == list(range(COUNT))
    bulk.close()


def test_a_cgroup_that_goes_costs_only_itself(counting: Counting) -> None:
    bulk, ids = BulkUsage(Isolation([counting])), list(counting.files)
    counting.files[ids[70]].close()
    for file in ("pids.current", "pids.max"):
        (counting.directory / "70" / file).unlink()
    (counting.directory / "70").rmdir()
    found = [each for turn in bulk.turns(ids) for each in turn()]
    assert [i for i, each in enumerate(found) if each.missing] == [70]
    assert found[71].pids_count == 71
    bulk.close()
