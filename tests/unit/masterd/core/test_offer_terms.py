"""What a framework says of the offers it wants reaches the allocator, is replaced, explained, and outlives the master."""

from __future__ import annotations

import pytest

from masterd.allocator.explain import Reason
from masterd.core.effects import Save, TellLaunch
from masterd.core.explanations import explanation
from masterd.core.state import traits_of
from masterd.rpc.agents import registration, to_wire
from paddock.model.errors import InvalidRequest
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer_terms import RUNS_DOCKER, Amounts, Constraint, Groups, OfferTerms, Predicate, parse_minimum
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1 import parties_pb2
from tests.unit.masterd.core.world import World, remembered_of


def rack(pattern: str) -> Groups:
    return ((Constraint(select="rack", predicate=Predicate.TEXT_MATCHES, value=pattern),),)


def offered(world: World, stream: int) -> set[str]:
    return {offer.agent_id for offer in world.offers(stream)}


def reasons(world: World, framework_id: FrameworkId, agent_id: str) -> list[Reason]:
    key = (framework_id, "r", AgentId(agent_id))
    found = explanation(world.state, key, now_ns=world.now_ns, wall_ns=world.now_ns)
    assert found is not None
    return [finding.reason for finding in found.findings]


def racks(world: World) -> None:
    for number in (1, 2, 3):
        world.agent(f"a{number}", f"cpus:{number};mem:1024", attributes=f"rack:r{number}")


def test_agents_that_are_ruled_out_are_not_offered_and_explain_says_so() -> None:
    world = World()
    racks(world)
    framework = world.framework("r", terms=(OfferTerms(role="r", constraints=rack("r[13]")),))
    assert offered(world, framework[2]) == {"a1", "a3"}
    assert reasons(world, framework[0], "a2") == [Reason.CONSTRAINT]


def test_who_wants_docker_is_offered_agents_that_run_it() -> None:
    world = World()
    for name, containerizers in {
        "a1": ("docker",),
        "a2": ("native",),
        "a3": ("native", "docker"),
        "a4": (),
        "a5": ("dockerish", "xdocker"),
    }.items():
        world.agent(name, containerizers=containerizers)
    framework = world.framework("r", terms=(OfferTerms(role="r", constraints=((RUNS_DOCKER,),)),))
    assert offered(world, framework[2]) == {"a1", "a3"}
    assert reasons(world, framework[0], "a2") == [Reason.CONSTRAINT]


def test_offers_that_are_too_small_for_the_framework_are_not_made() -> None:
    world = World()
    racks(world)
    framework = world.framework("r", terms=(OfferTerms(role="r", minimum=parse_minimum("cpus:3|mem:2GiB")),))
    assert offered(world, framework[2]) == {"a3"}
    assert reasons(world, framework[0], "a2") == [Reason.TOO_SMALL]


def test_without_a_minimum_less_is_offered_than_the_master_would() -> None:
    world = World()
    world.agent("a1", "ports:[1-2]")
    assert offered(world, world.framework("q")[2]) == set()
    assert offered(world, world.framework("r", terms=(OfferTerms(role="r", minimum=()),))[2]) == {"a1"}


def test_terms_bind_in_their_role_only() -> None:
    world = World()
    racks(world)
    stream = world.framework("q", "r", terms=(OfferTerms(role="r", constraints=rack("none")),))[2]
    assert {offer.role for offer in world.offers(stream)} == {"q"}


def test_another_subscription_replaces_them() -> None:
    world = World()
    racks(world)
    framework = world.framework("r", failover_s=60, terms=(OfferTerms(role="r", constraints=rack("r1")),))
    again = world.framework("r", framework_id=framework[0], terms=(OfferTerms(role="r", constraints=rack("r2")),))
    assert offered(world, again[2]) == {"a2"}
    third = world.framework("r", framework_id=framework[0])
    assert offered(world, third[2]) == {"a1", "a2", "a3"}


def test_a_pattern_that_is_none_changes_nothing() -> None:
    world = World()
    racks(world)
    good = OfferTerms(role="q")
    with pytest.raises(InvalidRequest) as refused:
        world.framework("r", "q", terms=(good, OfferTerms(role="r", constraints=rack("(a+)+(?=b)"))))
    assert refused.value.field == "framework.offer_terms[1].constraint_groups[0].constraints[0].value"
    assert "looking ahead" in refused.value.remedy
    assert not world.state.frameworks


def test_they_outlive_the_master() -> None:
    world = World()
    framework = world.framework("r", failover_s=60, terms=(OfferTerms(role="r", constraints=rack("r2"), minimum=()),))
    later = World(remembered=remembered_of(each for each in world.effects if isinstance(each, Save)))
    racks(later)
    assert Reason.CONSTRAINT in reasons(later, framework[0], "a1")
    assert Reason.CONSTRAINT not in reasons(later, framework[0], "a2")


def test_agents_are_not_told_and_not_believed() -> None:
    terms = (OfferTerms(role="r", constraints=rack("(")),)
    info = FrameworkInfo(framework_id=FrameworkId("f"), roles=("r",), offer_terms=terms)
    told = to_wire(TellLaunch(framework=info, tasks=()), parties_pb2.MasterInfo())
    assert told.launch_tasks.framework.framework_id == "f"
    assert not told.launch_tasks.framework.offer_terms
    agent = parties_pb2.AgentInfo(agent_id="a1")
    event = registration(pb.RegisterAgent(agent=agent, frameworks=[convert.framework_info_to_wire(info)]), 1)
    assert [each.offer_terms for each in event.frameworks] == [()]


def test_the_allocator_is_told_what_was_said() -> None:
    terms = (OfferTerms(role="r", constraints=rack("x"), minimum=((("cpus", 1),),)), OfferTerms(role="q"))
    traits = traits_of(FrameworkInfo(roles=("r", "q"), offer_terms=terms))
    assert (traits.constraints, traits.minimums) == ({"r": rack("x")}, {"r": ({"cpus": 1},)})


@pytest.mark.parametrize(
    ("text", "minimum"),
    [
        ("", ()),
        ("cpus:0.01|mem:32", ((("cpus", 10),), (("mem", 32_000),))),
        (" mem : 8GiB ; cpus:4 |ports:2", ((("cpus", 4_000), ("mem", 8_192_000)), (("ports", 2_000),))),
    ],
)
def test_a_minimum_is_written_as_mesos_writes_it(text: str, minimum: tuple[Amounts, ...]) -> None:
    assert parse_minimum(text) == minimum


@pytest.mark.parametrize("text", ["|", "cpus", "cpus:x", "cpus:1;cpus:2", ":1", "cpus:-1", "cpus:1;"])
def test_a_minimum_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="minimum"):
        parse_minimum(text)
