"""While nothing can be made durable: what is refused, and in which words."""

from __future__ import annotations

from agentd.core import effects, events
from agentd.core.launching import NO_WORK
from paddock.model.errors import Unavailable
from paddock.model.ids import ContainerId, TaskId
from tests.unit.agentd.core import made
from tests.unit.agentd.core.test_machine import Story

WHY = "log at byte 7: it cannot be written: No space left on device"


def blocked() -> Story:
    story = Story()
    story.tell(events.MasterConnected())
    story.launch_task("t0", "c0")
    assert story.tell(events.LogBlocked(problem=WHY)) == (effects.SendProblem(problem=WHY),)
    # It is tried again and again.
    assert story.tell(events.LogBlocked(problem=WHY)) == ()
    return story


def test_a_standalone_launch_is_refused_at_once_and_changes_nothing() -> None:
    story = blocked()
    (answer,) = story.launch("c1", request_id=5)
    assert isinstance(answer, effects.Answer)
    assert (answer.request_id, answer.at_once) == (5, True)
    assert isinstance(answer.error, Unavailable)
    assert str(answer.error) == f"{NO_WORK}: {WHY}"
    assert ContainerId("c1") not in story.state.containers


def test_a_masters_launch_is_refused_by_name_but_for_what_is_known() -> None:
    story = blocked()
    launches = tuple(
        events.TaskLaunch(task=made.task(task_id), config=made.config(f"x-{task_id}", task_id=task_id))
        for task_id in ("t0", "t1", "t2")
    )
    (refused,) = story.tell(events.LaunchTasks(framework=made.FRAMEWORK, launches=launches))
    assert refused == effects.SendLaunchRefused(
        framework_id=made.FRAMEWORK.framework_id,
        task_ids=(TaskId("t1"), TaskId("t2")),
        message=f"{NO_WORK}: {WHY}",
        at_once=True,
    )
    assert len(story.state.tasks) == 1


def test_afterwards_all_is_as_before() -> None:
    story = blocked()
    assert story.tell(events.LogBlocked(problem="")) == (effects.SendProblem(problem=""),)
    story.tell(events.MasterDisconnected())
    assert effects.SendProblem(problem="") not in story.tell(events.MasterConnected())
    story.launch("c1")
    assert ContainerId("c1") in story.state.containers


def test_a_new_master_is_told() -> None:
    story = blocked()
    story.tell(events.MasterDisconnected())
    assert story.tell(events.LogBlocked(problem="else")) == ()
    assert story.tell(events.MasterConnected())[0] == effects.SendProblem(problem="else")
