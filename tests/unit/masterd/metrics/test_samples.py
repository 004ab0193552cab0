"""A master's samples: what happened in a small cluster is told in numbers, once each, and in a bounded number of series."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from masterd.allocator.quota import Quota
from masterd.core.events import Decline, QuotasChanged, StatusReported, Suppress
from masterd.core.state import Settings
from masterd.core.summary import Summary
from masterd.core.tally import kind_of
from masterd.metrics import families, mesos
from masterd.metrics.meters import Meters
from masterd.metrics.samples import Look, samples
from paddock.metrics.families import Family
from paddock.model.ids import TaskId
from paddock.model.offer import Filters
from paddock.model.task import Reason, StatusSource, TaskState, TaskStatus
from tests.unit.masterd.core.world import ROOT, World, call, launched, task_info


def look_at(world: World, *, role_limit_count: int = 100) -> Look:
    summary = Summary()
    for agent in world.state.agents.values():
        summary.count_agent(world.state, agent, wall_ns=world.now_ns)
    for framework in (*world.state.frameworks.values(), *world.state.completed_frameworks.values()):
        summary.count_framework(framework)
    return Look(
        state=world.state,
        summary=summary,
        meters=Meters(),
        now_ns=world.now_ns,
        problems=(),
        is_blocked=False,
        role_limit_count=role_limit_count,
    )


def told(world: World, *, role_limit_count: int = 100) -> dict[tuple[Family, tuple[str, ...]], float]:
    found = {}
    for family, labels, value in samples(look_at(world, role_limit_count=role_limit_count)):
        assert (family, labels) not in found, "a series twice is refused by whoever reads it"
        assert len(labels) == len(family.labels)
        if isinstance(value, int | float):
            found[family, labels] = float(value)
    return found


def test_offers_are_counted_by_how_they_ended() -> None:
    world = World(settings=Settings(offer_timeout_ms=10_000))
    world.agent("a1")
    world.agent("a2")
    framework = world.framework("r", aware=True)
    first, second = world.offers(framework[2])
    world.accept(framework, [first], task_info("t1", first.agent_id), refuse_ms=3_600_000)
    world.do(Decline(**call(framework), offer_ids=(second.offer_id,), filters=Filters(refuse_ms=3_600_000)))
    world.accept(framework, [first], task_info("t2", first.agent_id))
    other = world.framework("s")
    held = len(world.offers(other[2]))
    assert told(world)[families.OFFERS, ()] == held > 0
    world.do(Suppress(**call(other)))
    world.advance(11)
    found = told(world)
    assert found[families.OFFERS_ENDED, ("accepted",)] == 1
    assert found[families.OFFERS_ENDED, ("declined",)] == 1
    assert found[families.OFFERS_ENDED, ("timed_out",)] == held
    assert found[families.OFFERS_MADE, ()] == 2 + held
    assert found[families.TASKS_LAUNCHED, ()] == 1
    assert found[families.TASKS_ENDED, ("dropped", "invalid_offers", "master")] == 1, "t2 named an offer that was gone"
    assert not told(world, role_limit_count=0).keys() & {(families.ROLE_SHARE, ("r",))}


def test_a_task_ends_once_however_often_it_is_said() -> None:
    world = World()
    agent, framework = launched(world)
    assert told(world)[families.TASKS, ("staging",)] == 1
    world.report(agent, framework, "t1", TaskState.RUNNING, uuid=b"1" * 16)
    for _ in range(3):
        world.report(agent, framework, "t1", TaskState.FAILED, uuid=b"2" * 16)
    found = told(world)
    assert found[families.STATUSES, ("failed", "unspecified", "agent")] == 3
    assert found[families.TASKS_ENDED, ("failed", "unspecified", "agent")] == 1
    assert found[families.UNACKNOWLEDGED, ()] == 1
    assert found[families.TASKS, ("running",)] == 0
    snapshot = mesos.snapshot(look_at(world), uptime_s=5.0)
    assert snapshot["master/tasks_failed"] == 1
    assert snapshot["master/task_failed/source_slave/reason_unspecified"] == 1
    assert snapshot["master/cpus_total"] == 4
    assert snapshot["master/uptime_secs"] == 5


def test_a_role_starves_from_the_moment_in_which_it_wants_and_gets_nothing() -> None:
    world = World()
    framework = world.framework("r")
    world.advance(10)
    assert told(world)[families.ROLE_STARVED, ("r",)] == 10
    world.agent("a1")
    assert told(world)[families.ROLE_STARVED, ("r",)] == 0, "it holds an offer"
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1", "cpus:4;mem:1024"))
    world.advance(7)
    assert told(world)[families.ROLE_STARVED, ("r",)] == 7
    world.framework("r")
    world.advance(1)
    assert told(world)[families.ROLE_STARVED, ("r",)] == 8, "a second framework does not make it younger"
    world.do(Suppress(**call(framework)))
    assert told(world)[families.ROLE_STARVED, ("r",)] == 1, "the one that waited longer wants no more: since it joined"


def test_a_role_that_nobody_wants_offers_in_does_not_starve() -> None:
    world = World()
    framework = world.framework("r", failover_s=60)
    world.do(Suppress(**call(framework)))
    world.advance(5)
    assert (families.ROLE_STARVED, ("r",)) not in told(world)


def test_roles_tell_their_quota_and_what_they_have() -> None:
    world = World()
    launched(world)
    quota = Quota(guarantees_milli={"cpus": 1_000}, limits_milli={"cpus": 2_500})
    world.do(QuotasChanged(caller=ROOT, quotas=(("*", quota),)))
    found = told(world)
    assert found[families.ROLE_GUARANTEE, ("*", "cpus")] == 1
    assert found[families.ROLE_LIMIT, ("*", "cpus")] == 2.5
    assert found[families.ROLE_ALLOCATED, ("*", "mem")] >= 64
    assert 0 < found[families.ROLE_SHARE, ("*",)] <= 1
    snapshot = mesos.snapshot(look_at(world), uptime_s=0.0)
    assert snapshot["allocator/mesos/quota/roles/*/resources/cpus/limit"] == 2.5


def test_roles_beyond_the_limit_are_summed_and_counted() -> None:
    world = World()
    world.agent("a1", "cpus:6;mem:6000")
    for role in ("a", "b", "c", "d"):
        framework = world.framework(role)
        for offer in world.offers(framework[2]):
            world.accept(framework, [offer], task_info(f"t-{role}", "a1", "cpus:1;mem:100"))
    world.do(QuotasChanged(caller=ROOT, quotas=(("d", Quota(limits_milli={"cpus": 5_000})),)))
    whole, cut = told(world), told(world, role_limit_count=1)
    assert whole[families.ROLES_CUT, ()] == 0
    assert cut[families.ROLES_CUT, ()] == 3
    own = {labels[0] for family, labels in cut if family is families.ROLE_ALLOCATED}
    assert own == {"d", "other"}, "an operator has named d"
    for resource in ("cpus", "mem"):
        total = sum(
            value
            for (family, labels), value in whole.items()
            if (family, labels[1:]) == (families.ROLE_ALLOCATED, (resource,))
        )
        assert total == sum(
            value
            for (family, labels), value in cut.items()
            if (family, labels[1:]) == (families.ROLE_ALLOCATED, (resource,))
        )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=20))
def test_reasons_of_strangers_make_one_series(reasons: list[int]) -> None:
    world = World()
    agent, framework = launched(world)
    for reason in reasons:
        status = TaskStatus(
            task_id=TaskId("t1"), state=TaskState.RUNNING, source=StatusSource.AGENT, reason=reason, uuid=b"u" * 16
        )
        event = StatusReported(stream=agent, framework_id=framework[0], status=status, latest_state=TaskState.RUNNING)
        world.do(event)
    words = {labels[1] for family, labels in told(world) if family is families.STATUSES}
    assert words <= {"unknown", *(reason.name.lower() for reason in Reason)}
    assert sum(world.state.tally.statuses.values()) == len(reasons)


def test_every_kind_of_status_has_its_words() -> None:
    for reason in Reason:
        status = TaskStatus(task_id=TaskId("t"), state=TaskState.FAILED, source=StatusSource.MASTER, reason=reason)
        assert kind_of(status) == (TaskState.FAILED, reason, StatusSource.MASTER)
