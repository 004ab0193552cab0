"""Another size for a running task, as the master's core accounts for it: reserved, told, and as its agent says it came out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from masterd.allocator.quota import Quota
from masterd.core.effects import NoteRescinded, TellResize
from masterd.core.events import (
    AgentRegistered,
    Caller,
    OperatorResize,
    QuotasChanged,
    Resize,
    TaskResized,
)
from masterd.core.resizing import rehearsed
from masterd.core.state import TaskEntry
from paddock.model.agent import TASK_RESIZE, AgentInfo
from paddock.model.errors import (
    InvalidRequest,
    InvalidTransition,
    NotFound,
    PaddockError,
    PermissionRefused,
    ResourcesExhausted,
    Unavailable,
    Unsupported,
)
from paddock.model.ids import AgentId, TaskId
from paddock.model.resource_text import format_resources, parse_resources
from paddock.model.task import ResourceLimits, TaskState
from tests.unit.masterd.core.world import ROOT, Subscription, World, call, reported, task_info

A1, T1 = AgentId("a1"), TaskId("t1")


def register(world: World, *tasks: object, capable: bool = True, whole: str = "cpus:4;mem:1024") -> int:
    world.streams += 1
    info = AgentInfo(
        agent_id=A1,
        hostname="a1",
        resources=parse_resources(whole),
        capabilities=(TASK_RESIZE,) if capable else (),
    )
    world.do(AgentRegistered(stream=world.streams, agent=info, tasks=tasks))  # type: ignore[arg-type]
    world.cycle()
    return world.streams


def running(world: World, resources: str = "cpus:1;mem:64", *, capable: bool = True) -> tuple[int, Subscription]:
    """One task on a1, and nothing offered."""
    agent = register(world, capable=capable)
    framework = world.framework(failover_s=60)
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1", resources))
    world.report(agent, framework, "t1", TaskState.RUNNING)
    return agent, framework


def task_of(world: World) -> TaskEntry:
    ((_, task),) = world.state.agents[A1].tasks.items()
    return task


def resize(world: World, framework: Subscription, resources: str) -> None:
    world.do(Resize(**call(framework), task_id=T1, resources=parse_resources(resources)))


def told(world: World, agent: int) -> list[str]:
    return [format_resources(each.resources.unallocated()) for each in world.heard(agent, TellResize)]


def outcome(
    world: World,
    agent: int,
    framework: Subscription,
    resources: str,
    error: str = "",
    limits: ResourceLimits = ResourceLimits(),  # noqa: B008 - frozen
) -> None:
    world.do(
        TaskResized(
            stream=agent,
            framework_id=framework[0],
            task_id=T1,
            resources=parse_resources(resources).allocated_to("*"),
            limits=limits,
            error=error,
        )
    )
    world.cycle()


def free(world: World) -> str:
    return format_resources(world.allocator.free(A1))


def test_growth_is_reserved_before_the_agent_hears_of_it_and_is_the_tasks_when_it_says_so() -> None:
    world = World()
    agent, framework = running(world)
    world.advance(6)
    assert len(world.offers(framework[2])) == 1
    resize(world, framework, "cpus:3")
    assert told(world, agent) == ["cpus:3;mem:64"]
    # What is only offered is taken back for it.
    assert len(world.heard(framework[2], NoteRescinded)) == 1
    assert free(world) == "cpus:1;mem:960"
    assert format_resources(task_of(world).info.resources.unallocated()) == "cpus:1;mem:64"
    outcome(world, agent, framework, "cpus:3;mem:64")
    assert format_resources(task_of(world).info.resources.unallocated()) == "cpus:3;mem:64"
    assert task_of(world).resizing is None


@pytest.mark.parametrize("resources", ["cpus:3", "cpus:0.5;mem:32", "cpus:3;mem:32;disk:0.001"])
def test_a_refusal_gives_back_what_was_reserved_and_nothing_else(resources: str) -> None:
    world = World()
    agent, framework = running(world)
    before = free(world)
    if "disk" in resources:
        with pytest.raises(ResourcesExhausted, match=r"disk:0\.001 more was asked for"):
            resize(world, framework, resources)
        assert free(world) == before
        return
    resize(world, framework, resources)
    outcome(world, agent, framework, "cpus:1;mem:64", "EBUSY")
    assert free(world) == before
    assert task_of(world).resize_error == "EBUSY"


def test_what_it_shrinks_by_is_offered_once_it_is_really_given_back() -> None:
    world = World()
    agent, framework = running(world, "cpus:4;mem:1024")
    world.advance(6)
    resize(world, framework, "cpus:1")
    assert not world.offers(framework[2])
    outcome(world, agent, framework, "cpus:1;mem:1024")
    (offer,) = world.offers(framework[2])
    assert format_resources(offer.resources.unallocated()) == "cpus:3"


@pytest.mark.parametrize(
    "resources", ["cpus:3", "cpus:0.5", "cpus:9", "cpus:3;mem:700", "ports:[1-2]", "gpus:1", "mem:65"]
)
@pytest.mark.parametrize("limited", [False, True])
def test_what_is_only_rehearsed_is_refused_alike_and_changes_nothing(resources: str, limited: bool) -> None:
    world = World()
    agent, framework = running(world)
    world.framework("other")
    if limited:
        limits = {"r": Quota(guarantees_milli={"mem": 500_000}), "*": Quota(limits_milli={"cpus": 2_500})}
        for role, quota in limits.items():
            world.state.allocator.set_quota(role, quota)
    world.cycle()
    event = OperatorResize(caller=ROOT, framework_id=framework[0], task_id=T1, resources=parse_resources(resources))

    def seen() -> tuple[object, ...]:
        entry, ledger = task_of(world), world.allocator.ledger
        account = ledger.accounts.get("*")
        assert account is not None
        return (
            free(world),
            entry.info,
            entry.resizing,
            dict(account.charged),
            dict(world.allocator.guarantee_shortfall()),
            dict(world.allocator.quota_excess("*")),
            world.allocator.framework_share("*", framework[0]),
            [leaf.count for leaf in ledger.roles.get("*").frameworks._leaves.values()],  # type: ignore[union-attr]
            sorted(world.state.offers),
            len(told(world, agent)),
        )

    before = seen()
    refused, wanted = None, ""
    try:
        wanted = format_resources(rehearsed(world.state, event).unallocated())
    except PaddockError as error:
        refused = error
    assert seen() == before
    if refused is not None:
        with pytest.raises(type(refused)) as real:
            world.do(event)
        assert str(real.value) == str(refused)
        return
    world.do(event)
    assert told(world, agent) == [wanted]


def test_only_the_owner_may_rehearse() -> None:
    world = World()
    _, framework = running(world)
    nobody = Caller(uid=65534, user="nobody")
    wanted = parse_resources("cpus:2")
    with pytest.raises(PermissionRefused, match="ask as that user or as root"):
        rehearsed(world.state, OperatorResize(caller=nobody, framework_id=framework[0], task_id=T1, resources=wanted))
    with pytest.raises(NotFound):
        rehearsed(
            world.state, OperatorResize(caller=ROOT, framework_id=framework[0], task_id=TaskId("t2"), resources=wanted)
        )


def test_the_same_again_is_no_change_and_another_size_waits() -> None:
    world = World()
    agent, framework = running(world)
    resize(world, framework, "cpus:2")
    resize(world, framework, "cpus:2")
    with pytest.raises(Unavailable, match="being resized by the framework"):
        resize(world, framework, "cpus:3")
    outcome(world, agent, framework, "cpus:2;mem:64")
    resize(world, framework, "cpus:2;mem:64")
    assert told(world, agent) == ["cpus:2;mem:64"]


def test_the_end_of_the_task_gives_back_all_of_it() -> None:
    world = World()
    agent, framework = running(world)
    resize(world, framework, "cpus:3")
    world.report(agent, framework, "t1", TaskState.FINISHED)
    assert free(world) == "cpus:4;mem:1024" or world.offers(framework[2])
    outcome(world, agent, framework, "cpus:3;mem:64")
    assert task_of(world).released


def test_what_did_not_reach_the_agent_is_told_again_and_what_it_says_of_its_size_holds() -> None:
    world = World()
    agent, framework = running(world)
    resize(world, framework, "cpus:3")
    task = task_of(world).info
    world.lose_agent(agent)
    with pytest.raises(Unavailable, match="not connected"):
        resize(world, framework, "cpus:2")
    again = register(world, reported(framework, task))
    assert told(world, again) == ["cpus:3;mem:64"]
    assert format_resources(task_of(world).held) == "cpus:3;mem:64"
    world.lose_agent(again)
    bigger = replace(task, resources=parse_resources("cpus:3;mem:64").allocated_to("*"))
    last = register(world, reported(framework, bigger))
    assert not told(world, last)
    assert task_of(world).resizing is None
    assert format_resources(task_of(world).info.resources.unallocated()) == "cpus:3;mem:64"


def test_a_new_master_learns_what_is_being_tried_and_reserves_it() -> None:
    world = World()
    framework = world.framework(framework_id="f", failover_s=60)
    task = replace(task_info("t1", "a1"), resources=parse_resources("cpus:1;mem:64").allocated_to("*"))
    tried = parse_resources("cpus:3;mem:64").allocated_to("*")
    agent = register(world, replace(reported(framework, task), resizing=tried))
    assert format_resources(task_of(world).held) == "cpus:3;mem:64"
    (offer,) = world.offers(framework[2])
    assert format_resources(offer.resources.unallocated()) == "cpus:1;mem:960"
    outcome(world, agent, framework, "cpus:1;mem:64", "EBUSY")
    assert format_resources(task_of(world).held) == "cpus:1;mem:64"


def test_a_word_of_what_cannot_be_resized_is_none() -> None:
    world = World()
    agent, framework = running(world)
    outcome(world, agent, framework, "cpus:1;mem:64;ports:[1-2]")
    outcome(world, agent, framework, "ports:[1-2]")
    assert format_resources(task_of(world).held) == "cpus:1;mem:64"


def test_an_outcome_of_somebody_elses_wish_does_not_end_ours() -> None:
    world = World()
    agent, framework = running(world)
    resize(world, framework, "cpus:3")
    outcome(world, agent, framework, "cpus:1;mem:64")  # limits were changed at the agent
    assert format_resources(task_of(world).held) == "cpus:3;mem:64"


def test_beyond_a_quotas_limit_and_into_others_guarantees_nothing_grows() -> None:
    world = World()
    _, framework = running(world)
    world.do(QuotasChanged(caller=ROOT, quotas=(("*", Quota(limits_milli={"cpus": 2000})),)))
    before = free(world)
    with pytest.raises(ResourcesExhausted, match="above its quota's limit of cpus"):
        resize(world, framework, "cpus:3")
    assert free(world) == before
    resize(world, framework, "cpus:2")
    world = World()
    _, framework = running(world)
    world.do(QuotasChanged(caller=ROOT, quotas=(("other", Quota(guarantees_milli={"cpus": 2500})),)))
    with pytest.raises(ResourcesExhausted, match="kept for the guarantees of other roles of cpus"):
        resize(world, framework, "cpus:3")
    resize(world, framework, "cpus:1.5")


@pytest.mark.parametrize(
    ("resources", "error", "words"),
    [
        ("gpus:1", InvalidRequest, "only cpus, mem, disk"),
        ("ports:[1-2]", InvalidRequest, "only cpus, mem, disk"),
        ("cpus(r):2", InvalidRequest, "give an amount only"),
        ("cpus:9", ResourcesExhausted, "cpus:8 more was asked for, cpus:3;mem:960 is free on agent a1"),
        ("mem:2000", ResourcesExhausted, "mem:1936 more"),
    ],
)
def test_what_cannot_be_is_refused_at_once(resources: str, error: type[PaddockError], words: str) -> None:
    world = World()
    agent, framework = running(world)
    with pytest.raises(error, match=words):
        resize(world, framework, resources)
    assert not told(world, agent)


def test_who_may_and_when() -> None:
    world = World()
    agent, framework = running(world)

    def operator(uid: int, task_id: str = "t1") -> None:
        event = OperatorResize(
            caller=Caller(uid=uid, user="x"),
            framework_id=framework[0],
            task_id=TaskId(task_id),
            resources=parse_resources("cpus:2"),
        )
        world.do(event)

    with pytest.raises(PermissionRefused):
        operator(1000)
    with pytest.raises(NotFound):
        operator(0, "else")
    operator(0)
    assert [each.asked_by for each in world.heard(agent, TellResize)] == ["the operator x (uid 0)"]
    world.report(agent, framework, "t1", TaskState.KILLING)
    with pytest.raises(InvalidTransition):
        resize(world, framework, "cpus:3")
    with pytest.raises(NotFound):
        world.do(Resize(**call(framework), task_id=TaskId("else"), resources=parse_resources("cpus:2")))
    old = World()
    _, framework = running(old, capable=False)
    with pytest.raises(Unsupported, match="older build"):
        resize(old, framework, "cpus:2")


ASKED, RAISED = (
    ResourceLimits(cpus_milli=1500, memory_bytes=64 << 20),
    ResourceLimits(cpus_milli=2500, memory_bytes=96 << 20),
)


def limited(world: World) -> tuple[int, Subscription]:
    agent = register(world)
    framework = world.framework(failover_s=60)
    task = replace(task_info("t1", "a1", "cpus:1;mem:64"), limits=ASKED)
    world.accept(framework, world.offers(framework[2]), task)
    world.report(agent, framework, "t1", TaskState.RUNNING)
    return agent, framework


def test_a_size_is_held_against_the_limits_that_are_in_force_and_what_was_asked_is_kept() -> None:
    world = World()
    agent, framework = limited(world)
    wanted = OperatorResize(caller=ROOT, framework_id=framework[0], task_id=T1, resources=parse_resources("mem:96"))
    for refused in ("cpus:2", "mem:96"):
        with pytest.raises(InvalidRequest, match="raise the limit first"):
            resize(world, framework, refused)
    with pytest.raises(InvalidRequest, match="memory_bytes: 67108864 is below the request of 100663296"):
        rehearsed(world.state, wanted)
    # The operator has raised one at the agent, whose word is still on its way.
    raised = replace(wanted, limits=ResourceLimits(memory_bytes=96 << 20))
    assert format_resources(rehearsed(world.state, raised).unallocated()) == "cpus:1;mem:96"
    with pytest.raises(InvalidRequest, match="limits.cpus_milli"):
        world.do(replace(raised, resources=parse_resources("cpus:2;mem:96")))
    world.do(raised)
    assert told(world, agent) == ["cpus:1;mem:96"]
    outcome(world, agent, framework, "cpus:1;mem:64", "the kernel is busy", limits=ASKED)
    with pytest.raises(InvalidRequest, match="memory_bytes: 67108864 is below the request of 100663296"):
        rehearsed(world.state, wanted)
    outcome(world, agent, framework, "cpus:1;mem:64", limits=RAISED)
    assert world.state.view(task_of(world)).limits == RAISED
    assert task_of(world).info.limits == ASKED
    assert format_resources(rehearsed(world.state, wanted).unallocated()) == "cpus:1;mem:96"
    resize(world, framework, "cpus:2;mem:96")
    assert told(world, agent) == ["cpus:1;mem:96", "cpus:2;mem:96"]
    outcome(world, agent, framework, "cpus:2;mem:96", limits=RAISED)
    outcome(world, agent, framework, "cpus:2;mem:96", limits=ResourceLimits(cpus_milli=2000, memory_bytes=96 << 20))
    with pytest.raises(InvalidRequest, match="limits.cpus_milli: 2000 is below the request of 2250"):
        resize(world, framework, "cpus:2.25")


@pytest.mark.parametrize("knows", [True, False])
@pytest.mark.parametrize("build", ["old", "new"])
def test_a_registration_says_which_limits_are_in_force(knows: bool, build: str) -> None:
    """To a master that knows the task, and to one that starts anew. Older builds say them in the place of those asked for."""
    world = World()
    if knows:
        agent, framework = limited(world)
        task = task_of(world).info
        world.lose_agent(agent)
    else:
        framework = world.framework(framework_id="f", failover_s=60)
        task = replace(
            task_info("t1", "a1"), resources=parse_resources("cpus:1;mem:64").allocated_to("*"), limits=ASKED
        )
    said = reported(framework, task)
    changed = replace(said, task=replace(task, limits=RAISED)) if build == "old" else replace(said, limits=RAISED)
    agent = register(world, changed)
    assert task_of(world).limits == RAISED
    assert task_of(world).info.limits == (ASKED if knows or build == "new" else RAISED)
    resize(world, framework, "cpus:2;mem:96")
    assert told(world, agent) == ["cpus:2;mem:96"]


def test_each_amount_grows_in_the_kind_that_the_task_has() -> None:
    world = World()
    register(world, whole="cpus(*):1;cpus(r):3;mem:1024")
    framework = world.framework("r", failover_s=60)
    agent = next(iter(world.state.agent_of_stream))
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1", "cpus(r):1;mem:64"))
    world.report(agent, framework, "t1", TaskState.RUNNING)
    with pytest.raises(ResourcesExhausted, match=r"cpus\(r\):2\.5 more"):
        resize(world, framework, "cpus:3.5")
    resize(world, framework, "cpus:3")
    assert told(world, agent) == ["cpus(r):3;mem:64"]
