"""What holds whatever the history: nothing is given twice, guarantees come first, limits stop, seeds repeat."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings, FrameworkTraits
from masterd.allocator.quota import Quota
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import Resources

ROLES = ("a", "a/b", "c", "d/e")
amounts = st.fixed_dictionaries({"cpus": st.integers(0, 4_000), "mem": st.integers(0, 400_000)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    agents: tuple[dict[str, int], ...]
    guarantees: dict[str, dict[str, int]]
    limits: dict[str, dict[str, int]]
    seed: int


clusters = st.builds(
    Cluster,
    agents=st.lists(
        st.fixed_dictionaries({"cpus": st.integers(1_000, 8_000), "mem": st.integers(100_000, 900_000)}),
        min_size=1,
        max_size=6,
    ).map(tuple),
    guarantees=st.dictionaries(st.sampled_from(ROLES), amounts, max_size=3),
    limits=st.dictionaries(st.sampled_from(ROLES), amounts, max_size=2),
    seed=st.integers(0, 99),
)


def started(cluster: Cluster, *, with_limits: bool = True) -> DrfAllocator:
    allocator = DrfAllocator(AllocatorSettings(minimum=(), decline_backoff=False))
    for role in ROLES:
        guarantees = {name: milli for name, milli in cluster.guarantees.get(role, {}).items() if milli}
        limits = cluster.limits.get(role, {}) if with_limits else {}
        limits = {name: max(milli, guarantees.get(name, 0)) for name, milli in limits.items()}
        allocator.set_quota(role, Quota(guarantees_milli=guarantees, limits_milli=limits))
        allocator.add_framework(FrameworkId(f"of {role}"), FrameworkTraits(roles=frozenset({role})), active=True)
    for number, whole in enumerate(cluster.agents):
        allocator.add_agent(AgentId(f"n{number}"), Resources.scalars(whole), {}, Resources())
    return allocator


def run(allocator: DrfAllocator, seed: int) -> dict[str, dict[str, int]]:
    """What each role has after one run."""
    allocator.run(now_ns=0, shuffler=random.Random(seed), batch=True)
    found: dict[str, dict[str, int]] = {role: {} for role in ROLES}
    for number in range(len(allocator.ledger.agents)):
        for (_, role), resources in allocator.held(AgentId(f"n{number}")).items():
            for name, milli in resources.quantities_milli().items():
                found[role][name] = found[role].get(name, 0) + milli
    return found


def below(has: dict[str, dict[str, int]], role: str, name: str) -> int:
    return sum(each.get(name, 0) for path, each in has.items() if path == role or path.startswith(f"{role}/"))


@given(clusters)
@settings(deadline=None)
def test_no_agent_gives_more_than_it_has_and_all_comes_back_to_the_unit(cluster: Cluster) -> None:
    allocator = started(cluster)
    run(allocator, cluster.seed)
    for number, whole in enumerate(cluster.agents):
        agent_id = AgentId(f"n{number}")
        given_away = Resources.of(each for resources in allocator.held(agent_id).values() for each in resources)
        assert allocator.free(agent_id) + given_away == Resources.scalars(whole)
        for (framework_id, role), resources in allocator.held(agent_id).items():
            allocator.recover(framework_id, role, agent_id, resources, refuse_ms=None, now_ns=0)
        assert allocator.free(agent_id) == Resources.scalars(whole)
    assert allocator.total_held() == {}
    assert {role: allocator.role_share(role) for role in ROLES} == dict.fromkeys(ROLES, 0)


@given(clusters)
@settings(deadline=None)
def test_limits_hold_on_every_level(cluster: Cluster) -> None:
    allocator = started(cluster)
    has = run(allocator, cluster.seed)
    for role in ROLES:
        assert allocator.quota_excess(role) == {}
        account = allocator.ledger.accounts.get(role)
        assert account is not None
        for name, limit in account.quota.limits_milli.items():
            assert below(has, role, name) <= limit


@given(clusters)
@settings(deadline=None)
def test_guarantees_are_honoured_wherever_the_cluster_has_enough(cluster: Cluster) -> None:
    """Without limits in the way. A role above others: with all that is below it."""
    allocator = started(cluster, with_limits=False)
    whole = {name: sum(agent[name] for agent in cluster.agents) for name in ("cpus", "mem")}
    owed = dict(allocator.ledger.accounts.root.children_need)
    has = run(allocator, cluster.seed)
    for name, capacity in whole.items():
        if owed.get(name, 0) <= capacity:
            for role, guarantees in cluster.guarantees.items():
                assert below(has, role, name) >= guarantees[name], (role, name, has)


@given(clusters)
@settings(deadline=None)
def test_the_same_seed_gives_the_same_cluster(cluster: Cluster) -> None:
    assert run(started(cluster), cluster.seed) == run(started(cluster), cluster.seed)
