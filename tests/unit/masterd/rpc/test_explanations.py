"""Why there is no offer, by RPC: who is meant, and the reasons in their order."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from masterd.allocator.explain import Reason
from masterd.core.events import AgentActivated, CycleDue, Decline, DrainAgent, MaintenanceUpdated, Suppress
from masterd.rpc.explanations import Explanations
from paddock.model.errors import InvalidRequest, NotFound, PaddockError
from paddock.model.ids import AgentId
from paddock.model.offer import Filters, Unavailability
from paddock.rpc.clients.explanations import explanation_view
from paddock.wire.v1 import explain_service_pb2 as pb
from tests.unit.masterd.core.world import ROOT, SECOND_NS, World, call, launched
from tests.unit.masterd.rpc.serving import NO_CONTEXT, served


async def explained(world: World, **words: str) -> dict[tuple[str, str, str], list[str]]:
    """Page by page, two at a time."""
    found = {}
    async with served(world) as shell:
        request = pb.ExplainOffersRequest(page_size=2, **words)
        while True:
            answer = await Explanations(shell).ExplainOffers(request, NO_CONTEXT)
            for each in answer.explanations:
                names = [name for name, _ in explanation_view(each).reasons]
                found[each.framework_id, each.role, each.agent_id] = names
            request.page_token = answer.next_page_token
            if not request.page_token:
                return found


async def test_each_framework_role_and_agent_has_its_reasons() -> None:
    world = World()
    world.agent("a1")
    one = world.framework("r")
    two = world.framework("r/s", "q", failover_s=60)
    world.lose_agent(world.agent("a2"))
    world.do(Suppress(**call(two), roles=("q",)))
    assert await explained(world) == {
        (one[0], "r", "a1"): [],
        (one[0], "r", "a2"): ["agent_inactive"],
        (two[0], "r/s", "a1"): ["nothing_free"],
        (two[0], "r/s", "a2"): ["agent_inactive"],
        (two[0], "q", "a1"): ["suppressed", "nothing_free"],
        (two[0], "q", "a2"): ["suppressed", "agent_inactive"],
    }
    assert (await explained(world, role="r", agent_id="a1")).keys() == {(one[0], "r", "a1"), (two[0], "r/s", "a1")}
    assert (await explained(world, framework_id=one[0], role="x")) == {
        (one[0], "x", "a1"): ["not_subscribed", "nothing_free"],
        (one[0], "x", "a2"): ["not_subscribed", "agent_inactive"],
    }
    assert await explained(world, role="nobody") == {}
    world.advance(100)
    assert (await explained(world, framework_id=one[0], agent_id="a2"))[one[0], "r", "a2"] == ["agent_inactive"]


async def test_what_operators_have_decided_is_told_apart_with_who_asked_and_until_when() -> None:
    world = World()
    agent, framework = launched(world)
    world.advance(6)
    offered = (framework[0], "*", "a1")
    window = Unavailability(start_ns=world.now_ns, duration_ns=60 * SECOND_NS)
    world.do(AgentActivated(caller=ROOT, agent_id=AgentId("a1"), active=False))
    assert (await explained(world))[offered] == ["agent_deactivated"]
    world.do(DrainAgent(caller=ROOT, agent_id=AgentId("a1")))
    world.do(MaintenanceUpdated(caller=ROOT, windows=(("a1", window),)))
    assert (await explained(world))[offered] == ["agent_deactivated", "draining", "maintenance"]
    world.lose_agent(agent)
    assert (await explained(world))[offered][:2] == ["agent_inactive", "agent_deactivated"]
    world.do(AgentActivated(caller=ROOT, agent_id=AgentId("a1"), active=True))
    away = [f"{name}: {words}" for name, words in await told(world)]
    assert away == [
        "agent_inactive: the agent is not connected",
        "draining: the agent is drained (asked for by root (uid 0); tasks not ended there: 1)",
        f"maintenance: the agent's host is under maintenance (until {moment(window.start_ns + window.duration_ns)})",
    ]
    world.advance(100)
    assert [name for name, _ in await told(world)] == ["agent_inactive", "draining"]
    endless = Unavailability(start_ns=world.now_ns, duration_ns=0)
    world.do(MaintenanceUpdated(caller=ROOT, windows=(("a1", endless),)))
    assert (await told(world))[-1][1] == "the agent's host is under maintenance (until it is cancelled)"


async def told(world: World) -> tuple[tuple[str, str], ...]:
    async with served(world) as shell:
        answer = await Explanations(shell).ExplainOffers(pb.ExplainOffersRequest(), NO_CONTEXT)
    return explanation_view(answer.explanations[0]).reasons


def moment(time_ns: int) -> str:
    stamp = Timestamp()
    stamp.FromNanoseconds(time_ns)
    return stamp.ToJsonString()


async def test_an_agent_that_takes_no_new_work_has_a_reason_of_its_own_beside_what_operators_said() -> None:
    world = World()
    stream = world.agent("a1", problem="its disk is full")
    framework = world.framework("r")
    key = (framework[0], "r", "a1")
    assert await explained(world) == {key: ["agent_problem"]}
    world.do(AgentActivated(caller=ROOT, agent_id=AgentId("a1"), active=False))
    assert await explained(world) == {key: ["agent_deactivated", "agent_problem"]}
    world.lose_agent(stream)
    assert await explained(world) == {key: ["agent_inactive", "agent_deactivated"]}


async def test_a_refusal_says_for_how_long() -> None:
    world = World()
    world.agent("a1")
    framework = world.framework("r")
    offer_ids = tuple(world.state.offers)
    world.do(Decline(**call(framework), offer_ids=offer_ids, filters=Filters(refuse_ms=60_000)))
    async with served(world) as shell:
        answer = await Explanations(shell).ExplainOffers(pb.ExplainOffersRequest(), NO_CONTEXT)
    ((name, words),) = explanation_view(answer.explanations[0]).reasons
    assert name == "filtered"
    assert " s more)" in words
    finding = answer.explanations[0].findings[0]
    assert finding.filtered_for_ms == 60_000


async def test_who_is_behind_hears_of_whom_and_of_both_shares() -> None:
    world = World()
    world.agent("a1", "cpus:1;mem:64")
    framework = world.framework("r")
    world.agent("a2", "cpus:1;mem:64")
    other = world.framework("s")
    (offer, _) = world.offers(framework[2])
    world.do(Decline(**call(framework), offer_ids=(offer.offer_id,), filters=Filters(refuse_ms=0)))
    async with served(world) as shell:
        request = pb.ExplainOffersRequest(framework_id=framework[0], agent_id=offer.agent_id)
        answer = await Explanations(shell).ExplainOffers(request, NO_CONTEXT)
    ((name, words),) = explanation_view(answer.explanations[0]).reasons
    assert (name, words) == ("behind", f"others are first ({other[0]} in s: 0.0000 against 0.5000)")


async def test_what_is_not_there_is_named() -> None:
    world = World()
    world.agent("a1")
    for words, error in (
        ({"framework_id": "f"}, NotFound),
        ({"agent_id": "a2"}, NotFound),
        ({"role": "a//b"}, InvalidRequest),
    ):
        with pytest.raises(PaddockError) as caught:
            await explained(world, **words)
        assert isinstance(caught.value, error)
    world.do(CycleDue(batch=True))


def test_every_reason_is_on_the_wire_in_the_same_order() -> None:
    names = [value.name.removeprefix("NO_OFFER_") for value in pb.NoOfferReason.DESCRIPTOR.values]
    assert names[1:] == [reason.name for reason in Reason]
