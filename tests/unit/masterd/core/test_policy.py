"""Quotas and weights as an operator sets them, who may, and what it does to offers that are out."""

from __future__ import annotations

import pytest

from masterd.allocator.quota import Quota
from masterd.core.authorizer import Action
from masterd.core.effects import ForgetAgent, NoteRescinded, SaveQuotas, SaveWeights
from masterd.core.events import AgentMarkedGone, AgentRegistered, Caller, QuotasChanged, WeightsChanged
from masterd.core.recovery import Remembered
from masterd.core.state import Settings
from paddock.model.agent import AgentInfo
from paddock.model.errors import InvalidRequest, NotFound, PermissionRefused
from paddock.model.ids import AgentId
from paddock.model.resource_text import parse_resources
from paddock.model.task import TaskState
from tests.unit.masterd.core.world import ROOT, World, launched, task_info


def set_quota(world: World, role: str, quota: Quota, *, force: bool = False, caller: Caller = ROOT) -> None:
    world.do(QuotasChanged(caller=caller, quotas=((role, quota),), force=force))


def test_a_guarantee_above_the_cluster_is_refused_unless_forced() -> None:
    world = World()
    world.agent("a1", "cpus:2;mem:1024")
    quota = Quota(guarantees_milli={"cpus": 3_000})
    with pytest.raises(InvalidRequest, match=r"quotas\.guarantees\.cpus.*the cluster has 2"):
        set_quota(world, "r", quota)
    assert world.state.quotas == {}
    set_quota(world, "r", quota, force=True)
    assert world.state.quotas == {"r": quota}
    assert [e.quotas for e in world.effects if isinstance(e, SaveQuotas)] == [(("r", quota),)]


def test_guarantees_below_others_are_part_of_theirs() -> None:
    world = World()
    world.agent("a1", "cpus:4;mem:1024")
    four = Quota(guarantees_milli={"cpus": 4_000})
    set_quota(world, "a", four)
    set_quota(world, "a/b", four)
    with pytest.raises(InvalidRequest):
        set_quota(world, "c", Quota(guarantees_milli={"cpus": 1}))


def test_a_limit_below_what_is_used_is_refused_unless_forced() -> None:
    world = World()
    launched(world)
    quota = Quota(limits_milli={"cpus": 999})
    with pytest.raises(InvalidRequest, match="the role has 1"):
        set_quota(world, "*", quota)
    set_quota(world, "*", Quota(limits_milli={"cpus": 1_000}))
    set_quota(world, "*", quota, force=True)


def test_several_quotas_are_set_together_or_not_at_all() -> None:
    world = World()
    world.agent("a1", "cpus:2;mem:1024")
    fits, does_not = Quota(guarantees_milli={"cpus": 1_000}), Quota(guarantees_milli={"mem": 2**50})
    with pytest.raises(InvalidRequest):
        world.do(QuotasChanged(caller=ROOT, quotas=(("r", fits), ("s", does_not))))
    with pytest.raises(InvalidRequest, match="each role once"):
        world.do(QuotasChanged(caller=ROOT, quotas=(("r", fits), ("r", fits))))
    assert world.state.quotas == {}
    world.do(QuotasChanged(caller=ROOT, quotas=(("r", fits),)))
    world.do(QuotasChanged(caller=ROOT, quotas=(("r", Quota()),)))
    assert world.state.quotas == {}


def test_what_is_offered_beyond_a_new_limit_is_taken_back_newest_first() -> None:
    world = World()
    world.agent("a1", "cpus:1;mem:1024")
    framework = world.framework("r/s")
    world.agent("a2", "cpus:1;mem:1024")
    first, second = world.offers(framework[2])
    set_quota(world, "r", Quota(limits_milli={"cpus": 1_500}))
    assert [note.offer_id for note in world.heard(framework[2], NoteRescinded)] == [second.offer_id]
    assert world.offers(framework[2]) == [first]


def test_what_is_offered_to_others_is_taken_back_for_a_guarantee_and_no_more_than_that() -> None:
    world = World()
    world.agent("a1", "cpus:1;mem:1024")
    world.agent("a2", "cpus:1;mem:1024")
    framework = world.framework("r")
    assert len(world.offers(framework[2])) == 2
    set_quota(world, "s", Quota(guarantees_milli={"cpus": 1_000, "mem": 1_024_000}))
    assert len(world.heard(framework[2], NoteRescinded)) == 1
    world.cycle(batch=True)
    assert len(world.offers(framework[2])) == 1
    owed = world.framework("s")
    assert [offer.resources.scalar_milli("cpus") for offer in world.offers(owed[2])] == [1_000]


class OnlyOwn:
    """A caller may do things to the role of its own name."""

    def allows(self, caller: Caller, action: Action, role: str) -> bool:
        return caller.user in {"root", role}


def test_the_authorizer_is_asked_before_anything_is_changed() -> None:
    world = World(authorizer=OnlyOwn())
    alice = Caller(uid=1000, user="alice")
    set_quota(world, "alice", Quota(limits_milli={"cpus": 1}), caller=alice)
    for event in (
        QuotasChanged(caller=alice, quotas=(("alice", Quota()), ("bob", Quota(limits_milli={"cpus": 1})))),
        WeightsChanged(caller=alice, weights_milli=(("bob", 2_000),)),
    ):
        with pytest.raises(PermissionRefused, match="alice may not update the (quota|weight) of role bob"):
            world.do(event)
    assert (list(world.state.quotas), world.state.weights_milli) == (["alice"], {})
    with pytest.raises(PermissionRefused, match="register with role bob"):
        world.framework("bob", caller=alice)
    world.framework("alice", caller=alice)


def test_only_listed_roles_where_there_is_a_list() -> None:
    world = World(settings=Settings(roles=frozenset({"known"})))
    world.framework("known")
    with pytest.raises(InvalidRequest, match="takes the roles known"):
        world.framework("other")
    with pytest.raises(InvalidRequest):
        set_quota(world, "other", Quota(limits_milli={"cpus": 1}), force=True)
    with pytest.raises(InvalidRequest):
        world.do(WeightsChanged(weights_milli=(("other", 2_000),)))


def test_a_weight_of_a_role_that_nobody_has_takes_nothing_back() -> None:
    world = World()
    world.agent("a1")
    framework = world.framework("r")
    world.do(WeightsChanged(weights_milli=(("s", 2_000),)))
    assert len(world.offers(framework[2])) == 1
    assert [e.weights_milli for e in world.effects if isinstance(e, SaveWeights)] == [(("s", 2_000),)]


def test_a_master_with_quotas_waits_for_its_agents() -> None:
    world = World()
    for name in ("a1", "a2"):
        world.agent(name)
    quotas = (("q", Quota(guarantees_milli={"cpus": 1_000})),)
    saved = tuple(e for e in world.effects if e.__class__.__name__ == "SaveAgent")
    again = World(remembered=Remembered(agents=saved, quotas=quotas), epoch=2)  # type: ignore[arg-type]
    framework = again.framework("r")
    again.advance(5)
    assert not again.offers(framework[2])
    again.agent("a1")
    again.advance(2)
    assert again.offers(framework[2])


@pytest.mark.parametrize(("aware", "state"), [(True, TaskState.GONE_BY_OPERATOR), (False, TaskState.LOST)])
def test_an_agent_that_is_gone_is_never_admitted_again(aware: bool, state: TaskState) -> None:
    world = World()
    _, framework = launched(world, aware=aware)
    world.do(AgentMarkedGone(agent_id=AgentId("a1")))
    assert world.statuses(framework[2])[-1].state is state
    assert not world.offers(framework[2])
    info = AgentInfo(agent_id=AgentId("a1"), hostname="a1", resources=parse_resources("cpus:1"))
    with pytest.raises(PermissionRefused, match="marked as gone"):
        world.do(AgentRegistered(stream=99, agent=info))
    with pytest.raises(NotFound):
        world.do(AgentMarkedGone(agent_id=AgentId("a1")))


def test_tasks_of_an_agent_out_of_reach_end_when_it_is_given_up() -> None:
    world = World()
    _, framework = launched(world, failover_s=600, aware=True)
    world.answer_pings = False
    world.advance(200)
    assert world.statuses(framework[2])[-1].state is TaskState.UNREACHABLE
    world.do(AgentMarkedGone(agent_id=AgentId("a1")))
    assert world.statuses(framework[2])[-1].state is TaskState.GONE_BY_OPERATOR
    world.agent("a2")
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a2"))
    assert world.state.frameworks[framework[0]].tasks


def test_the_oldest_of_too_many_that_are_gone_is_forgotten() -> None:
    world = World(settings=Settings(unreachable_limit_count=2))
    for name in ("a1", "a2", "a3"):
        world.agent(name)
        world.do(AgentMarkedGone(agent_id=AgentId(name)))
    assert list(world.state.gone_agent_ids) == ["a2", "a3"]
    assert [effect.agent_id for effect in world.effects if isinstance(effect, ForgetAgent)] == ["a1"]
    world.agent("a1")


def test_an_agent_that_is_gone_is_not_forgotten_and_one_that_is_forgotten_is_not_gone() -> None:
    world = World(settings=Settings(unreachable_age_limit_ms=100_000))
    for name in ("gone", "forgotten"):
        world.lose_agent(world.agent(name))
    world.advance(80)
    world.do(AgentMarkedGone(agent_id=AgentId("gone")))
    world.advance(100)
    assert not world.state.agents
    assert [effect.agent_id for effect in world.effects if isinstance(effect, ForgetAgent)] == ["forgotten"]
    with pytest.raises(NotFound):
        world.do(AgentMarkedGone(agent_id=AgentId("forgotten")))
    world.agent("forgotten")
    with pytest.raises(PermissionRefused, match="marked as gone"):
        world.agent("gone")
