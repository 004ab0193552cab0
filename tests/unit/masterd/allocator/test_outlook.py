"""What a role can still get: a small cluster by hand, and random ones against what the real allocator then gives."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings, FrameworkTraits
from masterd.allocator.outlook import outlooks
from masterd.allocator.quota import Quota
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import Resources

ROLES = ("a", "a/x", "a/y", "b")
amounts = st.fixed_dictionaries({}, optional={"cpus": st.integers(0, 6).map(lambda cpus: cpus * 1_000)})


def allocator(used: dict[str, int], quotas: dict[str, Quota], *, agents: int = 8) -> DrfAllocator:
    """One-CPU agents; each role's framework uses so many of them."""
    made = DrfAllocator(AllocatorSettings())
    free = iter(range(agents))
    for number in range(agents):
        made.add_agent(AgentId(f"{number:02}"), Resources.scalars({"cpus": 1_000}), {}, Resources())
    for role in ROLES:
        made.add_framework(FrameworkId(role), FrameworkTraits(roles=frozenset({role})), active=False)
        for _ in range(used.get(role, 0)):
            made.hold(FrameworkId(role), role, AgentId(f"{next(free):02}"), Resources.scalars({"cpus": 1_000}))
    for role, quota in quotas.items():
        made.set_quota(role, quota)
    return made


def test_by_hand() -> None:
    quotas = {
        "a": Quota(guarantees_milli={"cpus": 4_000}, limits_milli={"cpus": 5_000}),
        "a/x": Quota(guarantees_milli={"cpus": 2_000}),
        "b": Quota(guarantees_milli={"cpus": 1_000}),
    }
    found = outlooks(allocator({"a/y": 1}, quotas).ledger.accounts, quotas, ROLES)
    # 7 are free. Of a's guarantee 3 are open; 2 of them are a/x's, so that they are not for a itself, nor for a/y.
    assert {role: found[role].reach_milli["cpus"] for role in ROLES} == {
        "a": 4_000,
        "a/x": 4_000,
        "a/y": 4_000,
        "b": 4_000,
    }
    assert {role: dict(found[role].owed_milli) for role in ROLES} == {
        "a": {"cpus": 3_000},
        "a/x": {"cpus": 2_000},
        "a/y": {},
        "b": {"cpus": 1_000},
    }


@settings(max_examples=150, deadline=None)
@given(
    used=st.fixed_dictionaries({role: st.integers(0, 2) for role in ROLES}),
    guarantees=st.fixed_dictionaries({}, optional=dict.fromkeys(ROLES, amounts)),
    limits=st.fixed_dictionaries({}, optional=dict.fromkeys(ROLES, amounts)),
    role=st.sampled_from(ROLES),
)
def test_it_is_what_the_allocator_gives_to_the_role_when_only_that_one_asks(
    used: dict[str, int], guarantees: dict[str, dict[str, int]], limits: dict[str, dict[str, int]], role: str
) -> None:
    quotas = {
        each: Quota(guarantees_milli=guarantees.get(each, {}), limits_milli=_taken(each, limits, guarantees))
        for each in sorted({*guarantees, *limits})
    }
    made = allocator(used, quotas)
    found = outlooks(made.ledger.accounts, quotas, (role,))[role]
    made.set_framework_active(FrameworkId(role), active=True)
    given_milli = 0
    for second in range(3):
        grants = made.run(now_ns=second * 10**9, shuffler=random.Random(second), batch=True)
        given_milli += sum(grant.resources.scalar_milli("cpus") for grant in grants)
    assert given_milli == found.reach_milli["cpus"]


def _taken(role: str, limits: dict[str, dict[str, int]], guarantees: dict[str, dict[str, int]]) -> dict[str, int]:
    """A limit as a master takes it: not below what is guaranteed to the role, or to those below it."""
    limit = limits.get(role, {})
    own = guarantees.get(role, {}).get("cpus", 0)
    below = sum(given.get("cpus", 0) for other, given in guarantees.items() if other.startswith(f"{role}/"))
    return {name: max(milli, own, below) for name, milli in limit.items()}
