"""The offer cycle of the real core: grants, offers, and the bytes that frameworks are sent.

`python -m bench.allocator` measures it alone; `make bench` with everything else. Beside it, in the same run, the obvious
way: sort all roles and frameworks anew for every agent. That takes minutes, so it is run over a part of the agents, and
its time is multiplied: each agent costs it the same.
"""

from __future__ import annotations

import gc
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from statistics import median

from bench.table import Figure, Goal, render
from masterd.__main__ import collect_seldom
from masterd.allocator.agents import AllocatorAgent
from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings
from masterd.allocator.quota import Quota
from masterd.core import offers as core_offers
from masterd.core.effects import NoteOffers, ToFramework
from masterd.core.events import AgentRegistered, Caller, CycleDue, Decline, Event, Subscribe
from masterd.core.machine import Machine
from masterd.core.recovery import Remembered, recover
from masterd.core.state import Settings, Turn
from masterd.rpc.schedulers import to_bytes
from paddock.model.agent import AgentInfo, MasterInfo
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId, MasterId
from paddock.model.offer import Filters
from paddock.model.resource_text import parse_attributes, parse_resources
from paddock.wire import convert

ROOT = Caller(uid=0, user="root")
SECOND_NS = 1_000_000_000
ROLE_COUNT = 20
RUNS = 5
NAIVE_AGENTS = 40
WHOLE = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]"


class Cluster:
    """A master's core with agents and frameworks that answer at once, or not at all; the clock is turned by hand."""

    def __init__(self, *, agent_count: int, framework_count: int, role_count: int = ROLE_COUNT) -> None:
        self.roles = [f"role{number}" for number in range(role_count)]
        self.now_ns = SECOND_NS
        weights = tuple((role, 1_000 * (1 + number % 3)) for number, role in enumerate(self.roles) if number % 3)
        # Patience off: frameworks that decline everything, again and again, are what is measured.
        self.state = recover(
            Remembered(weights_milli=weights),
            master=MasterInfo(master_id=MasterId("bench"), epoch=1),
            settings=Settings(ping_interval_ms=10**9),
            allocator=DrfAllocator(AllocatorSettings(decline_backoff=False)),
            shuffler=random.Random(7),
            now_ns=self.now_ns,
            wall_ns=0,
        )
        self.machine = Machine(self.state)
        self._writer = convert.OfferWriter()
        self._master = convert.master_info_to_wire(self.state.master)
        self.sent_bytes = 0
        for number in range(framework_count):
            self._subscribe(number)
        for number in range(agent_count):
            self._register(number)

    def _subscribe(self, number: int) -> None:
        info = FrameworkInfo(
            framework_id=FrameworkId(f"framework{number}"),
            roles=(self.roles[number % len(self.roles)],),
            failover_timeout_ms=10**9,
        )
        self.do(Subscribe(stream=number, caller=ROOT, framework=info))

    def _register(self, number: int) -> None:
        """Every tenth has something reserved. Each says all of it itself, as agents do."""
        role = self.roles[number % len(self.roles)]
        reserved = f";cpus({role}):2;mem({role}):256" if number % 10 == 0 else ""
        info = AgentInfo(
            agent_id=AgentId(f"agent{number}"),
            hostname=f"host{number}",
            resources=parse_resources(WHOLE + reserved),
            attributes=parse_attributes("rack:r1;level:10"),
            tcp_address=f"host{number}:5051",
        )
        self.do(AgentRegistered(stream=10**6 + number, agent=info))

    def do(self, event: Event) -> int:
        """Handle it and write what frameworks are sent; how many offers there were."""
        count = 0
        for effect in self.machine.handle(event, now_ns=self.now_ns, wall_ns=0):
            if isinstance(effect, ToFramework) and isinstance(effect.message, NoteOffers):
                count += len(effect.message.offers)
                self.sent_bytes += len(to_bytes(effect.message, self._master, self._writer))
        return count

    def cycle(self) -> int:
        """The timer's run, a second later."""
        self.now_ns += SECOND_NS
        return self.do(CycleDue(batch=True))

    def take_back(self) -> None:
        """Every offer is rescinded: everything is free again."""
        turn = Turn(state=self.state, now_ns=self.now_ns, wall_ns=0)
        for offer_id in list(self.state.offers):
            core_offers.rescind(turn, offer_id)

    def refuse_everything(self, refuse_ms: int) -> None:
        """Each framework declines what it holds."""
        for framework in self.state.frameworks.values():
            if framework.offers:
                self.do(
                    Decline(
                        caller=ROOT,
                        framework_id=framework.info.framework_id,
                        subscription_id=framework.subscription_id,
                        offer_ids=tuple(framework.offers),
                        filters=Filters(refuse_ms=refuse_ms),
                    )
                )


@contextmanager
def _settled() -> Iterator[None]:
    """Garbage is looked for as in a masterd that has as many agents."""
    before = gc.get_threshold()
    collect_seldom()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def _seconds(work: Callable[[], object]) -> float:
    """Processor time: nothing in here waits, and what else the machine does is not what is measured."""
    begin_s = time.process_time()
    work()
    return time.process_time() - begin_s


def _cycle_s(cluster: Cluster, runs: int = RUNS) -> float:
    """Everything is free, and is offered."""
    cluster.cycle()
    cluster.take_back()
    found: list[float] = []
    with _settled():
        for _ in range(runs):
            found.append(_seconds(cluster.cycle))
            cluster.take_back()
    return median(found)


def _naive_agent_s(cluster: Cluster) -> float:
    """For one agent, all roles and all frameworks sorted anew by exact shares; over a part of the agents."""
    frameworks = [(str(each.info.framework_id), each.info.roles[0]) for each in cluster.state.frameworks.values()]
    total_milli = 24_000 * len(cluster.state.agents)
    has = dict.fromkeys((name for name, _ in frameworks), 0)
    counts = dict.fromkeys(has, 0)

    def share(name: str) -> tuple[Fraction, int, str]:
        return Fraction(has[name], total_milli), counts[name], name

    def visit() -> None:
        sums: dict[str, int] = {}
        for name, role in frameworks:
            sums[role] = sums.get(role, 0) + has[name]
        roles = sorted(sums, key=lambda role: (Fraction(sums[role], total_milli), role))
        order = {role: sorted((name for name, of in frameworks if of == role), key=share) for role in roles}
        first = order[roles[0]][0]
        has[first] += 24_000
        counts[first] += 1

    def visit_all() -> None:
        for _ in range(NAIVE_AGENTS):
            visit()

    return _seconds(visit_all) / NAIVE_AGENTS


def _cycles() -> list[Figure]:
    small_s = _cycle_s(Cluster(agent_count=1_000, framework_count=100))
    cluster = Cluster(agent_count=10_000, framework_count=1_000)
    cycle_s = _cycle_s(cluster)
    naive_s = _naive_agent_s(cluster) * 10_000
    filtered_s, first_s = _filtered_s(cluster)
    event_s = _event_s(Cluster(agent_count=10_000, framework_count=1_000))
    large_s = _cycle_s(Cluster(agent_count=50_000, framework_count=1_000), runs=3)
    exponent = math.log(large_s / cycle_s) / math.log(5)
    return [
        Figure(name="cycle_1k_100_s", value=small_s, unit="s", runs=RUNS),
        Figure(name="cycle_10k_1k_s", value=cycle_s, unit="s", runs=RUNS, goal=Goal(at_most=0.25)),
        Figure(
            name="cycle_vs_naive",
            value=cycle_s / naive_s,
            unit="x",
            runs=RUNS,
            peer=f"re-sorting for each agent: {naive_s:.1f} s",
            goal=Goal(at_most=0.05),
        ),
        Figure(name="cycle_50k_1k_s", value=large_s, unit="s", runs=3, goal=Goal(at_most=1.5)),
        Figure(name="cycle_exponent", value=exponent, unit="", runs=3, peer="1: in proportion to the agents"),
        Figure(name="cycle_filtered_ms", value=filtered_s * 1_000, unit="ms", runs=RUNS, goal=Goal(at_most=50)),
        Figure(name="cycle_filtered_first_ms", value=first_s * 1_000, unit="ms", runs=1),
        Figure(
            name="event_p99_ms",
            value=event_s * 1_000,
            unit="ms",
            runs=1_000,
            peer=f"10,000 updates of a dict: {_dict_s() * 1_000:.2f} ms",
            goal=Goal(at_most=1),
        ),
    ]


def _filtered_s(cluster: Cluster) -> tuple[float, float]:
    """Every framework has refused every agent, for a long time: how long a run takes that finds nobody; and the first."""
    allocator = cluster.state.allocator
    assert isinstance(allocator, DrfAllocator)
    like: dict[int, AllocatorAgent] = {}
    for agent in allocator.ledger.agents.values():
        first = like.setdefault(id(agent.total), agent)
        if first is agent:
            for framework in cluster.state.frameworks.values():
                _refuse(allocator, framework.info, agent.agent_id, cluster.now_ns)
        else:
            agent.take_refusals_of(first)
    with _settled():
        first_s = _seconds(cluster.cycle)
        found = [_seconds(cluster.cycle) for _ in range(RUNS)]
    assert not cluster.state.offers, "somebody was offered what everybody had refused"
    return median(found), first_s


def _refuse(allocator: DrfAllocator, info: FrameworkInfo, agent_id: AgentId, now_ns: int) -> None:
    """As if it had been offered all of it: a thousand real rounds would take minutes."""
    where = (info.framework_id, info.roles[0], agent_id)
    whole = allocator.free(agent_id)
    allocator.hold(*where, whole)
    allocator.recover(*where, whole, refuse_ms=86_400_000, now_ns=now_ns, in_use=True)


def _event_s(cluster: Cluster) -> float:
    """Something comes back on one agent, and is offered again: the slowest but one percent."""
    cluster.cycle()
    turn = Turn(state=cluster.state, now_ns=cluster.now_ns, wall_ns=0)
    chosen = random.Random(3).sample(list(cluster.state.offers), 1_000)
    found: list[float] = []

    def one(offer_id: object) -> None:
        core_offers.rescind(turn, offer_id)  # type: ignore[arg-type]
        assert cluster.do(CycleDue(batch=False)) >= 1

    with _settled():
        found = sorted(_seconds(lambda offer_id=offer_id: one(offer_id)) for offer_id in chosen)  # type: ignore[misc]
    return found[len(found) * 99 // 100]


def _dict_s() -> float:
    table: dict[int, int] = dict.fromkeys(range(10_000), 0)

    def update() -> None:
        for key in table:
            table[key] += 1

    return median(_seconds(update) for _ in range(RUNS))


def _quotas() -> list[Figure]:
    """As Mesos' own measure of it: 3,000 agents, roles and frameworks, 2,500 small and 500 large quotas."""
    cluster = Cluster(agent_count=3_000, framework_count=3_000, role_count=3_000)
    small = {"cpus": 1_000, "mem": 100_000, "disk": 100_000}
    large = {"cpus": 48_000, "mem": 8_192_000, "disk": 8_192_000}
    for number, role in enumerate(cluster.roles):
        amounts = large if number % 6 == 0 else small
        cluster.state.allocator.set_quota(role, Quota(guarantees_milli=amounts, limits_milli=amounts))
    cluster.cycle()
    cluster.take_back()
    found: list[float] = []
    idle: list[float] = []
    with _settled():
        for _ in range(3):
            found.append(_seconds(cluster.cycle))
            idle += [_seconds(cluster.cycle) for _ in range(RUNS)]
            cluster.take_back()
    return [
        Figure(name="cycle_quota_s", value=median(found), unit="s", runs=3, goal=Goal(at_most=0.5)),
        Figure(name="cycle_quota_idle_ms", value=median(idle) * 1_000, unit="ms", runs=RUNS, goal=Goal(at_most=50)),
    ]


def measure() -> list[Figure]:
    """All figures of the allocator."""
    return [*_cycles(), *_quotas()]


async def measure_beside() -> list[Figure]:
    """As a part of `make bench`: nothing else may run meanwhile."""
    return measure()


if __name__ == "__main__":
    sys.stdout.write(render(measure()) + "\n")
