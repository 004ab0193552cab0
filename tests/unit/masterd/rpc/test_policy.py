"""Quotas, weights and roles by RPC: what is said is done, what cannot be is refused by the field's name."""

from __future__ import annotations

import re

import pytest

from masterd.allocator.quota import Quota
from masterd.core.effects import SaveQuotas, SaveWeights
from masterd.rpc.policy import Policy
from paddock.model.errors import InvalidRequest, PaddockError, PermissionRefused
from paddock.wire.v1 import policy_service_pb2 as pb
from tests.unit.masterd.core.world import World
from tests.unit.masterd.rpc.serving import NO_CONTEXT, cluster, served, summary


def change(role: str, guarantees: dict[str, int] | None = None, limits: dict[str, int] | None = None) -> pb.QuotaChange:
    return pb.QuotaChange(
        role=role,
        guarantees=None if guarantees is None else pb.Amounts(milli=guarantees),
        limits=None if limits is None else pb.Amounts(milli=limits),
    )


async def update(
    world: World, *changes: pb.QuotaChange, force: bool = False, validate_only: bool = False
) -> pb.UpdateQuotasResponse:
    async with served(world) as shell:
        request = pb.UpdateQuotasRequest(changes=changes, force=force, validate_only=validate_only)
        return await Policy(shell).UpdateQuotas(request, NO_CONTEXT)


async def test_a_guarantee_and_a_limit_are_changed_apart_and_removed() -> None:
    world = cluster()
    await update(world, change("r", {"cpus": 2_000}))
    await update(world, change("r", limits={"cpus": 3_000, "gpus": 0}), force=True)
    assert world.state.quotas == {"r": Quota(guarantees_milli={"cpus": 2_000}, limits_milli={"cpus": 3_000, "gpus": 0})}
    await update(world, change("r", {}))
    assert world.state.quotas == {"r": Quota(limits_milli={"cpus": 3_000, "gpus": 0})}
    await update(world, change("r", {}, {}))
    assert world.state.quotas == {}
    assert [effect.quotas for effect in world.effects if isinstance(effect, SaveQuotas)][-1] == ()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ((), "changes"),
        ((change("r"),), "changes[0]"),
        ((change("", {"cpus": 1}),), "changes[0].role"),
        ((change("a//b", {"cpus": 1}),), "changes[0].role"),
        ((change("*", {"cpus": 1}),), "changes[0].role"),
        ((change("r", {"cpus": 1}), change("r", {"mem": 1})), "changes[1].role"),
        ((change("r", {"cpus": -1}),), "changes[0].guarantees[0].cpus"),
        ((change("r", limits={"cpus": -(2**63)}),), "changes[0].limits[0].cpus"),
        ((change("r", limits={"c pus": 1}),), "changes[0].limits[0].name"),
        ((change("r", {"cpus": 2}, {"cpus": 1}),), "changes[0].guarantees.cpus"),
        ((change("r", {"cpus": 7_001}),), "quotas.guarantees.cpus"),
        ((change("r", limits={"cpuz": 1}),), "quotas.r.limits.cpuz"),
        ((change("r", limits={"cpus": 999}),), "quotas.r.limits.cpus"),
        ((change("r", limits={"cpus": 2_000}), change("r/s", {"cpus": 2_001})), "quotas.guarantees.cpus"),
    ],
)
async def test_what_is_wrong_is_named_and_changes_nothing(changed: tuple[pb.QuotaChange, ...], field: str) -> None:
    world = cluster()
    before = summary(world)
    with pytest.raises(InvalidRequest, match=re.escape(field)) as caught:
        await update(world, *changed)
    assert caught.value.field == field
    assert summary(world) == before


async def test_a_plan_tells_who_gains_and_who_loses_and_changes_nothing() -> None:
    world = cluster()
    before = summary(world)
    answer = await update(world, change("q", {"cpus": 3_000}), validate_only=True)
    found = {(each.role, each.name): each for each in answer.plan.outlooks}
    assert not answer.plan.problems
    # 6 CPUs that anybody may have, 1 of them used; q has one reserved, so 2 more are kept for it.
    assert (found["r", "cpus"].reach_before_milli, found["r", "cpus"].reach_after_milli) == (5_000, 3_000)
    assert (found["q", "cpus"].owed_before_milli, found["q", "cpus"].owed_after_milli) == (0, 2_000)
    assert ("q", "mem") not in found
    assert summary(world) == before


async def test_a_plan_lists_every_problem_and_none_of_them_stops_what_is_forced() -> None:
    world = cluster()
    wrong = (change("r", limits={"cpus": 500, "cpuz": 1}), change("q", {"mem": 2**40}))
    plan = (await update(world, *wrong, validate_only=True)).plan
    assert [problem.field for problem in plan.problems] == [
        "quotas.r.limits.cpuz",
        "quotas.r.limits.cpus",
        "quotas.guarantees.mem",
    ]
    assert all(problem.remedy for problem in plan.problems)
    with pytest.raises(InvalidRequest):
        await update(world, *wrong)
    await update(world, *wrong, force=True)
    assert world.state.quotas.keys() == {"r", "q"}


async def test_weights_are_set_together_or_not_at_all_and_offers_come_anew() -> None:
    world = cluster()
    before = set(world.state.offers)
    async with served(world) as shell:
        policy = Policy(shell)
        for weights in ({}, {"r": 0}, {"r": 2_000, "q": -1}, {"r": 10**9 + 1}, {"..": 1}):
            with pytest.raises(InvalidRequest, match="weights_milli"):
                await policy.UpdateWeights(pb.UpdateWeightsRequest(weights_milli=weights), NO_CONTEXT)
        await policy.UpdateWeights(pb.UpdateWeightsRequest(weights_milli={"r": 2_000}, validate_only=True), NO_CONTEXT)
        assert (world.state.weights_milli, set(world.state.offers)) == ({}, before)
        await policy.UpdateWeights(pb.UpdateWeightsRequest(weights_milli={"r": 2_000, "q": 1}), NO_CONTEXT)
    assert world.state.weights_milli == {"r": 2_000, "q": 1}
    assert not before & set(world.state.offers)
    assert [effect.weights_milli for effect in world.effects if isinstance(effect, SaveWeights)] == [
        (("q", 1), ("r", 2_000))
    ]


class Nobody:
    """May do nothing."""

    def allows(self, *_: object) -> bool:
        return False


async def test_who_may_not_is_refused_also_when_it_only_asks() -> None:
    world = cluster()
    world.state.authorizer = Nobody()
    for validate_only in (True, False):
        with pytest.raises(PermissionRefused, match="update the quota of role r"):
            await update(world, change("r", {"cpus": 1}), validate_only=validate_only)
        async with served(world) as shell:
            request = pb.UpdateWeightsRequest(weights_milli={"r": 2}, validate_only=validate_only)
            with pytest.raises(PermissionRefused, match="update the weight of role r"):
                await Policy(shell).UpdateWeights(request, NO_CONTEXT)


async def test_roles_are_listed_page_by_page_with_all_that_is_above_them() -> None:
    world = cluster()
    await update(world, change("x/y/z", limits={"cpus": 1}), change("r", {"cpus": 1_500}))
    found: list[pb.Role] = []
    async with served(world) as shell:
        request = pb.ListRolesRequest(page_size=2)
        while True:
            answer = await Policy(shell).ListRoles(request, NO_CONTEXT)
            assert len(answer.roles) <= 2
            found += answer.roles
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
        with pytest.raises(PaddockError, match="page_size"):
            await Policy(shell).ListRoles(pb.ListRolesRequest(page_size=-1), NO_CONTEXT)
    assert [role.role for role in found] == ["q", "r", "r/s", "x", "x/y", "x/y/z"]
    q, r = found[:2]
    assert (dict(q.reserved.milli), dict(q.consumed.milli)) == ({"cpus": 1_000}, {"cpus": 1_000})
    assert dict(r.consumed.milli) == {"cpus": 1_000, "mem": 64_000}
    assert (r.weight_milli, dict(r.guarantees.milli), len(r.framework_ids)) == (1_000, {"cpus": 1_500}, 1)
    assert sum(each.scalar_milli for each in r.allocated if each.name == "cpus") == 1_000
    assert r.HasField("share")
    assert not found[-1].HasField("share")
