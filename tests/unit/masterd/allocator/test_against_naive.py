"""The fast allocator and the plain one agree on random histories, grant for grant; and nothing is ever lost or doubled."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from masterd.allocator.drf import Sorter
from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings, FrameworkTraits, Grant
from masterd.allocator.shares import ClusterTotals
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resource_text import parse_resources
from paddock.model.resources import Resources
from tests.unit.masterd.allocator.naive import Client, Framework, NaiveAllocator, order, plus

ROLES = ("*", "a", "a/b", "a/b/c", "a/d", "e", "e/f")
WHOLES = (
    "cpus:4;mem:1024;ports:[31000-31009]",
    "cpus:8;mem:512;disk:100",
    "cpus:0.005;mem:31",
    "cpus:2;mem:256;cpus(a):2;mem(a):64;cpus(e/f):1",
    "cpus(a/b):1;gold:3",
)
STEPS = 60


def split(resources: Resources, chance: random.Random) -> Resources:
    """A part of it, whole resources only."""
    kept = [resource for resource in resources if chance.random() < 0.6]
    return Resources(tuple(kept))


class Pair:
    """Both allocators, told the same."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.seed = seed
        self.fast = DrfAllocator(AllocatorSettings(decline_backoff=False))
        self.naive = NaiveAllocator()
        self.now_ns = 0
        self.number = 0
        self.grants: list[Grant] = []

    def step(self) -> None:
        steps = (self.add_agent, self.add_framework, self.give_back, self.give_back, self.run, self.run, self.change)
        self.chance.choice(steps)()
        self.check()

    def add_agent(self) -> None:
        self.number += 1
        name, total = AgentId(f"n{self.number}"), parse_resources(self.chance.choice(WHOLES))
        self.fast.add_agent(name, total, {}, Resources())
        self.naive.agents[name], self.naive.held[name] = total, {}

    def add_framework(self) -> None:
        self.number += 1
        name = FrameworkId(f"f{self.number}")
        chosen = self.chance.sample(ROLES, self.chance.randint(1, 3))
        roles, suppressed = set(chosen), {role for role in chosen if self.chance.random() < 0.2}
        traits = FrameworkTraits(roles=frozenset(roles), suppressed_roles=frozenset(suppressed))
        self.fast.add_framework(name, traits, active=True)
        self.naive.frameworks[name] = Framework(roles, suppressed, active=True)
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
        self.grants += fast

    def give_back(self) -> None:
        if not self.grants:
            return
        grant = self.grants.pop(self.chance.randrange(len(self.grants)))
        part = split(grant.resources, self.chance)
        refuse_ms = self.chance.choice((0, 0, 1, 1_000, 5_000))
        rest = grant.resources - part
        for allocator in (self.fast, self.naive):
            allocator.recover(
                grant.framework_id, grant.role, grant.agent_id, part, refuse_ms=refuse_ms, now_ns=self.now_ns
            )
        if rest:
            kept = replace(grant, resources=rest)
            self.grants.append(kept)

    def change(self) -> None:
        changes = (self.reweigh, self.remove_agent, self.remove_framework, self.toggle, self.suppress, self.revive)
        self.chance.choice(changes)()
        self.naive.forget_the_absent()

    def reweigh(self) -> None:
        weights = {self.chance.choice(ROLES): self.chance.choice((500, 1000, 3000))}
        self.fast.update_weights(weights)
        self.naive.weights.update(weights)

    def remove_agent(self) -> None:
        if len(self.naive.agents) > 2:
            name = AgentId(self.chance.choice(sorted(self.naive.agents)))
            self.fast.remove_agent(name)
            del self.naive.agents[name], self.naive.held[name]
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
        """Exact conservation: free + held = the whole, on every agent, in both books."""
        for name, total in self.naive.agents.items():
            agent_id = AgentId(name)
            held = self.fast.held(agent_id)
            assert held == self.naive.held[name]
            whole = self.fast.free(agent_id)
            for resources in held.values():
                whole += resources
            assert whole == total
        assert self.fast.total() == {name: milli for name, milli in self.naive.totals().items() if milli}


@pytest.mark.parametrize("seed", range(60))
def test_both_grant_the_same(seed: int) -> None:
    pair = Pair(seed)
    for _ in range(STEPS):
        pair.step()
    assert pair.number


def test_the_histories_are_worth_something() -> None:
    """They grant, share and refuse: a comparison of two allocators that do nothing shows nothing."""
    pairs = [Pair(seed) for seed in range(10)]
    granted = 0
    refused = 0
    for pair in pairs:
        for _ in range(STEPS):
            pair.step()
            refused += len(pair.naive.refusals)
        granted += sum(pair.naive.role_counts.of_path.values())
    assert granted > 100
    assert refused > 100


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
                sorter.charge(path, amount)
                clients[path].allocated = plus(clients[path].allocated, amount)
                clients[path].count += 1
            case 5:
                grown = {"cpus": chance.randrange(1, 5000)}
                totals.change(added=grown, removed={})
            case _:
                pass
        assert list(sorter.order()) == order(clients, totals.amounts_milli, weights)


def test_the_same_seed_gives_the_same_grants() -> None:
    def history() -> list[tuple[str, str, str]]:
        pair = Pair(7)
        for _ in range(STEPS):
            pair.step()
        return [(grant.framework_id, grant.role, grant.agent_id) for grant in pair.grants]

    assert history() == history()
    assert history()
