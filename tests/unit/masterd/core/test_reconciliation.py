"""After a restart of the master: every question of a framework is answered once somebody can."""

from __future__ import annotations

import pytest

from masterd.core.effects import SaveAgent
from masterd.core.events import AgentMarkedGone, Reconcile
from masterd.core.reconciliation import UNANSWERED_LIMIT_COUNT
from masterd.core.recovery import Remembered
from paddock.model.ids import AgentId, TaskId
from paddock.model.task import Reason, TaskState
from tests.unit.masterd.core.world import Subscription, World, call, reported, task_info


def restarted(*agent_ids: str) -> World:
    """A master that was started anew, and these agents are not back."""
    return World(remembered=Remembered(agents=tuple(saved(agent_id) for agent_id in agent_ids)))


def saved(agent_id: str) -> SaveAgent:
    return SaveAgent(agent_id=AgentId(agent_id), hostname="h", unix_address="", tcp_address="", unreachable_ns=None)


def ask(world: World, framework: Subscription, *tasks: tuple[str, str]) -> None:
    world.do(Reconcile(**call(framework), tasks=tuple((TaskId(task), AgentId(agent)) for task, agent in tasks)))


def answers(world: World, framework: Subscription) -> list[tuple[str, TaskState]]:
    found = [status for status in world.statuses(framework[2]) if status.reason == Reason.RECONCILIATION]
    assert all(status.uuid == b"" for status in found)
    return [(status.task_id, status.state) for status in found]


def test_a_question_waits_for_the_agent_that_knows() -> None:
    world = restarted("old", "older")
    framework = world.framework(aware=True)
    ask(world, framework, ("here", "old"), ("not", "old"), ("unnamed", ""), ("nowhere", ""))
    assert answers(world, framework) == []
    tasks = tuple(reported(framework, task_info(task, "old")) for task in ("here", "unnamed"))
    world.agent("old", tasks=tasks)
    assert answers(world, framework) == [
        ("here", TaskState.RUNNING),
        ("not", TaskState.GONE),
        ("unnamed", TaskState.RUNNING),
    ]
    world.agent("older")
    assert answers(world, framework)[3:] == [("nowhere", TaskState.UNKNOWN)]
    assert not world.state.frameworks[framework[0]].unanswered


def test_who_asks_for_all_hears_of_what_agents_bring_later() -> None:
    world = restarted("old", "older")
    framework = world.framework()
    ask(world, framework)
    for agent_id, task_id in (("old", "t1"), ("older", "t2")):
        world.agent(agent_id, tasks=(reported(framework, task_info(task_id, agent_id)),))
    world.agent("new", tasks=(reported(framework, task_info("t3", "new")),))
    assert answers(world, framework) == [("t1", TaskState.RUNNING), ("t2", TaskState.RUNNING)]


@pytest.mark.parametrize(
    ("gone", "state"), [(False, TaskState.UNREACHABLE), (True, TaskState.GONE_BY_OPERATOR)], ids=["silent", "gone"]
)
def test_an_agent_that_is_given_up_is_an_answer_too(gone: bool, state: TaskState) -> None:
    world = restarted("old")
    framework = world.framework(aware=True)
    ask(world, framework, ("t", "old"), ("u", ""))
    if gone:
        world.do(AgentMarkedGone(agent_id=AgentId("old")))
    else:
        world.advance(601)
    assert answers(world, framework) == [("t", state), ("u", TaskState.UNKNOWN)]


def test_questions_are_those_of_one_subscription_and_bounded() -> None:
    world = restarted("old")
    framework = world.framework(failover_s=60)
    ask(world, framework, *((f"t{number}", "old") for number in range(UNANSWERED_LIMIT_COUNT)), ("one", "x"), ("u", ""))
    kept = world.state.frameworks[framework[0]].unanswered
    assert sum(map(len, kept.values())) == UNANSWERED_LIMIT_COUNT
    assert TaskId("t0") not in kept[AgentId("old")]
    world.lose_framework(framework[2])
    again = world.framework(framework_id=framework[0])
    world.agent("old")
    assert answers(world, again) == []
