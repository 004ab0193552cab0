"""Draining: no offers, every task killed with its reason, durable, cancellable; and who asked for any other kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from masterd.core.effects import (
    NoteStatus,
    SaveAgent,
    SaveAgentGone,
    SaveDrain,
    TellKill,
    TellLaunch,
    ToFramework,
)
from masterd.core.events import (
    Acknowledge,
    AgentMarkedGone,
    Caller,
    CancelDrain,
    DrainAgent,
    Kill,
    OperatorKill,
    Teardown,
)
from masterd.core.recovery import Remembered
from masterd.core.state import Settings
from masterd.core.views import Drain
from paddock.model.errors import InvalidRequest, NotFound, PermissionRefused
from paddock.model.ids import AgentId, TaskId
from paddock.model.task import KillPolicy, Reason, TaskState
from tests.unit.masterd.core.world import ROOT, Subscription, World, call, launched, reported, task_info

A1 = AgentId("a1")
ALICE = Caller(uid=1000, user="alice")


def drain(world: World, *, max_grace_ms: int | None = None, mark_gone: bool = False) -> None:
    world.do(DrainAgent(caller=ROOT, agent_id=A1, max_grace_ms=max_grace_ms, mark_gone=mark_gone))
    world.cycle()


def cancel(world: World) -> None:
    world.do(CancelDrain(caller=ROOT, agent_id=A1))
    world.cycle()


def end_the_task(world: World, agent: int, framework: Subscription) -> None:
    world.report(agent, framework, "t1", TaskState.KILLED)
    world.do(Acknowledge(**call(framework), agent_id=A1, task_id=TaskId("t1"), uuid=b"u" * 16))


def drain_of(world: World) -> Drain | None:
    return world.state.agents[A1].drain


@pytest.mark.parametrize(("max_grace_ms", "grace_ms"), [(None, 3_000), (10_000, 3_000), (500, 500), (0, 0)])
def test_tasks_are_killed_with_the_shorter_grace_and_the_agent_is_offered_no_more(
    max_grace_ms: int | None, grace_ms: int
) -> None:
    world = World()
    agent, framework = launched(world)
    world.advance(6)
    held = world.offers(framework[2])
    assert held
    drain(world, max_grace_ms=max_grace_ms)
    (kill,) = world.heard(agent, TellKill)
    assert (kill.task_id, kill.kill_policy, kill.reason) == (
        "t1",
        KillPolicy(grace_period_ms=grace_ms),
        Reason.AGENT_DRAINING,
    )
    assert kill.asked_by == "root (uid 0), who drains the agent"
    assert not world.offers(framework[2])
    world.advance(60)
    assert not world.offers(framework[2])
    with_offers_of_before = len(world.heard(agent, TellLaunch))
    world.accept(framework, held, task_info("t2", "a1"))
    assert len(world.heard(agent, TellLaunch)) == with_offers_of_before


def test_it_is_drained_when_each_end_is_acknowledged() -> None:
    world = World()
    agent, framework = launched(world)
    drain(world)
    world.report(agent, framework, "t1", TaskState.KILLED)
    world.advance(1)
    assert drain_of(world) == Drain(asked_by="root (uid 0)")
    world.do(Acknowledge(**call(framework), agent_id=A1, task_id=TaskId("t1"), uuid=b"u" * 16))
    world.advance(1)
    assert drain_of(world) == Drain(asked_by="root (uid 0)", is_done=True)
    assert [effect.drain for effect in world.effects if isinstance(effect, SaveDrain)] == [
        Drain(asked_by="root (uid 0)"),
        Drain(asked_by="root (uid 0)", is_done=True),
    ]
    world.advance(60)
    assert not world.offers(framework[2])


def test_a_cancelled_drain_gives_offers_again_and_tasks_that_were_told_end_all_the_same() -> None:
    world = World()
    agent, framework = launched(world)
    world.advance(6)
    drain(world)
    cancel(world)
    assert drain_of(world) is None
    assert world.offers(framework[2])
    end_the_task(world, agent, framework)
    world.advance(6)
    assert sum(each.resources.scalar_milli("cpus") for each in world.offers(framework[2])) == 4_000
    with pytest.raises(InvalidRequest, match=r"agent_id.*a1.*not drained"):
        cancel(world)


def test_an_agent_that_is_away_is_drained_when_it_is_back_unless_that_is_cancelled() -> None:
    for cancelled in (False, True):
        world = World()
        agent, framework = launched(world)
        task = world.state.agents[A1].tasks[framework[0], TaskId("t1")].info
        world.lose_agent(agent)
        drain(world, max_grace_ms=1)
        if cancelled:
            cancel(world)
        world.advance(100)
        assert not (drain_of(world) or Drain(asked_by="")).is_done
        back = world.agent("a1", tasks=(reported(framework, task),))
        kills = world.heard(back, TellKill)
        assert [kill.reason for kill in kills] == ([] if cancelled else [Reason.AGENT_DRAINING])
        assert bool(world.offers(framework[2])) == cancelled


@pytest.mark.parametrize("is_done", [False, True])
def test_a_drain_survives_the_master(is_done: bool) -> None:
    saved = SaveAgent(agent_id=A1, hostname="h", unix_address="", tcp_address="", unreachable_ns=None)
    record = Drain(asked_by="root (uid 0)", max_grace_ms=7, is_done=is_done)
    world = World(remembered=Remembered(agents=(saved,), drains=(SaveDrain(agent_id=A1, drain=record),)))
    framework = world.framework()
    world.advance(1)
    assert drain_of(world) == record
    agent = world.agent("a1", tasks=(reported(framework, task_info("t1", "a1")),))
    (kill,) = world.heard(agent, TellKill)
    assert kill.kill_policy.grace_period_ms == 7
    world.advance(1)
    assert drain_of(world) == replace(record, is_done=False)
    end_the_task(world, agent, framework)
    world.advance(1)
    assert drain_of(world) == replace(record, is_done=True)
    assert not world.offers(framework[2])


def test_an_agent_may_be_given_up_when_it_is_drained() -> None:
    world = World()
    agent, framework = launched(world, aware=True)
    drain(world, mark_gone=True)
    world.advance(1)
    assert A1 in world.state.agents
    end_the_task(world, agent, framework)
    world.advance(1)
    assert A1 in world.state.gone_agent_ids
    assert SaveAgentGone(agent_id=A1) in world.effects
    ends = [
        effect.message.status.state
        for effect in world.effects
        if isinstance(effect, ToFramework) and isinstance(effect.message, NoteStatus)
    ]
    assert ends == [TaskState.KILLED]


def test_a_later_drain_replaces_the_terms_and_hastens_the_end() -> None:
    world = World()
    agent, _ = launched(world)
    drain(world)
    drain(world, max_grace_ms=0, mark_gone=True)
    assert [kill.kill_policy.grace_period_ms for kill in world.heard(agent, TellKill)] == [3_000, 0]
    assert drain_of(world) == Drain(asked_by="root (uid 0)", max_grace_ms=0, mark_gone=True)


def test_who_may_drain_and_what() -> None:
    world = World()
    launched(world)
    for event in (DrainAgent(caller=ALICE, agent_id=A1), CancelDrain(caller=ALICE, agent_id=A1)):
        with pytest.raises(PermissionRefused, match=r"alice \(uid 1000\) may not drain"):
            world.do(event)
    for event in (DrainAgent(caller=ROOT, agent_id=AgentId("x")), CancelDrain(caller=ROOT, agent_id=AgentId("x"))):
        with pytest.raises(NotFound, match="x"):
            world.do(event)
    world.do(AgentMarkedGone(agent_id=A1))
    with pytest.raises(NotFound):
        drain(world)


def test_an_unreachable_drained_agent_is_forgotten_with_its_drain() -> None:
    world = World(settings=Settings(unreachable_age_limit_ms=1_000))
    world.lose_agent(world.agent("a1"))
    drain(world)
    world.advance(100)
    assert A1 not in world.state.agents
    world.agent("a1")
    assert drain_of(world) is None


@pytest.mark.parametrize(
    ("kill", "asked_by"),
    [
        (lambda f: Kill(**call(f), task_id=TaskId("t1")), "the framework"),
        (
            lambda f: OperatorKill(caller=ROOT, framework_id=f[0], task_id=TaskId("t1")),
            "the operator root (uid 0)",
        ),
        (lambda f: Teardown(**call(f)), "the master, because the framework has ended"),
    ],
    ids=["framework", "operator", "end"],
)
@pytest.mark.parametrize("away", [False, True])
def test_a_kill_says_who_asked_also_when_it_had_to_wait(
    kill: Callable[[Subscription], Kill | OperatorKill | Teardown], asked_by: str, away: bool
) -> None:
    world = World()
    agent, framework = launched(world)
    task = world.state.agents[A1].tasks[framework[0], TaskId("t1")].info
    if away:
        world.lose_agent(agent)
    world.do(kill(framework))
    if away:
        agent = world.agent("a1", tasks=(reported(framework, task),))
    (told,) = world.heard(agent, TellKill)
    assert (told.asked_by, told.reason) == (asked_by, Reason.KILL_REQUESTED)
