"""Three real agents and three frameworks that always want more: their tasks come to the weighted dominant shares, and
follow a weight that is changed while they run (root needed).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, TaskId
from paddock.model.offer import Offer
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, Reason, TaskInfo, TaskState
from paddock.rpc.clients.master import connect_master
from paddock.rpc.clients.policy import PolicyClient
from paddock.scheduler import Offered, Scheduler, Updated, pack
from tests.agentd_process import TIME_SCALE, running_agentd
from tests.masterd_process import MasterdProcess

AGENT_COUNT = 3
AGENT_CPUS, AGENT_MEM = 6, 7168
WINDOW_COUNT = 40
"""Launches over which the tasks are counted: each slot is given away twice in it."""

CONVERGE_TIMEOUT_S = 180.0 * TIME_SCALE
LENGTHS_S = (0.3, 0.4, 0.5, 0.6)
AT_FIRST = {"small": 1, "wide": 2, "big": 1}
LATER = {"small": 4, "wide": 1, "big": 1}


class Hungry:
    """A framework that fills what it is offered with tasks of one size, each of which ends by itself."""

    def __init__(self, role: str, mem_mib: int) -> None:
        self.role = role
        self.held: dict[TaskId, None] = {}
        self.launched_count = 0
        self.ends: list[tuple[TaskState, int]] = []
        self._mem_mib = mem_mib
        self._random = random.Random(role)

    @property
    def dominant_share(self) -> float:
        """Of the whole cluster, by one of its tasks; each takes a CPU."""
        return max(1 / (AGENT_CPUS * AGENT_COUNT), self._mem_mib / (AGENT_MEM * AGENT_COUNT))

    async def run(self, master: str, counts: Counts) -> None:
        aware = frozenset({FrameworkCapability.PARTITION_AWARE})
        framework = FrameworkInfo(name=self.role, roles=(self.role,), capabilities=aware)
        async with Scheduler(master, framework) as scheduler:
            async for event in scheduler:
                if isinstance(event, Offered):
                    for offer in event.offers:
                        await self._answer(scheduler, offer, counts)
                elif isinstance(event, Updated) and event.status.state.is_terminal:
                    del self.held[event.status.task_id]
                    self.ends.append((event.status.state, event.status.reason))

    async def _answer(self, scheduler: Scheduler, offer: Offer, counts: Counts) -> None:
        tasks = pack(offer, [self._task(number) for number in range(AGENT_CPUS)])
        if not tasks:
            await scheduler.decline(offer)
            return
        self.launched_count += len(tasks)
        self.held.update(dict.fromkeys(task.task_id for task in tasks))
        await scheduler.accept(offer, tasks, refuse_s=0)
        counts.take(len(tasks))

    def _task(self, number: int) -> TaskInfo:
        name = f"{self.role}-{self.launched_count + number}"
        return TaskInfo(
            task_id=TaskId(name),
            name=name,
            agent_id=AgentId(""),
            resources=parse_resources(f"cpus:1;mem:{self._mem_mib}"),
            command=CommandInfo(arguments=("/bin/sleep", str(self._random.choice(LENGTHS_S)))),
        )


class Counts:
    """How many tasks each framework has, looked at with every launch; the latest of it."""

    def __init__(self, frameworks: Sequence[Hungry]) -> None:
        self._frameworks = frameworks
        self._seen: deque[tuple[int, ...]] = deque(maxlen=WINDOW_COUNT)
        self._news = asyncio.Event()

    def take(self, launched_count: int) -> None:
        for _ in range(launched_count):
            self._seen.append(tuple(len(each.held) for each in self._frameworks))
        self._news.set()

    def means(self) -> list[float]:
        return [sum(column) / len(self._seen) for column in zip(*self._seen, strict=True)]

    async def come_to(self, wanted: Sequence[float]) -> None:
        """Within one task of each framework's number, over a whole window that begins now or later."""
        self._seen.clear()
        try:
            async with asyncio.timeout(CONVERGE_TIMEOUT_S):
                while len(self._seen) < WINDOW_COUNT or not _is_within_one(self.means(), wanted):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pytest.fail(f"wanted {wanted} tasks, each but for one; there are {self.means()}")


def _is_within_one(found: Sequence[float], wanted: Sequence[float]) -> bool:
    return all(abs(one - other) <= 1 for one, other in zip(found, wanted, strict=True))


def fair_counts(frameworks: Sequence[Hungry], weights: Mapping[str, int]) -> list[float]:
    """So many tasks that all CPUs are taken, and each dominant share is the same multiple of the role's weight."""
    parts = [weights[each.role] / each.dominant_share for each in frameworks]
    return [AGENT_CPUS * AGENT_COUNT * part / sum(parts) for part in parts]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[MasterdProcess]:
    """The agents come to the master by themselves."""
    words = ",".join(f"{role}={weight}" for role, weight in AT_FIRST.items())
    flags = ("--allocation-interval=100ms", "--allocator-seed=1", f"--weights={words}")
    with ExitStack() as stack:
        masterd = stack.enter_context(MasterdProcess(tmp_path, *flags))
        for _ in range(AGENT_COUNT):
            resources = f"cpus:{AGENT_CPUS};mem:{AGENT_MEM}"
            stack.enter_context(running_agentd(f"--master={masterd.address}", f"--resources={resources}"))
        yield masterd


@asynccontextmanager
async def at_work(frameworks: Sequence[Hungry], master: str, counts: Counts) -> AsyncIterator[None]:
    """All of them, until the block is left; then they are torn down. What breaks one of them breaks the block."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(each.run(master, counts)) for each in frameworks]
        yield
        for task in running:
            task.cancel()


async def test_shares_come_to_the_weights_and_follow_them(cluster: MasterdProcess) -> None:
    """`big` is dominant in memory, the others in CPUs; all CPUs are always wanted."""
    frameworks = [Hungry("small", 64), Hungry("wide", 64), Hungry("big", 1536)]
    counts = Counts(frameworks)
    async with at_work(frameworks, cluster.address, counts):
        await counts.come_to(fair_counts(frameworks, AT_FIRST))
        async with connect_master((cluster.address,)) as master:
            milli = {role: 1000 * weight for role, weight in LATER.items()}
            await PolicyClient(master).update_weights(milli, validate_only=False)
        await counts.come_to(fair_counts(frameworks, LATER))
    ends = [end for each in frameworks for end in each.ends]
    finished, taken_back = (TaskState.FINISHED, Reason.UNSPECIFIED), (TaskState.DROPPED, Reason.INVALID_OFFERS)
    assert ends.count(finished) > WINDOW_COUNT
    # The change of the weights takes all offers back, those too that are being accepted.
    assert set(ends) <= {finished, taken_back}


def test_what_is_fair_differs_by_more_than_what_is_let_pass() -> None:
    """Or the test above would show nothing."""
    frameworks = [Hungry("small", 64), Hungry("wide", 64), Hungry("big", 1536)]
    first, later = (fair_counts(frameworks, weights) for weights in (AT_FIRST, LATER))
    assert [round(count, 2) for count in first] == [4.76, 9.53, 3.71]
    assert [round(count, 2) for count in later] == [12.46, 3.12, 2.42]
