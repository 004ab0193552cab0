"""Checks that only inform: a change of the result is told once, rides on with what follows, and kills nothing."""

from dataclasses import replace

import pytest

from agentd.core import effects, events, recovery
from agentd.core.effects import Effect
from agentd.core.machine import Machine
from paddock.model.container import ContainerState
from paddock.model.health import Check, CheckStatus, HealthEvidence, HttpCheck, TcpCheck
from paddock.model.ids import ContainerId
from paddock.model.task import Reason, TaskState
from tests.unit.agentd.core import made
from tests.unit.agentd.core.test_machine import C, F, Story, T, kinds, statuses

MS = 1_000_000
CHECK = Check(command="true", delay_ms=1000, interval_ms=500)
ZERO = HealthEvidence(passed=True, message="exit code 0", exit_code=0, took_ms=3, output="fine")
SEVEN = HealthEvidence(passed=False, message="exit code 7", exit_code=7)
SILENCE = HealthEvidence(passed=False, message="no result within 5 ms")


class Checked(Story):
    """A story of one task with a check that only informs."""

    def __init__(self, check: Check = CHECK) -> None:
        super().__init__()
        self.tell(events.MasterConnected())
        task = replace(made.task("t1"), check=check)
        config = replace(made.config("c1", task_id="t1"), check=check)
        launch = events.TaskLaunch(task=task, config=config)
        self.tell(events.LaunchTasks(framework=made.FRAMEWORK, launches=(launch,)))
        self.tell(events.Prepared(container_id=C))
        self.begun = self.start()
        self.acknowledge()

    def found(self, evidence: HealthEvidence) -> tuple[Effect, ...]:
        self.now_ns += 10 * MS
        return self.tell(events.CheckMade(container_id=C, evidence=evidence))


def asked(found: tuple[Effect, ...]) -> list[int]:
    return [effect.at_ns for effect in found if isinstance(effect, effects.MakeCheck)]


def test_each_asks_for_the_next_and_a_change_is_told_once() -> None:
    story = Checked()
    assert len(asked(story.begun)) == 1
    found = story.found(ZERO)
    assert asked(found) == [story.now_ns + 500 * MS]
    (told,) = statuses(found)
    assert (told.status.state, told.status.reason) == (TaskState.RUNNING, Reason.TASK_CHECK_STATUS_UPDATED)
    assert told.status.check_status == CheckStatus(exit_code=0, message="exit code 0", took_ms=3, output="fine")
    assert (told.status.message, told.status.healthy, bool(told.status.uuid)) == ("check: exit code 0", None, True)
    story.acknowledge()
    assert kinds(story.found(ZERO)) == ["MakeCheck"]
    for evidence in (SEVEN, SILENCE, ZERO):
        assert len(statuses(story.found(evidence))) == 1
        story.acknowledge()
        assert kinds(story.found(evidence)) == ["MakeCheck"]


@pytest.mark.parametrize(
    ("check", "evidence", "result"),
    [
        (CHECK, SEVEN, (7, None, None)),
        (CHECK, SILENCE, (None, None, None)),
        (Check(http=HttpCheck(port=1)), HealthEvidence(passed=False, message="m", http_status=503), (None, 503, None)),
        (Check(tcp=TcpCheck(port=1)), HealthEvidence(passed=True, message="m"), (None, None, True)),
        (Check(tcp=TcpCheck(port=1)), SILENCE, (None, None, False)),
    ],
)
def test_each_kind_has_its_result(check: Check, evidence: HealthEvidence, result: tuple[object, ...]) -> None:
    (told,) = statuses(Checked(check).found(evidence))
    assert told.status.check_status is not None
    assert told.status.check_status.result == result
    assert told.status.check_status.message == evidence.message


def test_however_often_it_fails_nothing_is_killed() -> None:
    story = Checked()
    for _ in range(20):
        assert "Kill" not in kinds(story.found(SEVEN))
    assert story.state.containers[C].state is ContainerState.RUNNING


def test_what_is_told_later_repeats_it_to_the_end() -> None:
    story = Checked()
    story.found(SEVEN)
    (answer,) = statuses(story.tell(events.ReconcileTask(framework_id=F, task_id=T)))[-1:]
    assert answer.status.check_status is not None
    story.acknowledge()
    killed = story.tell(events.KillTask(framework_id=F, task_id=T, policy=None))
    assert effects.CancelCheck(container_id=C) in killed
    assert story.found(ZERO) == ()  # made too late
    assert effects.CancelCheck(container_id=C) not in story.end()
    last = story.state.tasks[F, T].statuses[-1]
    assert last.state.is_terminal
    assert last.check_status is not None
    assert last.check_status.exit_code == 7


def test_the_next_agent_goes_on_and_tells_only_what_is_new() -> None:
    story = Checked()
    story.found(SEVEN)
    story.acknowledge()
    state = made.state()
    recovery.restore(state, recovery.snapshot(story.state))
    later = Machine(state, new_uuid=made.Uuids(100))
    started = events.Started(container_id=C, pid=100, shim_pid=99, started_ns=5, cgroup_paths=("/cg",))
    assert len(asked(later.handle(started, now_ns=1, wall_ns=10**18))) == 1
    same = later.handle(events.CheckMade(container_id=C, evidence=SEVEN), now_ns=2, wall_ns=10**18)
    assert kinds(same) == ["MakeCheck"]
    other = later.handle(events.CheckMade(container_id=C, evidence=ZERO), now_ns=3, wall_ns=10**18)
    assert "Checkpoint" in kinds(other)


def test_one_without_a_check_is_never_checked() -> None:
    story = Story()
    story.run_task()
    assert story.tell(events.CheckMade(container_id=C, evidence=SEVEN)) == ()
    assert story.tell(events.CheckMade(container_id=ContainerId("nobody"), evidence=SEVEN)) == ()
