"""Health: the table over its whole product, any row of outcomes against a plain count, and stories of the machine."""

from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.core import effects, events, recovery
from agentd.core.durable import DurableEntry
from agentd.core.effects import Effect
from agentd.core.exit_record import KillOutcome
from agentd.core.health import TABLE, Health, HealthInput, begin_watch, next_health
from agentd.core.machine import Machine
from paddock.model.container import Container, ContainerState
from paddock.model.errors import InvalidTransition
from paddock.model.health import HealthCheck, HealthEvidence
from paddock.model.ids import ContainerId
from paddock.model.task import Evidence, Reason, TaskState
from tests.unit.agentd.core import made
from tests.unit.agentd.core.test_machine import C, F, Story, T, kinds, statuses

MS = 1_000_000
CHECK = HealthCheck(command="true", delay_ms=1000, interval_ms=500, grace_ms=0, failure_count=3)
PASSED = HealthEvidence(passed=True, message="exit code 0")
FAILED = HealthEvidence(passed=False, message="exit code 7", exit_code=7, output="no disk")


@pytest.mark.parametrize(("health", "found"), list(product(Health, HealthInput)))
def test_every_pair_has_its_row_or_is_refused_by_name(health: Health, found: HealthInput) -> None:
    expected = TABLE.get((health, found))
    if expected is None:
        with pytest.raises(InvalidTransition, match=f"container c1 in state {health.name} .* {found.name}"):
            next_health(C, health, found)
    else:
        assert next_health(C, health, found) is expected


def test_nothing_comes_after_the_last_word_and_an_excuse_changes_nothing() -> None:
    assert not [pair for pair in TABLE if pair[0] is Health.CONDEMNED]
    assert {b for (a, found), b in TABLE.items() if found is HealthInput.EXCUSED} == {Health.UNKNOWN}


@given(
    outcomes=st.lists(st.tuples(st.booleans(), st.integers(0, 30_000)), max_size=30),
    failure_count=st.integers(0, 5),
    grace_ms=st.sampled_from([0, 10_000, 100_000]),
    age_ms=st.integers(0, 20_000),
    healthy=st.none() | st.booleans(),
)
def test_any_row_of_outcomes(
    outcomes: list[tuple[bool, int]], failure_count: int, grace_ms: int, age_ms: int, healthy: bool | None
) -> None:
    """Against the rule as one would say it: count failures in a row, those in the grace apart, and stop at the bound."""
    check = replace(CHECK, failure_count=failure_count, grace_ms=grace_ms)
    watch = begin_watch(C, check, now_ns=0, age_ns=age_ms * MS, healthy=healthy)
    now_ms, in_a_row, has_been_told = 0, 0, healthy is not None
    told = [healthy]
    for passed, pause_ms in outcomes:
        now_ms += pause_ms
        changed = watch.heard(C, passed=passed, now_ns=now_ms * MS)
        assert watch.due_ns == (now_ms + check.interval_ms) * MS
        excused = not passed and not has_been_told and now_ms + age_ms < grace_ms
        in_a_row = 0 if passed else in_a_row + (not excused)
        has_been_told |= not excused
        if changed:
            told.append(watch.health.is_healthy)
        assert watch.failed_count == in_a_row
        assert watch.health.is_healthy is (None if not has_been_told else passed)
        assert (watch.health is Health.CONDEMNED) is (not passed and not excused and in_a_row >= max(failure_count, 1))
        if watch.health is Health.CONDEMNED:
            break
    plain = told[:-1] if watch.health is Health.CONDEMNED and told[-1] is False else told
    assert all(a is not b for a, b in pairwise(plain))  # told when it changes, and not otherwise


@pytest.mark.parametrize(("age_ms", "due_ms"), [(0, 1000), (400, 600), (1000, 0)])
def test_the_first_check_is_due_after_the_delay(age_ms: int, due_ms: int) -> None:
    watch = begin_watch(C, CHECK, now_ns=0, age_ns=age_ms * MS, healthy=None)
    assert watch.due_ns == due_ms * MS


def test_after_a_restart_the_checks_are_spread_over_their_interval() -> None:
    ids = [ContainerId(f"{n:032x}") for n in range(1000)]
    due = [begin_watch(each, CHECK, now_ns=7, age_ns=10**12, healthy=None).due_ns - 7 for each in ids]
    assert all(0 <= each < CHECK.interval_ms * MS for each in due)
    tenths = [each * 10 // (CHECK.interval_ms * MS) for each in due]
    assert all(tenths.count(tenth) < 300 for tenth in range(10))


class Checked(Story):
    """A story of one task with a health check."""

    def __init__(self, check: HealthCheck = CHECK) -> None:
        super().__init__()
        self.tell(events.MasterConnected())
        task = replace(made.task("t1"), health_check=check)
        config = replace(made.config("c1", task_id="t1"), health_check=check)
        launch = events.TaskLaunch(task=task, config=config)
        self.tell(events.LaunchTasks(framework=made.FRAMEWORK, launches=(launch,)))
        self.tell(events.Prepared(container_id=C))
        self.begun = self.tell(
            events.Started(container_id=C, pid=100, shim_pid=99, started_ns=self.now_ns + 10**18, cgroup_paths=("/cg",))
        )
        self.acknowledge()

    def found(self, evidence: HealthEvidence) -> tuple[Effect, ...]:
        self.now_ns += 10 * MS
        return self.tell(events.HealthChecked(container_id=C, evidence=evidence))


def asked(found: tuple[Effect, ...]) -> list[int]:
    return [effect.at_ns for effect in found if isinstance(effect, effects.CheckHealth)]


def test_the_first_check_is_asked_for_when_the_command_runs_and_each_asks_for_the_next() -> None:
    story = Checked()
    assert asked(story.begun) == [story.now_ns + 1000 * MS]
    for evidence in (PASSED, PASSED, FAILED, FAILED, PASSED):
        assert asked(story.found(evidence)) == [story.now_ns + 500 * MS]


def test_a_change_is_told_once_and_with_what_was_seen() -> None:
    story = Checked()
    (told,) = statuses(story.found(PASSED))
    assert (told.status.state, told.status.healthy) == (TaskState.RUNNING, True)
    assert told.status.reason == Reason.TASK_HEALTH_CHECK_STATUS_UPDATED
    assert told.status.evidence == Evidence(health=PASSED)
    story.acknowledge()
    assert not statuses(story.found(PASSED))
    (told,) = statuses(story.found(FAILED))
    assert told.status.healthy is False
    assert told.status.message == "unhealthy: exit code 7 (1 in a row, 3 end the task)"
    story.acknowledge()
    assert not statuses(story.found(FAILED))
    (told,) = statuses(story.found(PASSED))
    assert told.status.healthy is True


def test_too_many_failures_kill_by_the_tasks_policy_and_the_end_says_why() -> None:
    story = Checked()
    story.found(PASSED)
    story.acknowledge()
    story.found(FAILED)
    story.found(FAILED)
    found = story.found(FAILED)
    assert {"Checkpoint", "CancelHealthCheck", "Kill"} <= set(kinds(found))
    assert not asked(found)
    assert story.state.containers[C].state is ContainerState.DESTROYING
    killed = KillOutcome(signal=15, grace_ms=3000, escalated=False, took_ms=4)
    story.end(wait_status=15, kill=killed)
    task = story.state.tasks[F, T]
    assert [status.healthy for status in task.statuses] == [None, True, False, False, False]
    last = task.statuses[-1]
    assert (last.state, last.reason) == (TaskState.KILLED, Reason.HEALTH_CHECK_FAILED)
    assert "failed 3 times in a row, the last time: exit code 7" in last.message
    assert last.evidence is not None
    assert last.evidence.health == replace(FAILED, failed_count=3)


def test_one_that_ended_by_itself_before_the_kill_is_told_as_it_was() -> None:
    story = Checked(replace(CHECK, failure_count=1))
    story.found(FAILED)
    story.end(wait_status=0)
    assert story.state.tasks[F, T].statuses[-1].state is TaskState.FINISHED


def test_failures_in_the_grace_are_not_told() -> None:
    story = Checked(replace(CHECK, grace_ms=10_000, failure_count=1))
    for _ in range(5):
        assert kinds(story.found(FAILED)) == ["CheckHealth"]
    story.now_ns += 10_000 * MS
    assert "Kill" in kinds(story.found(FAILED))


def test_a_kill_ends_the_checks_and_a_late_result_means_nothing() -> None:
    story = Checked()
    found = story.tell(events.KillTask(framework_id=F, task_id=T, policy=None))
    assert effects.CancelHealthCheck(container_id=C) in found
    assert story.found(FAILED) == ()
    assert effects.CancelHealthCheck(container_id=C) not in story.end()


def test_an_end_ends_the_checks() -> None:
    story = Checked()
    found = story.tell(events.Ended(container_id=C, record=made.record("c1")))
    assert effects.CancelHealthCheck(container_id=C) in found
    assert story.found(PASSED) == ()


def test_what_else_is_told_keeps_the_health_in_sight() -> None:
    story = Checked()
    story.found(PASSED)
    story.tell(events.KillTask(framework_id=F, task_id=T, policy=None))
    assert story.state.tasks[F, T].statuses[-1].healthy is True
    (answer,) = statuses(story.tell(events.ReconcileTask(framework_id=F, task_id=T)))[-1:]
    assert answer.status.healthy is True


class Standalone(Story):
    """A story of a container that no framework asked for."""

    def __init__(self, check: HealthCheck = CHECK) -> None:
        super().__init__()
        config = replace(made.config("c1"), health_check=check)
        self.tell(events.LaunchStandalone(request_id=1, config=config))
        self.tell(events.Prepared(container_id=C))
        self.begun = self.start()

    def found(self, evidence: HealthEvidence) -> tuple[Effect, ...]:
        return self.tell(events.HealthChecked(container_id=C, evidence=evidence))


def shown(found: tuple[Effect, ...]) -> list[Container]:
    return [effect.container for effect in found if isinstance(effect, effects.Publish)]


def written(found: tuple[Effect, ...]) -> list[DurableEntry]:
    return [effect.entry for effect in found if isinstance(effect, effects.Checkpoint)]


def test_a_standalone_containers_health_is_durable_before_it_is_shown() -> None:
    story = Standalone()
    assert len(asked(story.begun)) == 1
    assert shown(story.begun)[0].healthy is None
    found = story.found(PASSED)
    assert kinds(found) == ["Checkpoint", "Publish", "CheckHealth"]
    assert [(each.healthy, each.health) for each in shown(found)] == [(True, PASSED)]
    assert kinds(story.found(PASSED)) == ["CheckHealth"]
    assert shown(story.found(FAILED))[0].health == replace(FAILED, failed_count=1)


def test_an_unhealthy_standalone_container_is_killed_and_its_termination_says_so() -> None:
    story = Standalone(replace(CHECK, failure_count=1))
    found = story.found(FAILED)
    assert "Kill" in kinds(found)
    assert not asked(found)
    killed = KillOutcome(signal=15, grace_ms=3000, escalated=False, took_ms=4)
    (ended,) = shown(story.end(wait_status=15, kill=killed))
    assert ended.healthy is False
    assert ended.termination is not None
    assert (ended.termination.state, ended.termination.reason) == (TaskState.KILLED, Reason.HEALTH_CHECK_FAILED)
    assert "its health check failed once, the last time: exit code 7" in ended.termination.message
    assert ended.termination.evidence.health == replace(FAILED, failed_count=1)


@pytest.mark.parametrize("compacted", [False, True])
def test_a_standalone_containers_health_outlives_the_agent(compacted: bool) -> None:
    story = Standalone()
    log = [*recovery.snapshot(story.state), *written(story.found(FAILED))]
    state = made.state()
    recovery.restore(state, recovery.snapshot(story.state) if compacted else log)
    assert state.containers[C].view().healthy is False
    later = Machine(state, new_uuid=made.Uuids(100))
    later.handle(
        events.Started(container_id=C, pid=100, shim_pid=99, started_ns=5, cgroup_paths=("/cg",)),
        now_ns=10**12,
        wall_ns=10**18,
    )
    found = later.handle(events.HealthChecked(container_id=C, evidence=FAILED), now_ns=10**12, wall_ns=10**18)
    assert kinds(found) == ["CheckHealth"]  # it was told before
    found = later.handle(events.HealthChecked(container_id=C, evidence=PASSED), now_ns=10**12, wall_ns=10**18)
    assert shown(found)[0].healthy is True


def test_a_tasks_container_shows_what_its_statuses_said_also_to_the_next_agent() -> None:
    story = Checked()
    assert shown(story.found(PASSED))[0].health == PASSED
    state = made.state()
    recovery.restore(state, recovery.snapshot(story.state))
    later = Machine(state, new_uuid=made.Uuids(100))
    later.handle(
        events.Started(container_id=C, pid=100, shim_pid=99, started_ns=5, cgroup_paths=("/cg",)),
        now_ns=10**12,
        wall_ns=10**18,
    )
    view = state.containers[C].view()
    assert (view.healthy, view.health) == (True, PASSED)


def test_a_container_without_a_check_is_never_checked() -> None:
    story = Story()
    story.run_task()
    assert story.tell(events.HealthChecked(container_id=C, evidence=FAILED)) == ()
    assert story.tell(events.HealthChecked(container_id=ContainerId("nobody"), evidence=FAILED)) == ()
