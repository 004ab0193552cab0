"""The fast allocator and the plain one agree on random histories, grant for grant; and nothing is ever lost or doubled."""

from __future__ import annotations

import random

import pytest

from masterd.allocator.constraints import Place
from masterd.allocator.drf import Sorter
from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AgentTraits, AllocatorSettings, Conversion, FrameworkTraits, Grant, Inactivity
from masterd.allocator.quota import Quota
from masterd.allocator.shares import ClusterTotals
from paddock.model.framework import FrameworkCapability as Capability
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer_terms import HOSTNAME, Constraint, Groups, Predicate
from paddock.model.resource_text import parse_resources
from paddock.model.resources import DiskVolume, Reservation, Resource, Resources, Scalar
from tests.unit.masterd.allocator.naive import Agent, Client, Framework, NaiveAllocator, order, plus, unshared

ROLES = ("*", "a", "a/b", "a/b/c", "a/d", "e", "e/f")
STACKED = Resource(
    name="mem", value=Scalar(milli=96_000), reservations=(Reservation(role="a"), Reservation(role="a/b", dynamic=True))
)
SHARED = Resource(
    name="disk",
    value=Scalar(milli=7_000),
    reservations=(Reservation(role="e"),),
    volume=DiskVolume(persistence_id="s"),
    shared=True,
)
OWN_DISK = Resource(name="disk", value=Scalar(milli=40_000), indivisible=True)
SPARE = Resource(name="cpus", value=Scalar(milli=1_500), revocable=True)


def whole(text: str, *others: Resource) -> Resources:
    return Resources.of((*parse_resources(text), *others))


WHOLES = (
    whole("cpus:4;mem:1024;ports:[31000-31009]"),
    whole("cpus:8;mem:512;disk:100"),
    whole("cpus:0.005;mem:31"),
    whole("cpus:2;mem:256;cpus(a):2;mem(a):64;cpus(e/f):1"),
    whole("cpus(a/b):1;gold:3"),
    whole("cpus:2;mem:256;cpus(e/f):1;mem(e/f):64;ports(e/f):[5-6]"),
    whole("cpus:3;mem:700", STACKED, OWN_DISK),
    whole("cpus:1;mem:128", SHARED, SPARE),
    whole("cpus:2;mem:64;gpus:2"),
)
CAPABILITIES = (
    Capability.GPU_RESOURCES,
    Capability.REVOCABLE_RESOURCES,
    Capability.SHARED_RESOURCES,
    Capability.RESERVATION_REFINEMENT,
)
AMOUNTS: tuple[dict[str, int], ...] = (
    {},
    {"cpus": 2_000},
    {"cpus": 3_000, "mem": 600_000},
    {"mem": 300_000, "disk": 60_000},
    {"cpus": 0},
)
STEPS = 60
HALF_CPU = Resources.scalars({"cpus": 500})


def reserved_for(role: str) -> Resources:
    reservation = Reservation(role=role, dynamic=True)
    return Resources((Resource(name="cpus", value=Scalar(milli=500), reservations=(reservation,)),))


def split(resources: Resources, chance: random.Random) -> Resources:
    """A part of it, whole resources only."""
    kept = [resource for resource in resources if chance.random() < 0.6]
    return Resources(tuple(kept))


class Pair:
    """Both allocators, told the same. `rich`: with quotas, capabilities, constraints; `nested`: quotas bind what is below."""

    def __init__(self, seed: int, *, rich: bool = False, nested: bool = True) -> None:
        self.chance = random.Random(seed)
        self.seed = seed
        self.rich = rich
        settings = AllocatorSettings(decline_backoff=False, nested_quota=nested)
        self.fast = DrfAllocator(settings)
        self.naive = NaiveAllocator(settings)
        self.now_ns = 0
        self.number = 0
        self.grants: list[Grant] = []

    def step(self) -> None:
        steps = (self.add_agent, self.add_framework, self.give_back, self.give_back, self.run, self.run, self.change)
        self.chance.choice(steps)()
        self.check()

    def add_agent(self) -> None:
        self.number += 1
        name, total = AgentId(f"n{self.number}"), self.chance.choice(WHOLES[: None if self.rich else 6])
        traits = AgentTraits(place=Place(hostname=name))
        self.fast.add_agent(name, total, {}, Resources(), traits)
        self.naive.agents[name] = Agent(total)

    def add_framework(self) -> None:
        self.number += 1
        name = FrameworkId(f"f{self.number}")
        chosen = self.chance.sample(ROLES, self.chance.randint(1, 3))
        roles, suppressed = set(chosen), {role for role in chosen if self.chance.random() < 0.2}
        plain = Framework(roles, suppressed, active=True)
        constraints: dict[str, Groups] = {}
        if self.rich:
            plain.capabilities = frozenset(each for each in CAPABILITIES if self.chance.random() < 0.5)
            if self.chance.random() < 0.2:
                plain.minimums = {chosen[0]: self.chance.choice(((), ({"cpus": 1_000},), ({"ports": 5_000},)))}
            if self.chance.random() < 0.2:
                host = f"n{self.chance.randint(1, 20)}"
                plain.only_hosts = {chosen[0]: {host}}
                only = Constraint(select=HOSTNAME, predicate=Predicate.TEXT_EQUALS, value=host)
                constraints = {chosen[0]: ((only,),)}
        traits = FrameworkTraits(
            roles=frozenset(roles),
            suppressed_roles=frozenset(suppressed),
            capabilities=plain.capabilities,
            minimums=plain.minimums,
            constraints=constraints,
        )
        self.fast.add_framework(name, traits, active=True)
        self.naive.frameworks[name] = plain
        self.naive.forget_the_absent()

    def run(self) -> None:
        self.now_ns += self.chance.choice((0, 300_000_000, 1_000_000_000, 7_000_000_000))
        seed = self.chance.random()
        fast = self.fast.run(now_ns=self.now_ns, shuffler=random.Random(seed), batch=True)
        naive = self.naive.run(now_ns=self.now_ns, shuffler=random.Random(seed), batch=True)
        assert [(g.framework_id, g.role, g.agent_id) for g in fast] == [
            (g.framework_id, g.role, g.agent_id) for g in naive
        ], f"seed {self.seed}"
        assert all(one.resources == two.resources for one, two in zip(fast, naive, strict=True))
        assert all(one.allocated == two.allocated for one, two in zip(fast, naive, strict=True))
        self.grants += fast

    def give_back(self) -> None:
        if not self.grants:
            return
        grant = self.grants.pop(self.chance.randrange(len(self.grants)))
        part = split(grant.resources, self.chance)
        refuse_ms = self.chance.choice((None, 0, 1, 1_000, 5_000))
        rest = grant.resources - part
        for allocator in (self.fast, self.naive):
            allocator.recover(
                grant.framework_id, grant.role, grant.agent_id, part, refuse_ms=refuse_ms, now_ns=self.now_ns
            )
        if rest:
            self.grants.append(grant._replace(resources=rest))

    def give_all_back(self) -> None:
        for grant in self.grants:
            for allocator in (self.fast, self.naive):
                where = (grant.framework_id, grant.role, grant.agent_id)
                allocator.recover(*where, grant.resources, refuse_ms=None, now_ns=self.now_ns)
        self.grants.clear()

    def change(self) -> None:
        changes = [self.reweigh, self.remove_agent, self.remove_framework, self.toggle, self.suppress, self.revive]
        if self.rich:
            changes += [self.set_quota, self.set_quota, self.set_quota, self.toggle_agent, self.list_hosts]
            changes += [self.reserve_held, self.reserve_free]
        self.chance.choice(changes)()
        self.naive.forget_the_absent()

    def reweigh(self) -> None:
        weights = {self.chance.choice(ROLES): self.chance.choice((500, 1000, 3000))}
        self.fast.update_weights(weights)
        self.naive.weights.update(weights)

    def set_quota(self) -> None:
        role = self.chance.choice(ROLES)
        guarantees, limits = self.chance.choice(AMOUNTS), self.chance.choice(AMOUNTS)
        guarantees = {name: min(milli, limits.get(name, milli)) for name, milli in guarantees.items() if milli}
        self.fast.set_quota(role, Quota(guarantees_milli=guarantees, limits_milli=limits))
        self.naive.quotas[role] = (guarantees, limits)

    def reserve_held(self) -> None:
        """Half a CPU of a grant becomes its role's; no new allocation."""
        for index, grant in enumerate(self.grants):
            if grant.role != "*" and grant.resources.contains(HALF_CPU):
                reserved = reserved_for(grant.role)
                conversion = Conversion(consumed=HALF_CPU, converted=reserved)
                self.fast.convert(grant.framework_id, grant.role, grant.agent_id, (conversion,))
                self.naive.convert(grant.agent_id, (grant.framework_id, grant.role), HALF_CPU, reserved)
                self.grants[index] = grant._replace(resources=grant.resources - HALF_CPU + reserved)
                return

    def reserve_free(self) -> None:
        """Half a free CPU, where there is one."""
        role = self.chance.choice(ROLES[1:])
        for name in sorted(self.naive.agents):
            conversion = Conversion(consumed=HALF_CPU, converted=reserved_for(role))
            free = self.naive.agents[name].free().contains(HALF_CPU)
            assert self.fast.convert_free(AgentId(name), (conversion,)) is free
            if free:
                self.naive.convert(name, None, HALF_CPU, reserved_for(role))
                return

    def toggle_agent(self) -> None:
        if self.naive.agents:
            name = self.chance.choice(sorted(self.naive.agents))
            agent = self.naive.agents[name]
            agent.active = not agent.active
            why = self.chance.sample(list(Inactivity), self.chance.randint(1, len(Inactivity)))
            self.fast.set_agent_active(AgentId(name), active=agent.active, why=why)

    def list_hosts(self) -> None:
        listed = {name for name in self.naive.agents if self.chance.random() < 0.7}
        self.naive.whitelist = self.chance.choice((None, None, listed))
        self.fast.set_whitelist(self.naive.whitelist)

    def remove_agent(self) -> None:
        if len(self.naive.agents) > 2:
            name = AgentId(self.chance.choice(sorted(self.naive.agents)))
            self.fast.remove_agent(name)
            del self.naive.agents[name]
            self.naive.refusals = [refusal for refusal in self.naive.refusals if refusal.agent_id != name]
            self.grants = [grant for grant in self.grants if grant.agent_id != name]

    def _some_framework(self) -> FrameworkId | None:
        names = sorted(self.naive.frameworks)
        return FrameworkId(self.chance.choice(names)) if names else None

    def _forget_refusals(self, name: str, roles: set[str]) -> None:
        self.naive.refusals = [
            refusal for refusal in self.naive.refusals if refusal.holder[0] != name or refusal.holder[1] not in roles
        ]

    def remove_framework(self) -> None:
        name = self._some_framework()
        if name is not None:
            self.fast.remove_framework(name)
            self._forget_refusals(name, self.naive.frameworks.pop(name).roles)

    def toggle(self) -> None:
        name = self._some_framework()
        if name is not None:
            framework = self.naive.frameworks[name]
            framework.active = not framework.active
            self.fast.set_framework_active(name, active=framework.active)
            if not framework.active:
                self._forget_refusals(name, framework.roles)

    def suppress(self) -> None:
        name = self._some_framework()
        if name is not None:
            self.fast.suppress(name, ())
            self.naive.frameworks[name].suppressed = set(self.naive.frameworks[name].roles)

    def revive(self) -> None:
        name = self._some_framework()
        if name is not None:
            framework = self.naive.frameworks[name]
            role = self.chance.choice(sorted(framework.roles))
            self.fast.revive(name, (role,))
            framework.suppressed.discard(role)
            self._forget_refusals(name, {role})

    def check(self) -> None:
        """Exact conservation: free + held = the whole, on every agent, in both books; and quotas count the same."""
        for name, agent in self.naive.agents.items():
            agent_id = AgentId(name)
            held = self.fast.held(agent_id)
            assert held == agent.held
            parts = self.fast.free(agent_id)
            for resources in held.values():
                parts += unshared(resources)
            assert parts == agent.total
        assert self.fast.total() == {name: milli for name, milli in self.naive.totals().items() if milli}
        accounts = self.fast.ledger.accounts
        for role in ROLES:
            account, consumed = accounts.get(role), self.naive.consumed(role)
            found = {name: account.consumed(name) for name in consumed} if account else {}
            assert {k: v for k, v in found.items() if v} == {k: v for k, v in consumed.items() if v}, role
        assert accounts.root.children_need == self.naive.need_below("")


@pytest.mark.parametrize("seed", range(30))
def test_both_grant_the_same(seed: int) -> None:
    pair = Pair(seed)
    for _ in range(STEPS):
        pair.step()
    assert pair.number


@pytest.mark.parametrize("nested", [True, False], ids=["nested", "as Mesos"])
@pytest.mark.parametrize("seed", range(25))
def test_both_grant_the_same_with_quotas_and_all_the_rest(seed: int, nested: bool) -> None:
    pair = Pair(seed, rich=True, nested=nested)
    for _ in range(STEPS):
        pair.step()
    assert pair.number


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_is_shared_out_the_same(seed: int) -> None:
    """Many agents of few shapes, some with a reserved part, all free again and again: what most of a cluster is."""
    pair = Pair(seed)
    for _ in range(24):
        pair.add_agent()
    for _ in range(6):
        pair.add_framework()
    twice = 0
    for _ in range(3):
        pair.run()
        twice += len(pair.grants) - len({grant.agent_id for grant in pair.grants})
        pair.check()
        pair.give_all_back()
        pair.reweigh()
    assert twice, "no agent had an offer for one and a reservation for another"


def test_the_histories_are_worth_something() -> None:
    """They grant, share, refuse and owe: a comparison of two allocators that do nothing shows nothing."""
    pairs = [Pair(seed, rich=True) for seed in range(12)]
    granted = refused = owed = 0
    for pair in pairs:
        for _ in range(STEPS):
            pair.step()
            refused += len(pair.naive.refusals)
            owed += bool(pair.naive.need_below(""))
        granted += sum(pair.naive.role_counts.of_path.values())
    assert granted > 100
    assert refused > 100
    assert owed > 50


@pytest.mark.parametrize("seed", range(60))
def test_both_sort_the_same(seed: int) -> None:
    """The sorter alone, with clients that become parents and leaves again."""
    chance = random.Random(seed)
    totals, weights = ClusterTotals(), {"a": 2000, "a/b": 500, "e": 1500}
    totals.change(added={"cpus": 10_000, "mem": 40_000}, removed={})
    sorter = Sorter(totals, weights)
    clients: dict[str, Client] = {}
    for _ in range(80):
        path = chance.choice(ROLES[1:])
        amount = {"cpus": chance.randrange(2000), "mem": chance.randrange(9000)}
        match chance.randrange(6):
            case 0 | 1:
                sorter.add(path)
                clients.setdefault(path, Client())
                sorter.activate(path)
                clients[path].active = True
            case 2 if path in clients:
                sorter.deactivate(path)
                clients[path].active = False
            case 3 | 4 if path in clients:
                weighed = totals.weigh(amount)
                for _ in range(chance.randrange(1, 4)):
                    sorter.charge_weighed(path, weighed)
                    clients[path].allocated = plus(clients[path].allocated, amount)
                    clients[path].count += 1
            case 5:
                grown = {"cpus": chance.randrange(1, 5000)}
                totals.change(added=grown, removed={})
            case _:
                pass
        if path in clients:
            with sorter.trial(path):
                sorter.charge(path, amount)
                assert sorter.count(path) == clients[path].count + 1
                list(sorter.order())
        assert list(sorter.order()) == order(clients, totals.amounts_milli, weights)


def test_the_same_seed_gives_the_same_grants() -> None:
    def history() -> list[tuple[str, str, str]]:
        pair = Pair(7)
        for _ in range(STEPS):
            pair.step()
        return [(grant.framework_id, grant.role, grant.agent_id) for grant in pair.grants]

    assert history() == history()
    assert history()
